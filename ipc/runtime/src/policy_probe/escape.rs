//! Ways out of a worker that must all be closed, whatever its policy allows.

use std::ffi::CStr;

use libc::{self as c, c_long};

use crate::ffi::call;

/// One attempt to escape.
#[derive(Debug)]
pub(super) struct Escape {
    pub(super) name: &'static str,
    /// Takes the parent's process id. Success is an escape, and so is any failure but a refusal.
    pub(super) attempt: fn(u32) -> Result<c_long, i32>,
}

/// Errors that mean a refusal: by Landlock, by the filter, or by a kernel without the call.
pub(super) const REFUSALS: &[i32] = &[c::EACCES, c::EPERM, c::ENOSYS];

/// The attempts.
pub(super) const ESCAPES: &[Escape] = &[
    Escape { name: "read a file", attempt: |_| open(c"/etc/passwd", c::O_RDONLY) },
    Escape {
        name: "write a file",
        attempt: |_| open(c"/tmp/lumen-policy-escape", c::O_WRONLY | c::O_CREAT),
    },
    Escape { name: "list a directory", attempt: |_| open(c"/", c::O_RDONLY | c::O_DIRECTORY) },
    Escape {
        name: "open a TCP socket and connect",
        attempt: |_| with_address(c::SYS_connect, c::SOCK_STREAM),
    },
    Escape {
        name: "open a TCP socket and bind",
        attempt: |_| with_address(c::SYS_bind, c::SOCK_STREAM),
    },
    Escape {
        name: "open a UDP socket and connect",
        attempt: |_| with_address(c::SYS_connect, c::SOCK_DGRAM),
    },
    Escape {
        name: "open a raw socket",
        attempt: |_| call(c::SYS_socket, [bits(c::AF_INET), bits(c::SOCK_RAW), 1, 0, 0, 0]),
    },
    Escape {
        name: "execute a program",
        attempt: |_| call(c::SYS_execve, [text(c"/bin/true"), 0, 0, 0, 0, 0]),
    },
    Escape {
        name: "start a process",
        attempt: |_| call(c::SYS_clone, [bits(c::SIGCHLD), 0, 0, 0, 0, 0]),
    },
    Escape {
        name: "start a process by clone3",
        attempt: |_| call(c::SYS_clone3, [u64::MAX, 0, 0, 0, 0, 0]),
    },
    Escape {
        name: "trace the parent",
        attempt: |parent| {
            call(c::SYS_ptrace, [u64::from(c::PTRACE_SEIZE), u64::from(parent), 0, 0, 0, 0])
        },
    },
    Escape {
        name: "read the parent's memory",
        attempt: |parent| call(c::SYS_process_vm_readv, [u64::from(parent), 0, 0, 0, 0, 0]),
    },
    Escape {
        name: "signal the parent",
        attempt: |parent| call(c::SYS_kill, [u64::from(parent), 0, 0, 0, 0, 0]),
    },
    Escape {
        name: "map executable memory",
        attempt: |_| {
            let protection = bits(c::PROT_READ | c::PROT_WRITE | c::PROT_EXEC);
            let flags = bits(c::MAP_PRIVATE | c::MAP_ANONYMOUS);
            call(c::SYS_mmap, [0, 4096, protection, flags, u64::MAX, 0])
        },
    },
    Escape {
        name: "make memory executable",
        attempt: |_| call(c::SYS_mprotect, [0, 0, bits(c::PROT_READ | c::PROT_EXEC), 0, 0, 0]),
    },
    Escape {
        name: "enter a new user namespace",
        attempt: |_| call(c::SYS_unshare, [bits(c::CLONE_NEWUSER), 0, 0, 0, 0, 0]),
    },
    Escape { name: "become root", attempt: |_| call(c::SYS_setuid, [0; 6]) },
    Escape {
        name: "set up io_uring",
        attempt: |_| call(c::SYS_io_uring_setup, [1, 0, 0, 0, 0, 0]),
    },
    Escape { name: "load a BPF program", attempt: |_| call(c::SYS_bpf, [5, 0, 0, 0, 0, 0]) },
    Escape {
        name: "raise a resource limit",
        attempt: |_| call(c::SYS_prlimit64, [0, bits(c::RLIMIT_NOFILE.cast_signed()), 0, 0, 0, 0]),
    },
];

fn open(path: &'static CStr, flags: i32) -> Result<c_long, i32> {
    call(c::SYS_openat, [bits(c::AT_FDCWD), text(path), bits(flags), 0o600, 0, 0])
}

/// Opens an IPv4 socket and calls `then` with it and an address on the loopback interface.
fn with_address(then: c_long, kind: i32) -> Result<c_long, i32> {
    /// `sockaddr_in`: family in the machine's order, port 9 (discard) and 127.0.0.1 in the
    /// network's, padding.
    static ADDRESS: [u8; 16] = {
        let family = (c::AF_INET as u16).to_ne_bytes();
        [family[0], family[1], 0, 9, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    };
    let socket = call(c::SYS_socket, [bits(c::AF_INET), bits(kind), 0, 0, 0, 0])?;
    call(then, [socket.cast_unsigned(), ADDRESS.as_ptr() as u64, 16, 0, 0, 0])
}

fn text(text: &'static CStr) -> u64 {
    text.as_ptr() as u64
}

/// An `int` as its register holds it.
fn bits(value: i32) -> u64 {
    i64::from(value).cast_unsigned()
}
