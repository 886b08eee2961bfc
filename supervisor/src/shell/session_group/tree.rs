//! The part of the tree of control groups in which the supervisor may make groups: below its own.
//!
//! What groups use can be limited where the kernel counts it, by a controller that the group above hands
//! down (`cgroup.subtree_control`). A group that hands controllers down can have no processes itself. So the
//! supervisor moves to a group of its own below, and comes back at the end.
//!
//! INVARIANT: that is done only in a group that systemd has delegated (`Delegate=`), which it marks with an
//! attribute: in any other, systemd decides where processes are and what is counted.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustix::fs::getxattr;
use tracing::warn;

use super::place::{NoGroup, new_directory, own_group, refused};
use crate::control_group::{each, within, without};

/// Why what guests use is not limited.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoLimits {
    /// Nothing counts it.
    #[error("the kernel does not count {what} in {group}")]
    NotCounted {
        /// The name of the controller.
        what: &'static str,
        /// The group of the supervisor.
        group: PathBuf,
    },
    /// There are no groups at all.
    #[error(transparent)]
    NoGroup(#[from] NoGroup),
    /// It is systemd that decides about the group.
    #[error("systemd has not delegated {0} (Delegate=yes)")]
    NotDelegated(PathBuf),
    /// Processes of others are in the group.
    #[error("Lumen is not alone in {0}")]
    Shared(PathBuf),
}

/// The groups below the supervisor's own.
#[derive(Debug)]
pub(crate) struct Tree {
    /// The group in which the supervisor was started.
    own: PathBuf,
    /// Where the supervisor is instead, and what its group hands down since.
    moved: Option<Moved>,
}

#[derive(Debug)]
struct Moved {
    to: PathBuf,
    /// The controllers' names.
    handed_down: Vec<String>,
}

impl Tree {
    /// Finds the supervisor's group.
    pub(crate) fn find() -> Result<Self, NoGroup> {
        Ok(Self { own: own_group()?, moved: None })
    }

    /// The group in which the supervisor was started.
    pub(crate) fn own(&self) -> &Path {
        &self.own
    }

    /// Which controllers there are, of these.
    pub(super) fn offered<'name>(&self, wanted: &[&'name str]) -> io::Result<Vec<&'name str>> {
        let offered = fs::read_to_string(self.own.join("cgroup.controllers"))?;
        Ok(within(wanted, &offered))
    }

    /// Has groups made here counted by these controllers, which the own group has.
    pub(super) fn hand_down(&mut self, controllers: &[&str]) -> Result<(), NoLimits> {
        let control = self.own.join("cgroup.subtree_control");
        let present = fs::read_to_string(&control).map_err(refused(&control))?;
        let lacking = without(controllers, &present);
        if lacking.is_empty() {
            return Ok(());
        }
        if !is_delegated(&self.own) {
            return Err(NoLimits::NotDelegated(self.own.clone()));
        }
        if self.moved.is_none() {
            let to = new_directory(&self.own, "supervisor")?;
            // Kept first, so that whatever fails is undone.
            self.moved = Some(Moved { to: to.clone(), handed_down: Vec::new() });
            enter(&to).map_err(refused(&to))?;
        }
        if let Err(error) = fs::write(&control, each('+', &lacking)) {
            self.come_back();
            return Err(match error.kind() {
                io::ErrorKind::ResourceBusy => NoLimits::Shared(self.own.clone()),
                _ => refused(&control)(error).into(),
            });
        }
        if let Some(moved) = &mut self.moved {
            moved.handed_down.extend(lacking.into_iter().map(str::to_owned));
        }
        Ok(())
    }

    fn come_back(&mut self) {
        let Some(moved) = self.moved.take() else { return };
        let undone = || {
            if !moved.handed_down.is_empty() {
                let written = each('-', &moved.handed_down);
                fs::write(self.own.join("cgroup.subtree_control"), written)?;
            }
            enter(&self.own)?;
            fs::remove_dir(&moved.to)
        };
        if let Err(error) = undone() {
            // It is removed with the unit that it belongs to.
            warn!(%error, "{} is left behind", moved.to.display());
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.come_back();
    }
}

/// Moves this process.
fn enter(group: &Path) -> io::Result<()> {
    fs::write(group.join("cgroup.procs"), "0")
}

/// Whether systemd leaves this group to who runs in it.
fn is_delegated(group: &Path) -> bool {
    ["trusted.delegate", "user.delegate"].into_iter().any(|name| {
        let mut value = [0; 2];
        getxattr(group, name, &mut value).is_ok_and(|length| value.get(..length) == Some(b"1"))
    })
}
