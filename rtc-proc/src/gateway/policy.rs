//! Confinement of the gateway: what it may do beyond what every worker may.
//!
//! It makes no socket, connects nowhere and opens no file: browsers come through the one listener
//! it was granted, the client's files are part of the program, and everything else is behind a
//! link. It needs no terminal, no device, no path.

use lumen_ipc::units::MOST_SESSIONS;
use lumen_ipc_runtime::confine::{Condition, MIB, Policy};

use super::quota::MAX_CONNECTIONS;

/// Descriptors besides the connections: a link to each session, standard streams, listener, event loops, and
/// connections that are accepted only to be closed.
const OTHER_DESCRIPTORS: u64 = MOST_SESSIONS as u64 + 64;

/// Heap: 3 MiB; each connection has buffers of some dozen KiB, and a message of 64 KiB at most.
const PRIVATE_MEMORY: u64 = 512 * MIB;

/// The gateway's policy.
#[must_use]
pub fn policy() -> Policy {
    Policy::base()
        .allow_when(
            libc::SYS_accept4,
            &[Condition::arg(3).only(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK)],
            "browsers, on the granted listener",
        )
        .allow_when(
            libc::SYS_recvfrom,
            &[Condition::arg(3).only(libc::MSG_PEEK | libc::MSG_DONTWAIT)],
            "a look at a connection's first bytes, which may be for the relay",
        )
        .allow_when(
            libc::SYS_shutdown,
            &[Condition::arg(1).equals(libc::SHUT_WR)],
            "an answer ends and the browser may still speak; a listener takes no notice of it",
        )
        .allow_when(
            libc::SYS_setsockopt,
            &[
                Condition::arg(1).equals(libc::IPPROTO_TCP),
                Condition::arg(2).equals(libc::TCP_NODELAY),
            ],
            "an answer is a small packet that must not wait for an earlier one's acknowledgement",
        )
        .open_files(MAX_CONNECTIONS as u64 + OTHER_DESCRIPTORS)
        .private_memory(PRIVATE_MEMORY)
}
