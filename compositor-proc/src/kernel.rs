//! What the parts of the desktop ask of the operating system: a clock, memory for frames, a look at
//! files that apps share. Only the shell answers; nothing else reads a clock or makes a system call.

use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd},
};

use lumen_ipc::units::MonotonicMicros;
use lumen_ipc_runtime::shm::{NotMemory, SharedMemory};

/// The operating system.
pub trait Kernel {
    /// The present.
    fn now(&self) -> MonotonicMicros;

    /// Memory for a frame that media may map.
    ///
    /// # Errors
    /// What the kernel says.
    fn frame_memory(&self, bytes: usize) -> io::Result<SharedMemory>;

    /// Whether an app's file may be mapped.
    ///
    /// # Errors
    /// [`NotMemory`] for anything but memory of ordinary pages.
    fn check_pages(&self, file: BorrowedFd<'_>) -> Result<(), NotMemory>;

    /// A descriptor of our own for a file; `None` when there are no descriptors left.
    fn keep(&self, file: BorrowedFd<'_>) -> Option<OwnedFd>;

    /// How many bytes a file has at present. Its owner can cut it short any time later.
    fn length(&self, file: BorrowedFd<'_>) -> Option<u64>;
}
