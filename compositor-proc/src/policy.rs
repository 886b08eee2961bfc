//! What the compositor may ask of the kernel once it serves: one line per permission.
//!
//! It opens nothing by path: the keymap is compiled before confinement, and every socket is
//! granted. It makes no socket, no process and no executable memory, which the base policy already
//! rules out.

use lumen_ipc_runtime::confine::Policy;

/// Descriptors at once: each app brings its socket and one descriptor per pool of shared memory;
/// a browser has dozens of pools.
const OPEN_FILES: u64 = 4096;

/// The compositor's permissions beyond what every worker needs.
#[must_use]
pub fn policy() -> Policy {
    Policy::base()
        .allow(libc::SYS_accept4, "apps connect to the granted Wayland socket")
        .allow(libc::SYS_memfd_create, "frames shared with media; keymaps for apps of old versions")
        .allow(libc::SYS_ftruncate, "a new frame's memory gets its size")
        .allow(libc::SYS_pipe2, "what an app writes of its clipboard, and what it is to read")
        .allow(libc::SYS_splice, "fills an app's pipe without ever waiting for the app")
        .open_files(OPEN_FILES)
}
