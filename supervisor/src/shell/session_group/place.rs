//! Where groups are made, what they are called, and why none can be made.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use nix::unistd::{Uid, mkdtemp};

use crate::control_group::directory;

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

/// The directory of this process's group.
pub(crate) fn own_group() -> Result<PathBuf, NoGroup> {
    let read = |path: &str| fs::read(path).map_err(refused(Path::new(path)));
    let own = directory(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?);
    own.ok_or(NoGroup::Absent)
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
