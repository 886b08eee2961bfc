//! Who draws a session's picture: the rungs of the ladder from a graphics processor down to the
//! processor, and what is said about the rung in use.

use serde::{Deserialize, Serialize};

use crate::text::Text;

/// A step of the ladder. The numbers are part of the interface.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rung {
    /// A graphics processor draws the picture, converts its colours and encodes it, all in its own memory.
    Encoded,
    /// A graphics processor draws the picture and converts its colours. What it has drawn is read back and encoded by
    /// the processor, or copied to a graphics processor that does it.
    Drawn,
    /// The processor does everything.
    Processor,
}

impl Rung {
    /// Its number, counted from the best.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Encoded => 1,
            Self::Drawn => 2,
            Self::Processor => 3,
        }
    }
}

/// The rung of a session, for `lumen status`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct GraphicsStatus {
    /// The rung in use.
    pub rung: Rung,
    /// The render node that media has or would have; empty if there is none.
    pub node: Text<128>,
    /// Its driver in the kernel.
    pub driver: Text<32>,
    /// What the driver that draws calls itself; empty if none does.
    pub renderer: Text<96>,
    /// The driver that encodes; empty if the processor does.
    pub encoder: Text<96>,
    /// Why no more is done by a graphics processor, or why it encodes where that was to be found out, as a
    /// clause; empty if that is all that was asked for.
    pub reason: Text<256>,
}

/// What media says, once, about the render node it was granted.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Judgement {
    /// It draws by it.
    Draws {
        /// What the driver calls itself.
        renderer: Text<96>,
        /// What encodes.
        encoding: Encoding,
    },
    /// It cannot, has closed it, and lets the processor draw.
    Declines {
        /// Why, as a clause.
        reason: Text<256>,
    },
}

/// What encodes the picture that a graphics processor draws.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Encoding {
    /// The processor.
    Processor {
        /// Why not the graphics processor, as a clause; empty if it was not asked for.
        reason: Text<256>,
    },
    /// A graphics processor, in whose memory the picture is drawn.
    InPlace {
        /// What its driver calls itself.
        driver: Text<96>,
        /// Why it and not the processor, as a clause; empty if that was not to be found out.
        reason: Text<256>,
    },
    /// A graphics processor, to which the picture is copied.
    Vaapi {
        /// What its driver calls itself.
        driver: Text<96>,
        /// Why it and not the processor, as a clause; empty if that was not to be found out.
        reason: Text<256>,
    },
}

/// Whether a graphics processor that draws is to encode, too.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum EncoderUse {
    /// If it can.
    Always,
    /// If it can, keeps the frame rate, and leaves the processor clearly more time than encoding by the
    /// processor does.
    IfWorth,
    /// No.
    Never,
}

/// How media uses the render node that it is granted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct NodeUse {
    /// Whether a driver that draws by the processor is welcome: on a node that the user named, and on
    /// which nothing else can be expected.
    pub software: bool,
    /// Whether it is to encode, too.
    pub encode: EncoderUse,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rungs_are_counted_from_the_best() {
        let numbers = [Rung::Encoded, Rung::Drawn, Rung::Processor].map(Rung::number);
        assert_eq!(numbers, [1, 2, 3]);
    }
}
