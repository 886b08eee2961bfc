//! What a compromised worker may try: to connect, bind or listen with a socket that it holds, to
//! steal data from it, and to leave it useless or changed for its successor; and with its own
//! process, to remove the trap that ends it, and to reach parts of the kernel that no worker needs.

use anyhow::Result;
use nix::libc::{self as c, c_int, c_long};

use crate::intruder::{Held, Intruder};

/// One call on one descriptor.
pub(crate) struct Attempt {
    pub(crate) name: String,
    pub(crate) syscall: c_long,
    pub(crate) arguments: [u64; 6],
}

/// The attempts' data in the worker's memory.
pub(crate) struct Luggage {
    address: u64,
    header: u64,
    value: u64,
}

/// `sockaddr_in`: family in the machine's order, port 9 (discard) and 127.0.0.1 in the network's.
fn loopback() -> [u8; 16] {
    let family = (c::AF_INET as u16).to_ne_bytes();
    [family[0], family[1], 0, 9, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]
}

impl Luggage {
    /// An address, a byte to send, a message header with both, and a number for options.
    pub(crate) fn put(intruder: &Intruder) -> Result<Self> {
        let address = intruder.put(0, &loopback())?;
        let byte = intruder.put(32, b"x")?;
        let part = intruder.put(48, &words(&[byte, 1]))?;
        // `msghdr`, and after it the length that `sendmmsg` writes.
        let header = intruder.put(64, &words(&[address, 16, part, 1, 0, 0, 0, 0]))?;
        let value = intruder.put(256, &words(&[0; 8]))?;
        Ok(Self { address, header, value })
    }
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// An `int` as its register holds it.
fn int(value: c_int) -> u64 {
    i64::from(value).cast_unsigned()
}

/// Flags that turn a call into another.
const SEND_FLAGS: [(&str, c_int); 5] = [
    ("MSG_FASTOPEN, which connects", c::MSG_FASTOPEN),
    ("MSG_OOB", c::MSG_OOB),
    ("MSG_CONFIRM", c::MSG_CONFIRM),
    ("MSG_DONTROUTE", c::MSG_DONTROUTE),
    ("MSG_MORE", c::MSG_MORE),
];
const RECEIVE_FLAGS: [(&str, c_int); 3] =
    [("MSG_OOB", c::MSG_OOB), ("MSG_ERRQUEUE", c::MSG_ERRQUEUE), ("MSG_WAITALL", c::MSG_WAITALL)];

/// Options that connect, bind, spy, or stay for a successor.
const OPTIONS: [(&str, c_int, c_int); 30] = [
    ("SO_RCVBUF", c::SOL_SOCKET, c::SO_RCVBUF),
    ("SO_SNDBUF", c::SOL_SOCKET, c::SO_SNDBUF),
    ("SO_RCVTIMEO", c::SOL_SOCKET, c::SO_RCVTIMEO),
    ("SO_RCVLOWAT", c::SOL_SOCKET, c::SO_RCVLOWAT),
    ("SO_REUSEADDR", c::SOL_SOCKET, c::SO_REUSEADDR),
    ("SO_REUSEPORT", c::SOL_SOCKET, c::SO_REUSEPORT),
    ("SO_BINDTODEVICE", c::SOL_SOCKET, c::SO_BINDTODEVICE),
    ("SO_BROADCAST", c::SOL_SOCKET, c::SO_BROADCAST),
    ("SO_DONTROUTE", c::SOL_SOCKET, c::SO_DONTROUTE),
    ("SO_LINGER", c::SOL_SOCKET, c::SO_LINGER),
    ("SO_MARK", c::SOL_SOCKET, c::SO_MARK),
    ("SO_PASSCRED", c::SOL_SOCKET, c::SO_PASSCRED),
    ("SO_PRIORITY", c::SOL_SOCKET, c::SO_PRIORITY),
    ("SO_TIMESTAMP", c::SOL_SOCKET, c::SO_TIMESTAMP),
    ("SO_ATTACH_FILTER", c::SOL_SOCKET, c::SO_ATTACH_FILTER),
    ("SO_ATTACH_BPF", c::SOL_SOCKET, c::SO_ATTACH_BPF),
    ("SO_ATTACH_REUSEPORT_CBPF", c::SOL_SOCKET, c::SO_ATTACH_REUSEPORT_CBPF),
    ("SO_LOCK_FILTER", c::SOL_SOCKET, c::SO_LOCK_FILTER),
    ("SO_BUSY_POLL", c::SOL_SOCKET, c::SO_BUSY_POLL),
    ("IP_OPTIONS", c::IPPROTO_IP, c::IP_OPTIONS),
    ("IP_TTL", c::IPPROTO_IP, c::IP_TTL),
    ("IP_ADD_MEMBERSHIP", c::IPPROTO_IP, c::IP_ADD_MEMBERSHIP),
    ("IP_RECVERR", c::IPPROTO_IP, c::IP_RECVERR),
    ("IP_TRANSPARENT", c::IPPROTO_IP, c::IP_TRANSPARENT),
    ("IPV6_V6ONLY", c::IPPROTO_IPV6, c::IPV6_V6ONLY),
    ("IPV6_ADDRFORM", c::IPPROTO_IPV6, c::IPV6_ADDRFORM),
    ("TCP_FASTOPEN", c::IPPROTO_TCP, c::TCP_FASTOPEN),
    ("TCP_FASTOPEN_CONNECT", c::IPPROTO_TCP, c::TCP_FASTOPEN_CONNECT),
    ("TCP_DEFER_ACCEPT", c::IPPROTO_TCP, c::TCP_DEFER_ACCEPT),
    ("UDP_CORK", c::IPPROTO_UDP, c::UDP_CORK),
];

/// Options of `getsockopt` that reveal other processes.
const QUESTIONS: [(&str, c_int); 4] = [
    ("SO_PEERCRED", c::SO_PEERCRED),
    ("SO_PEERPIDFD", c::SO_PEERPIDFD),
    ("SO_PEERSEC", c::SO_PEERSEC),
    ("SO_PEERGROUPS", c::SO_PEERGROUPS),
];

/// Requests to a socket, besides those that query interfaces: `linux/sockios.h`.
const REQUESTS: [(&str, u64); 6] = [
    ("FIONBIO, whose argument lies in memory", 0x5421),
    ("FIOASYNC", 0x5452),
    ("FIOSETOWN", 0x8901),
    ("SIOCSPGRP", 0x8902),
    ("SIOCATMARK", 0x8905),
    ("SIOCGIFCONF", 0x8912),
];

/// `fcntl`'s `F_SETSIG` (`asm-generic/fcntl.h`).
const F_SETSIG: c_int = 10;

/// All attempts with a socket.
pub(crate) fn on_socket(luggage: &Luggage, socket: u32, held: Held) -> Vec<Attempt> {
    let socket = u64::from(socket);
    let mut attempts = Attempts(Vec::new());
    let mut add = |name: String, syscall, arguments| attempts.add(name, syscall, arguments);
    for (name, flag) in SEND_FLAGS {
        let flag = int(flag | c::MSG_DONTWAIT | c::MSG_NOSIGNAL);
        let (byte, address) = (luggage.address, luggage.address);
        add(format!("sendto with {name}"), c::SYS_sendto, [socket, byte, 1, flag, address, 16]);
        add(format!("send with {name}"), c::SYS_sendto, [socket, byte, 1, flag, 0, 0]);
        add(
            format!("sendmsg with {name}"),
            c::SYS_sendmsg,
            [socket, luggage.header, flag, 0, 0, 0],
        );
        add(
            format!("sendmmsg with {name}"),
            c::SYS_sendmmsg,
            [socket, luggage.header, 1, flag, 0, 0],
        );
    }
    for (name, flag) in RECEIVE_FLAGS {
        let flag = int(flag | c::MSG_DONTWAIT);
        let into = luggage.value;
        add(format!("recv with {name}"), c::SYS_recvfrom, [socket, into, 1, flag, 0, 0]);
        add(
            format!("recvmsg with {name}"),
            c::SYS_recvmsg,
            [socket, luggage.header, flag, 0, 0, 0],
        );
        add(
            format!("recvmmsg with {name}"),
            c::SYS_recvmmsg,
            [socket, luggage.header, 1, flag, 0, 0],
        );
    }
    // A worker may end its own writing on a connection, if its policy says so.
    let ways = [("SHUT_RD", c::SHUT_RD), ("SHUT_RDWR", c::SHUT_RDWR)];
    for (name, way) in ways {
        add(format!("shutdown with {name}"), c::SYS_shutdown, [socket, int(way), 0, 0, 0, 0]);
    }
    if held == Held::Datagrams {
        add(
            "shutdown with SHUT_WR".to_owned(),
            c::SYS_shutdown,
            [socket, int(c::SHUT_WR), 0, 0, 0, 0],
        );
    }
    for (name, level, option) in OPTIONS {
        let arguments = [socket, int(level), int(option), luggage.value, 4, 0];
        add(format!("setsockopt {name}"), c::SYS_setsockopt, arguments);
    }
    for (name, option) in QUESTIONS {
        let arguments = [socket, int(c::SOL_SOCKET), int(option), luggage.value, luggage.value, 0];
        add(format!("getsockopt {name}"), c::SYS_getsockopt, arguments);
    }
    for (name, request) in REQUESTS {
        add(format!("ioctl {name}"), c::SYS_ioctl, [socket, request, luggage.value, 0, 0, 0]);
    }
    for (name, command) in [("F_SETOWN", c::F_SETOWN), ("F_SETSIG", F_SETSIG)] {
        add(format!("fcntl {name}"), c::SYS_fcntl, [socket, int(command), 0, 0, 0, 0]);
    }
    for (name, flags) in [("nothing", 0), ("O_ASYNC", c::O_ASYNC | c::O_NONBLOCK)] {
        let arguments = [socket, int(c::F_SETFL), int(flags), 0, 0, 0];
        add(format!("fcntl F_SETFL {name}"), c::SYS_fcntl, arguments);
    }
    add("connect".to_owned(), c::SYS_connect, [socket, luggage.address, 16, 0, 0, 0]);
    add("bind".to_owned(), c::SYS_bind, [socket, luggage.address, 16, 0, 0, 0]);
    add("listen".to_owned(), c::SYS_listen, [socket, 0, 0, 0, 0, 0]);
    attempts.0
}

/// Operations of `futex` that no worker makes (`linux/futex.h`).
const FUTEX: [(&str, c_int); 9] = [
    ("FUTEX_FD", 2),
    ("FUTEX_REQUEUE", c::FUTEX_REQUEUE),
    ("FUTEX_CMP_REQUEUE", c::FUTEX_CMP_REQUEUE),
    ("FUTEX_WAKE_OP", c::FUTEX_WAKE_OP),
    ("FUTEX_LOCK_PI", c::FUTEX_LOCK_PI),
    ("FUTEX_TRYLOCK_PI", c::FUTEX_TRYLOCK_PI),
    ("FUTEX_LOCK_PI2", 13),
    ("FUTEX_WAIT_REQUEUE_PI", c::FUTEX_WAIT_REQUEUE_PI),
    ("FUTEX_CMP_REQUEUE_PI", c::FUTEX_CMP_REQUEUE_PI),
];

/// Advice that does more than release memory.
const ADVICE: [(&str, c_int); 8] = [
    ("MADV_REMOVE", c::MADV_REMOVE),
    ("MADV_DOFORK", c::MADV_DOFORK),
    ("MADV_MERGEABLE", c::MADV_MERGEABLE),
    ("MADV_DODUMP", c::MADV_DODUMP),
    ("MADV_PAGEOUT", c::MADV_PAGEOUT),
    ("MADV_COLLAPSE", 25),
    ("MADV_HWPOISON", c::MADV_HWPOISON),
    ("MADV_SOFT_OFFLINE", c::MADV_SOFT_OFFLINE),
];

/// All attempts with the process itself. `parent` is another process.
pub(crate) fn on_process(luggage: &Luggage, parent: u32) -> Vec<Attempt> {
    let mut attempts = Attempts(Vec::new());
    let mut add = |name: String, syscall, arguments| attempts.add(name, syscall, arguments);
    let handled = [c::SIGABRT, c::SIGBUS, c::SIGSEGV];
    for signal in (1..=c::SIGRTMAX()).filter(|signal| !handled.contains(signal)) {
        // Neither a new action nor a place for the old one: it would only query.
        let arguments = [int(signal), 0, 0, 8, 0, 0];
        add(format!("rt_sigaction of signal {signal}"), c::SYS_rt_sigaction, arguments);
    }
    for flags in [0, c::FUTEX_PRIVATE_FLAG, c::FUTEX_PRIVATE_FLAG | c::FUTEX_CLOCK_REALTIME] {
        for (name, operation) in FUTEX {
            let arguments = [luggage.value, int(operation | flags), 0, 0, luggage.value, 0];
            add(format!("futex {name}"), c::SYS_futex, arguments);
        }
    }
    for (name, advice) in ADVICE {
        add(format!("madvise {name}"), c::SYS_madvise, [0, 0, int(advice), 0, 0, 0]);
    }
    for (name, flags) in [
        ("MREMAP_FIXED", c::MREMAP_FIXED | c::MREMAP_MAYMOVE),
        ("MREMAP_DONTUNMAP", c::MREMAP_DONTUNMAP | c::MREMAP_MAYMOVE),
    ] {
        add(format!("mremap {name}"), c::SYS_mremap, [0, 0, 0, int(flags), 0, 0]);
    }
    let writable = int(c::PROT_READ | c::PROT_WRITE);
    for (name, flags) in MAPPINGS {
        add(format!("mmap {name}"), c::SYS_mmap, [0, 4096, writable, int(flags), u64::MAX, 0]);
    }
    let executable = int(c::PROT_READ | c::PROT_EXEC);
    add("mprotect PROT_EXEC".to_owned(), c::SYS_mprotect, [0, 0, executable, 0, 0, 0]);
    add("tgkill of another".to_owned(), c::SYS_tgkill, [parent.into(), parent.into(), 0, 0, 0, 0]);
    add("clone of a process".to_owned(), c::SYS_clone, [int(c::SIGCHLD), 0, 0, 0, 0, 0]);
    add("clone of a thread".to_owned(), c::SYS_clone, [int(THREAD), 0, 0, 0, 0, 0]);
    add("clone3".to_owned(), c::SYS_clone3, [0; 6]);
    for (name, syscall) in [
        ("membarrier", c::SYS_membarrier),
        ("seccomp", c::SYS_seccomp),
        ("ptrace", c::SYS_ptrace),
        ("pidfd_open", c::SYS_pidfd_open),
        ("io_uring_setup", c::SYS_io_uring_setup),
        ("userfaultfd", c::SYS_userfaultfd),
        ("prlimit64", c::SYS_prlimit64),
    ] {
        add(name.to_owned(), syscall, [0; 6]);
    }
    attempts.0
}

/// What makes a thread of a new task.
const THREAD: c_int =
    c::CLONE_THREAD | c::CLONE_SIGHAND | c::CLONE_VM | c::CLONE_FS | c::CLONE_FILES;

/// Memory that no limit counts, and kinds of pages that no worker uses.
const MAPPINGS: [(&str, c_int); 5] = [
    ("shared without a descriptor", c::MAP_SHARED | c::MAP_ANONYMOUS),
    ("growing downwards", c::MAP_PRIVATE | c::MAP_ANONYMOUS | c::MAP_GROWSDOWN),
    ("of large pages", c::MAP_PRIVATE | c::MAP_ANONYMOUS | c::MAP_HUGETLB),
    ("locked", c::MAP_PRIVATE | c::MAP_ANONYMOUS | c::MAP_LOCKED),
    ("validated", c::MAP_SHARED_VALIDATE | c::MAP_ANONYMOUS),
];

struct Attempts(Vec<Attempt>);

impl Attempts {
    fn add(&mut self, name: String, syscall: c_long, arguments: [u64; 6]) {
        self.0.push(Attempt { name, syscall, arguments });
    }
}
