//! Ways out of a worker that must all be closed, whatever its policy allows.

use std::ffi::CStr;

use libc::{self as c, c_long};

use crate::ffi::call;

/// One attempt to escape.
#[derive(Debug)]
pub(super) struct Escape {
    pub(super) name: &'static str,
    /// Whether it is what a program does whose task is to connect.
    pub(super) connects: bool,
    /// Takes the parent's process id. Success is an escape, and so is any failure but a refusal.
    pub(super) attempt: fn(u32) -> Result<c_long, i32>,
}

/// Errors that mean a refusal: by Landlock, by the filter, or by a kernel without the call.
pub(super) const REFUSALS: &[i32] = &[c::EACCES, c::EPERM, c::ENOSYS];

/// An attempt that is none for whoever is to connect.
const fn connect(name: &'static str, attempt: fn(u32) -> Result<c_long, i32>) -> Escape {
    Escape { name, connects: true, attempt }
}

/// Any other.
const fn escape(name: &'static str, attempt: fn(u32) -> Result<c_long, i32>) -> Escape {
    Escape { name, connects: false, attempt }
}

/// The attempts.
pub(super) const ESCAPES: &[Escape] = &[
    escape("read a file", |_| open(c"/etc/passwd", c::O_RDONLY)),
    escape("read a file as libraries do", |_| open(c"/etc/passwd", c::O_RDONLY | c::O_CLOEXEC)),
    escape("write a file", |_| open(c"/tmp/lumen-policy-escape", c::O_WRONLY | c::O_CREAT)),
    escape("list a directory", |_| open(c"/", c::O_RDONLY | c::O_DIRECTORY)),
    connect("open a TCP socket and connect", |_| with_address(c::SYS_connect, c::SOCK_STREAM)),
    escape("open a TCP socket and bind", |_| with_address(c::SYS_bind, c::SOCK_STREAM)),
    connect("open a UDP socket and connect", |_| with_address(c::SYS_connect, c::SOCK_DGRAM)),
    escape("open a raw socket", |_| {
        call(c::SYS_socket, [bits(c::AF_INET), bits(c::SOCK_RAW), 1, 0, 0, 0])
    }),
    escape("execute a program", |_| call(c::SYS_execve, [text(c"/bin/true"), 0, 0, 0, 0, 0])),
    escape("start a process", |_| call(c::SYS_clone, [bits(c::SIGCHLD), 0, 0, 0, 0, 0])),
    escape("start a process by clone3", |_| call(c::SYS_clone3, [u64::MAX, 0, 0, 0, 0, 0])),
    escape("trace the parent", |parent| {
        call(c::SYS_ptrace, [u64::from(c::PTRACE_SEIZE), u64::from(parent), 0, 0, 0, 0])
    }),
    escape("read the parent's memory", |parent| {
        call(c::SYS_process_vm_readv, [u64::from(parent), 0, 0, 0, 0, 0])
    }),
    escape("signal the parent", |parent| call(c::SYS_kill, [u64::from(parent), 0, 0, 0, 0, 0])),
    escape("map executable memory", |_| {
        let protection = bits(c::PROT_READ | c::PROT_WRITE | c::PROT_EXEC);
        let flags = bits(c::MAP_PRIVATE | c::MAP_ANONYMOUS);
        call(c::SYS_mmap, [0, 4096, protection, flags, u64::MAX, 0])
    }),
    escape("make memory executable", |_| {
        call(c::SYS_mprotect, [0, 0, bits(c::PROT_READ | c::PROT_EXEC), 0, 0, 0])
    }),
    escape("enter a new user namespace", |_| {
        call(c::SYS_unshare, [bits(c::CLONE_NEWUSER), 0, 0, 0, 0, 0])
    }),
    escape("become root", |_| call(c::SYS_setuid, [0; 6])),
    escape("set up io_uring", |_| call(c::SYS_io_uring_setup, [1, 0, 0, 0, 0, 0])),
    escape("load a BPF program", |_| call(c::SYS_bpf, [5, 0, 0, 0, 0, 0])),
    escape("raise a resource limit", |_| {
        call(c::SYS_prlimit64, [0, bits(c::RLIMIT_NOFILE.cast_signed()), 0, 0, 0, 0])
    }),
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
