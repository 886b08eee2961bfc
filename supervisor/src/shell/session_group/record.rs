//! The file that has the path of a session's group, in the supervisor's directory, which others cannot write to.
//!
//! INVARIANT: it is locked for as long as its session lives. So a record that can be locked is one that a killed
//! supervisor left, whatever label its session had, and what is in the group that it names is left over.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use nix::fcntl::{Flock, FlockArg};
use tracing::{info, warn};

use super::{
    ending::end,
    place::{NoGroup, PREFIX, refused},
};
use crate::admin::GROUP_RECORD;

/// A record of a living session.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    file: Flock<File>,
}

impl Record {
    /// Notes in the file `path` that this process has this group.
    pub(super) fn of(path: PathBuf, group: &Path) -> Result<Self, NoGroup> {
        let mut record = Self::take(path)?;
        let text = group.as_os_str().as_bytes();
        record.file.write_all(text).map_err(refused(&record.path))?;
        Ok(record)
    }

    /// Takes the file, and empties it.
    fn take(path: PathBuf) -> Result<Self, NoGroup> {
        loop {
            let mut options = OpenOptions::new();
            options.create(true).read(true).write(true).truncate(false).mode(0o600);
            let file = open(&mut options, &path).map_err(refused(&path))?;
            // Another session that starts may be looking at it, and remove it then.
            let locked = Flock::lock(file, FlockArg::LockExclusive);
            let file = locked.map_err(|(_, errno)| refused(&path)(errno.into()))?;
            if is_at(&file, &path) {
                file.set_len(0).map_err(refused(&path))?;
                return Ok(Self { path, file });
            }
        }
    }

    /// Removes it: the group is gone.
    pub(super) fn remove(&self) {
        // A group that is not there does no harm to the next session.
        let _ = fs::remove_file(&self.path);
    }
}

/// Ends what is left of sessions whose records are in this directory and whose supervisors are no more.
pub(crate) fn end_leftovers(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_name().as_bytes().ends_with(GROUP_RECORD.as_bytes()) {
            end_leftover(&entry.path());
        }
    }
}

/// Ends what is left of the session that wrote this record, unless it lives.
fn end_leftover(path: &Path) {
    let Ok(file) = open(OpenOptions::new().read(true).write(true), path) else { return };
    let Ok(mut file) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else { return };
    let mut text = Vec::new();
    if !is_at(&file, path) || file.read_to_end(&mut text).is_err() {
        return;
    }
    let group = PathBuf::from(OsString::from_vec(text));
    let is_ours = group.is_absolute()
        && group.file_name().is_some_and(|name| name.as_bytes().starts_with(PREFIX.as_bytes()));
    if is_ours && group.exists() {
        match end(&group) {
            Ok(()) => info!("ended what a killed session left in {}", group.display()),
            Err(error) => {
                warn!(%error, "what a killed session left in {} stays", group.display());
                return;
            }
        }
    }
    // Where it stays, it names a group that is not there.
    let _ = fs::remove_file(path);
}

fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    options.custom_flags(nix::libc::O_NOFOLLOW).open(path)
}

/// Whether the file is the one at `path`: it may have been removed before it was locked.
fn is_at(file: &File, path: &Path) -> bool {
    let number = |found: io::Result<fs::Metadata>| found.ok().map(|it| (it.dev(), it.ino()));
    number(file.metadata()).is_some_and(|own| number(fs::symlink_metadata(path)) == Some(own))
}

#[cfg(test)]
mod tests {
    use super::{super::ending::tests::scratch, *};

    /// A directory that looks like a group, and what was written to its `cgroup.kill`.
    fn kill_of(record: impl Fn(&Path) -> Vec<u8>, name: &str) -> String {
        let scratch = scratch();
        let group = scratch.join(name);
        fs::create_dir(&group).expect("a directory");
        fs::write(group.join("cgroup.kill"), "-").expect("a file");
        fs::write(scratch.join(format!("other{GROUP_RECORD}")), record(&group)).expect("a file");
        end_leftovers(&scratch);
        let written = fs::read_to_string(group.join("cgroup.kill")).expect("still there");
        fs::remove_dir_all(scratch).expect("ours");
        written
    }

    fn whole(path: &Path) -> Vec<u8> {
        path.as_os_str().as_bytes().to_vec()
    }

    #[test]
    fn leftover_whose_record_names_a_group_of_ours_is_ended_whatever_its_label() {
        assert_eq!(kill_of(whole, "lumen-0-default-a1B2c3"), "1");
    }

    #[test]
    fn leftover_whose_record_is_damaged_is_left_alone() {
        assert_eq!(kill_of(whole, "user.slice"), "-");
        let name = "lumen-0-default-a1B2c3";
        assert_eq!(kill_of(|_| Vec::new(), name), "-");
        assert_eq!(kill_of(|_| name.as_bytes().to_vec(), name), "-", "a relative path");
        assert_eq!(kill_of(|path| whole(path.parent().expect("scratch")), name), "-");
        assert_eq!(kill_of(|path| [whole(path), b"/..".to_vec()].concat(), name), "-");
        assert_eq!(kill_of(|path| [whole(path), b"\0".to_vec()].concat(), name), "-");
    }

    #[test]
    fn group_of_a_living_session_is_left_alone_and_ended_once_its_record_is_let_go() {
        let scratch = scratch();
        let group = scratch.join("lumen-0-default-a1B2c3");
        fs::create_dir(&group).expect("a directory");
        fs::write(group.join("cgroup.kill"), "-").expect("a file");
        let killed = || fs::read_to_string(group.join("cgroup.kill")).expect("still there");
        let path = scratch.join(format!("default{GROUP_RECORD}"));
        let record = Record::of(path.clone(), &group).expect("free");
        end_leftovers(&scratch);
        assert_eq!((killed().as_str(), path.exists()), ("-", true));
        drop(record);
        end_leftovers(&scratch);
        assert_eq!(killed(), "1");
        // The directory is not empty, so it counts as one that stays, and so does its record.
        fs::remove_file(group.join("cgroup.kill")).expect("ours");
        fs::write(&path, whole(&scratch.join("lumen-gone"))).expect("a file");
        end_leftovers(&scratch);
        assert!(!path.exists(), "what it names is gone");
        fs::remove_dir_all(scratch).expect("ours");
    }

    #[test]
    fn record_that_is_taken_again_is_empty() {
        let scratch = scratch();
        let path = scratch.join(format!("default{GROUP_RECORD}"));
        for length in [40, 3] {
            let group = "x".repeat(length);
            drop(Record::of(path.clone(), Path::new(&group)).expect("free"));
            assert_eq!(fs::read(&path).expect("there").len(), length);
        }
        fs::remove_dir_all(scratch).expect("ours");
    }
}
