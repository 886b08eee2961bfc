//! The guarded addresses: a table that any thread changes and a signal handler reads.
//!
//! A handler must not wait, so there is no lock. A range is free while its start is [`FREE`]. The
//! thread that replaces this by [`TAKEN`] may change the range, and stores the start last. A reader
//! believes an end only if the start was an address before it read the end and is the same
//! afterwards: start and end then belong to one mapping that existed at that time, and no two
//! mappings share an address.
//!
//! The atomics are those of the parent module, so that a model checker can replace them.

use std::ops;

use super::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The start of a free range. Nothing is ever mapped at these two addresses.
const FREE: usize = 0;
/// The start of a range that is being changed.
const TAKEN: usize = 1;

/// A guarded range of addresses, or a free entry.
#[derive(Debug)]
pub(super) struct Range {
    start: AtomicUsize,
    end: AtomicUsize,
    torn: AtomicBool,
}

impl Range {
    /// A free range; `start` and `end` must be zero, and `torn` false.
    pub(super) const fn of(start: AtomicUsize, end: AtomicUsize, torn: AtomicBool) -> Self {
        Self { start, end, torn }
    }

    /// Guards `addresses`, which are whole pages, if the range is free. Returns whether it was.
    pub(super) fn claim(&self, addresses: &ops::Range<usize>) -> bool {
        if self.start.compare_exchange(FREE, TAKEN, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            return false;
        }
        self.torn.store(false, Ordering::Release);
        self.end.store(addresses.end, Ordering::Release);
        // Stored last, because from now on the handler considers the range.
        self.start.store(addresses.start, Ordering::Release);
        true
    }

    /// Stops guarding. The claimant must call it before the memory can belong to another mapping.
    pub(super) fn release(&self) {
        self.end.store(0, Ordering::Release);
        self.start.store(FREE, Ordering::Release);
    }

    /// Records that a part of the memory was gone.
    pub(super) fn tear(&self) {
        self.torn.store(true, Ordering::Release);
    }

    /// Whether a part of the memory was gone since it was claimed.
    pub(super) fn is_torn(&self) -> bool {
        self.torn.load(Ordering::Acquire)
    }

    /// The end of the guarded addresses, if `address` is one of them.
    fn end_beyond(&self, address: usize) -> Option<usize> {
        let start = self.start.load(Ordering::Acquire);
        let end = self.end.load(Ordering::Acquire);
        let settled = start > TAKEN && self.start.load(Ordering::Acquire) == start;
        (settled && (start..end).contains(&address)).then_some(end)
    }
}

/// The range that contains `address`, and its end. Must be called by a thread that reads in the
/// range, which is then not released meanwhile.
pub(super) fn holding(ranges: &[Range], address: usize) -> Option<(&Range, usize)> {
    ranges.iter().find_map(|range| Some((range, range.end_beyond(address)?)))
}
