//! A file whose lock says that a name is in use, removed when it is not any more.
//!
//! Removing a lock file invites a race: who opened it before it was removed can lock it afterwards, beside
//! the next one of that name.
//!
//! INVARIANT: who has a [`LockFile`] has locked the file that had its name at that moment, and only such a
//! holder removes it. So no two have the same name at a time.

use std::{
    fs::File,
    io,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use rustix::fs::{AtFlags, Mode, OFlags, open, openat, statat, unlinkat};

/// How often the file may be another one when it is locked. Each time somebody else has given the name up.
const MOST_REPLACED: usize = 64;

/// Why a name cannot be taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTaken {
    /// Another process has it.
    #[error("{0} is in use")]
    InUse(PathBuf),
    /// The file cannot be made or locked.
    #[error("cannot use {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
}

/// The lock of a name, for as long as it lives.
#[derive(Debug)]
pub(crate) struct LockFile {
    /// The directory as it was when the lock was taken, whatever its path leads to later.
    directory: OwnedFd,
    name: PathBuf,
    file: Flock<File>,
}

impl LockFile {
    /// Takes the lock of the file at `path`, which is made if there is none.
    pub(crate) fn take(path: &Path) -> Result<Self, NotTaken> {
        let failed = |errno: rustix::io::Errno| at(path)(errno.into());
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(at(path)(io::ErrorKind::InvalidInput.into()));
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = open(parent, flags, Mode::empty()).map_err(failed)?;
        for _ in 0..MOST_REPLACED {
            let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = openat(&directory, name, flags, Mode::RUSR | Mode::WUSR).map_err(failed)?;
            let file = locked(file.into(), path)?;
            let lock = Self {
                directory: directory.try_clone().map_err(at(path))?,
                name: name.into(),
                file,
            };
            if lock.has_its_name() {
                return Ok(lock);
            }
        }
        Err(NotTaken::InUse(path.to_owned()))
    }

    /// Whether the name leads to the file that is locked.
    fn has_its_name(&self) -> bool {
        let named = statat(&self.directory, &self.name, AtFlags::SYMLINK_NOFOLLOW);
        let own = self.file.metadata();
        matches!((named, own), (Ok(named), Ok(own))
            if (named.st_dev, named.st_ino) == (own.dev(), own.ino()))
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        if self.has_its_name() {
            // A file that stays does no harm: the next who needs the name takes it over.
            let _ = unlinkat(&self.directory, &self.name, AtFlags::empty());
        }
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> NotTaken {
    move |source| NotTaken::Io { path: path.to_owned(), source }
}

fn locked(file: File, path: &Path) -> Result<Flock<File>, NotTaken> {
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        Errno::EWOULDBLOCK => NotTaken::InUse(path.to_owned()),
        other => at(path)(other.into()),
    })
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        sync::atomic::{AtomicU32, Ordering},
        thread,
    };

    use super::*;

    /// A directory of the test's own, and a path in it.
    fn place(test: &str) -> (PathBuf, PathBuf) {
        let directory =
            std::env::temp_dir().join(format!("lumen-lock-{test}-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        let path = directory.join("name.lock");
        (directory, path)
    }

    #[test]
    fn lock_file_is_removed_with_its_lock_and_taken_over_where_one_was_left() {
        let (directory, path) = place("removed");
        for left in [false, true] {
            if left {
                fs::write(&path, "left by a killed process").expect("ours");
            }
            let lock = LockFile::take(&path).expect("free");
            assert!(matches!(LockFile::take(&path), Err(NotTaken::InUse(_))), "{left}");
            drop(lock);
            assert!(!path.exists(), "{left}");
        }
        fs::remove_dir_all(directory).expect("ours");
    }

    #[test]
    fn lock_of_a_file_that_lost_its_name_does_not_count_and_removes_nothing() {
        let (directory, path) = place("renamed");
        let early = LockFile::take(&path).expect("free");
        fs::remove_file(&path).expect("ours");
        let late = LockFile::take(&path).expect("the name is free");
        drop(early);
        assert!(path.exists(), "it is the other's file");
        assert!(matches!(LockFile::take(&path), Err(NotTaken::InUse(_))));
        drop(late);
        assert!(!path.exists());
        fs::remove_dir_all(directory).expect("ours");
    }

    #[test]
    fn lock_file_stays_in_the_directory_that_it_was_made_in() {
        let (directory, path) = place("moved");
        let lock = LockFile::take(&path).expect("free");
        let moved = directory.with_extension("moved");
        fs::rename(&directory, &moved).expect("ours");
        fs::create_dir(&directory).expect("ours");
        fs::write(&path, "of somebody else").expect("ours");
        drop(lock);
        assert!(path.exists() && !moved.join("name.lock").exists());
        for path in [directory, moved] {
            fs::remove_dir_all(path).expect("ours");
        }
    }

    #[test]
    fn lock_is_nobodys_beside_another_however_many_take_it_and_give_it_up() {
        let (directory, path) = place("raced");
        let (inside, taken) = (AtomicU32::new(0), AtomicU32::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        let Ok(lock) = LockFile::take(&path) else { continue };
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two have the name");
                        taken.fetch_add(1, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        assert!(taken.load(Ordering::SeqCst) > 0);
        assert!(!path.exists(), "the last one removed it");
        fs::remove_dir_all(directory).expect("ours");
    }
}
