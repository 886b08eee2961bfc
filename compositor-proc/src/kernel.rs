//! What the desktop needs of the operating system: a clock, memory for frames, and information on
//! apps' files. Only the shell implements it; nothing else reads a clock or makes a system call.

use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd},
};

use lumen_ipc::units::MonotonicMicros;
use lumen_ipc_runtime::shm::{NotMemory, SharedMemory};

/// The operating system.
pub trait Kernel {
    /// The current time.
    fn now(&self) -> MonotonicMicros;

    /// Memory for a frame that media may map.
    ///
    /// # Errors
    /// The kernel's error.
    fn frame_memory(&self, bytes: usize) -> io::Result<SharedMemory>;

    /// Whether an app's file may be mapped.
    ///
    /// # Errors
    /// [`NotMemory`] for anything but memory of ordinary pages.
    fn check_pages(&self, file: BorrowedFd<'_>) -> Result<(), NotMemory>;

    /// A duplicate of a file's descriptor; `None` when there are no descriptors left.
    fn keep(&self, file: BorrowedFd<'_>) -> Option<OwnedFd>;

    /// The current size of a file in bytes. Its owner can truncate it at any later time.
    fn length(&self, file: BorrowedFd<'_>) -> Option<u64>;
}
