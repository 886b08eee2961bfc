//! The operating system, as [`Kernel`] wants it.

use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd},
};

use lumen_ipc::units::MonotonicMicros;
use lumen_ipc_runtime::{clock, shm::SharedMemory};
use rustix::fs::{fcntl_get_seals, fstat};

use crate::kernel::Kernel;

/// The one that this process runs on.
#[derive(Clone, Copy, Debug)]
pub struct Os;

impl Kernel for Os {
    fn now(&self) -> MonotonicMicros {
        clock::now()
    }

    fn frame_memory(&self, bytes: usize) -> io::Result<SharedMemory> {
        SharedMemory::create("lumen-frame", bytes)
    }

    fn keep_memory(&self, file: BorrowedFd<'_>) -> Option<OwnedFd> {
        // Only files in memory have seals, be it none.
        fcntl_get_seals(file).ok()?;
        file.try_clone_to_owned().ok()
    }

    fn length(&self, file: BorrowedFd<'_>) -> Option<u64> {
        u64::try_from(fstat(file).ok()?.st_size).ok()
    }
}
