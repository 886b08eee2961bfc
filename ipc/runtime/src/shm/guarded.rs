//! Memory that another process may truncate while it is read.
//!
//! The size of an app's shared memory cannot be fixed: the app may truncate the file at any moment.
//! The kernel answers an access beyond the end with `SIGBUS`, which by default ends the process.
//! Here a handler maps empty memory in place of what is gone; the reader continues with zeros and
//! learns of it afterwards ([`GuardedView::is_torn`]). Accesses outside guarded memory still end
//! the process.
//!
//! INVARIANT: the handler is async-signal-safe. It reads atomics and calls only `mmap` and
//! `sigaction`, both of which every policy allows in this form.

#![allow(unsafe_code, reason = "a signal handler and mmap; every block states why it is sound")]

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
    ptr,
    sync::OnceLock,
};

use libc::{c_int, c_void, siginfo_t};
use lumen_ipc::units::SlotIndex;
use rustix::{
    mm::{MapFlags, ProtFlags, mmap_anonymous},
    param::page_size,
};

use super::{
    MapError,
    atomic::{AtomicBool, AtomicUsize},
    map::ReadMapping,
    pages::check_pages,
    ranges::{self, Range},
};

/// The most views at once: one for every slot of a frame.
const VIEWS: usize = SlotIndex::MAX.value() as usize + 1;

static RANGES: [Range; VIEWS] =
    [const { Range::of(AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false)) }; VIEWS];

/// Memory that reads as zeros where it is gone.
#[derive(Debug)]
pub struct GuardedView {
    // Dropped before `mapping`, in the order of the fields: a range must not stay guarded when its
    // addresses may already belong to another mapping.
    range: Claim,
    mapping: ReadMapping,
    /// Offset of the first requested byte in its page.
    skipped: usize,
}

/// A range that stays claimed until this is dropped.
#[derive(Debug)]
struct Claim(&'static Range);

impl GuardedView {
    /// Maps `bytes` bytes of a file from `offset` on for reading; the file may have fewer.
    ///
    /// # Errors
    /// [`MapError`] for zero bytes, a file that is not memory of ordinary pages, or too many views.
    pub fn map(descriptor: OwnedFd, offset: u64, bytes: usize) -> Result<Self, MapError> {
        if bytes == 0 {
            return Err(MapError::Empty);
        }
        check_pages(&descriptor).map_err(MapError::NotMemory)?;
        install_once().map_err(MapError::Io)?;
        // Less than a page.
        let skipped = (offset % page_size() as u64) as usize;
        let length = bytes.checked_add(skipped).ok_or_else(too_much)?;
        let start = offset - skipped as u64;
        let mapping = ReadMapping::at(descriptor.as_fd(), start, length).map_err(MapError::Io)?;
        let range = Claim::of(&mapping).ok_or_else(too_much)?;
        Ok(Self { range, mapping, skipped })
    }

    /// The memory. Any part of it may change or become zeros at any time.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.mapping.bytes()[self.skipped..]
    }

    /// Whether a part was missing when it was read.
    #[must_use]
    pub fn is_torn(&self) -> bool {
        self.range.0.is_torn()
    }
}

fn too_much() -> MapError {
    MapError::Io(io::ErrorKind::OutOfMemory.into())
}

impl Claim {
    fn of(mapping: &ReadMapping) -> Option<Self> {
        let bytes = mapping.bytes().as_ptr_range();
        let end = (bytes.end as usize).next_multiple_of(page_size());
        let addresses = bytes.start as usize..end;
        RANGES.iter().find(|range| range.claim(&addresses)).map(Self)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.release();
    }
}

fn install_once() -> io::Result<()> {
    static OUTCOME: OnceLock<Result<(), i32>> = OnceLock::new();
    OUTCOME.get_or_init(install).map_err(io::Error::from_raw_os_error)
}

fn install() -> Result<(), i32> {
    // SAFETY: all zeroes is a valid sigaction: no flags, empty mask, default handler.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = on_bus_error as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: `action` is initialised, names a handler of SA_SIGINFO's signature that is
    // async-signal-safe (see the module), and outlives the call; the old action is not asked for.
    let outcome = unsafe { libc::sigaction(libc::SIGBUS, &raw const action, ptr::null_mut()) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error().raw_os_error().unwrap_or(0)) }
}

extern "C" fn on_bus_error(signal: c_int, info: *mut siginfo_t, _context: *mut c_void) {
    // SAFETY: the kernel passes a complete siginfo_t to a handler installed with SA_SIGINFO; for
    // SIGBUS it holds the address of the access.
    let address = unsafe { (*info).si_addr() } as usize;
    if !mend(address) {
        // SAFETY: SIG_DFL is a valid action for any signal; the access, which is repeated when this
        // returns, then ends the process.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Maps empty memory from `address` to the end of its guarded range: where one byte is beyond a
/// file's end, so are all after it.
fn mend(address: usize) -> bool {
    let Some((range, end)) = ranges::holding(&RANGES, address) else { return false };
    let page = address - address % page_size();
    let length = end.saturating_sub(page);
    let flags = MapFlags::PRIVATE | MapFlags::FIXED;
    // SAFETY: the range belongs to the `ReadMapping` that this thread reads in, page-aligned at both ends as mappings are,
    // so nothing but the mapping's own pages is replaced, by memory that is read just as they were.
    let mended = unsafe { mmap_anonymous(page as *mut c_void, length, ProtFlags::READ, flags) };
    range.tear();
    mended.is_ok()
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::Write,
        os::{fd::AsFd, unix::process::ExitStatusExt},
        process::Command,
    };

    use memfd::{HugetlbSize, MemfdOptions};

    use super::*;

    const BYTES: usize = 3 * 65536;

    fn file_of(byte: u8) -> File {
        let mut file = MemfdOptions::default().create("app").expect("memfd").into_file();
        file.write_all(&[byte; BYTES]).expect("room");
        file
    }

    fn view(file: &File, offset: u64, bytes: usize) -> GuardedView {
        let descriptor = file.as_fd().try_clone_to_owned().expect("a descriptor");
        GuardedView::map(descriptor, offset, bytes).expect("in memory")
    }

    #[test]
    fn memory_is_read_from_any_offset() {
        let mut file = file_of(1);
        file.write_all(&[7, 8, 9]).expect("room");
        assert_eq!(view(&file, BYTES as u64, 3).bytes(), [7, 8, 9]);
    }

    #[test]
    fn what_is_cut_off_reads_as_zeros_and_is_noticed() {
        let (file, other) = (file_of(1), file_of(2));
        let (cut, whole) = (view(&file, 5, BYTES - 5), view(&other, 0, BYTES));
        assert_eq!(cut.bytes()[BYTES - 6], 1);
        file.set_len(65536).expect("cut");
        assert_eq!((cut.bytes()[0], cut.bytes()[65530]), (1, 1));
        assert!(!cut.is_torn());
        assert!(cut.bytes()[65531..].iter().all(|byte| *byte == 0));
        assert!(cut.is_torn() && !whole.is_torn());
        assert!(whole.bytes().iter().all(|byte| *byte == 2));
    }

    #[test]
    fn views_beyond_the_last_are_refused_and_places_come_back() {
        // Other tests of this process hold views, too.
        for _ in 0..3 {
            let file = file_of(1);
            let clone = || file.as_fd().try_clone_to_owned().expect("a descriptor");
            let views: Vec<_> = std::iter::from_fn(|| GuardedView::map(clone(), 0, 1).ok())
                .take(VIEWS + 1)
                .collect();
            assert!((VIEWS - 8..=VIEWS).contains(&views.len()), "{}", views.len());
        }
    }

    #[test]
    fn file_outside_memory_is_refused() {
        let file = File::open("/dev/zero").expect("there is one");
        let refusal = GuardedView::map(file.into(), 0, 1).expect_err("no memory");
        assert!(matches!(refusal, MapError::NotMemory(_)) && !refusal.is_our_own(), "{refusal}");
    }

    #[test]
    fn memory_of_huge_pages_is_refused_at_any_offset() {
        let huge = MemfdOptions::default().hugetlb(Some(HugetlbSize::Huge2MB)).create("app");
        // A kernel without huge pages cannot run this; `pages` tests the decision.
        let Ok(huge) = huge.map(memfd::Memfd::into_file) else { return };
        huge.set_len(0x20_0000).expect("a size");
        for offset in [0, 4096] {
            let descriptor = huge.as_fd().try_clone_to_owned().expect("a descriptor");
            let refusal = GuardedView::map(descriptor, offset, 4096).expect_err("huge");
            assert!(matches!(refusal, MapError::NotMemory(_)), "{refusal}");
        }
    }

    /// Set in the process that is to die.
    const VICTIM: &str = "LUMEN_TEST_BUS_ERROR";

    #[test]
    fn access_to_other_memory_that_is_gone_ends_the_process() {
        if std::env::var_os(VICTIM).is_some() {
            let (guarded, file) = (file_of(1), file_of(1));
            let _view = view(&guarded, 0, BYTES);
            let unguarded = ReadMapping::at(file.as_fd(), 0, BYTES).expect("mapped");
            file.set_len(0).expect("cut");
            panic!("read {}", unguarded.bytes()[0]);
        }
        let name = "shm::guarded::tests::access_to_other_memory_that_is_gone_ends_the_process";
        let this = std::env::current_exe().expect("a path");
        let mut victim = Command::new(this);
        let output = victim.args(["--exact", name]).env(VICTIM, "1").output().expect("it runs");
        assert_eq!(output.status.signal(), Some(libc::SIGBUS), "{output:?}");
    }
}
