//! What sound may still do while it serves.
//!
//! The library of the sound server has loaded its plugins and started its thread before confinement
//! (`shell/server.rs`). It shares memory with the sound server: buffers that arrive as descriptors, and
//! a page of its own by which the server sees how far it is.

use lumen_ipc_runtime::confine::{Condition, Policy};

/// Descriptors: 0–2, control, grants, the link, event queues and wakers of the control thread's runtime
/// and of the library's two loops (16), the connection, and what the sound server hands over: memory
/// and wakers of each program that plays. An old connection is closed before the next is used.
const OPEN_FILES: u64 = 256;

/// The confinement.
#[must_use]
pub fn policy() -> Policy {
    Policy::base()
        .allow_when(
            libc::SYS_memfd_create,
            &[Condition::arg(1).only((libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING).cast_signed())],
            "the page by which the sound server sees how far this process is",
        )
        .allow_when(
            libc::SYS_fcntl,
            &[Condition::arg(1).equals(libc::F_ADD_SEALS)],
            "that page keeps its size",
        )
        .allow(libc::SYS_ftruncate, "that page gets its size")
        .open_files(OPEN_FILES)
}
