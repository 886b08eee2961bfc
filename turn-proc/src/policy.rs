//! What the relay may do while it serves: its sockets, the clock, and nothing with a path.

use libc::{SYS_accept4, SYS_close, SYS_getrandom, SYS_recvfrom, SYS_recvmmsg, SYS_sendmmsg};
use lumen_ipc_runtime::confine::{Condition, Policy};

use crate::shell::ConnectionLimits;

/// Descriptors besides connections: sockets granted, links, event queues.
const OTHER_FILES: u64 = 64;

/// The policy of `lumen-turn`.
#[must_use]
pub fn policy(limits: &ConnectionLimits) -> Policy {
    let tcp =
        [Condition::arg(1).equals(libc::IPPROTO_TCP), Condition::arg(2).equals(libc::TCP_NODELAY)];
    Policy::base()
        .allow(SYS_recvmmsg, "datagrams in, a batch at a time")
        .allow(SYS_sendmmsg, "datagrams out, a batch at a time")
        .allow(SYS_accept4, "connections to the granted TCP and TLS listeners")
        .allow(SYS_recvfrom, "bytes of a connection")
        .allow(libc::SYS_sendto, "bytes to a connection")
        .allow(libc::SYS_writev, "TLS records to a connection")
        .allow(SYS_close, "a connection that is over")
        .allow(libc::SYS_epoll_wait, "the event loop's sleep")
        .allow(libc::SYS_epoll_ctl, "a connection begins, ends, or waits for room to send")
        .allow(SYS_getrandom, "ports of allocations and TLS handshakes")
        .allow_when(libc::SYS_setsockopt, &tcp, "media must not wait for a full segment")
        .allow_when(
            libc::SYS_ioctl,
            &[Condition::arg(1).equals(libc::FIONBIO)],
            "a connection must not block the loop",
        )
        .open_files(OTHER_FILES + limits.total as u64)
}
