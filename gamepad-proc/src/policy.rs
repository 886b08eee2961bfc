//! Confinement of `lumen-gamepad`: it may only drive the devices it was given.
//!
//! The supervisor opened `/dev/uinput`, and this process took it out of the deposit before
//! confinement; it opens nothing. Each ioctl request is allowed separately, so that no other
//! device's request gets through if the descriptor is ever that of another device.

use lumen_ipc_runtime::confine::{Condition, Policy};

use crate::uinput::REQUESTS;

/// Descriptors: 0–2, control, grants, the deposit, four slots, one link end, event queue and wakers
/// of the control thread's runtime and of the loop, doubled while the link is replaced.
const OPEN_FILES: u64 = 48;

/// The confinement.
#[must_use]
pub fn policy() -> Policy {
    REQUESTS
        .into_iter()
        .fold(Policy::base(), |policy, (request, reason)| {
            policy.allow_when(libc::SYS_ioctl, &[Condition::arg(1).equals(request)], reason)
        })
        .open_files(OPEN_FILES)
}
