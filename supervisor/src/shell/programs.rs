//! Finds programs: the workers' beside `lumen`, the app's in the user's `PATH`.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io,
    os::{
        fd::OwnedFd,
        unix::fs::{OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use lumen_ipc::process::Worker;

/// A worker's program was not found.
#[derive(Debug, thiserror::Error)]
#[error("{binary} is not in {}; {INSTALL_ADVICE}", self.places())]
pub(crate) struct MissingWorker {
    /// Its name.
    pub(crate) binary: &'static str,
    /// The directories that were searched.
    pub(crate) looked: Vec<PathBuf>,
}

/// Advice about a missing worker.
pub(crate) const INSTALL_ADVICE: &str =
    "build or install all of Lumen's programs together, or name their directory by --workers-dir";

impl MissingWorker {
    /// The directories that were searched, for people.
    pub(crate) fn places(&self) -> String {
        let places = self.looked.iter().map(|path| path.display().to_string());
        places.collect::<Vec<_>>().join(" nor in ")
    }
}

/// The directories to search for workers' programs: the command line's, else that of `lumen` and
/// `../libexec/lumen`.
pub(crate) fn worker_directories(told: Option<&Path>, own: &Path) -> Vec<PathBuf> {
    match (told, own.parent()) {
        (Some(told), _) => vec![told.to_owned()],
        (None, Some(beside)) => {
            vec![beside.to_owned(), beside.parent().unwrap_or(beside).join("libexec/lumen")]
        }
        (None, None) => Vec::new(),
    }
}

/// Finds a worker's program.
pub(crate) fn worker(worker: Worker, directories: &[PathBuf]) -> Result<PathBuf, MissingWorker> {
    beside(worker.binary(), directories)
        .ok_or_else(|| MissingWorker { binary: worker.binary(), looked: directories.to_vec() })
}

/// Finds a program of Lumen's in the workers' directories.
pub(crate) fn beside(binary: &str, directories: &[PathBuf]) -> Option<PathBuf> {
    let paths = directories.iter().map(|directory| directory.join(binary));
    paths.into_iter().find(|path| is_executable(path))
}

/// Opens a program for execution, not for reading.
pub(crate) fn open(path: &Path) -> io::Result<OwnedFd> {
    let flags = nix::libc::O_PATH;
    File::options().read(true).custom_flags(flags).open(path).map(OwnedFd::from)
}

/// Finds a program by name in the directories of `path`, or by its own path.
pub(crate) fn find(program: &OsStr, path: &OsStr) -> Option<PathBuf> {
    if program.as_encoded_bytes().contains(&b'/') {
        let program = std::path::absolute(program).ok()?;
        return is_executable(&program).then_some(program);
    }
    std::env::split_paths(path)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(program))
        .find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// The `PATH` for the app: the caller's on the caller's own desktop, else the system's usual one.
pub(crate) fn search_path(own: Option<OsString>) -> OsString {
    own.filter(|path| !path.is_empty())
        .unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_worker_names_every_place_looked_at() {
        let directories = worker_directories(None, Path::new("/opt/bin/lumen"));
        let error = worker(Worker::Rtc, &directories).expect_err("not there").to_string();
        assert!(error.contains("/opt/bin nor in /opt/libexec/lumen"), "{error}");
        assert!(error.contains("lumen-rtc") && error.contains("--workers-dir"), "{error}");
    }

    #[test]
    fn find_looks_in_absolute_directories_only() {
        assert_eq!(find("sh".as_ref(), ".:".as_ref()), None);
        assert!(find("sh".as_ref(), "/nowhere:/bin".as_ref()).is_some());
    }
}
