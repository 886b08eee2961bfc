//! Finds and reads configuration files: `/etc/lumen/lumen.toml`, an ordinary user's own, or a chosen one.
//!
//! INVARIANT: what root reads was written by root: a file names commands that are started and users that
//! are become. A user's file is that user's or root's. The checks are of the open file, not of its path.

use std::{
    cell::RefCell,
    env,
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::{libc::O_NONBLOCK, unistd::Uid};

use crate::config::{
    self, HostConfig, Invocation, Outside, UsageError,
    file::{FileText, MOST_BYTES, Scope},
};

/// The file of the whole machine.
const OF_MACHINE: &str = "/etc/lumen/lumen.toml";

/// This process's environment, and the configuration files of this machine.
pub(crate) struct Machine;

impl Outside for Machine {
    fn variable(&self, name: &str) -> Option<String> {
        env::var(name).ok()
    }

    fn files(&self, chosen: Option<&Path>) -> Result<Vec<FileText>, UsageError> {
        let reader = Uid::effective().as_raw();
        match chosen {
            Some(path) => read(path, reader, Scope::All).map(|text| vec![text]),
            None => usual(Path::new(OF_MACHINE), own().as_deref(), reader),
        }
        .map_err(|fault| UsageError::BadValue {
            key: None,
            origin: fault.path.display().to_string(),
            reason: super::sentence(&fault.why),
        })
    }
}

/// Reads the configuration of a host anew, from the same command line.
#[derive(Debug)]
pub(crate) struct Rereading {
    arguments: Vec<OsString>,
}

impl Rereading {
    /// Of this command line.
    pub(crate) const fn of(arguments: Vec<OsString>) -> Self {
        Self { arguments }
    }

    /// The configuration as it is now.
    pub(crate) fn host(&self) -> Result<HostConfig, String> {
        match config::parse(self.arguments.clone(), &Machine) {
            Ok((Invocation::Serve(config), _)) => Ok(*config),
            Ok(_) => Err("this command line starts no host".to_owned()),
            Err(error) => Err(super::sentence(&error)),
        }
    }

    /// What it is read from: the chosen file, or the folders of the usual ones, in which editors replace
    /// files.
    pub(crate) fn places(&self) -> Vec<PathBuf> {
        let asked = Asked(RefCell::default());
        // Errors were told when the host started.
        let _ = config::parse(self.arguments.clone(), &asked);
        match asked.0.into_inner() {
            Some(chosen) => vec![chosen],
            None => {
                let usual = [Some(PathBuf::from(OF_MACHINE)), own()].into_iter().flatten();
                usual.filter_map(|file| Some(file.parent()?.to_owned())).collect()
            }
        }
    }
}

/// Finds out which file a command line chooses.
struct Asked(RefCell<Option<PathBuf>>);

impl Outside for Asked {
    fn variable(&self, name: &str) -> Option<String> {
        Machine.variable(name)
    }

    fn files(&self, chosen: Option<&Path>) -> Result<Vec<FileText>, UsageError> {
        *self.0.borrow_mut() = chosen.map(Path::to_owned);
        Ok(Vec::new())
    }
}

/// The file of an ordinary user.
fn own() -> Option<PathBuf> {
    let directory = |name: &str| {
        env::var_os(name).map(PathBuf::from).filter(|directory| directory.is_absolute())
    };
    let settings =
        directory("XDG_CONFIG_HOME").or_else(|| Some(directory("HOME")?.join(".config")))?;
    Some(settings.join("lumen/lumen.toml"))
}

/// A file that cannot be used.
#[derive(Debug)]
struct Fault {
    path: PathBuf,
    why: Why,
}

#[derive(Debug, thiserror::Error)]
enum Why {
    #[error("cannot be read")]
    Io(#[from] io::Error),
    #[error("is not a regular file")]
    NotAFile,
    #[error(
        "belongs to uid {owner}, who is not to decide what uid {reader} does; change its owner"
    )]
    Foreign { owner: u32, reader: u32 },
    #[error("can be written by others than its owner (mode {mode:o}); try chmod go-w")]
    Open { mode: u32 },
    #[error("is not text in UTF-8")]
    NotText,
    #[error("is longer than {MOST_BYTES} bytes")]
    TooLong,
}

/// The files at the usual places that exist; an ordinary user's own first.
fn usual(of_machine: &Path, own: Option<&Path>, reader: u32) -> Result<Vec<FileText>, Fault> {
    let is_root = reader == 0;
    let scope = if is_root { Scope::All } else { Scope::Desktops };
    let own = own.filter(|_| !is_root).map(|path| (path, Scope::All));
    let mut files = Vec::new();
    for (path, scope) in own.into_iter().chain([(of_machine, scope)]) {
        match read(path, reader, scope) {
            Ok(file) => files.push(file),
            Err(fault) if fault.is_absent(scope) => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(files)
}

impl Fault {
    /// Whether there is no such file, or the machine's is not for its ordinary users.
    fn is_absent(&self, scope: Scope) -> bool {
        let Why::Io(error) = &self.why else { return false };
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => true,
            io::ErrorKind::PermissionDenied => scope == Scope::Desktops,
            _ => false,
        }
    }
}

fn read(path: &Path, reader: u32, scope: Scope) -> Result<FileText, Fault> {
    let text = believed(path, reader).map_err(|why| Fault { path: path.to_owned(), why })?;
    Ok(FileText { path: path.display().to_string(), text, scope })
}

fn believed(path: &Path, reader: u32) -> Result<String, Why> {
    // Without blocking: the path may be a pipe without a writer.
    let file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(Why::NotAFile);
    }
    is_trusted(found.uid(), found.mode() & 0o7777, reader)?;
    content(file)
}

/// Whether `reader` does what a file says that `owner` has and that these permissions let be written.
fn is_trusted(owner: u32, mode: u32, reader: u32) -> Result<(), Why> {
    if owner != 0 && owner != reader {
        return Err(Why::Foreign { owner, reader });
    }
    // Many users' files are writable by a group of their own.
    let writers = if reader == 0 { 0o022 } else { 0o002 };
    match mode & writers {
        0 => Ok(()),
        _ => Err(Why::Open { mode }),
    }
}

fn content(file: File) -> Result<String, Why> {
    let most = u64::try_from(MOST_BYTES).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() > MOST_BYTES {
        return Err(Why::TooLong);
    }
    String::from_utf8(bytes).map_err(|_| Why::NotText)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    /// A directory for one test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = env::temp_dir().join(format!("lumen-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).expect("a directory");
            Self(path)
        }

        fn file(&self, name: &str, text: impl AsRef<[u8]>, mode: u32) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, text).expect("ours");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("ours");
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            // A failure only leaves the directory behind.
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn me() -> u32 {
        Uid::effective().as_raw()
    }

    fn refusal(path: &Path) -> String {
        let fault = read(path, me(), Scope::All).expect_err("not believed");
        super::super::sentence(&fault.why)
    }

    #[test]
    fn root_believes_only_what_root_alone_can_write() {
        assert!(is_trusted(0, 0o644, 0).is_ok());
        for (owner, mode) in [(1000, 0o600), (1, 0o444), (0, 0o664), (0, 0o646), (0, 0o622)] {
            assert!(is_trusted(owner, mode, 0).is_err(), "{owner} {mode:o}");
        }
    }

    #[test]
    fn user_believes_what_that_user_or_root_wrote() {
        for (owner, mode) in [(1000, 0o600), (1000, 0o664), (0, 0o644)] {
            assert!(is_trusted(owner, mode, 1000).is_ok(), "{owner} {mode:o}");
        }
        for (owner, mode) in [(1001, 0o644), (1000, 0o666), (0, 0o646)] {
            assert!(is_trusted(owner, mode, 1000).is_err(), "{owner} {mode:o}");
        }
    }

    #[test]
    fn file_that_is_no_file_or_no_text_or_too_long_is_refused_with_the_reason() {
        let folder = Folder::new("config-refused");
        assert!(refusal(&folder.file("open", "", 0o666)).contains("mode 666"));
        assert!(refusal(&folder.file("bytes", [0xff, 0xfe], 0o644)).contains("UTF-8"));
        assert!(
            refusal(&folder.file("long", vec![b' '; MOST_BYTES + 1], 0o644)).contains("longer")
        );
        assert!(refusal(&folder.0).contains("not a regular file"));
        assert!(refusal(Path::new("/dev/null")).contains("not a regular file"));
        assert!(refusal(&folder.0.join("none")).contains("cannot be read"));
        let pipe = folder.0.join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).expect("ours");
        assert!(refusal(&pipe).contains("not a regular file"));
        let whole = folder.file("whole", vec![b' '; MOST_BYTES], 0o644);
        assert_eq!(read(&whole, me(), Scope::All).expect("read").text.len(), MOST_BYTES);
    }

    #[test]
    fn usual_files_are_the_users_own_before_the_machines() {
        let folder = Folder::new("config-usual");
        let of_machine = folder.file("machine", "fps = 30", 0o644);
        let own = folder.file("own", "fps = 24", 0o644);
        let found = |own: &Path, reader: u32| -> Vec<(String, Scope)> {
            let files = usual(&of_machine, Some(own), reader).map_err(|fault| fault.why);
            files.expect("read").into_iter().map(|file| (file.text, file.scope)).collect()
        };
        let none = folder.0.join("none/none");
        let users = if me() == 0 { 1000 } else { me() };
        // As root these files are root's, whom every user believes.
        let both = [("fps = 24".to_owned(), Scope::All), ("fps = 30".to_owned(), Scope::Desktops)];
        assert_eq!(found(&own, users), both);
        assert_eq!(found(&none, users), both[1..]);
    }

    #[test]
    fn machines_file_that_a_user_may_not_read_is_as_if_it_were_not_there() {
        let absent = |kind: io::ErrorKind, scope| {
            Fault { path: PathBuf::new(), why: Why::Io(kind.into()) }.is_absent(scope)
        };
        assert!(absent(io::ErrorKind::PermissionDenied, Scope::Desktops));
        assert!(!absent(io::ErrorKind::PermissionDenied, Scope::All));
        assert!(absent(io::ErrorKind::NotFound, Scope::All));
    }
}
