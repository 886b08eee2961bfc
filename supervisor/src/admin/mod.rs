//! How an administrator reaches a running desktop: where its socket is, and what the desktop keeps to
//! answer requests.
//!
//! The supervisor judges each request by who is connected ([`rights`]). The command line looks only in
//! directories that nobody but its user or root can write to.

pub mod intake;
pub mod rights;
pub mod ring;

use std::path::{Path, PathBuf};

use crate::config::InstanceName;

/// Where the sockets and files of a user's desktops are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Home {
    /// The directory, private to the user.
    pub directory: PathBuf,
}

/// How the names of the files end that have the paths of sessions' control groups.
pub(crate) const GROUP_RECORD: &str = ".cgroup";

/// Root's directory of desktops.
#[must_use]
pub fn home_of_root() -> Home {
    Home { directory: PathBuf::from("/run/lumen") }
}

/// An ordinary user's directory of desktops, in a directory of the user's own.
#[must_use]
pub fn home_in(runtime_dir: &Path) -> Home {
    Home { directory: runtime_dir.join("lumen") }
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

    /// The name of the file in which the host called `name` keeps a certificate of its own.
    #[must_use]
    pub fn certificate(&self, name: &InstanceName) -> String {
        match name.is_default() {
            true => "host.certificate".to_owned(),
            false => format!("host-{name}.certificate"),
        }
    }

    /// The file that has the path of the control group of the session with this label.
    #[must_use]
    pub fn group(&self, label: &str) -> PathBuf {
        self.directory.join(format!("{label}{GROUP_RECORD}"))
    }

    /// The directory of files made for the session with this label.
    #[must_use]
    pub fn files(&self, label: &str) -> PathBuf {
        self.directory.join(label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(home: &Home, name: &str) -> PathBuf {
        home.socket(&InstanceName::new(name).expect("legal"))
    }

    #[test]
    fn socket_is_in_a_directory_of_the_user() {
        let own = home_in(Path::new("/run/user/1000"));
        assert_eq!(socket(&own, "default"), Path::new("/run/user/1000/lumen/admin.sock"));
        assert_eq!(socket(&home_of_root(), "default"), Path::new("/run/lumen/admin.sock"));
    }

    #[test]
    fn sockets_of_several_desktops_differ() {
        assert_eq!(socket(&home_of_root(), "work"), Path::new("/run/lumen/admin-work.sock"));
    }
}
