//! Confinement of `lumen-turn`: what it may do beyond what every worker may.
//!
//! It makes no socket, connects and binds nowhere and opens no file: clients come through the
//! sockets it was granted, and what it relays leaves through them. What is left to a client that
//! breaks in is those sockets.

use lumen_ipc_runtime::confine::{Condition, MIB, Policy};

use crate::shell::MAX_CONNECTIONS;

/// Descriptors beside the connections: standard streams, control, grants, granted sockets (one UDP
/// and up to two TCP for each local address), event queues, and the connections that are accepted
/// only to be closed.
const OTHER_DESCRIPTORS: u64 = 128;

/// Heap: 4 MiB; each connection and allocation has buffers of some dozen KiB.
const PRIVATE_MEMORY: u64 = 512 * MIB;

/// The confinement.
#[must_use]
pub fn policy() -> Policy {
    Policy::base()
        .allow(libc::SYS_readv, "connections of clients, through the library of TLS")
        .allow_when(libc::SYS_recvmmsg, &[Condition::arg(3).only(libc::MSG_DONTWAIT)], DATAGRAMS)
        .allow_when(libc::SYS_sendmmsg, &[Condition::arg(3).only(libc::MSG_DONTWAIT)], DATAGRAMS)
        .allow_when(
            libc::SYS_accept4,
            &[Condition::arg(3).only(libc::SOCK_CLOEXEC)],
            "clients, on the granted listeners",
        )
        .allow(libc::SYS_getpeername, "whose a connection is that the gateway hands over")
        .allow_when(
            libc::SYS_setsockopt,
            &option(libc::IPPROTO_TCP, libc::TCP_NODELAY),
            "media must not wait for an earlier packet's acknowledgement",
        )
        .allow_when(libc::SYS_setsockopt, &option(libc::SOL_SOCKET, libc::SO_KEEPALIVE), DEAD)
        .allow_when(libc::SYS_setsockopt, &option(libc::IPPROTO_TCP, libc::TCP_KEEPIDLE), DEAD)
        .allow_when(libc::SYS_setsockopt, &option(libc::IPPROTO_TCP, libc::TCP_KEEPINTVL), DEAD)
        .allow_when(libc::SYS_setsockopt, &option(libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT), DEAD)
        .open_files(MAX_CONNECTIONS as u64 + OTHER_DESCRIPTORS)
        .private_memory(PRIVATE_MEMORY)
}

const DATAGRAMS: &str = "datagrams, several at once, on the granted sockets";

/// Why options are set that end dead connections.
const DEAD: &str = "clients that die without a goodbye must not keep their connections";

fn option(level: i32, name: i32) -> [Condition; 2] {
    [Condition::arg(1).equals(level), Condition::arg(2).equals(name)]
}
