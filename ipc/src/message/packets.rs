//! `packets`: media → rtc, encoded streams in shared memory.
//!
//! Each stream has a ring of its own, so that none waits for another's room. A ring is announced
//! before the stream's first packet, and retired when the stream is over; both are named by stream.

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
    /// What media can encode a stream in, told before its ring is announced.
    FormatsOffered {
        /// The stream.
        stream: StreamId,
        /// The formats.
        formats: VideoFormats,
    },
    /// The memory a stream's packets are written to: a sealed memfd of `capacity` bytes. One
    /// descriptor.
    RingAnnounced {
        /// The stream.
        stream: StreamId,
        /// Its size.
        capacity: RingCapacity,
    },
    /// A stream is over: rtc lets go of its ring.
    RingRetired {
        /// The stream.
        stream: StreamId,
    },
    /// One access unit lies in its stream's ring.
    VideoPacket(VideoPacket),
}

/// Rtc → media.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToMedia {
    /// Everything before `position` may be overwritten.
    RingConsumed {
        /// Of the ring of this stream.
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
    /// Where in the stream's ring it lies.
    pub span: RingSpan,
    /// How it is encoded.
    pub format: VideoFormat,
    /// Whether a decoder can start here.
    pub keyframe: bool,
    /// The frame it shows.
    pub sequence: FrameSequence,
    /// Size of the picture.
    pub size: FrameSize,
    /// When things happened to it.
    pub stamps: FrameStamps,
}

/// The way of one frame, as instants.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct FrameStamps {
    /// The app committed the oldest change it shows; RTP time is taken from this.
    pub committed: MonotonicMicros,
    /// Drawing ended.
    pub rendered: MonotonicMicros,
    /// Media took it up.
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
