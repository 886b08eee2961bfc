//! `packets`: media → rtc, encoded pictures in a shared ring.

use serde::{Deserialize, Serialize};

use crate::{
    codec::Message,
    link::LinkName,
    ring::{RingCapacity, RingSpan},
    units::{FrameSequence, FrameSize, MonotonicMicros},
};

/// Media → rtc.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToRtc {
    /// The memory packets are written to: a sealed memfd of `capacity` bytes. One descriptor.
    RingAnnounced {
        /// Its size.
        capacity: RingCapacity,
    },
    /// One H.264 access unit lies in the ring.
    VideoPacket(VideoPacket),
}

/// Rtc → media.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToMedia {
    /// Everything before `position` may be overwritten.
    RingConsumed {
        /// Byte position, see [`crate::ring`].
        position: u64,
    },
}

/// One H.264 access unit in Annex B form, parameter sets before each IDR.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct VideoPacket {
    /// Where it lies.
    pub span: RingSpan,
    /// Whether a decoder can start here (IDR).
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
            Self::VideoPacket(_) => 0,
        }
    }
}

impl Message for ToMedia {
    const LINK: LinkName = LinkName::Packets;
}
