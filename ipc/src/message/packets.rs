//! `packets`: media → rtc, encoded streams in shared memory.
//!
//! Each stream has a ring of its own, so that no stream waits for another's room. A ring is
//! announced before the stream's first packet, and retired when the stream ends; both messages name
//! the stream.

use serde::{Deserialize, Serialize};

use crate::{
    codec::Message,
    link::LinkName,
    ring::{RingCapacity, RingSpan},
    units::{FrameSequence, FrameSize, MonotonicMicros, StreamId},
    video::{VideoFormat, VideoFormats},
};

/// Media → rtc.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToRtc {
    /// The formats in which media can encode a stream, sent before its ring is announced.
    FormatsOffered {
        /// The stream.
        stream: StreamId,
        /// The formats.
        formats: VideoFormats,
    },
    /// The memory for a stream's packets: a sealed memfd of `capacity` bytes. One descriptor.
    RingAnnounced {
        /// The stream.
        stream: StreamId,
        /// Its size.
        capacity: RingCapacity,
    },
    /// A stream has ended: rtc closes its ring.
    RingRetired {
        /// The stream.
        stream: StreamId,
    },
    /// One access unit is in its stream's ring.
    VideoPacket(VideoPacket),
}

/// Rtc → media.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToMedia {
    /// Everything before `position` may be overwritten.
    RingConsumed {
        /// Which stream's ring.
        stream: StreamId,
        /// Byte position, see [`crate::ring`].
        position: u64,
    },
}

/// One access unit.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct VideoPacket {
    /// The stream it belongs to.
    pub stream: StreamId,
    /// Its place in the stream's ring.
    pub span: RingSpan,
    /// How it is encoded.
    pub format: VideoFormat,
    /// Whether a decoder can start here.
    pub keyframe: bool,
    /// The frame it shows.
    pub sequence: FrameSequence,
    /// Size of the picture.
    pub size: FrameSize,
    /// The times of its stages.
    pub stamps: FrameStamps,
}

/// When a frame passed each stage.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct FrameStamps {
    /// The app committed the oldest change it shows; the RTP time is taken from this.
    pub committed: MonotonicMicros,
    /// Drawing ended.
    pub rendered: MonotonicMicros,
    /// Media received it.
    pub taken: MonotonicMicros,
    /// Its pixels had been converted to YUV.
    pub converted: MonotonicMicros,
    /// Encoding ended.
    pub encoded: MonotonicMicros,
}

impl Message for ToRtc {
    const LINK: LinkName = LinkName::Packets;

    fn descriptors(&self) -> usize {
        match self {
            Self::RingAnnounced { .. } => 1,
            Self::FormatsOffered { .. } | Self::RingRetired { .. } | Self::VideoPacket(_) => 0,
        }
    }
}

impl Message for ToMedia {
    const LINK: LinkName = LinkName::Packets;
}
