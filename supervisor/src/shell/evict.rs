//! Ends every process of a user before a program of ours becomes that user, and after its last program
//! has ended: processes of one user have power over each other.
//!
//! A child becomes the user, without any capability, and signals every process that it may signal
//! (`kill(-1)`). The kernel does that in one step, from which no process escapes by forking, and it needs
//! no process numbers, which may be reused, or be those of another pid namespace. Afterwards `/proc`
//! shows whether a process has the uid in any way all the same, such as a program of root that acts as
//! that user for the moment; such a user is not clean.
//!
//! Containers often have the same uids as the machine for other purposes, and `kill(-1)` would end their
//! processes, too. These have no power over ours, whose numbers they do not see. So where a container has
//! a uid, the others that have it are signalled by number. Only apps can be in a container of their own
//! making, so of a user that existed for one desktop everything ends ([`Contained::End`]).
//!
//! INVARIANT: [`clear`] signals only as the user, and never as root or with a capability.

use std::{thread, time::Duration};

use nix::{
    sys::{
        prctl,
        signal::{Signal, kill},
    },
    unistd::Pid,
};
use tracing::{error, warn};

use super::{
    fence, ffi,
    proc::{self, Resident},
};
use crate::plan::Identity;

/// How often to try, and how long to wait for processes that are ending: two seconds in all.
const ROUNDS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// What to do with processes of containers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Contained {
    /// End them.
    End,
    /// Leave them alone.
    Spare,
}

/// The outcome of [`clear`].
#[derive(Debug, Default)]
pub(crate) struct Cleared {
    /// The processes that there were.
    found: Vec<Resident>,
    /// Those that do not end.
    left: Vec<Resident>,
}

impl Cleared {
    /// Whether no process has this uid.
    pub(crate) fn is_clean(&self, uid: u32) -> bool {
        !self.left.iter().any(|left| left.users.contains(&uid))
    }

    /// Logs what was found.
    pub(crate) fn report(&self) {
        for found in self.found.iter().filter(|found| !self.left.contains(found)) {
            warn!("ended {found}, which was left with the user of another process");
        }
        for left in &self.left {
            error!("{left} does not end; no other process gets its user");
        }
    }
}

/// Ends every process of these users. Blocks for up to two seconds if some do not end.
pub(crate) fn clear(users: &[Identity], of_containers: Contained) -> Cleared {
    let (found, mut spared) = residents(users, of_containers);
    let mut left = found.clone();
    for round in 0..ROUNDS {
        if round > 0 {
            thread::sleep(PAUSE);
        }
        for user in users {
            let has_it = |one: &&Resident| one.users.contains(&user.uid);
            if spared.iter().any(|one| has_it(&one)) {
                let pids: Vec<i32> = left.iter().filter(has_it).map(|one| one.pid).collect();
                signal_as(*user, &pids);
            } else {
                signal_as(*user, &EVERY_PROCESS);
            }
        }
        (left, spared) = residents(users, of_containers);
        if left.is_empty() {
            break;
        }
    }
    Cleared { found, left }
}

/// The processes of these users that are to end, and those that are spared.
fn residents(users: &[Identity], of_containers: Contained) -> (Vec<Resident>, Vec<Resident>) {
    let uids: Vec<u32> = users.iter().map(|user| user.uid).collect();
    let ends = |one: &Resident| !one.is_contained || of_containers == Contained::End;
    proc::residents(&uids).into_iter().partition(ends)
}

/// What `kill` takes for every process that the caller may signal.
const EVERY_PROCESS: [i32; 1] = [-1];

/// Sends SIGKILL as this user.
fn signal_as(user: Identity, processes: &[i32]) {
    if user.uid == 0 || user.gid == 0 || processes.is_empty() {
        return;
    }
    // If the child cannot be made or cannot become the user, `/proc` shows what is left.
    let _ = ffi::in_child(|| {
        let became = fence::become_user(user, &[]).is_ok() && ffi::drop_capabilities().is_ok();
        // A process of this user must not trace the child, which has a copy of root's memory.
        let hidden = prctl::set_dumpable(false).is_ok();
        if became && hidden {
            for process in processes {
                // It fails where there is no process to signal.
                let _ = kill(Pid::from_raw(*process), Signal::SIGKILL);
            }
        }
        [0, 0]
    });
}
