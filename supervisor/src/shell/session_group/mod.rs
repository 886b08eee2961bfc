//! A session's own control group (cgroups(7), version 2), by which all its processes are ended.
//!
//! It is made below the supervisor's own group, wherever the kernel permits that: as root, or where the
//! group is the user's (`Delegate=` in systemd.resource-control(5)). In it are two groups, of the workers
//! and of the guests: the app, the helpers, and all that these start. Each process enters its group before
//! it executes anything. Nothing is written to any other group, unless to have what guests use counted, in
//! one that was delegated ([`tree`]); then it is limited ([`limits`]).
//!
//! At the session's end the kernel kills whatever is in the group (`cgroup.kill`), whoever's child it is by
//! then. A file in the supervisor's directory has the group's path ([`record`]): so the next session that starts
//! ends what killed supervisors left behind, wherever that is.
//!
//! An app of another user than the supervisor's cannot leave its group. Where both are one user it can, as
//! it could kill the supervisor; there the group is for what was left behind, and not against the app.

mod ending;
mod limits;
mod place;
mod record;
mod shortage;
mod tree;

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
};

use nix::unistd::write;
use tracing::warn;

use self::{
    ending::{end, remove},
    place::{new_directory, refused},
    record::Record,
};
pub(crate) use self::{
    place::{NoGroup, own_group},
    record::end_leftovers,
    shortage::{note as note_shortage, watch as watch_for_shortage},
    tree::{NoLimits, Tree},
};
use super::ffi::in_child;
use crate::{config::GuestLimits, control_group::Resource};

/// What the lack of a group means, for people.
pub(crate) const LOSS: &str = "what a killed supervisor leaves of a session goes on: the session has no \
                               control group of its own";

/// What the lack of limits means, for people.
pub(crate) const NO_LIMITS: &str = "an app may use all of the machine's memory, and start as many processes as the machine has room for";

/// The groups in a session's.
const GUESTS: &str = "guests";
const WORKERS: &str = "workers";

/// A session's group. Everything in it is ended on drop.
#[derive(Debug)]
pub(crate) struct SessionGroup {
    path: PathBuf,
    guests: Entrance,
    workers: Entrance,
    record: Record,
}

/// The way into a group, for a process between fork and exec.
#[derive(Clone, Debug)]
pub(crate) struct Entrance(Arc<File>);

impl Entrance {
    /// The entrance of a new group at `path`.
    fn make(path: &Path) -> Result<Self, NoGroup> {
        fs::create_dir(path).map_err(refused(path))?;
        let processes = path.join("cgroup.procs");
        let file = OpenOptions::new().write(true).open(&processes).map_err(refused(&processes))?;
        let entrance = Self(Arc::new(file));
        // A group may let nobody in, for example processes of some kinds, or because of the group that the
        // process comes from.
        let [errno, _] = in_child(|| match entrance.enter() {
            Ok(()) => [0, 0],
            Err(error) => [error.raw_os_error().unwrap_or(nix::libc::EIO).unsigned_abs(), 0],
        })
        .map_err(refused(path))?;
        match errno {
            0 => Ok(entrance),
            errno => Err(refused(path)(io::Error::from_raw_os_error(errno.cast_signed()))),
        }
    }

    /// Moves this process into the group. Async-signal-safe.
    pub(crate) fn enter(&self) -> io::Result<()> {
        // Zero stands for the process that writes it.
        write(&*self.0, b"0")?;
        Ok(())
    }
}

impl SessionGroup {
    /// Makes the group of the session that has this label, below the supervisor's. The file `record` is to
    /// have its path.
    pub(crate) fn make(own: &Path, label: &str, record: PathBuf) -> Result<Self, NoGroup> {
        let path = new_directory(own, label)?;
        let made = furnish(&path).and_then(|parts| Ok((parts, Record::of(record, &path)?)));
        let ([guests, workers], record) = made.inspect_err(|_| {
            // It is empty.
            let _ = remove(&path);
        })?;
        Ok(Self { path, guests, workers, record })
    }

    /// Limits what guests use.
    pub(crate) fn limit(&self, limits: &GuestLimits, tree: &mut Tree) -> Result<(), NoLimits> {
        limits::limit(limits, tree, &self.path, &self.path.join(GUESTS))
    }

    /// The file in which the kernel counts how often guests lacked a resource, if it counts that.
    pub(crate) fn shortages(&self, of: Resource) -> Option<OwnedFd> {
        File::open(self.path.join(GUESTS).join(of.file())).ok().map(OwnedFd::from)
    }

    /// The way in for the app and helpers.
    pub(crate) fn guests(&self) -> Entrance {
        self.guests.clone()
    }

    /// The way in for workers.
    pub(crate) fn workers(&self) -> &Entrance {
        &self.workers
    }
}

impl Drop for SessionGroup {
    fn drop(&mut self) {
        match end(&self.path) {
            Ok(()) => self.record.remove(),
            Err(error) => warn!(%error, "{} is left behind", self.path.display()),
        }
    }
}

/// What a session could have.
pub(crate) struct Possible {
    /// Where its group would be.
    pub(crate) own: PathBuf,
    /// Whether what its guests use would be limited.
    pub(crate) limits: Result<(), NoLimits>,
}

/// Tries whether a session could have a group, with these limits.
pub(crate) fn try_out(limits: &GuestLimits) -> Result<Possible, NoGroup> {
    let mut tree = Tree::find()?;
    let own = tree.own().to_owned();
    let path = new_directory(&own, "doctor")?;
    let limits =
        furnish(&path).map(|_| limits::limit(limits, &mut tree, &path, &path.join(GUESTS)));
    remove(&path).map_err(refused(&path))?;
    Ok(Possible { own, limits: limits? })
}

/// Makes the groups of guests and workers.
fn furnish(path: &Path) -> Result<[Entrance; 2], NoGroup> {
    if !path.join("cgroup.kill").exists() {
        return Err(NoGroup::NoKill);
    }
    Ok([Entrance::make(&path.join(GUESTS))?, Entrance::make(&path.join(WORKERS))?])
}
