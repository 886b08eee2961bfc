//! Ends every process of a user before a program of ours becomes that user, and after its last program
//! has ended: processes of one user have power over each other.
//!
//! A child becomes the user, without any capability, and signals every process that it may signal
//! (`kill(-1)`). The kernel does that in one step, from which no process escapes by forking, and it needs
//! no process numbers, which may be reused, or be those of another pid namespace. Afterwards `/proc`
//! shows whether a process has the uid in any way all the same, such as a program of root that acts as
//! that user for the moment; such a user is not clean.
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
pub(crate) fn clear(users: &[Identity]) -> Cleared {
    let uids: Vec<u32> = users.iter().map(|user| user.uid).collect();
    let found = proc::residents(&uids);
    let mut left = Vec::new();
    for round in 0..ROUNDS {
        if round > 0 {
            thread::sleep(PAUSE);
        }
        for user in users {
            end_all_of(*user);
        }
        left = proc::residents(&uids);
        if left.is_empty() {
            break;
        }
    }
    Cleared { found, left }
}

/// Sends SIGKILL to every process that this user may signal.
fn end_all_of(user: Identity) {
    if user.uid == 0 || user.gid == 0 {
        return;
    }
    // If the child cannot be made or cannot become the user, `/proc` shows what is left.
    let _ = ffi::in_child(|| {
        let became = fence::become_user(user, &[]).is_ok() && ffi::drop_capabilities().is_ok();
        // A process of this user must not trace the child, which has a copy of root's memory.
        let hidden = prctl::set_dumpable(false).is_ok();
        if became && hidden {
            // It fails where there is no process to signal.
            let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
        }
        [0, 0]
    });
}
