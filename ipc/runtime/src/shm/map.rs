//! Mapping shared memory: the `unsafe` of [`super`], behind two types that know their length.
//!
//! Trusts its caller to have checked that the file is at least as long as the mapping and cannot
//! shrink, or to have guarded the mapping ([`super::guarded`]). Otherwise an access raises
//! `SIGBUS`, which ends the process; it never reads other memory.

#![allow(unsafe_code, reason = "mmap and raw memory; every block states why it is sound")]

use std::{
    io,
    os::fd::BorrowedFd,
    ptr::{self, NonNull},
    slice,
};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};

use super::OutOfBounds;

/// Pages mapped shared, unmapped on drop.
#[derive(Debug)]
struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: a `Mapping` is an address range owned by this value alone (the kernel chose it, only
// `drop` unmaps it); nothing about it is tied to the thread that mapped it.
unsafe impl Send for Mapping {}
// SAFETY: through a shared reference the range is only read, or written by `copy_from`, whose races
// are those any shared memory has with the other process: see `ReadMapping::bytes`.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(
        descriptor: BorrowedFd<'_>,
        offset: u64,
        length: usize,
        protection: ProtFlags,
    ) -> io::Result<Self> {
        // SAFETY: with a null hint and without MAP_FIXED the kernel picks a range that overlaps no
        // other, so no memory Rust knows of is touched.
        let start = unsafe {
            mmap(ptr::null_mut(), length, protection, MapFlags::SHARED, descriptor, offset)
        }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, length })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `start` and `length` are what `mmap` returned and was asked for, unmapped nowhere
        // else; slices made from it borrow `self`, so none outlives this.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
        // A range that was mapped can be unmapped; if not, there is nobody to tell.
        let _ = unmapped;
    }
}

/// Memory that this process writes.
#[derive(Debug)]
pub(super) struct WriteMapping(Mapping);

impl WriteMapping {
    pub(super) fn new(descriptor: BorrowedFd<'_>, length: usize) -> io::Result<Self> {
        Mapping::new(descriptor, 0, length, ProtFlags::READ | ProtFlags::WRITE).map(Self)
    }

    pub(super) const fn len(&self) -> usize {
        self.0.length
    }

    pub(super) const fn as_mut_ptr(&self) -> *mut u8 {
        self.0.start.as_ptr()
    }

    pub(super) fn write(&self, offset: usize, bytes: &[u8]) -> Result<(), OutOfBounds> {
        let length = bytes.len();
        let end = offset.checked_add(length);
        if end.is_none_or(|end| end > self.len()) {
            return Err(OutOfBounds { offset, length, size: self.len() });
        }
        // SAFETY: `offset + length` was just checked against the mapping's length, and the mapping
        // is writable; `bytes` cannot overlap it, because no slice of it is ever handed out.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.as_mut_ptr().add(offset), length) };
        Ok(())
    }

    /// Gives the pages back to the kernel; each process that maps them reads zeros from then on.
    pub(super) fn clear(&self) -> io::Result<()> {
        // SAFETY: the range is a whole mapping of ours, and no slice of it is ever handed out. Whoever else maps it
        // must expect any bytes at any time.
        unsafe { madvise(self.as_mut_ptr().cast(), self.len(), Advice::LinuxRemove) }?;
        Ok(())
    }
}

/// Memory that this process reads.
#[derive(Debug)]
pub(super) struct ReadMapping(Mapping);

impl ReadMapping {
    pub(super) fn new(descriptor: BorrowedFd<'_>, length: usize) -> io::Result<Self> {
        Self::at(descriptor, 0, length)
    }

    /// Maps from `offset` on, which must be a multiple of the page size.
    pub(super) fn at(descriptor: BorrowedFd<'_>, offset: u64, length: usize) -> io::Result<Self> {
        Mapping::new(descriptor, offset, length, ProtFlags::READ).map(Self)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: the range is mapped readable for `length` bytes as long as `self` lives, any byte
        // is a valid `u8`, and this process maps it nowhere writable through Rust references. The
        // other process can write it meanwhile, which the language's model does not cover; readers
        // copy or transform bytes once and derive no index or length from them, so such a write can
        // spoil a picture but not memory.
        unsafe { slice::from_raw_parts(self.0.start.as_ptr(), self.0.length) }
    }
}
