//! Confinement: what this program may still do once it listens to others.
//!
//! It reads its settings, the client's secret and the authorities' certificates before, and nothing of others. Then its
//! task is to ask the provider, so it may connect: by TCP to the provider, by UDP and TCP to whoever knows names. It
//! listens nowhere, starts nothing, maps no code, writes nothing but its log and its link, and reads no files but those
//! that the C library looks names up by.
//!
//! Where a connection goes to stands behind a pointer, which no filter sees. So what is left to whoever breaks in is the
//! network that the machine reaches, this attempt and the client's secret.

use std::path::Path;

use lumen_ipc_runtime::confine::{Condition, Policy};

/// What the C library reads to look a name up.
const NAMES: [&str; 5] =
    ["/etc/gai.conf", "/etc/host.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/resolv.conf"];

/// Streams, the link, a connection, a file and sockets of a look-up, some to spare.
const DESCRIPTORS: u64 = 32;

const CONNECTIONS: &str = "connections to the provider, and to whoever knows names";
const LOOK_UPS: &str = "the C library looks names up";

/// The confinement; of the files in it those that this machine has.
#[must_use]
pub fn policy() -> Policy {
    let policy = Policy::base()
        .threads("each name is looked up in a thread, which can be too slow")
        .connects()
        .open_files(DESCRIPTORS);
    let here = NAMES.into_iter().filter(|path| Path::new(path).exists());
    let policy = here.fold(policy, |policy, path| policy.read_path(path, LOOK_UPS));
    options(look_ups(sockets(policy)))
}

fn sockets(policy: Policy) -> Policy {
    let how = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    let kinds = [libc::SOCK_STREAM, libc::SOCK_DGRAM];
    let families = [libc::AF_INET, libc::AF_INET6];
    let all = families.into_iter().flat_map(|family| kinds.map(|kind| (family, kind)));
    all.fold(policy, |policy, (family, kind)| {
        let is = [
            Condition::arg(0).equals(family),
            Condition::arg(1).is_with_any_of(kind, how),
            Condition::arg(2).equals(libc::IPPROTO_IP),
        ];
        policy.allow_when(libc::SYS_socket, &is, CONNECTIONS)
    })
    .allow(libc::SYS_connect, CONNECTIONS)
    .refuse(
        libc::SYS_bind,
        libc::EPERM,
        "the C library asks the kernel for addresses, and goes on without",
    )
}

fn look_ups(policy: Policy) -> Policy {
    let netlink = [
        Condition::arg(0).equals(libc::AF_NETLINK),
        Condition::arg(1).equals(libc::SOCK_RAW | libc::SOCK_CLOEXEC),
        Condition::arg(2).equals(libc::NETLINK_ROUTE),
    ];
    policy
        .allow_when(libc::SYS_socket, &netlink, "the C library asks which addresses there are")
        .allow_when(
            libc::SYS_openat,
            &[Condition::arg(2).equals(libc::O_RDONLY | libc::O_CLOEXEC)],
            LOOK_UPS,
        )
        .allow(libc::SYS_newfstatat, "the C library looks whether its files have changed")
        .allow(libc::SYS_lseek, "the C library closes files that it has read in part")
        .allow(libc::SYS_uname, "the domain that the machine is in")
        .allow(libc::SYS_getsockname, "which of the own addresses reaches an address found")
        .allow_when(
            libc::SYS_sendmmsg,
            &[Condition::arg(3).equals(libc::MSG_NOSIGNAL)],
            "questions about both kinds of addresses at once",
        )
        .allow_when(
            libc::SYS_ioctl,
            &[Condition::arg(1).equals(libc::FIONREAD)],
            "how long an answer about a name is",
        )
        .allow_when(
            libc::SYS_ioctl,
            &[Condition::arg(1).equals(libc::FIONBIO)],
            "a connection is waited for as long as there is patience",
        )
}

fn options(policy: Policy) -> Policy {
    [
        (libc::SOL_IP, libc::IP_RECVERR, "a name server that is away is noticed"),
        (libc::SOL_IPV6, libc::IPV6_RECVERR, "a name server that is away is noticed"),
        (libc::SOL_SOCKET, libc::SO_RCVTIMEO, "an answer that is too slow"),
        (libc::SOL_SOCKET, libc::SO_SNDTIMEO, "a request that is not taken"),
        (libc::IPPROTO_TCP, libc::TCP_NODELAY, "requests are short"),
    ]
    .into_iter()
    .fold(policy, |policy, (level, name, reason)| {
        let is = [Condition::arg(1).equals(level), Condition::arg(2).equals(name)];
        policy.allow_when(libc::SYS_setsockopt, &is, reason)
    })
}
