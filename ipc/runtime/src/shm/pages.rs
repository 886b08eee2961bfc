//! Whether a file from another process is memory of ordinary pages, the only kind that is mapped
//! here.
//!
//! Other files can do worse than be truncated. A mapping of huge pages begins and ends only at
//! multiples of its page size, so it can neither be mapped at an offset within a page nor be
//! replaced in part. A page of a file on a disk may never arrive, especially if its file system is
//! a program of the user's, and a device behaves in its own way.

use std::{io, os::fd::AsFd};

use rustix::{
    fs::{FileType, fstat, fstatfs},
    param::page_size,
};

/// `TMPFS_MAGIC` of linux/magic.h: memfds, and files in /dev/shm.
const TMPFS: i64 = 0x0102_1994;

/// Why a file is not memory of ordinary pages.
#[derive(Debug, thiserror::Error)]
pub enum NotMemory {
    /// The kernel does not say what it is.
    #[error("cannot look at the file")]
    Io(#[source] io::Error),
    /// Its pages are huge.
    #[error("its pages have {bytes} bytes")]
    OtherPages {
        /// The size of a page.
        bytes: u64,
    },
    /// It lies elsewhere, or is not a regular file.
    #[error("it is not a file that lies in memory")]
    Elsewhere,
}

/// Examines `file`. The result holds for as long as the file exists.
///
/// # Errors
/// [`NotMemory`] when it must not be mapped.
pub fn check_pages(file: impl AsFd) -> Result<(), NotMemory> {
    let failed = |error: rustix::io::Errno| NotMemory::Io(error.into());
    let kind = FileType::from_raw_mode(fstat(&file).map_err(failed)?.st_mode);
    let system = fstatfs(&file).map_err(failed)?;
    #[allow(
        clippy::unnecessary_cast,
        clippy::useless_conversion,
        reason = "the fields have other types on other machines"
    )]
    judge(kind, system.f_type as i64, system.f_bsize as u64, page_size() as u64)
}

fn judge(kind: FileType, system: i64, bytes: u64, page: u64) -> Result<(), NotMemory> {
    /// `HUGETLBFS_MAGIC` of linux/magic.h.
    const HUGETLBFS: i64 = 0x9584_58f6;
    match (kind, system) {
        (FileType::RegularFile, TMPFS) if bytes == page => Ok(()),
        (FileType::RegularFile, TMPFS | HUGETLBFS) => Err(NotMemory::OtherPages { bytes }),
        _ => Err(NotMemory::Elsewhere),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use memfd::{HugetlbSize, MemfdOptions};

    use super::*;

    #[test]
    fn memfd_is_memory_of_ordinary_pages() {
        let file = MemfdOptions::default().create("app").expect("memfd").into_file();
        assert!(check_pages(&file).is_ok());
    }

    #[test]
    fn memfd_of_huge_pages_is_refused() {
        let huge = MemfdOptions::default().hugetlb(Some(HugetlbSize::Huge2MB)).create("app");
        // A kernel without huge pages cannot run this; the next test covers the decision.
        if let Ok(huge) = huge {
            let refusal = check_pages(huge.into_file()).expect_err("huge");
            assert!(matches!(refusal, NotMemory::OtherPages { bytes: 0x20_0000 }), "{refusal}");
        }
    }

    #[test]
    fn judge_by_kind_file_system_and_page_size() {
        let file = FileType::RegularFile;
        assert!(judge(file, TMPFS, 4096, 4096).is_ok());
        for (kind, system, bytes) in [
            (file, 0x9584_58f6, 0x20_0000),
            (file, 0x9584_58f6, 4096),
            (file, TMPFS, 0x20_0000),
            // ext4, FUSE, overlayfs.
            (file, 0xef53, 4096),
            (file, 0x6573_5546, 4096),
            (file, 0x794c_7630, 4096),
            (FileType::CharacterDevice, TMPFS, 4096),
            (FileType::Directory, TMPFS, 4096),
            (FileType::Fifo, TMPFS, 4096),
        ] {
            assert!(judge(kind, system, bytes, 4096).is_err(), "{kind:?} {system:x} {bytes}");
        }
    }

    #[test]
    fn files_on_disk_and_devices_are_refused() {
        let binary = File::open(std::env::current_exe().expect("a path")).expect("readable");
        for file in [binary, File::open("/dev/zero").expect("there is one")] {
            assert!(matches!(check_pages(&file), Err(NotMemory::Elsewhere)));
        }
    }
}
