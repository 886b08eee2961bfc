//! Bookkeeping of the packet ring: which bytes of the shared memory belong to which packet.
//!
//! Media writes encoded packets into one memfd and announces each as a [`RingSpan`]; rtc reads it
//! and reports its position. Positions count bytes since the ring was announced and never wrap in
//! practice (2⁶⁴ bytes); the offset in memory is the position modulo the capacity. A span never
//! wraps: one that would not fit before the end of the memory starts at its beginning.
//!
//! INVARIANT: `tail ≤ head ≤ tail + capacity`. The writer trusts the reader's reports only within
//! these bounds, and the reader checks every span before it touches memory.

use serde::{Deserialize, Serialize};

use crate::units::OutOfRange;

/// Size of a ring in bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct RingCapacity(u64);

impl RingCapacity {
    /// 64 KiB: a smaller ring could not hold a keyframe.
    const MIN: u64 = 64 * 1024;
    /// 64 MiB: bounds what a hostile writer can make the reader map.
    const MAX: u64 = 64 * 1024 * 1024;

    /// Checks the range.
    ///
    /// # Errors
    /// [`OutOfRange`] outside 64 KiB to 64 MiB.
    pub const fn new(bytes: u64) -> Result<Self, OutOfRange> {
        if bytes < Self::MIN || bytes > Self::MAX {
            return Err(OutOfRange {
                what: "ring capacity in bytes",
                found: bytes,
                low: Self::MIN,
                high: Self::MAX,
            });
        }
        Ok(Self(bytes))
    }

    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for RingCapacity {
    type Error = OutOfRange;

    fn try_from(bytes: u64) -> Result<Self, OutOfRange> {
        Self::new(bytes)
    }
}

impl From<RingCapacity> for u64 {
    fn from(capacity: RingCapacity) -> Self {
        capacity.0
    }
}

/// The place of one packet: `length` bytes from `position` on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct RingSpan {
    /// Position of the first byte.
    pub position: u64,
    /// Length in bytes.
    pub length: u32,
}

/// A span or report that contradicts the state of the ring.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RingError {
    /// A span that is empty, wraps, or goes back.
    #[error("span of {length} bytes at {position} does not lie in the ring")]
    BadSpan {
        /// Its position.
        position: u64,
        /// Its length.
        length: u32,
    },
    /// A report of a position that was not written yet, or that goes back.
    #[error("reader reports position {reported}, outside {tail} to {head}")]
    BadReport {
        /// Position reported.
        reported: u64,
        /// Last position reported before.
        tail: u64,
        /// Position written so far.
        head: u64,
    },
}

/// The writer's side.
#[derive(Debug)]
pub struct RingWriter {
    capacity: RingCapacity,
    head: u64,
    tail: u64,
}

impl RingWriter {
    /// An empty ring.
    #[must_use]
    pub const fn new(capacity: RingCapacity) -> Self {
        Self { capacity, head: 0, tail: 0 }
    }

    /// Reserves `length` bytes, or returns `None` while the reader is too far behind (or if the
    /// packet is larger than the ring).
    pub fn reserve(&mut self, length: u32) -> Option<RingSpan> {
        let capacity = self.capacity.bytes();
        let length_bytes = u64::from(length);
        if length == 0 || length_bytes > capacity {
            return None;
        }
        let to_end = capacity - self.head % capacity;
        let position = if length_bytes > to_end { self.head + to_end } else { self.head };
        if position + length_bytes > self.tail + capacity {
            return None;
        }
        self.head = position + length_bytes;
        Some(RingSpan { position, length })
    }

    /// Frees everything before `position`, which the reader has read.
    ///
    /// # Errors
    /// [`RingError::BadReport`] when the position is impossible.
    pub fn consumed(&mut self, position: u64) -> Result<(), RingError> {
        if position < self.tail || position > self.head {
            return Err(RingError::BadReport {
                reported: position,
                tail: self.tail,
                head: self.head,
            });
        }
        self.tail = position;
        Ok(())
    }

    /// Offset in memory of a span that this writer reserved.
    #[must_use]
    pub const fn offset(&self, span: RingSpan) -> u64 {
        span.position % self.capacity.bytes()
    }
}

/// The reader's side.
#[derive(Debug)]
pub struct RingReader {
    capacity: RingCapacity,
    read: u64,
}

impl RingReader {
    /// A ring of which nothing has been read.
    #[must_use]
    pub const fn new(capacity: RingCapacity) -> Self {
        Self { capacity, read: 0 }
    }

    /// Checks an announced span and returns its offset in memory. The span then counts as read;
    /// [`RingReader::position`] is the report to send.
    ///
    /// # Errors
    /// [`RingError::BadSpan`] when the span is empty, overlaps what was read, wraps, or lies
    /// further ahead than the ring is long.
    pub fn accept(&mut self, span: RingSpan) -> Result<u64, RingError> {
        let bad = RingError::BadSpan { position: span.position, length: span.length };
        let capacity = self.capacity.bytes();
        let length = u64::from(span.length);
        let end = span.position.checked_add(length).ok_or_else(|| bad.clone())?;
        let offset = span.position % capacity;
        let fits = length > 0 && length <= capacity - offset;
        let ahead = span.position >= self.read && end - self.read <= 2 * capacity;
        if !fits || !ahead {
            return Err(bad);
        }
        self.read = end;
        Ok(offset)
    }

    /// Everything before this position has been read.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CAPACITY: u64 = 64 * 1024;

    fn ring() -> (RingWriter, RingReader) {
        let capacity = RingCapacity::new(CAPACITY).expect("legal capacity");
        (RingWriter::new(capacity), RingReader::new(capacity))
    }

    #[test]
    fn reserve_without_reports_stops_when_full() {
        let (mut writer, _) = ring();
        assert!(writer.reserve(40_000).is_some());
        assert_eq!(writer.reserve(40_000), None);
    }

    #[test]
    fn consumed_beyond_head_is_refused() {
        let (mut writer, _) = ring();
        writer.reserve(10).expect("room");
        assert!(writer.consumed(11).is_err());
        assert!(writer.consumed(10).is_ok());
        assert!(writer.consumed(9).is_err());
    }

    #[test]
    fn accept_wrapping_or_backward_span_is_refused() {
        let (_, mut reader) = ring();
        assert!(reader.accept(RingSpan { position: CAPACITY - 4, length: 8 }).is_err());
        assert!(reader.accept(RingSpan { position: 8, length: 8 }).is_ok());
        assert!(reader.accept(RingSpan { position: 8, length: 8 }).is_err());
        assert!(reader.accept(RingSpan { position: u64::MAX, length: 8 }).is_err());
    }

    proptest! {
        /// Whatever the lengths and however late the reader reports, every span that the writer
        /// makes is accepted, and no two live spans overlap in memory.
        #[test]
        fn live_spans_never_overlap(
            steps in prop::collection::vec((1_u32..50_000, any::<bool>()), 1..200)
        ) {
            let (mut writer, mut reader) = ring();
            let mut live: Vec<(u64, u64)> = Vec::new();
            for (length, report) in steps {
                if let Some(span) = writer.reserve(length) {
                    let offset = reader.accept(span).expect("the writer's spans are legal");
                    prop_assert_eq!(offset, writer.offset(span));
                    let range = (offset, offset + u64::from(length));
                    prop_assert!(range.1 <= CAPACITY);
                    prop_assert!(live.iter().all(|old| range.1 <= old.0 || old.1 <= range.0));
                    live.push(range);
                }
                if report {
                    writer.consumed(reader.position()).expect("the reader's reports are legal");
                    live.clear();
                }
            }
        }
    }
}
