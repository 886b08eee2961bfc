//! The label that keeps the files of sessions apart: their Wayland sockets and directories.
//!
//! INVARIANT: no two living sessions of one supervisor's user have the same label. The label of
//! `lumen run` is its host's name, which the lock of the admin socket reserves. That of `lumen
//! session` contains a dot, which no host's name does, and has a lock of its own.

use nix::unistd::Uid;

use super::{
    lock_file::{LockFile, NotTaken},
    places::PlaceError,
};
use crate::{admin::Home, config::InstanceName};

/// Most sessions of one user, over all hosts.
const MOST: u32 = 1024;

/// The label of one session, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Label {
    text: String,
    _lock: Option<LockFile>,
}

impl Label {
    /// The label of the only session of a host whose admin socket this process holds.
    pub(crate) fn of_only_session(host: &InstanceName) -> Self {
        Self { text: host.to_string(), _lock: None }
    }

    /// The first label that no living session has. Files that a killed session left are replaced.
    pub(crate) fn first_free(home: &Home) -> Result<Self, PlaceError> {
        // Sessions of root and of the user may share the user's directory of sockets.
        let kind = if Uid::effective().is_root() { "root" } else { "session" };
        for number in 1..=MOST {
            let text = format!("{kind}.{number}");
            match LockFile::take(&home.directory.join(format!("{text}.lock"))) {
                Ok(lock) => return Ok(Self { text, _lock: Some(lock) }),
                Err(NotTaken::InUse(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(PlaceError::Taken(home.directory.clone()))
    }

    /// The label.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_free_label_is_one_that_no_living_session_has() {
        let directory = std::env::temp_dir().join(format!("lumen-label-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let home = Home { directory: directory.clone() };
        let take = || Label::first_free(&home).expect("free");
        let (first, second) = (take(), take());
        assert_ne!(first.as_str(), second.as_str());
        assert_eq!(InstanceName::new(first.as_str()), None, "no host of `lumen run` has it");
        let freed = first.as_str().to_owned();
        drop(first);
        assert_eq!(take().as_str(), freed);
        drop(second);
        let left = std::fs::read_dir(&directory).expect("ours").count();
        assert_eq!(left, 0, "a lock goes with its session");
        std::fs::remove_dir_all(directory).expect("ours");
    }
}
