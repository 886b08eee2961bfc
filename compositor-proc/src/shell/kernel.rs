//! The operating system as an implementation of [`Kernel`].

use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd},
};

use lumen_ipc::units::MonotonicMicros;
use lumen_ipc_runtime::{
    clock,
    shm::{self, NotMemory, SharedMemory},
};
use rustix::fs::fstat;

use crate::kernel::Kernel;

/// The operating system of this process.
#[derive(Clone, Copy, Debug)]
pub struct Os;

impl Kernel for Os {
    fn now(&self) -> MonotonicMicros {
        clock::now()
    }

    fn frame_memory(&self, bytes: usize) -> io::Result<SharedMemory> {
        SharedMemory::create("lumen-frame", bytes)
    }

    fn check_pages(&self, file: BorrowedFd<'_>) -> Result<(), NotMemory> {
        shm::check_pages(file)
    }

    fn keep(&self, file: BorrowedFd<'_>) -> Option<OwnedFd> {
        file.try_clone_to_owned().ok()
    }

    fn length(&self, file: BorrowedFd<'_>) -> Option<u64> {
        u64::try_from(fstat(file).ok()?.st_size).ok()
    }
}
