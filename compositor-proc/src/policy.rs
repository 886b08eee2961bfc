//! What the compositor may ask of the kernel once it serves: one line per permission.
//!
//! It opens nothing by path: the keymap is compiled before confinement, and every socket is
//! granted. It makes no socket but pairs whose ends it has both, no process and no executable memory,
//! which the base policy already rules out.

use lumen_ipc_runtime::confine::{Condition, MIB, Policy};

/// Descriptors at once: each app brings its socket and one descriptor per pool of shared memory;
/// a browser has dozens of pools.
pub const OPEN_FILES: u64 = 4096;

/// Heap: 3 MiB with one app, and the objects of each further one, whose number is bounded. Buffers of apps
/// and frames are shared memory, which does not count.
const PRIVATE_MEMORY: u64 = 1024 * MIB;

/// The compositor's permissions beyond what every worker needs.
#[must_use]
pub fn policy() -> Policy {
    Policy::base()
        .allow_when(
            libc::SYS_accept4,
            &[Condition::arg(3).only(libc::SOCK_CLOEXEC)],
            "apps connect to the granted Wayland socket",
        )
        .allow_when(
            libc::SYS_memfd_create,
            &[Condition::arg(1).only((libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING).cast_signed())],
            "frames shared with media; keymaps for apps of old versions",
        )
        .allow_when(
            libc::SYS_fcntl,
            &[Condition::arg(1).equals(libc::F_ADD_SEALS)],
            "a new frame's memory keeps its size",
        )
        .allow(libc::SYS_ftruncate, "a new frame's memory gets its size")
        .allow_when(
            libc::SYS_pipe2,
            &[Condition::arg(1).only(libc::O_CLOEXEC | libc::O_NONBLOCK)],
            "what an app writes of its clipboard, and what it is to read",
        )
        .allow_when(
            libc::SYS_socketpair,
            &[
                Condition::arg(0).equals(libc::AF_UNIX),
                Condition::arg(1).equals(libc::SOCK_STREAM | libc::SOCK_CLOEXEC),
            ],
            "what an app says waits outside until it is its turn; a stream reaches nobody else",
        )
        .allow_when(
            libc::SYS_getsockopt,
            &[
                Condition::arg(1).equals(libc::SOL_SOCKET),
                Condition::arg(2).equals(libc::SO_PEERCRED),
            ],
            "whose process an app is, for the log",
        )
        .allow_when(
            libc::SYS_splice,
            &[Condition::arg(5)
                .only((libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK).cast_signed())],
            "fills an app's pipe without ever waiting for the app",
        )
        .threads(
            "the Wayland library closes memory of apps on a thread, which the first one starts",
        )
        .open_files(OPEN_FILES)
        .private_memory(PRIVATE_MEMORY)
}
