//! A few bytes that never change, granted by descriptor: secrets, keys, certificates.
//!
//! INVARIANT: the memory is sealed against writing, growing and shrinking before it is granted, so
//! that what a reader has checked stays valid, and a worker cannot change what its successor is
//! granted. Reading does not move the descriptor's position, because the successor reads the same
//! file.

use std::{
    fs::File,
    io::{self, Read},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::FileExt,
    },
};

use memfd::MemfdOptions;
use rustix::fs::SealFlags;

/// Why granted bytes must not be used.
#[derive(Debug, thiserror::Error)]
pub enum SealedError {
    /// The kernel refused.
    #[error("cannot read it")]
    Io(#[from] io::Error),
    /// The descriptor has no seals, so it is not a memfd.
    #[error("the descriptor is not a memfd")]
    NotSealable(#[source] io::Error),
    /// It is empty, or larger than anything of its kind.
    #[error("it has {found} bytes where 1 to {most} were expected")]
    Size {
        /// Its size in bytes.
        found: u64,
        /// The largest size in bytes.
        most: usize,
    },
    /// It can still be changed.
    #[error("it is not sealed against writing, growing and shrinking")]
    Unsealed,
}

/// Puts `bytes` into sealed memory. `name` shows in `/proc/PID/fd`.
///
/// # Errors
/// What the kernel says.
pub fn seal(name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    let memory = unsealed(name)?;
    fill(memory.try_clone()?, bytes)?;
    Ok(memory)
}

/// Empty memory that whoever is granted it [fills](fill).
///
/// # Errors
/// What the kernel says.
pub fn unsealed(name: &str) -> io::Result<OwnedFd> {
    let memory =
        MemfdOptions::default().allow_sealing(true).create(name).map_err(io::Error::other)?;
    Ok(memory.into_file().into())
}

/// Puts `bytes` into granted memory and seals it. What it contained is gone: whoever was granted it before
/// may have ended before the seals were set.
///
/// # Errors
/// What the kernel says, among others when the memory is sealed already.
pub fn fill(memory: OwnedFd, bytes: &[u8]) -> io::Result<()> {
    let file = File::from(memory);
    file.set_len(0)?;
    file.write_all_at(bytes, 0)?;
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
    Ok(rustix::fs::fcntl_add_seals(&file, seals)?)
}

/// The bytes of granted sealed memory, at most `most`. The caller wipes them if they are secret.
///
/// # Errors
/// [`SealedError`] gives the reason why they must not be used.
pub fn read(descriptor: OwnedFd, most: usize) -> Result<Vec<u8>, SealedError> {
    // Allocated once, because growing would leave copies of a secret behind.
    let mut bytes = vec![0; size(&descriptor, most)?];
    File::from(descriptor).read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// The same, for a worker that is confined already: by calls that each may make. These move the descriptor's
/// position, so memory can be read in this way once.
///
/// # Errors
/// [`SealedError`] gives the reason why they must not be used.
pub fn read_once(descriptor: OwnedFd, most: usize) -> Result<Vec<u8>, SealedError> {
    let mut bytes = vec![0; size(&descriptor, most)?];
    File::from(descriptor).read_exact(&mut bytes)?;
    Ok(bytes)
}

/// How many bytes are in memory that cannot be changed any more.
fn size(descriptor: &OwnedFd, most: usize) -> Result<usize, SealedError> {
    let seals = rustix::fs::fcntl_get_seals(descriptor.as_fd())
        .map_err(|errno| SealedError::NotSealable(errno.into()))?;
    if !seals.contains(SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE) {
        return Err(SealedError::Unsealed);
    }
    let status = rustix::fs::fstat(descriptor).map_err(io::Error::from)?;
    let found = u64::try_from(status.st_size).unwrap_or_default();
    let size = usize::try_from(found).ok().filter(|size| (1..=most).contains(size));
    size.ok_or(SealedError::Size { found, most })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use memfd::FileSeal;

    use super::*;

    #[test]
    fn read_gives_what_was_sealed_every_time() {
        let memory = seal("test", b"key").expect("memfd");
        for _ in 0..2 {
            let copy = memory.try_clone().expect("dup");
            assert_eq!(read(copy, 3).expect("sealed"), b"key");
        }
        assert!(File::from(memory).write_all(b"x").is_err(), "and it cannot be changed");
    }

    #[test]
    fn read_once_gives_what_was_sealed_and_the_next_reader_reads_it_from_its_beginning() {
        let memory = seal("test", b"key").expect("memfd");
        let copy = || memory.try_clone().expect("dup");
        assert_eq!(read_once(copy(), 3).expect("sealed"), b"key");
        assert!(read_once(copy(), 3).is_err(), "its position is at the end");
        assert_eq!(read(copy(), 3).expect("sealed"), b"key");
    }

    #[test]
    fn fill_replaces_what_another_left_and_only_once() {
        let memory = unsealed("test").expect("memfd");
        File::from(memory.try_clone().expect("dup")).write_all(b"half of a ke").expect("room");
        fill(memory.try_clone().expect("dup"), b"key").expect("unsealed");
        assert_eq!(read(memory.try_clone().expect("dup"), 3).expect("sealed"), b"key");
        assert!(fill(memory, b"another").is_err(), "it is sealed");
    }

    #[test]
    fn read_empty_or_larger_than_expected_is_refused() {
        for (bytes, most) in [(&b""[..], 3), (b"keys", 3)] {
            let memory = seal("test", bytes).expect("memfd");
            assert!(matches!(read(memory, most), Err(SealedError::Size { .. })));
        }
    }

    #[test]
    fn read_what_can_change_is_refused() {
        let open = MemfdOptions::default().allow_sealing(true).create("test").expect("memfd");
        open.as_file().write_all(b"key").expect("room");
        open.add_seals(&[FileSeal::SealShrink, FileSeal::SealGrow]).expect("seals");
        assert!(matches!(read(open.into_file().into(), 3), Err(SealedError::Unsealed)));
        let plain = File::open("/dev/null").expect("there");
        assert!(matches!(read(plain.into(), 3), Err(SealedError::NotSealable(_))));
    }
}
