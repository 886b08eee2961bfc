//! `sound`: sound → rtc, encoded sound; back, what is wanted of it, and what viewers say.
//!
//! A frame of sound is small, and so travels in its message: there is no ring, and no memory that two
//! processes share. The socket is the queue: a frame for which it has no room is late already, and is
//! dropped. The demand is always sent as a whole and replaces the one before.
//!
//! What a viewer says comes as its browser encoded it. Rtc decodes nothing of it and knows no more than the
//! order of its packets; what is wrong with one is found where it is decoded.

use serde::{Deserialize, Serialize};

use crate::{
    codec::Message,
    link::LinkName,
    sound::{Percent, SamplePosition, SoundFormat, SoundKbps, SoundPayload},
    units::{MonotonicMicros, PeerId, StreamId},
};

/// Sound → rtc: one frame.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ToRtc {
    /// The stream it belongs to.
    pub stream: StreamId,
    /// How it is encoded.
    pub format: SoundFormat,
    /// Its first sample; the RTP time is taken from this.
    pub position: SamplePosition,
    /// When that sample was played.
    pub captured: MonotonicMicros,
    /// Whether it is the first after silence, or after the end of another sound worker.
    pub begins: bool,
    /// Its bytes.
    pub payload: SoundPayload,
}

/// Rtc → sound.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum ToSound {
    /// What is wanted of a stream from now on.
    Wanted(SoundDemand),
    /// What a viewer says.
    Said(Speech),
}

/// A packet of a viewer's voice.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Speech {
    /// Whose.
    pub peer: PeerId,
    /// Its number; the next one follows it.
    pub sequence: u64,
    /// Opus, as the browser encoded it.
    pub payload: SoundPayload,
}

/// What is wanted of a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct SoundDemand {
    /// The stream.
    pub stream: StreamId,
    /// How many peers listen. Without any, nothing is encoded.
    pub listeners: u16,
    /// The bit rate that the network carries.
    pub bitrate: SoundKbps,
    /// How many packets are lost.
    pub loss: Percent,
}

impl Message for ToRtc {
    const LINK: LinkName = LinkName::Sound;
}

impl Message for ToSound {
    const LINK: LinkName = LinkName::Sound;
}
