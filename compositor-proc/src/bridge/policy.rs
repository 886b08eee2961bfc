//! What the bridge may ask of the kernel: one line per permission. It starts with the user's rights and
//! gives up all that it can.

use lumen_ipc_runtime::confine::{Condition, Policy};

/// Descriptors at once: a connection for each desktop inside this one, and pipes that are being passed on.
const OPEN_FILES: u64 = 256;

/// All flags that allow writing or creating a file.
const WRITES: i32 =
    libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC | libc::O_APPEND | libc::O_PATH;

/// The bridge's permissions beyond what every worker needs.
#[must_use]
pub fn policy() -> Policy {
    let socket = "a connection to a desktop inside this one";
    Policy::base()
        .allow_when(libc::SYS_socket, &[Condition::arg(0).equals(libc::AF_UNIX)], socket)
        .allow(libc::SYS_connect, socket)
        .allow_when(
            libc::SYS_getsockopt,
            &[
                Condition::arg(1).equals(libc::SOL_SOCKET),
                Condition::arg(2).equals(libc::SO_PEERCRED),
            ],
            "which process listens on a socket",
        )
        .allow_when(
            libc::SYS_openat,
            &[Condition::arg(2).lacks(u64::from(WRITES.cast_unsigned()))],
            "whose child the process is that listens on a socket",
        )
        .read_path("/proc", "whose child the process is that listens on a socket")
        .open_files(OPEN_FILES)
}
