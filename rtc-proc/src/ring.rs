//! The ring of one stream, as media announces, fills and retires it.
//!
//! Decides whether an announcement, a packet and a retirement make sense together. Generic over the
//! memory, which the shell maps and this module only keeps.

use lumen_ipc::{
    codec::Violation,
    ring::{RingCapacity, RingReader, RingSpan},
    units::StreamId,
};

/// A stream and, while it is announced, its ring.
#[derive(Debug)]
pub struct StreamRing<Memory> {
    stream: StreamId,
    ring: Option<(Memory, RingReader)>,
}

impl<Memory> StreamRing<Memory> {
    /// The ring of `stream`, not announced yet.
    #[must_use]
    pub const fn new(stream: StreamId) -> Self {
        Self { stream, ring: None }
    }

    /// The stream.
    #[must_use]
    pub const fn stream(&self) -> StreamId {
        self.stream
    }

    /// Keeps an announced ring, whose memory has `capacity` bytes.
    ///
    /// # Errors
    /// [`Violation`] for another stream, or one that has a ring.
    pub fn announce(
        &mut self,
        stream: StreamId,
        capacity: RingCapacity,
        memory: Memory,
    ) -> Result<(), Violation> {
        self.check(stream)?;
        if self.ring.is_some() {
            return Err(Violation::Illegal("a ring is announced twice"));
        }
        self.ring = Some((memory, RingReader::new(capacity)));
        Ok(())
    }

    /// Drops the ring.
    ///
    /// # Errors
    /// [`Violation`] for another stream, or one that has no ring.
    pub fn retire(&mut self, stream: StreamId) -> Result<(), Violation> {
        self.check(stream)?;
        let retired = self.ring.take();
        retired.map(drop).ok_or(Violation::Illegal("a ring that was not announced is retired"))
    }

    /// The memory that contains a packet, and its offset. The packet counts as read from then on.
    ///
    /// # Errors
    /// [`Violation`] for another stream, one that has no ring, or a span outside the ring.
    pub fn accept(
        &mut self,
        stream: StreamId,
        span: RingSpan,
    ) -> Result<(&Memory, u64), Violation> {
        self.check(stream)?;
        let ring = self.ring.as_mut();
        let (memory, reader) = ring.ok_or(Violation::Illegal("a packet before its ring"))?;
        let offset =
            reader.accept(span).map_err(|_| Violation::Illegal("a span outside the ring"))?;
        Ok((memory, offset))
    }

    /// The position up to which packets have been read; `None` while there is no ring.
    #[must_use]
    pub fn position(&self) -> Option<u64> {
        self.ring.as_ref().map(|(_, reader)| reader.position())
    }

    /// Refuses any stream but this one.
    ///
    /// # Errors
    /// [`Violation`] for another stream than this is of.
    pub fn check(&self, stream: StreamId) -> Result<(), Violation> {
        if stream == self.stream {
            return Ok(());
        }
        Err(Violation::Illegal("a stream that no viewer receives"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER: StreamId = StreamId::MAX;
    const SPAN: RingSpan = RingSpan { position: 0, length: 10 };

    fn capacity() -> RingCapacity {
        RingCapacity::new(64 * 1024).expect("legal capacity")
    }

    fn announced() -> StreamRing<char> {
        let mut ring = StreamRing::new(StreamId::VIDEO);
        ring.announce(StreamId::VIDEO, capacity(), 'a').expect("first");
        ring
    }

    #[test]
    fn packet_is_read_from_the_announced_ring() {
        let mut ring = announced();
        assert_eq!(ring.accept(StreamId::VIDEO, SPAN), Ok((&'a', 0)));
        assert_eq!(ring.position(), Some(10));
    }

    #[test]
    fn ring_is_announced_again_only_after_it_was_retired() {
        let mut ring = announced();
        assert!(ring.announce(StreamId::VIDEO, capacity(), 'b').is_err());
        ring.retire(StreamId::VIDEO).expect("announced");
        assert!(ring.retire(StreamId::VIDEO).is_err());
        assert!(ring.accept(StreamId::VIDEO, SPAN).is_err());
        assert_eq!(ring.position(), None);
        ring.announce(StreamId::VIDEO, capacity(), 'b').expect("free again");
        assert_eq!(ring.accept(StreamId::VIDEO, SPAN), Ok((&'b', 0)));
    }

    #[test]
    fn message_of_another_stream_is_a_violation() {
        assert!(StreamRing::new(StreamId::VIDEO).announce(OTHER, capacity(), 'a').is_err());
        assert!(announced().accept(OTHER, SPAN).is_err());
        assert!(announced().retire(OTHER).is_err());
    }

    #[test]
    fn packet_outside_its_ring_is_a_violation() {
        let outside = RingSpan { position: 64 * 1024 - 1, length: 2 };
        assert!(announced().accept(StreamId::VIDEO, outside).is_err());
    }
}
