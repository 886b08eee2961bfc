//! A few bytes that never change, granted by descriptor: secrets, keys, certificates.
//!
//! INVARIANT: the memory is sealed against writing, growing and shrinking before it is granted, so
//! that what a reader has checked stays valid, and a worker cannot change what its successor is
//! granted. Reading does not move the descriptor's position, because the successor reads the same
//! file.

use std::{
    fs::File,
    io::{self, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::FileExt,
    },
};

use memfd::{FileSeal, MemfdOptions};
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
/// The kernel's error.
/// What the kernel says.
pub fn seal(name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    let memory =
        MemfdOptions::default().allow_sealing(true).create(name).map_err(io::Error::other)?;
    memory.as_file().write_all(bytes)?;
    memory
        .add_seals(&[
            FileSeal::SealShrink,
            FileSeal::SealGrow,
            FileSeal::SealWrite,
            FileSeal::SealSeal,
        ])
        .map_err(io::Error::other)?;
    Ok(memory.into_file().into())
}

/// The bytes of granted sealed memory, at most `most`. The caller wipes them if they are secret.
///
/// # Errors
/// [`SealedError`] gives the reason why they must not be used.
pub fn read(descriptor: OwnedFd, most: usize) -> Result<Vec<u8>, SealedError> {
    let seals = rustix::fs::fcntl_get_seals(descriptor.as_fd())
        .map_err(|errno| SealedError::NotSealable(errno.into()))?;
    if !seals.contains(SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE) {
        return Err(SealedError::Unsealed);
    }
    let file = File::from(descriptor);
    let found = file.metadata()?.len();
    let size = usize::try_from(found).ok().filter(|size| (1..=most).contains(size));
    // Allocated once, because growing would leave copies of a secret behind.
    let mut bytes = vec![0; size.ok_or(SealedError::Size { found, most })?];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
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
