//! The size of an app's buffer, which need not be one that can be encoded, and of its rows.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{BadFrameSize, FrameSize, OutOfRange};

ranged! {
    /// Width or height of a buffer in pixels: at most what every graphics processor can sample.
    BufferSide: u16, "side of a buffer in pixels", 1, 16_384
}

ranged! {
    /// Bytes from one row of a plane to the next: those of the widest buffer with 16 bytes for a pixel
    /// at most.
    PlaneStride: u32, "bytes of a plane's row", 1, 262_144
}

/// Size of a buffer in pixels.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub struct BufferSize {
    width: BufferSide,
    height: BufferSide,
}

impl BufferSize {
    /// Checks both sides.
    ///
    /// # Errors
    /// [`OutOfRange`] names the side that is illegal.
    pub fn new(width: u64, height: u64) -> Result<Self, OutOfRange> {
        Ok(Self { width: BufferSide::new(width)?, height: BufferSide::new(height)? })
    }

    /// Width in pixels.
    #[must_use]
    pub const fn width(self) -> u16 {
        self.width.value()
    }

    /// Height in pixels.
    #[must_use]
    pub const fn height(self) -> u16 {
        self.height.value()
    }
}

impl From<FrameSize> for BufferSize {
    fn from(size: FrameSize) -> Self {
        // A frame's sides are within a buffer's range.
        let side = |length: u16| BufferSide::clamped(length.into());
        Self { width: side(size.width()), height: side(size.height()) }
    }
}

impl TryFrom<BufferSize> for FrameSize {
    type Error = BadFrameSize;

    fn try_from(size: BufferSize) -> Result<Self, BadFrameSize> {
        Self::new(size.width(), size.height())
    }
}

impl fmt::Display for BufferSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width(), self.height())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffer_of_no_pixels_or_too_many_in_a_row_is_refused() {
        for (width, height) in [(0, 1), (1, 0), (16_385, 1), (1, u64::MAX)] {
            assert!(BufferSize::new(width, height).is_err(), "{width}x{height}");
        }
        assert!(BufferSize::new(1, 16_384).is_ok());
    }

    #[test]
    fn buffer_is_as_large_as_a_frame_only_if_its_size_is_a_frames() {
        for size in [FrameSize::nearest(0, 0), FrameSize::nearest(4096, 2304)] {
            assert_eq!(FrameSize::try_from(BufferSize::from(size)), Ok(size));
        }
        let odd = BufferSize::new(1281, 720).expect("legal buffer");
        assert!(FrameSize::try_from(odd).is_err());
    }
}
