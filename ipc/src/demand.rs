//! What all viewers together ask of a stream, and of the output that it shows.
//!
//! Rtc owns it and tells media, which tells the compositor its part ([`OutputDemand`]). A demand is
//! always sent as a whole, never as a difference: the latest one says everything, so neither a lost
//! request nor a new link end leaves anything to repair. A process passes on only what it has been
//! told: until then the next one waits, and does not begin with a guess.

use serde::{Deserialize, Serialize};

use crate::{
    units::{Kbps, OutputSize, StreamId},
    video::VideoFormat,
};

/// What is wanted of a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Demand {
    /// Which stream.
    pub stream: StreamId,
    /// How many peers want it. Without any, media encodes nothing.
    pub watchers: u16,
    /// The size that the output should have; `None` leaves it as it is, because no viewer has asked
    /// for a size yet or because none may.
    pub size: Option<OutputSize>,
    /// How to encode it; `None` leaves the choice to media, before media has said what it can
    /// encode.
    pub format: Option<VideoFormat>,
    /// The bit rate that the network carries.
    pub bitrate: Kbps,
    /// Number of keyframes requested so far. When it changes, the next picture is a keyframe, and
    /// comes at once even if the screen is still.
    pub keyframes: u64,
}

impl Demand {
    /// What is wanted of the output.
    #[must_use]
    pub const fn of_output(&self) -> OutputDemand {
        OutputDemand { watched: self.watchers > 0, size: self.size }
    }
}

/// What is wanted of an output.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct OutputDemand {
    /// Whether at least one peer wants pictures: without any, the compositor draws at its idle
    /// pace.
    pub watched: bool,
    /// See [`Demand::size`].
    pub size: Option<OutputSize>,
}
