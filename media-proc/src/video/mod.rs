//! Encoding pictures into access units.
//!
//! Decides what an encoder is given ([`Picture`]) and what it returns ([`AccessUnit`]). [`Encoder`]
//! has one variant for each format, and all that is particular to a format stays inside it: `h264`
//! gives pictures that are mostly known already to `direct`, which codes them quickly, and all
//! others to [`x264`], which it opens anew where other tools are to be used; [`vaapi`] has a graphics
//! processor encode all of them; [`vp8`] serves browsers without H.264. How coarse a picture may be is decided in [`crate::rate`], when it is
//! encoded in [`crate::pacing`], how hard to work on it in [`crate::effort`].

#[cfg(test)]
mod colour_tests;
mod direct;
pub mod h264;
pub mod vaapi;
pub mod vp8;
pub mod x264;

use lumen_ipc::{
    units::{Fps, FrameSize, Kbps},
    video::{VideoFormat, VideoFormats},
};

use self::x264::Tools;
use crate::{
    convert::{MacroblockMap, Planes},
    effort::Effort,
};

/// An open encoder for pictures of one size.
#[derive(Debug)]
pub enum Encoder {
    /// H.264.
    H264(Box<h264::Encoder>),
    /// H.264 by a graphics processor.
    Vaapi(Box<vaapi::Encoder>),
    /// VP8.
    Vp8(Box<vp8::Encoder>),
}

/// Why an encoder cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No H.264 encoder could be opened.
    #[error("the H.264 encoder cannot be opened")]
    H264(#[from] x264::OpenError),
    /// The graphics processor does not encode.
    #[error("the graphics processor does not encode")]
    Vaapi(#[from] vaapi::Failure),
    /// No VP8 encoder could be opened.
    #[error("the VP8 encoder cannot be opened")]
    Vp8(#[from] vp8::OpenError),
}

/// Why a picture was not encoded; the encoder should then be opened anew.
#[derive(Debug, thiserror::Error)]
pub enum EncoderError {
    /// The H.264 encoder failed.
    #[error("the H.264 encoder failed")]
    H264(#[from] x264::EncodeError),
    /// The graphics processor or its driver failed.
    #[error("the graphics processor failed to encode")]
    Vaapi(#[from] vaapi::Failure),
    /// The VP8 encoder failed.
    #[error("the VP8 encoder failed")]
    Vp8(#[from] vp8::EncodeError),
}

impl Encoder {
    /// The formats that can be encoded, the best first; where a graphics processor is to encode, of those of
    /// H.264 the one that both kinds of encoders know.
    #[must_use]
    pub fn formats(vaapi: bool) -> VideoFormats {
        let common =
            VideoFormats::new(vec![VideoFormat::H264ConstrainedBaseline, VideoFormat::Vp8]);
        common.ok().filter(|_| vaapi).unwrap_or_else(VideoFormats::all)
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
        let thrifty = match format {
            VideoFormat::H264ConstrainedBaseline => Tools::Fine,
            VideoFormat::H264Main => Tools::Arithmetic,
            VideoFormat::Vp8 => return Ok(Self::Vp8(Box::new(vp8::Encoder::open(size, fps)?))),
        };
        Ok(Self::H264(Box::new(h264::Encoder::open(size, fps, bitrate, thrifty)?)))
    }

    /// The format it encodes.
    #[must_use]
    pub const fn format(&self) -> VideoFormat {
        match self {
            Self::H264(encoder) if encoder.is_main() => VideoFormat::H264Main,
            Self::H264(_) | Self::Vaapi(_) => VideoFormat::H264ConstrainedBaseline,
            Self::Vp8(_) => VideoFormat::Vp8,
        }
    }

    /// Size of its pictures.
    #[must_use]
    pub const fn size(&self) -> FrameSize {
        match self {
            Self::H264(encoder) => encoder.size(),
            Self::Vaapi(encoder) => encoder.size(),
            Self::Vp8(encoder) => encoder.size(),
        }
    }

    /// The encoder's name, for people.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::H264(_) => "x264",
            Self::Vaapi(encoder) if encoder.is_drawn_into() => "VA-API without a copy",
            Self::Vaapi(_) => "VA-API",
            Self::Vp8(_) => "VP8 by libvpx",
        }
    }

    /// Encodes the picture that a graphics processor has drawn into the surface with this number. The result lies in
    /// the encoder's memory until the next call.
    ///
    /// # Errors
    /// [`EncoderError`]: it has no surfaces, or failed and should then be opened anew.
    pub fn encode_drawn(
        &mut self,
        surface: usize,
        kind: PictureKind,
        quantizer: Quantizer,
    ) -> Result<AccessUnit<'_>, EncoderError> {
        match self {
            Self::Vaapi(encoder) => Ok(encoder.encode_drawn(surface, kind, quantizer)?),
            Self::H264(_) | Self::Vp8(_) => Err(vaapi::Failure::Input.into()),
        }
    }

    /// Encodes `picture`. The result lies in the encoder's memory until the next call.
    ///
    /// # Errors
    /// [`EncoderError`]; the encoder should then be opened anew.
    pub fn encode(&mut self, picture: Picture<'_>) -> Result<AccessUnit<'_>, EncoderError> {
        match self {
            Self::H264(encoder) => Ok(encoder.encode(picture)?),
            Self::Vaapi(encoder) => Ok(encoder.encode(picture)?),
            Self::Vp8(encoder) => Ok(encoder.encode(picture)?),
        }
    }
}

/// H.264's quantizer (`QP_Y`): 0 is finest, 51 coarsest; six steps more roughly halve the bits.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Quantizer(u8);

impl Quantizer {
    /// The coarsest of the standard (H.264, section 7.4.2.1.1, 8 bits per sample).
    pub const COARSEST: Self = Self(51);

    /// The finest used: with it nearly every sample is decoded as it was.
    pub const FINEST: Self = Self(4);

    /// The nearest quantizer that is used.
    #[must_use]
    pub const fn nearest(value: u8) -> Self {
        match value {
            0..4 => Self::FINEST,
            4..=51 => Self(value),
            _ => Self::COARSEST,
        }
    }

    /// The number.
    #[must_use]
    pub const fn value(self) -> u8 {
        self.0
    }
}

/// How a picture refers to earlier ones.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PictureKind {
    /// It refers to none, because nothing of the picture before remains; a decoder cannot start
    /// there.
    Fresh,
    /// It refers to none: an IDR with parameter sets, where a decoder can start.
    Key,
    /// It refers to the picture before, most of which moved down by so many rows; negative is up.
    Moved(i16),
    /// It refers to the picture before.
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
    /// The quantizer to use.
    pub quantizer: Quantizer,
    /// How hard to work on it.
    pub effort: Effort,
}

impl Picture<'_> {
    /// The size of its planes, or else of what differs, if that is not `size`.
    pub(crate) fn size_other_than(&self, size: FrameSize) -> Option<FrameSize> {
        [self.planes.size(), self.changed.size()].into_iter().find(|own| *own != size)
    }
}

/// One encoded picture, in the encoder's memory; Annex B form for H.264.
#[derive(Clone, Copy, Debug)]
pub struct AccessUnit<'encoder> {
    /// The whole access unit.
    pub bytes: &'encoder [u8],
    /// Whether a decoder can start there.
    pub key: bool,
    /// Whether it was made by a coder that handles only simple pictures.
    pub direct: bool,
}
