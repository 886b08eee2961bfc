//! Where groups are made, what they are called, and why none can be made.

use std::{
    io,
    path::{Path, PathBuf},
};

use nix::unistd::{Uid, mkdtemp};

/// How the names of our groups begin.
pub(super) const PREFIX: &str = "lumen-";

/// Why a session has no group of its own.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoGroup {
    /// The file system of version 2 is not mounted, or does not show the group of this process.
    #[error("there is no cgroup v2 that this process can see")]
    Absent,
    /// The kernel cannot end a group.
    #[error("the kernel has no cgroup.kill, which came with Linux 5.14")]
    NoKill,
    /// The group of this process belongs to somebody else.
    #[error("{0} is not delegated to this user")]
    NotDelegated(PathBuf),
    /// The kernel refused.
    #[error("{path}: {source}")]
    Refused {
        /// The path.
        path: PathBuf,
        /// What the kernel returned.
        source: io::Error,
    },
}

/// Makes an empty group. Nobody can foresee its name.
pub(super) fn new_directory(parent: &Path, label: &str) -> Result<PathBuf, NoGroup> {
    let pattern = parent.join(format!("{PREFIX}{}-{label}-XXXXXX", Uid::effective()));
    mkdtemp(&pattern).map_err(|errno| refused(parent)(errno.into()))
}

/// The error of an operation at a path.
pub(super) fn refused(path: &Path) -> impl Fn(io::Error) -> NoGroup {
    let path = path.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::PermissionDenied => NoGroup::NotDelegated(path.clone()),
        _ => NoGroup::Refused { path: path.clone(), source },
    }
}
