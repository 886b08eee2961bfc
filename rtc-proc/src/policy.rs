//! Confinement of `lumen-rtc`: what it may do beyond what every worker may.
//!
//! It makes no socket, connects and binds nowhere and opens no file: the one UDP socket was granted
//! with its options set, the DTLS key was made before confinement, and randomness comes from
//! `getrandom`. What is left to a browser that breaks in is that socket and the links.

use lumen_ipc_runtime::confine::{Condition, MIB, Policy};

/// Descriptors: 0–2, control, grants, socket, five link ends, event queue and waker of the control
/// thread's runtime, the packet ring (its mapping outlives the descriptor), doubled while links are
/// replaced.
const OPEN_FILES: u64 = 48;

/// Heap: 3 MiB with one viewer; each of the others, who are 15 at most, adds its queues of packets and of
/// data channels.
const PRIVATE_MEMORY: u64 = 512 * MIB;

/// The confinement.
#[must_use]
pub fn policy() -> Policy {
    Policy::base()
        .allow_when(
            libc::SYS_recvmmsg,
            &[Condition::arg(3).only(libc::MSG_DONTWAIT)],
            "datagrams, several at once, on the granted socket",
        )
        .open_files(OPEN_FILES)
        .private_memory(PRIVATE_MEMORY)
}
