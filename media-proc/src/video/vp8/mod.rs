//! The encoder for browsers without H.264: VP8 by libvpx, which every browser decodes (RFC 7742, section 5).
//!
//! The settings and their reasons:
//!
//! * **VP8 and not VP9 or AV1.** At 1280×720 and about equal PSNR, libvpx takes 4 ms of a core for a picture of
//!   text that scrolls in VP8 and 9 in VP9, 6 and 13 for a test picture; VP9 saves a third of the text's bits
//!   and nothing of the test picture. libaom takes 18 ms for AV1, and 600 for a keyframe.
//! * **One thread**, as x264 and for its reasons.
//! * **No loop filter** (profile 2 of RFC 6386, section 9.1). It would smooth macroblocks at rest a little more
//!   with each picture, and what is refined would not stay so. x264's plain pictures have none either. Motion
//!   between pixels is then interpolated linearly, which a desktop does not notice.
//! * **Each picture refers to the one before only.** The golden picture and the alternate one would be
//!   searched, too, and hold what was seldom seen again.
//! * **A quantizer per picture, set by us** ([`crate::rate`]): the least and the greatest are the same
//!   (`quantizer`).
//! * **Constant macroblocks are marked** (an active map). libvpx copies what is not active without
//!   examining it. Which of them are coarser than the picture's quantizer, and so need to be examined, libvpx
//!   does not decide as x264 does, so that is remembered here.
//! * **Speed by effort** ([`crate::effort`]): more work saves 4 or 12 % of the bits for 1.4 or 3 times the time.
//!
//! INVARIANT: a macroblock that is not active is decoded as it was before, bit for bit.

mod ffi;
mod quantizer;
#[cfg(test)]
mod tests;

use lumen_ipc::units::{Fps, FrameSize};

use self::{ffi::Codec, quantizer::Step};
use super::{AccessUnit, Picture, PictureKind};
use crate::effort::Effort;

/// Why an encoder cannot be opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OpenError {
    /// The library is of another release than its headers.
    #[error("libvpx has another interface than this program was built for")]
    Interface,
    /// libvpx refused the settings.
    #[error("libvpx cannot encode {size}: error {error}")]
    Refused {
        /// Size of the pictures.
        size: FrameSize,
        /// libvpx's number of it (`vpx_codec_err_t`).
        error: u32,
    },
}

/// Why a picture was not encoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EncodeError {
    /// The picture's size differs from the encoder's.
    #[error("an encoder for {encoder} got a picture of {picture}")]
    Size {
        /// The encoder's size.
        encoder: FrameSize,
        /// The picture's size.
        picture: FrameSize,
    },
    /// libvpx failed.
    #[error("libvpx failed with error {0}")]
    Failed(u32),
    /// libvpx kept the picture, which its settings rule out.
    #[error("libvpx returned nothing for a picture")]
    Withheld,
}

/// How fast libvpx works, 16 being fastest (`VP8E_SET_CPUUSED`, whose negative values are fixed speeds).
const fn speed(effort: Effort) -> u8 {
    match effort {
        Effort::Quick => 8,
        Effort::Thorough => 4,
        Effort::Thrifty => 3,
    }
}

/// An open encoder for pictures of one size.
#[derive(Debug)]
pub struct Encoder {
    codec: Codec,
    size: FrameSize,
    /// How coarse each macroblock is that decoders show.
    shown: Vec<Step>,
    /// Those that libvpx examines, one byte for each.
    active: Vec<u8>,
}

impl Encoder {
    /// Opens an encoder for pictures of `size`, at most `fps` of them a second.
    ///
    /// # Errors
    /// [`OpenError`] says what libvpx refused.
    pub fn open(size: FrameSize, fps: Fps) -> Result<Self, OpenError> {
        let codec = Codec::open(size, fps)?;
        let macroblocks = codec.columns() * codec.rows();
        let (shown, active) = (vec![Step::COARSEST; macroblocks], vec![1; macroblocks]);
        Ok(Self { codec, size, shown, active })
    }

    /// Size of its pictures.
    #[must_use]
    pub const fn size(&self) -> FrameSize {
        self.size
    }

    /// Encodes `picture`. The result lies in libvpx's memory until the next call.
    ///
    /// # Errors
    /// [`EncodeError`]; the encoder should then be opened anew.
    pub fn encode(&mut self, picture: Picture<'_>) -> Result<AccessUnit<'_>, EncodeError> {
        if let Some(size) = picture.size_other_than(self.size) {
            return Err(EncodeError::Size { encoder: self.size, picture: size });
        }
        let (key, step) = (picture.kind == PictureKind::Key, Step::of(picture.quantizer));
        let changes = picture.changed.rows().flatten();
        let places = self.active.iter_mut().zip(&mut self.shown);
        for ((active, shown), changed) in places.zip(changes) {
            let is_examined = key || changed || *shown > step;
            *active = is_examined.into();
            if is_examined {
                *shown = step;
            }
        }
        self.codec.set(step.number(), speed(picture.effort))?;
        self.codec.encode(picture.planes, &self.active, key)
    }
}
