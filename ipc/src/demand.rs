//! What all viewers together want of a stream, and of the output it shows.
//!
//! Rtc owns it and tells media, which tells the compositor the part that is the compositor's
//! ([`OutputDemand`]). It is told as a state, the whole of it each time, never as a difference: whoever
//! was told last knows everything, so neither a lost request nor a new link end leaves anything to be
//! repaired. Nobody tells what it has not been told itself: until then its peer waits, and does not
//! begin with a guess.

use serde::{Deserialize, Serialize};

use crate::{
    units::{Kbps, OutputSize, StreamId},
    video::VideoFormat,
};

/// What is wanted of a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Demand {
    /// Of which.
    pub stream: StreamId,
    /// So many peers want it. With none media encodes nothing.
    pub watchers: u16,
    /// The output is to be as large as this; `None` leaves it as it is, because no viewer has asked
    /// for a size yet or because none may.
    pub size: Option<OutputSize>,
    /// How it is to be encoded; `None` leaves it to media, before media has said what it can make.
    pub format: Option<VideoFormat>,
    /// The network carries this much.
    pub bitrate: Kbps,
    /// Key pictures asked for so far. Another number than before: the next picture is one, and comes
    /// at once even if the screen is still.
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
    /// Whether at least one peer wants pictures: without any the compositor draws at its idle pace.
    pub watched: bool,
    /// See [`Demand::size`].
    pub size: Option<OutputSize>,
}
