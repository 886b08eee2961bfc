//! The end of a group with all that is in it.

use std::{
    fs::{self, OpenOptions},
    io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use nix::unistd::write;

/// How long to wait for processes that are ending, and how long between two looks.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(10);

/// Ends every process of a group, and removes it.
pub(super) fn end(path: &Path) -> io::Result<()> {
    let kill = OpenOptions::new().write(true).open(path.join("cgroup.kill"))?;
    write(kill, b"1")?;
    remove(path)
}

/// Removes a group whose processes are ending, with all groups in it: an app may have made more.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut groups = vec![path.to_owned()];
    let mut next = 0;
    while let Some(group) = groups.get(next) {
        for entry in fs::read_dir(group)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                groups.push(entry.path());
            }
        }
        next += 1;
    }
    // Inner ones before outer ones.
    for group in groups.iter().rev() {
        while let Err(error) = fs::remove_dir(group) {
            match error.kind() {
                io::ErrorKind::NotFound => break,
                // Processes are in it until they have ended.
                io::ErrorKind::ResourceBusy if Instant::now() < deadline => thread::sleep(PAUSE),
                _ => return Err(error),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::PathBuf;

    use nix::unistd::mkdtemp;

    use super::*;

    pub(in super::super) fn scratch() -> PathBuf {
        mkdtemp(&std::env::temp_dir().join("session-group-XXXXXX")).expect("scratch")
    }

    #[test]
    fn remove_takes_the_groups_that_an_app_made_in_its_own() {
        let group = scratch();
        let deepest = (0..40).fold(group.clone(), |path, _| path.join("deeper"));
        fs::create_dir_all(&deepest).expect("directories");
        fs::create_dir_all(group.join("guests/browser")).expect("directories");
        remove(&group).expect("removed");
        assert!(!group.exists());
        assert!(remove(&group).is_err(), "nothing is there");
    }
}
