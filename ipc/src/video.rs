//! How a stream of pictures may be encoded.
//!
//! Media states what it can encode, each browser what it can decode, and rtc chooses
//! ([`crate::demand`]). They agree on codec and profile, but not on the level, which follows from
//! size, frame rate and bit rate ([`crate::level`]): the level that a browser offers does not limit
//! what it decodes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A codec and a profile of it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum VideoFormat {
    /// H.264, constrained baseline, in Annex B form, with parameter sets before each IDR. Decoders of
    /// plain baseline take it, too.
    H264ConstrainedBaseline,
    /// H.264, Main profile, in the same form. It takes fewer bits where they are short.
    H264Main,
    /// VP8, which every browser takes that has WebRTC (RFC 7742, section 5). It takes more bits and more
    /// time than H.264, so it serves only where somebody cannot take that.
    Vp8,
}

impl VideoFormat {
    /// Every format, the best first.
    pub const ALL: [Self; 3] = [Self::H264Main, Self::H264ConstrainedBaseline, Self::Vp8];

    /// The name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::H264ConstrainedBaseline => "H.264",
            Self::H264Main => "H.264 Main",
            Self::Vp8 => "VP8",
        }
    }
}

impl fmt::Display for VideoFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Formats, the best first: at least one, without duplicates.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<VideoFormat>", into = "Vec<VideoFormat>")]
pub struct VideoFormats(Vec<VideoFormat>);

/// An invalid list of formats.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadFormats {
    /// It is empty.
    #[error("the list of formats is empty")]
    Empty,
    /// A format is listed twice.
    #[error("{0} is listed twice")]
    Twice(VideoFormat),
}

impl VideoFormats {
    /// A list of `formats`.
    ///
    /// # Errors
    /// [`BadFormats`] when the list is empty or contains a format twice.
    pub fn new(formats: Vec<VideoFormat>) -> Result<Self, BadFormats> {
        if formats.is_empty() {
            return Err(BadFormats::Empty);
        }
        let again =
            |(at, format): (usize, &VideoFormat)| formats.iter().take(at).any(|it| it == format);
        match formats.iter().enumerate().find(|one| again(*one)) {
            Some((_, format)) => Err(BadFormats::Twice(*format)),
            None => Ok(Self(formats)),
        }
    }

    /// Every format, in the order of their listing.
    #[must_use]
    pub fn all() -> Self {
        Self(VideoFormat::ALL.to_vec())
    }

    /// The formats, the best first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = VideoFormat> {
        self.0.iter().copied()
    }

    /// Whether `format` is in the list.
    #[must_use]
    pub fn contains(&self, format: VideoFormat) -> bool {
        self.0.contains(&format)
    }
}

impl TryFrom<Vec<VideoFormat>> for VideoFormats {
    type Error = BadFormats;

    fn try_from(formats: Vec<VideoFormat>) -> Result<Self, BadFormats> {
        Self::new(formats)
    }
}

impl From<VideoFormats> for Vec<VideoFormat> {
    fn from(formats: VideoFormats) -> Self {
        formats.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_of_none_or_one_twice_are_refused() {
        let format = VideoFormat::H264ConstrainedBaseline;
        assert_eq!(VideoFormats::new(vec![]), Err(BadFormats::Empty));
        assert_eq!(VideoFormats::new(vec![format; 2]), Err(BadFormats::Twice(format)));
        assert!(VideoFormats::new(vec![format]).is_ok_and(|formats| formats.contains(format)));
        assert_eq!(VideoFormats::new(VideoFormat::ALL.to_vec()), Ok(VideoFormats::all()));
    }
}
