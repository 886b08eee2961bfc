//! The uids without a name that root gives to workers and to temporary users of desktops.
//!
//! They come from the range that systemd reserves for users that exist only meanwhile, and are locked as
//! systemd locks those of its services (`DynamicUser=` in systemd.exec(5)), so that no other host, session
//! or service has one of them.
//!
//! INVARIANTS
//! - A uid keeps its role: those that temporary users of desktops had are never given to workers.
//! - No process has a uid that is given out: all that had it are ended first, and one whose processes do
//!   not end is left out, and so is one that a container has. When it is given back, they are ended again.

use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use nix::unistd::{Gid, Group, Uid, User};

use super::{
    evict::{self, Contained},
    lock_file::{LockFile, NotTaken},
    places::{self, PlaceError},
    proc,
};
use crate::plan::Identity;

/// Where systemd has the locks of dynamic users, and its directory.
const LOCKS: [&str; 2] = ["/run/systemd", "/run/systemd/dynamic-uid"];

/// The purpose of a uid.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// The user of a desktop, with its app.
    Desktop,
    /// One worker.
    Worker,
}

impl Role {
    /// Its part of 61184 to 65519, the dynamic users of <https://systemd.io/UIDS-GIDS/>.
    pub(crate) const fn uids(self) -> RangeInclusive<u32> {
        match self {
            Self::Desktop => 65008..=65519,
            Self::Worker => 61184..=65007,
        }
    }
}

/// What to do with processes that have a uid already.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Residents {
    /// End them.
    End,
    /// Leave them alone and take another uid.
    Spare,
}

/// Why there is no uid.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoUid {
    /// Every one is taken.
    #[error("no unused uid is left from {} to {}", .0.start(), .0.end())]
    Exhausted(RangeInclusive<u32>),
    /// The user database cannot be read.
    #[error("cannot read the user database: {0}")]
    Database(nix::errno::Errno),
    /// The locks cannot be used.
    #[error(transparent)]
    Place(#[from] PlaceError),
}

/// Gives out uids.
#[derive(Debug)]
pub(crate) struct Pool {
    directory: PathBuf,
    residents: Residents,
    leases: Leases,
}

/// Uids that no other process of root's gives out while this exists. On drop their processes are ended.
#[derive(Debug, Default)]
pub(crate) struct Leases(Vec<Lease>);

#[derive(Debug)]
struct Lease {
    identity: Identity,
    /// systemd takes and gives up these names in the same way.
    _lock: LockFile,
}

impl Pool {
    pub(crate) fn open(residents: Residents) -> Result<Self, PlaceError> {
        for directory in LOCKS {
            places::directory(Path::new(directory), 0o755)?;
        }
        let directory = PathBuf::from(LOCKS[1]);
        Ok(Self { directory, residents, leases: Leases::default() })
    }

    /// Takes `COUNT` uids for this purpose.
    pub(crate) fn take<const COUNT: usize>(
        &mut self,
        role: Role,
    ) -> Result<[Identity; COUNT], NoUid> {
        let (mut candidates, mut taken) = (role.uids(), Vec::new());
        loop {
            let wanted = COUNT - taken.len();
            let mut locked = Vec::new();
            while locked.len() < wanted {
                let uid = candidates.next().ok_or_else(|| NoUid::Exhausted(role.uids()))?;
                locked.extend(self.lock_unnamed(uid)?);
            }
            for lease in self.cleared(locked) {
                taken.push(lease.identity);
                self.leases.0.push(lease);
            }
            if let Ok(all) = <[Identity; COUNT]>::try_from(taken.clone()) {
                return Ok(all);
            }
        }
    }

    /// Takes the uid of a user that exists for one process; `None` if another process has it.
    pub(crate) fn hold(&mut self, identity: Identity) -> Result<Option<Identity>, NoUid> {
        let locked = self.lock(identity)?;
        let lease = self.cleared(locked.into_iter().collect()).pop();
        let held = lease.as_ref().map(|lease| lease.identity);
        self.leases.0.extend(lease);
        Ok(held)
    }

    /// What was taken, to be kept for as long as it is used.
    pub(crate) fn leases(self) -> Leases {
        self.leases
    }

    /// Locks a uid, unless it has a name or is taken.
    fn lock_unnamed(&self, uid: u32) -> Result<Option<Lease>, NoUid> {
        let user = User::from_uid(Uid::from_raw(uid)).map_err(NoUid::Database)?;
        let group = Group::from_gid(Gid::from_raw(uid)).map_err(NoUid::Database)?;
        if user.is_some() || group.is_some() {
            return Ok(None);
        }
        Ok(self.lock(Identity { uid, gid: uid })?)
    }

    fn lock(&self, identity: Identity) -> Result<Option<Lease>, PlaceError> {
        match LockFile::take(&self.directory.join(identity.uid.to_string())) {
            Ok(lock) => Ok(Some(Lease { identity, _lock: lock })),
            Err(NotTaken::InUse(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Those of these uids that no process has, if need be after ending what has them.
    fn cleared(&self, mut leases: Vec<Lease>) -> Vec<Lease> {
        // A container has its own locks.
        let uids: Vec<u32> = leases.iter().map(|lease| lease.identity.uid).collect();
        let mut residents = proc::residents(&uids);
        residents.retain(|one| one.is_contained || self.residents == Residents::Spare);
        let has = |uid| residents.iter().any(|resident| resident.users.contains(&uid));
        leases.retain(|lease| !has(lease.identity.uid));
        if self.residents == Residents::Spare {
            return leases;
        }
        let users: Vec<Identity> = leases.iter().map(|lease| lease.identity).collect();
        let cleared = evict::clear(&users, Contained::Spare);
        cleared.report();
        leases.retain(|lease| cleared.is_clean(lease.identity.uid));
        leases
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        if self.0.is_empty() {
            return;
        }
        let (desktops, workers): (Vec<Identity>, Vec<Identity>) = self
            .0
            .iter()
            .map(|lease| lease.identity)
            .partition(|user| Role::Desktop.uids().contains(&user.uid));
        evict::clear(&desktops, Contained::End).report();
        evict::clear(&workers, Contained::Spare).report();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_of_the_roles_are_dynamic_ones_and_do_not_meet() {
        let (desktop, worker) = (Role::Desktop.uids(), Role::Worker.uids());
        assert!(desktop.clone().all(|uid| !worker.contains(&uid)));
        assert!(desktop.chain(worker).all(|uid| (61184..=65519).contains(&uid)));
    }
}
