//! Which addresses are guarded: a table that is changed by any thread and read in a signal handler.
//!
//! A handler must not wait, so there is no lock. A range is free while its start is [`FREE`]; whoever
//! replaces that by [`TAKEN`] alone may change it, and says where it starts last. A reader believes an
//! end only if the start was a real one before it was read and is the same afterwards: then both were
//! those of one mapping that was there at that time, and no two mappings have an address in common.
//!
//! The atomics are those of the parent module, so that a model checker can put its own in their place.

use std::ops;

use super::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The start of a range that nobody has. Nothing is ever mapped at these two addresses.
const FREE: usize = 0;
/// The start of a range that somebody is changing.
const TAKEN: usize = 1;

/// A guarded range of addresses, or a place for one.
#[derive(Debug)]
pub(super) struct Range {
    start: AtomicUsize,
    end: AtomicUsize,
    torn: AtomicBool,
}

impl Range {
    /// A free one, made of `start` and `end`, which are zero, and `torn`, which is false.
    pub(super) const fn of(start: AtomicUsize, end: AtomicUsize, torn: AtomicBool) -> Self {
        Self { start, end, torn }
    }

    /// Guards `addresses`, whole pages, if the range is free. Returns whether it was.
    pub(super) fn claim(&self, addresses: &ops::Range<usize>) -> bool {
        if self.start.compare_exchange(FREE, TAKEN, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            return false;
        }
        self.torn.store(false, Ordering::Release);
        self.end.store(addresses.end, Ordering::Release);
        // The last: from now on it is looked at.
        self.start.store(addresses.start, Ordering::Release);
        true
    }

    /// Guards nothing more. For whoever claimed it, before the memory is anybody else's.
    pub(super) fn release(&self) {
        self.end.store(0, Ordering::Release);
        self.start.store(FREE, Ordering::Release);
    }

    /// Notes that a part of the memory was gone.
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

/// The range that `address` lies in, and its end. For the thread that reads there: the range it reads
/// in is released by nobody meanwhile.
pub(super) fn holding(ranges: &[Range], address: usize) -> Option<(&Range, usize)> {
    ranges.iter().find_map(|range| Some((range, range.end_beyond(address)?)))
}
