//! Ids, sizes and quantities that cross links, as types that cannot be out of range.
//!
//! Constructors check the range once; serde decodes through them, so decoded values are checked.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::level::Level;

/// Most sessions of one host.
pub const MOST_SESSIONS: u16 = 128;

/// A value outside the range its type allows.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{what} is {found}, which is outside {low} to {high}")]
pub struct OutOfRange {
    /// The name of the quantity.
    pub what: &'static str,
    /// The value found.
    pub found: u64,
    /// Smallest legal value.
    pub low: u64,
    /// Largest legal value.
    pub high: u64,
}

/// Defines a newtype over an unsigned integer with an inclusive range.
macro_rules! ranged {
    ($(#[$doc:meta])* $name:ident: $repr:ty, $what:literal, $low:expr, $high:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(try_from = "u64", into = "u64")]
        pub struct $name($repr);

        #[allow(unused_comparisons, reason = "a range may start at zero")]
        impl $name {
            /// Smallest legal value.
            pub const MIN: Self = Self($low);
            /// Largest legal value.
            pub const MAX: Self = Self($high);

            /// Checks the range.
            ///
            /// # Errors
            /// [`OutOfRange`] names the value and the range.
            pub const fn new(value: u64) -> Result<Self, OutOfRange> {
                if value < $low || value > $high {
                    return Err(OutOfRange {
                        what: $what,
                        found: value,
                        low: $low,
                        high: $high,
                    });
                }
                // The representation holds it, because it holds `$high`.
                Ok(Self(value as $repr))
            }

            /// The nearest legal value.
            #[must_use]
            pub const fn clamped(value: u64) -> Self {
                if value < $low {
                    Self::MIN
                } else if value > $high {
                    Self::MAX
                } else {
                    Self(value as $repr)
                }
            }

            /// The number.
            #[must_use]
            pub const fn value(self) -> $repr {
                self.0
            }
        }

        impl TryFrom<u64> for $name {
            type Error = OutOfRange;

            fn try_from(value: u64) -> Result<Self, OutOfRange> {
                Self::new(value)
            }
        }

        impl From<$name> for u64 {
            fn from(value: $name) -> Self {
                Self::from(value.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

mod buffer;
mod output;

pub use buffer::{BufferSide, BufferSize, PlaneStride};
pub use output::{OutputSize, Scale};

pub use crate::identity::{PeerId, SessionId};

ranged! {
    /// A screen of a session. The range bounds what a message can name, not how many outputs exist:
    /// a receiver without such an output takes the name for a breach of the contract.
    OutputId: u8, "output", 0, 7
}
ranged! {
    /// The number of a frame buffer, by which frames refer to it: enough for the buffers of every
    /// window of a desktop.
    SlotIndex: u16, "slot index", 0, 1023
}
ranged! {
    /// An encoded flow of a session: the picture of an output, or sound. The range bounds what a
    /// message can name, as with [`OutputId`].
    StreamId: u8, "stream", 0, 15
}
ranged! {
    /// Frames per second.
    Fps: u16, "frame rate", 1, 240
}
ranged! {
    /// Kilobits (1000 bits) per second.
    Kbps: u32, "bit rate in kbit/s", 100, 200_000
}
ranged! {
    /// A key as the kernel numbers it: `KEY_*` of `linux/input-event-codes.h`, keyboard keys only
    /// (`KEY_ESC` = 1 to `KEY_MICMUTE` = 248, the last one below the buttons).
    KeyCode: u16, "key code", 1, 248
}
ranged! {
    /// A mouse button as the kernel numbers it: `BTN_LEFT` = 0x110 to `BTN_TASK` = 0x117 of
    /// `linux/input-event-codes.h`.
    ButtonCode: u16, "button code", 0x110, 0x117
}
ranged! {
    /// The number of a gamepad in its browser (`Gamepad.index`).
    PadIndex: u8, "gamepad index", 0, 3
}
ranged! {
    /// Seconds for which the device of a departed viewer is kept.
    PadGrace: u16, "seconds of a gamepad's grace", 1, 3600
}
ranged! {
    /// Width or height of a frame in pixels.
    Side: u16, "side in pixels", 16, 4096
}

impl OutputId {
    /// The output that every desktop has.
    pub const PRIMARY: Self = Self::MIN;
}

impl StreamId {
    /// The picture of [`OutputId::PRIMARY`].
    pub const VIDEO: Self = Self::MIN;
    /// The sound of the session.
    pub const SOUND: Self = Self(1);
}

impl Fps {
    /// Time between two frames, in microseconds.
    #[must_use]
    pub fn interval_micros(self) -> u64 {
        1_000_000 / u64::from(self.0)
    }
}

/// Size of a frame in pixels. Both sides are even, because H.264 4:2:0 halves them, and the frame
/// has no more macroblocks than [`Level::HIGHEST`] allows, because decoders would refuse the
/// picture.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "(u16, u16)", into = "(u16, u16)")]
pub struct FrameSize {
    width: Side,
    height: Side,
}

/// An illegal frame size.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadFrameSize {
    /// A side is odd.
    #[error("a frame of {width}x{height} has an odd side; H.264 needs even ones")]
    Odd {
        /// Width found.
        width: u16,
        /// Height found.
        height: u16,
    },
    /// A side is too small or too large.
    #[error(transparent)]
    Side(#[from] OutOfRange),
    /// Both sides are legal, but their product is too large.
    #[error(
        "{width}x{height} is more than H.264 allows up to level 5.2, which is {most} blocks of \
         16x16 pixels; the largest size of this shape is {largest}",
        most = Level::HIGHEST.macroblocks()
    )]
    TooManyMacroblocks {
        /// Width found.
        width: u16,
        /// Height found.
        height: u16,
        /// The largest legal size of this shape.
        largest: FrameSize,
    },
}

/// Pixels along each side of a macroblock, in which H.264 codes pictures.
pub const MACROBLOCK: u16 = 16;

/// Bytes of one pixel: every raw frame is BGRX, 8 bits each, in memory order B, G, R, X
/// (`WL_SHM_FORMAT_XRGB8888`, Pixman's `x8r8g8b8` on a little-endian machine).
pub const PIXEL_BYTES: usize = 4;

impl FrameSize {
    /// Checks both sides and their product.
    ///
    /// # Errors
    /// [`BadFrameSize`] says which rule the size breaks.
    pub fn new(width: u16, height: u16) -> Result<Self, BadFrameSize> {
        if width % 2 == 1 || height % 2 == 1 {
            return Err(BadFrameSize::Odd { width, height });
        }
        let size = Self { width: Side::new(width.into())?, height: Side::new(height.into())? };
        if size.macroblocks() > Level::HIGHEST.macroblocks() {
            let largest = Self::nearest(width.into(), height.into());
            return Err(BadFrameSize::TooManyMacroblocks { width, height, largest });
        }
        Ok(size)
    }

    /// The frame size for a window of `width` × `height` pixels: the window's own with even sides
    /// if that is legal, else the largest legal one of its shape. A window that is too small is
    /// enlarged.
    ///
    /// The page computes the same (`wantedSize`), with the same integers.
    #[must_use]
    pub fn nearest(width: u32, height: u32) -> Self {
        let side = |length: u32| Side::clamped(u64::from(length & !1));
        let is_small = |size: Self| size.macroblocks() <= Level::HIGHEST.macroblocks();
        let own = Self { width: side(width), height: side(height) };
        let most = u32::from(Side::MAX.value());
        if width.max(height) < most + 2 && is_small(own) {
            return own;
        }
        let (long, short) = (u64::from(width.max(height)), u64::from(width.min(height)));
        let shaped = |pairs: u32| {
            let other = u32::try_from(u64::from(2 * pairs) * short / long).unwrap_or(u32::MAX);
            let (long, short) = (side(2 * pairs), side(other));
            if width >= height {
                Self { width: long, height: short }
            } else {
                Self { width: short, height: long }
            }
        };
        // Half of the long side. The smallest such size is legal for every shape.
        let mut legal = u32::from(Side::MIN.value()) / 2;
        let mut beyond = most.min(width.max(height)) / 2 + 1;
        while beyond - legal > 1 {
            let middle = legal.midpoint(beyond);
            if is_small(shaped(middle)) {
                legal = middle;
            } else {
                beyond = middle;
            }
        }
        shaped(legal)
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

    /// Macroblocks from left to right.
    #[must_use]
    pub fn columns(self) -> u32 {
        self.width().div_ceil(MACROBLOCK).into()
    }

    /// Macroblocks from top to bottom.
    #[must_use]
    pub fn rows(self) -> u32 {
        self.height().div_ceil(MACROBLOCK).into()
    }

    /// Macroblocks in all.
    #[must_use]
    pub fn macroblocks(self) -> u32 {
        self.columns() * self.rows()
    }

    /// The highest frame rate that H.264 allows at this size.
    #[must_use]
    pub fn fastest(self) -> Fps {
        Fps::clamped(Level::HIGHEST.pictures_per_second(self.macroblocks()).into())
    }

    /// Bytes from one row to the next of a tightly packed BGRX frame.
    #[must_use]
    pub fn stride_bytes(self) -> usize {
        usize::from(self.width()) * PIXEL_BYTES
    }

    /// Bytes of a tightly packed BGRX frame.
    #[must_use]
    pub fn frame_bytes(self) -> usize {
        self.stride_bytes() * usize::from(self.height())
    }
}

impl TryFrom<(u16, u16)> for FrameSize {
    type Error = BadFrameSize;

    fn try_from((width, height): (u16, u16)) -> Result<Self, BadFrameSize> {
        Self::new(width, height)
    }
}

impl From<FrameSize> for (u16, u16) {
    fn from(size: FrameSize) -> Self {
        (size.width(), size.height())
    }
}

impl fmt::Display for FrameSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width(), self.height())
    }
}

/// Microseconds on `CLOCK_MONOTONIC`, which all processes of a host share.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize,
)]
pub struct MonotonicMicros(pub u64);

impl MonotonicMicros {
    /// Microseconds from `earlier` to `self`, zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Number of a frame, counted by the compositor from 1 per compositor process.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize,
)]
pub struct FrameSequence(pub u64);

impl FrameSequence {
    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frame_size_odd_zero_or_too_large_is_refused_with_the_reason() {
        let reason = |width, height| FrameSize::new(width, height).unwrap_err().to_string();
        assert!(reason(1281, 720).contains("odd side"));
        assert!(reason(0, 720).contains("outside 16 to 4096"));
        assert!(reason(1280, 8192).contains("8192"));
    }

    #[test]
    fn frame_size_of_more_macroblocks_than_the_highest_level_is_refused_with_one_that_is_not() {
        for (width, height, largest) in
            [(3840, 2880, "3542x2656"), (4096, 2560, "3872x2420"), (4096, 4096, "3072x3072")]
        {
            let reason = FrameSize::new(width, height).unwrap_err().to_string();
            assert!(reason.contains("level 5.2") && reason.ends_with(largest), "{reason}");
        }
        for (width, height) in [(4096, 2304), (2304, 4096), (3072, 3072), (4096, 16)] {
            assert!(FrameSize::new(width, height).is_ok(), "{width}x{height}");
        }
    }

    #[test]
    fn frame_size_nearest_is_the_windows_own_where_that_is_legal() {
        for (window, size) in [
            ((1365, 767), "1364x766"),
            ((1365, 1364), "1364x1364"),
            ((4097, 2305), "4096x2304"),
            ((0, 0), "16x16"),
            ((5, 900), "16x900"),
        ] {
            assert_eq!(FrameSize::nearest(window.0, window.1).to_string(), size);
        }
    }

    #[test]
    fn frame_size_nearest_is_as_fast_as_the_highest_level_allows() {
        let fastest = |width, height| FrameSize::nearest(width, height).fastest().value();
        assert_eq!(fastest(1920, 1080), 240);
        assert_eq!(fastest(3840, 2160), 64);
        assert_eq!(fastest(4096, 2304), 56);
    }

    proptest! {
        #[test]
        fn frame_size_nearest_is_legal_of_the_windows_shape_and_the_largest(
            width in 1_u32..9000, height in 1_u32..9000,
        ) {
            let size = FrameSize::nearest(width, height);
            let (wide, high) = (u32::from(size.width()), u32::from(size.height()));
            prop_assert_eq!(FrameSize::new(size.width(), size.height()), Ok(size));
            prop_assert!(wide <= width.max(16) && high <= height.max(16));
            // At most an even number smaller, unless a side has reached its minimum.
            let (long, short) = (u64::from(width.max(height)), u64::from(width.min(height)));
            let (size_long, size_short) = (u64::from(wide.max(high)), u64::from(wide.min(high)));
            let exact = size_long * short / long;
            prop_assert!(size_short.abs_diff(exact) <= 2 || size_short == 16);
            // Two pixels more along the long side would be illegal, unless the window has no more.
            let more = size_long + 2;
            let blocks = |side: u64| side.div_ceil(16);
            let larger = blocks(more) * blocks((more * short / long) & !1);
            prop_assert!(more > long || more > 4096 || larger > 36_864);
        }

        #[test]
        fn frame_size_nearest_takes_any_numbers(width in any::<u32>(), height in any::<u32>()) {
            let size = FrameSize::nearest(width, height);
            prop_assert_eq!(FrameSize::new(size.width(), size.height()), Ok(size));
        }
    }
}
