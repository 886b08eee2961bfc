//! Shared memory between two processes: one creates and writes, the other only reads.
//!
//! The memory is a memfd whose size is sealed (`F_SEAL_SHRINK | F_SEAL_GROW`): once a reader has
//! checked seals and size, the writer cannot kill it by truncating the file (`SIGBUS`). Both checks
//! happen before anything is mapped.
//!
//! Apps' memory has no such seals. It is read through a [`GuardedView`], which accepts only memory
//! of ordinary pages.
//!
//! INVARIANT: sizes are stated by a decoded message; the memory must have at least that many bytes.

mod guarded;
mod map;
mod pages;
mod ranges;

/// The atomics that [`ranges`] uses.
mod atomic {
    pub(super) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
}

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

pub use guarded::GuardedView;
use map::{ReadMapping, WriteMapping};
use memfd::{FileSeal, MemfdOptions};
pub use pages::{NotMemory, check_pages};
use rustix::fs::SealFlags;

/// The writer's side: memory that this process created.
#[derive(Debug)]
pub struct SharedMemory {
    descriptor: OwnedFd,
    mapping: WriteMapping,
}

/// The reader's side: memory that another process granted.
#[derive(Debug)]
pub struct SharedView {
    mapping: ReadMapping,
}

/// A write beyond the end of the memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{length} bytes at {offset} exceed a memory of {size} bytes")]
pub struct OutOfBounds {
    /// Where the write begins.
    pub offset: usize,
    /// How long it is.
    pub length: usize,
    /// Size of the memory.
    pub size: usize,
}

/// Why granted memory must not be mapped.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// The mapping would be empty.
    #[error("a mapping of zero bytes was asked for")]
    Empty,
    /// The kernel refused.
    #[error("cannot map shared memory")]
    Io(#[source] io::Error),
    /// Not memory of ordinary pages.
    #[error("the descriptor cannot be mapped")]
    NotMemory(#[source] NotMemory),
    /// The descriptor has no seals, so it is not a memfd.
    #[error("the descriptor is not a memfd")]
    NotSealable(#[source] io::Error),
    /// It is smaller than announced.
    #[error("the memory has {found} bytes where {needed} were announced")]
    TooSmall {
        /// Its size in bytes.
        found: u64,
        /// The announced size in bytes.
        needed: usize,
    },
    /// Its size can still change.
    #[error("the memory's size is not sealed against shrinking and growing")]
    Unsealed,
}

impl MapError {
    /// Whether mapping failed for a reason on our side, not because of the granted memory.
    #[must_use]
    pub const fn is_our_own(&self) -> bool {
        matches!(self, Self::Io(_) | Self::NotMemory(NotMemory::Io(_)))
    }
}

impl SharedMemory {
    /// Creates `bytes` bytes of zeroed memory, maps them for writing and seals their size. `name`
    /// shows in `/proc/PID/maps`.
    ///
    /// # Errors
    /// The kernel's error; zero bytes cannot be mapped.
    pub fn create(name: &str, bytes: usize) -> io::Result<Self> {
        let memory =
            MemfdOptions::default().allow_sealing(true).create(name).map_err(io::Error::other)?;
        let length = u64::try_from(bytes).map_err(io::Error::other)?;
        memory.as_file().set_len(length)?;
        memory
            .add_seals(&[FileSeal::SealShrink, FileSeal::SealGrow, FileSeal::SealSeal])
            .map_err(io::Error::other)?;
        let mapping = WriteMapping::new(memory.as_file().as_fd(), bytes)?;
        Ok(Self { descriptor: memory.into_file().into(), mapping })
    }

    /// The descriptor to grant to the reader.
    #[must_use]
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// Its size in bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.mapping.len()
    }

    /// Always false: empty memory cannot be created.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its address, for a renderer that draws into raw memory; valid while `self` lives.
    #[must_use]
    pub const fn as_mut_ptr(&self) -> *mut u8 {
        self.mapping.as_mut_ptr()
    }

    /// Gives its pages back to the kernel, until they are written again. Both sides read zeros.
    ///
    /// # Errors
    /// The kernel's error.
    pub fn clear(&self) -> io::Result<()> {
        self.mapping.clear()
    }

    /// Copies `bytes` to `offset`.
    ///
    /// # Errors
    /// [`OutOfBounds`] when they do not fit.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> Result<(), OutOfBounds> {
        self.mapping.write(offset, bytes)
    }
}

impl SharedView {
    /// Maps the first `bytes` bytes of granted memory for reading.
    ///
    /// # Errors
    /// [`MapError`] when it is not memory of ordinary pages, is smaller, or its size is not sealed.
    pub fn map(descriptor: OwnedFd, bytes: usize) -> Result<Self, MapError> {
        if bytes == 0 {
            return Err(MapError::Empty);
        }
        check_pages(&descriptor).map_err(MapError::NotMemory)?;
        let seals = rustix::fs::fcntl_get_seals(&descriptor)
            .map_err(|errno| MapError::NotSealable(errno.into()))?;
        if !seals.contains(SealFlags::SHRINK | SealFlags::GROW) {
            return Err(MapError::Unsealed);
        }
        // Only after the check of the seals, because an unsealed size could change after it was
        // read.
        let status = rustix::fs::fstat(&descriptor).map_err(|errno| MapError::Io(errno.into()))?;
        let found = u64::try_from(status.st_size).unwrap_or(0);
        if usize::try_from(found).is_ok_and(|found| found < bytes) {
            return Err(MapError::TooSmall { found, needed: bytes });
        }
        let mapping = ReadMapping::new(descriptor.as_fd(), bytes).map_err(MapError::Io)?;
        Ok(Self { mapping })
    }

    /// The bytes. The writer can change them at any time: read each byte once, and never check a
    /// value in place and then read it again.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.mapping.bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    const BYTES: usize = 8192;

    fn granted(memory: &SharedMemory) -> OwnedFd {
        memory.descriptor().try_clone_to_owned().expect("dup")
    }

    fn unsealed(seals: &[FileSeal]) -> OwnedFd {
        let memory = MemfdOptions::default().allow_sealing(true).create("test").expect("memfd");
        memory.as_file().set_len(BYTES as u64).expect("ftruncate");
        memory.add_seals(seals).expect("seal");
        memory.into_file().into()
    }

    #[test]
    fn write_is_seen_by_the_reader() {
        let memory = SharedMemory::create("test", BYTES).expect("create");
        let view = SharedView::map(granted(&memory), BYTES).expect("map");
        memory.write(BYTES - 3, &[1, 2, 3]).expect("in bounds");
        assert_eq!(view.bytes().get(BYTES - 4..), Some(&[0, 1, 2, 3][..]));
    }

    #[test]
    fn cleared_memory_takes_no_pages_until_it_is_written_again() {
        let memory = SharedMemory::create("test", 1 << 20).expect("memfd");
        let view = SharedView::map(granted(&memory), 1 << 20).expect("sealed");
        let blocks = || rustix::fs::fstat(memory.descriptor()).expect("open").st_blocks;
        memory.write(0, &[7; 1 << 20]).expect("inside");
        assert!(blocks() > 0);
        memory.clear().expect("the kernel takes it");
        assert_eq!((blocks(), view.bytes()[9]), (0, 0));
        memory.write(9, &[8]).expect("inside");
        assert_eq!(view.bytes()[9], 8);
    }

    #[test]
    fn write_beyond_the_end_is_refused() {
        let memory = SharedMemory::create("test", BYTES).expect("create");
        for (offset, length) in [(BYTES - 1, 2), (BYTES + 1, 0), (usize::MAX, 1)] {
            let refusal = OutOfBounds { offset, length, size: BYTES };
            assert_eq!(memory.write(offset, &vec![7; length]), Err(refusal));
        }
    }

    #[test]
    fn map_memory_without_both_size_seals_is_refused() {
        for seals in [&[][..], &[FileSeal::SealShrink], &[FileSeal::SealGrow]] {
            let refusal = SharedView::map(unsealed(seals), BYTES).expect_err("not sealed");
            assert!(matches!(refusal, MapError::Unsealed), "{seals:?}: {refusal}");
        }
    }

    #[test]
    fn map_more_than_there_is_is_refused() {
        let memory = SharedMemory::create("test", BYTES).expect("create");
        let refusal = SharedView::map(granted(&memory), BYTES + 1).expect_err("too small");
        assert!(matches!(refusal, MapError::TooSmall { found: 8192, needed: 8193 }), "{refusal}");
    }

    #[test]
    fn map_zero_bytes_is_refused() {
        let memory = SharedMemory::create("test", BYTES).expect("create");
        assert!(matches!(SharedView::map(granted(&memory), 0), Err(MapError::Empty)));
    }

    #[test]
    fn map_something_else_than_a_memfd_is_refused() {
        let file = File::open("/dev/null").expect("open");
        let refusal = SharedView::map(file.into(), BYTES).expect_err("no memfd");
        assert!(matches!(refusal, MapError::NotMemory(_)), "{refusal}");
    }

    #[test]
    fn created_memory_can_neither_shrink_nor_lose_its_seals() {
        let memory = SharedMemory::create("test", BYTES).expect("create");
        let file = File::from(granted(&memory));
        assert!(file.set_len(1).is_err());
        assert!(rustix::fs::fcntl_add_seals(&file, SealFlags::WRITE).is_err());
    }
}
