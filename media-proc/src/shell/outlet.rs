//! The `packets` link: one stream's access units into its ring, and rtc's reports of its read
//! position.
//!
//! The ring is made once and serves every rtc in turn: positions start over with each link end, and
//! the previous rtc has ended when the next is granted.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use lumen_ipc::{
    codec::{ProtocolViolation, Violation},
    link::LinkName,
    message::packets::{ToMedia, ToRtc, VideoPacket},
    ring::{RingCapacity, RingSpan, RingWriter},
    units::StreamId,
    video::VideoFormats,
};
use lumen_ipc_runtime::{
    channel::{ReceiveError, SendError},
    link_end::LinkEnd,
    shm::SharedMemory,
};
use tracing::{debug, info};

use super::Broken;

/// Media's end.
pub(super) type Packets = LinkEnd<ToMedia, ToRtc>;

/// Two seconds at 32 Mbit/s. Untouched pages of the ring take no memory.
const RING_BYTES: u64 = 8 * 1024 * 1024;

/// A stream's ring and, while there is an rtc, the link.
#[derive(Debug)]
pub(super) struct Outlet {
    stream: StreamId,
    /// The formats of which rtc chooses one.
    formats: VideoFormats,
    memory: SharedMemory,
    capacity: RingCapacity,
    link: Option<Link>,
}

#[derive(Debug)]
struct Link {
    end: Packets,
    ring: RingWriter,
    /// End of the last span reserved.
    written: u64,
    /// rtc's last report.
    read: u64,
    blocked: Blocked,
}

/// What sending waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Blocked {
    No,
    /// Room in the ring; a report of rtc's tells of it.
    ByRing,
    /// Room in the socket.
    BySocket,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Delivery {
    Sent,
    /// rtc is too slow or gone, so decoders cannot follow.
    Dropped,
}

impl Outlet {
    /// Makes the ring of `stream`, which is encoded in one of `formats`.
    pub(super) fn new(stream: StreamId, formats: VideoFormats) -> io::Result<Self> {
        let capacity = RingCapacity::new(RING_BYTES).map_err(io::Error::other)?;
        let bytes = usize::try_from(RING_BYTES).map_err(io::Error::other)?;
        let memory = SharedMemory::create("lumen-packets", bytes)?;
        Ok(Self { stream, formats, memory, capacity, link: None })
    }

    /// Offers these formats to each rtc that comes from now on.
    pub(super) fn offer(&mut self, formats: VideoFormats) {
        self.formats = formats;
    }

    /// Offers the formats to a new rtc, which replaces the one before, and announces the ring.
    pub(super) fn attach(&mut self, end: Packets) -> Result<(), Broken> {
        self.link = None;
        let (stream, formats) = (self.stream, self.formats.clone());
        end.send(&ToRtc::FormatsOffered { stream, formats }, &[])?;
        let announced = ToRtc::RingAnnounced { stream: self.stream, capacity: self.capacity };
        end.send(&announced, &[self.memory.descriptor()])?;
        let ring = RingWriter::new(self.capacity);
        self.link = Some(Link { end, ring, written: 0, read: 0, blocked: Blocked::No });
        Ok(())
    }

    /// Closes the link end, for the reason `why`.
    pub(super) fn detach(&mut self, why: &Broken) {
        if let Some(link) = self.link.take() {
            link.end.give_up(why.verdict());
        }
    }

    /// Retires the stream.
    pub(super) fn retire(&mut self) {
        if let Some(link) = self.link.take() {
            // An rtc that cannot be told sees the end of the link instead.
            let _ = link.end.send(&ToRtc::RingRetired { stream: self.stream }, &[]);
        }
    }

    /// Gives the ring's memory back until it is written again, if rtc has read all of it.
    pub(super) fn rest(&self) {
        if self.link.as_ref().is_some_and(|link| link.read < link.written) {
            return;
        }
        if let Err(error) = self.memory.clear() {
            debug!(%error, "the ring stays in memory");
        }
    }

    /// Whether a packet would be accepted.
    pub(super) fn is_open(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.blocked == Blocked::No)
    }

    /// The descriptor to poll, and whether for writing, too.
    pub(super) fn interest(&self) -> Option<(BorrowedFd<'_>, bool)> {
        self.link.as_ref().map(|link| (link.end.as_fd(), link.blocked == Blocked::BySocket))
    }

    /// The socket accepts messages again.
    pub(super) fn writable(&mut self) {
        if let Some(link) = &mut self.link
            && link.blocked == Blocked::BySocket
        {
            link.blocked = Blocked::No;
        }
    }

    /// Reads rtc's reports.
    pub(super) fn receive(&mut self) -> Result<(), Broken> {
        let Some(link) = &mut self.link else { return Ok(()) };
        loop {
            match link.end.receive() {
                Ok(received) => link.take(self.stream, received.message)?,
                Err(ReceiveError::Empty) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Writes `bytes` into the ring and announces them; `describe` makes the message from stream
    /// and position.
    pub(super) fn send(
        &mut self,
        bytes: &[u8],
        describe: impl FnOnce(StreamId, RingSpan) -> VideoPacket,
    ) -> Result<Delivery, Broken> {
        let Some(link) = &mut self.link else { return Ok(Delivery::Dropped) };
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let Some(span) = link.ring.reserve(length) else {
            // If everything was read, no report will free more room: the picture alone is too
            // large, and the rate control has learned from it.
            if link.read < link.written {
                link.blocked = Blocked::ByRing;
            }
            debug!(length, "the ring has no room for a packet");
            return Ok(Delivery::Dropped);
        };
        link.written = span.position + u64::from(span.length);
        let offset = usize::try_from(link.ring.offset(span)).unwrap_or(usize::MAX);
        self.memory.write(offset, bytes).map_err(io::Error::other).map_err(Broken::Io)?;
        match link.end.send(&ToRtc::VideoPacket(describe(self.stream, span)), &[]) {
            Ok(()) => Ok(Delivery::Sent),
            Err(SendError::Full) => {
                link.blocked = Blocked::BySocket;
                Ok(Delivery::Dropped)
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Link {
    fn take(&mut self, ours: StreamId, message: ToMedia) -> Result<(), Broken> {
        let ToMedia::RingConsumed { stream, position } = message;
        if stream != ours {
            let what = Violation::Illegal("a report about an unknown stream");
            return Err(ProtocolViolation { link: LinkName::Packets, what }.into());
        }
        self.ring.consumed(position).map_err(|error| {
            info!(%error, "rtc reported an impossible ring position");
            let what = Violation::Illegal("a ring position that goes back or was never written");
            ProtocolViolation { link: LinkName::Packets, what }
        })?;
        self.read = position;
        if self.blocked == Blocked::ByRing {
            self.blocked = Blocked::No;
        }
        Ok(())
    }
}
