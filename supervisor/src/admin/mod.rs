//! How an administrator reaches a running desktop: where its socket is, and what the desktop keeps to
//! answer requests.
//!
//! The supervisor answers only its own user and root (`SO_PEERCRED`). The command line looks only in
//! directories that nobody else can write to.

pub mod intake;
pub mod ring;

use std::path::{Path, PathBuf};

use crate::config::InstanceName;

/// Where the sockets and files of a user's desktops are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Home {
    /// The directory, private to the user.
    pub directory: PathBuf,
    /// Its parent, if we have to create that, too.
    pub parent: Option<PathBuf>,
}

/// The directory for a user's desktops. `runtime_dir` is `XDG_RUNTIME_DIR`, if it is set and the
/// user's own.
#[must_use]
pub fn home(uid: u32, runtime_dir: Option<&Path>) -> Home {
    if uid == 0 {
        return Home { directory: PathBuf::from("/run/lumen"), parent: None };
    }
    match runtime_dir {
        Some(directory) => Home { directory: directory.join("lumen"), parent: None },
        None => {
            let parent = fallback_runtime_dir(uid);
            Home { directory: parent.join("lumen"), parent: Some(parent) }
        }
    }
}

/// The replacement for `XDG_RUNTIME_DIR` where it is not set.
#[must_use]
pub fn fallback_runtime_dir(uid: u32) -> PathBuf {
    PathBuf::from(format!("/tmp/lumen-{uid}"))
}

impl Home {
    /// The socket of the desktop called `name`.
    #[must_use]
    pub fn socket(&self, name: &InstanceName) -> PathBuf {
        let file = match name.is_default() {
            true => "admin.sock".to_owned(),
            false => format!("admin-{name}.sock"),
        };
        self.directory.join(file)
    }

    /// The socket at which the host called `name` accepts sessions.
    #[must_use]
    pub fn sessions(&self, name: &InstanceName) -> PathBuf {
        let file = match name.is_default() {
            true => "sessions.sock".to_owned(),
            false => format!("sessions-{name}.sock"),
        };
        self.directory.join(file)
    }

    /// The file in which the host called `name` stores what must outlive its process.
    #[must_use]
    pub fn state(&self, name: &InstanceName) -> PathBuf {
        let file = match name.is_default() {
            true => "host.state".to_owned(),
            false => format!("host-{name}.state"),
        };
        self.directory.join(file)
    }

    /// The directory of files made for the session with this label.
    #[must_use]
    pub fn files(&self, label: &str) -> PathBuf {
        self.directory.join(label)
    }

    /// The directory of the locks that keep two hosts or sessions from sharing a user without a name. No
    /// session can have it as its label: a session's files are removed at its start.
    #[must_use]
    pub fn locks(&self) -> PathBuf {
        self.directory.join("users.locks")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(uid: u32, runtime_dir: Option<&str>, name: &str) -> PathBuf {
        let name = InstanceName::new(name).expect("legal");
        home(uid, runtime_dir.map(Path::new)).socket(&name)
    }

    #[test]
    fn socket_is_in_a_directory_of_the_user() {
        let user = Some("/run/user/1000");
        assert_eq!(socket(1000, user, "default"), Path::new("/run/user/1000/lumen/admin.sock"));
        assert_eq!(socket(1000, None, "default"), Path::new("/tmp/lumen-1000/lumen/admin.sock"));
        assert_eq!(socket(0, user, "default"), Path::new("/run/lumen/admin.sock"));
    }

    #[test]
    fn locks_are_where_no_desktop_can_have_its_files() {
        let locks = home(0, None).locks();
        let name = locks.file_name().and_then(|name| name.to_str()).expect("text");
        assert_eq!(
            (locks.parent(), InstanceName::new(name)),
            (Some(Path::new("/run/lumen")), None)
        );
    }

    #[test]
    fn sockets_of_several_desktops_differ() {
        assert_eq!(socket(0, None, "work"), Path::new("/run/lumen/admin-work.sock"));
    }
}
