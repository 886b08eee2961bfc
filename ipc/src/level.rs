//! H.264 levels: what a decoder of each must support, and which level a stream has.
//!
//! Level, size, frame rate and bit rate of the picture are one decision. Every [`FrameSize`] is
//! within [`Level::HIGHEST`], [`FrameSize::fastest`] is the frame rate which that level allows at a
//! size, and every [`Kbps`] is within its bit rate; so each stream has a valid level, and
//! [`Level::of`] finds the lowest. The stream declares this level; a browser is offered the
//! highest, because the size is not known at that time.

use crate::units::{Fps, FrameSize, Kbps};

/// A level with its limits (H.264, table A-1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Level {
    number: u8,
    macroblocks: u32,
    macroblocks_per_second: u32,
    kbps: u32,
    reach: u16,
}

/// From the first level with a bit rate that we use to the highest that decoders of every browser
/// know.
const LEVELS: [Level; 15] = [
    Level::row(11, 396, 3_000, 192, 128),
    Level::row(12, 396, 6_000, 384, 128),
    Level::row(13, 396, 11_880, 768, 128),
    Level::row(20, 396, 11_880, 2_000, 128),
    Level::row(21, 792, 19_800, 4_000, 256),
    Level::row(22, 1_620, 20_250, 4_000, 256),
    Level::row(30, 1_620, 40_500, 10_000, 256),
    Level::row(31, 3_600, 108_000, 14_000, 512),
    Level::row(32, 5_120, 216_000, 20_000, 512),
    Level::row(40, 8_192, 245_760, 20_000, 512),
    Level::row(41, 8_192, 245_760, 50_000, 512),
    Level::row(42, 8_704, 522_240, 50_000, 512),
    Level::row(50, 22_080, 589_824, 135_000, 512),
    Level::row(51, 36_864, 983_040, 240_000, 512),
    Level::HIGHEST,
];

impl Level {
    /// The highest level in use, 5.2: those above it are for pictures that most hardware decoders
    /// have no memory for, and hardly any browser accepts them.
    pub const HIGHEST: Self = Self::row(52, 36_864, 2_073_600, 240_000, 512);

    const fn row(
        number: u8,
        macroblocks: u32,
        macroblocks_per_second: u32,
        kbps: u32,
        reach: u16,
    ) -> Self {
        Self { number, macroblocks, macroblocks_per_second, kbps, reach }
    }

    /// The lowest level for pictures of `size`, at most `fps` a second and `bitrate`.
    #[must_use]
    pub fn of(size: FrameSize, fps: Fps, bitrate: Kbps) -> Self {
        let fps = fps.min(size.fastest());
        LEVELS.into_iter().find(|level| level.takes(size, fps, bitrate)).unwrap_or(Self::HIGHEST)
    }

    /// The level with this number (`level_idc`), if it is in use.
    #[must_use]
    pub fn numbered(number: u8) -> Option<Self> {
        LEVELS.into_iter().find(|level| level.number == number)
    }

    /// Its number (`level_idc`), ten times its name.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.number
    }

    /// Macroblocks of a picture (`MaxFS`).
    #[must_use]
    pub const fn macroblocks(self) -> u32 {
        self.macroblocks
    }

    /// Vertical motion in luma rows must be less than this (`MaxVmvR`).
    #[must_use]
    pub const fn reach(self) -> u16 {
        self.reach
    }

    /// The most pictures a second of `macroblocks`.
    pub(crate) const fn pictures_per_second(self, macroblocks: u32) -> u32 {
        self.macroblocks_per_second / macroblocks
    }

    fn takes(self, size: FrameSize, fps: Fps, bitrate: Kbps) -> bool {
        let macroblocks = size.macroblocks();
        // The limit of a side (section A.3.1, points f and g).
        let longest = (self.macroblocks * 8).isqrt();
        macroblocks <= self.macroblocks
            && size.columns().max(size.rows()) <= longest
            && u32::from(fps.value()) <= self.pictures_per_second(macroblocks)
            && bitrate.value() <= self.kbps
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(width: u16, height: u16, fps: u64, kbps: u64) -> u8 {
        let size = FrameSize::new(width, height).expect("legal size");
        Level::of(size, Fps::clamped(fps), Kbps::clamped(kbps)).number()
    }

    #[test]
    fn level_of_a_stream_follows_its_size_its_rate_and_its_bits() {
        assert_eq!(number(1280, 720, 30, 8_000), 31);
        assert_eq!(number(1280, 720, 60, 8_000), 32);
        assert_eq!(number(1280, 720, 60, 50_000), 41);
        assert_eq!(number(1920, 1080, 30, 8_000), 40);
        assert_eq!(number(1920, 1080, 60, 8_000), 42);
        assert_eq!(number(3840, 2160, 30, 8_000), 51);
        assert_eq!(number(3840, 2160, 60, 200_000), 52);
        assert_eq!(number(16, 16, 1, 100), 11);
    }

    #[test]
    fn level_of_a_narrow_picture_allows_its_long_side() {
        // 256 macroblocks in one row: more than the 169 that level 3.1 allows.
        assert_eq!(number(4096, 16, 30, 1_000), 40);
        assert_eq!(number(16, 4096, 30, 1_000), 40);
    }

    #[test]
    fn level_is_found_by_its_number_and_others_are_not() {
        for level in LEVELS {
            assert_eq!(Level::numbered(level.number()), Some(level));
        }
        // 1 and 1b are below our bit rates, 6 and above are beyond our sizes.
        for number in [0, 9, 10, 60, 61, 62] {
            assert_eq!(Level::numbered(number), None);
        }
    }

    proptest! {
        #[test]
        fn level_is_true_of_every_stream(
            width in 0_u32..5000, height in 0_u32..5000, fps in 1_u64..=240, kbps in any::<u64>(),
        ) {
            let size = FrameSize::nearest(width, height);
            let (fps, bitrate) = (Fps::clamped(fps).min(size.fastest()), Kbps::clamped(kbps));
            prop_assert!(Level::of(size, fps, bitrate).takes(size, fps, bitrate));
        }
    }
}
