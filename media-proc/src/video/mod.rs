//! Pictures to access units.
//!
//! Decides what an encoder is asked ([`Picture`]) and what it answers ([`AccessUnit`]). [`Encoder`] is
//! any of those there are, one for each format; what is particular to a format stays behind it. So it
//! is with H.264: `h264` gives pictures that are mostly known already to `direct`, which is quick at
//! them, and all others to [`x264`]. How coarse a picture may be is decided in [`crate::rate`], when
//! one is encoded in [`crate::pacing`].

mod direct;
pub mod h264;
pub mod x264;

use lumen_ipc::{
    units::{Fps, FrameSize, Kbps},
    video::{VideoFormat, VideoFormats},
};

use crate::convert::{MacroblockMap, Planes};

/// An open encoder for pictures of one size.
#[derive(Debug)]
pub enum Encoder {
    /// H.264.
    H264(Box<h264::Encoder>),
}

/// Why there is no encoder.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OpenError {
    /// Of H.264.
    #[error("no encoder of H.264")]
    H264(#[from] x264::OpenError),
}

/// Why there is no picture; the encoder should then be opened anew.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EncoderError {
    /// Of H.264.
    #[error("H.264 cannot be encoded")]
    H264(#[from] x264::EncodeError),
}

impl Encoder {
    /// What can be opened, the best first.
    #[must_use]
    pub fn formats() -> VideoFormats {
        VideoFormats::all()
    }

    /// Opens an encoder for pictures of `size`, at most `fps` of them a second in at most `bitrate`.
    ///
    /// # Errors
    /// [`OpenError`] says what was refused.
    pub fn open(
        format: VideoFormat,
        size: FrameSize,
        fps: Fps,
        bitrate: Kbps,
    ) -> Result<Self, OpenError> {
        match format {
            VideoFormat::H264ConstrainedBaseline => {
                Ok(Self::H264(Box::new(h264::Encoder::open(size, fps, bitrate)?)))
            }
        }
    }

    /// What it makes.
    #[must_use]
    pub const fn format(&self) -> VideoFormat {
        match self {
            Self::H264(_) => VideoFormat::H264ConstrainedBaseline,
        }
    }

    /// Size of its pictures.
    #[must_use]
    pub const fn size(&self) -> FrameSize {
        match self {
            Self::H264(encoder) => encoder.size(),
        }
    }

    /// What it is, for people.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::H264(_) => "x264",
        }
    }

    /// Encodes `picture`. The result lies in the encoder's memory until the next call.
    ///
    /// # Errors
    /// [`EncoderError`]; the encoder should then be opened anew.
    pub fn encode(&mut self, picture: Picture<'_>) -> Result<AccessUnit<'_>, EncoderError> {
        match self {
            Self::H264(encoder) => Ok(encoder.encode(picture)?),
        }
    }
}

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

/// One encoded picture, in the encoder's memory: of H.264 in Annex B form.
#[derive(Clone, Copy, Debug)]
pub struct AccessUnit<'encoder> {
    /// All of it.
    pub bytes: &'encoder [u8],
    /// Whether a decoder can start there.
    pub key: bool,
    /// Whether a coder made it that is quick at simple pictures and can make no others.
    pub direct: bool,
}
