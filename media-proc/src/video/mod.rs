//! Pictures to H.264.
//!
//! Decides what an encoder is asked ([`Picture`]), what it answers ([`AccessUnit`]), and who of two
//! encodes: [`Encoder`] gives pictures that are mostly known already to `direct`, which is quick at
//! them, and all others to [`x264`]. How coarse a picture may be is decided in [`crate::rate`], when
//! one is encoded in [`crate::pacing`].

mod direct;
mod encoder;
pub mod x264;

pub use encoder::{Encoder, EncoderError};

use crate::convert::{MacroblockMap, Planes};

/// H.264's quantizer (`QP_Y`): 0 is finest, 51 coarsest; six more halve the bits, about.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Quantizer(u8);

impl Quantizer {
    /// The coarsest there is (H.264, section 7.4.2.1.1, 8 bits a sample).
    pub const COARSEST: Self = Self(51);

    /// The finest the encoder is set up for.
    pub const FINEST: Self = Self(12);

    /// The nearest quantizer the encoder is set up for.
    #[must_use]
    pub const fn nearest(value: u8) -> Self {
        match value {
            0..12 => Self::FINEST,
            12..=51 => Self(value),
            _ => Self::COARSEST,
        }
    }

    /// The number.
    #[must_use]
    pub const fn value(self) -> u8 {
        self.0
    }
}

/// How a picture refers to the ones before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PictureKind {
    /// Not at all, because nothing of the picture before remained; no decoder can start there.
    Fresh,
    /// Not at all: an IDR with parameter sets, where a decoder can start.
    Key,
    /// To the picture before, most of which has moved so many rows down; negative is up.
    Moved(i16),
    /// To the picture before.
    Predicted,
}

/// One picture to encode.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'planes> {
    /// Its samples.
    pub planes: &'planes Planes,
    /// What differs from the picture encoded before.
    pub changed: &'planes MacroblockMap,
    /// What it may refer to.
    pub kind: PictureKind,
    /// How coarse it may be.
    pub quantizer: Quantizer,
}

/// One encoded picture in Annex B form, in the encoder's memory.
#[derive(Clone, Copy, Debug)]
pub struct AccessUnit<'encoder> {
    /// All its NAL units with start codes.
    pub bytes: &'encoder [u8],
    /// Whether it is an IDR.
    pub key: bool,
    /// Whether x264 had no part in it.
    pub direct: bool,
}
