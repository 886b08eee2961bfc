//! Which quantizer of libvpx is as coarse as one of H.264.
//!
//! The rate control counts in H.264's quantizers ([`crate::rate`]), whatever the format. VP8's transform
//! makes coefficients twice as large as H.264's does, so a step of VP8 is as coarse as one of H.264 of half
//! its size. Measured on text, a test picture and noise, decoded pictures then agree within 2 dB of PSNR
//! wherever VP8 has such a step: its finest is as fine as quantizer 10, its coarsest as coarse as 47.

use crate::video::Quantizer;

/// The step of each of libvpx's quantizers, for coefficients beside the mean: the values of RFC 6386, section
/// 14.1, at the indices that libvpx uses.
const STEPS: [u16; 64] = [
    4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 16, 17, 19, 21, 22, 23, 24, 25, 27, 28, 29, 30, 31, 32, 33,
    34, 35, 37, 39, 41, 43, 45, 47, 49, 51, 53, 55, 57, 60, 64, 68, 72, 78, 84, 90, 96, 102, 108,
    114, 122, 131, 140, 149, 158, 167, 177, 189, 201, 213, 225, 239, 254, 269, 284,
];

/// Sixteen times the steps of H.264's quantizers 0 to 5; they double with every six (H.264, table 8-15 and
/// section 8.5.12).
const H264_STEPS: [u32; 6] = [10, 11, 13, 14, 16, 18];

/// One of libvpx's quantizers: 0 is finest, 63 coarsest.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Step(u8);

impl Step {
    pub(super) const COARSEST: Self = Self(63);

    /// The nearest to `quantizer`.
    pub(super) fn of(quantizer: Quantizer) -> Self {
        let value = usize::from(quantizer.value());
        let wanted = 2 * (H264_STEPS[value % 6] << (value / 6));
        let distance = |step: u16| (u32::from(step) * 16).abs_diff(wanted);
        let nearest = STEPS.iter().enumerate().min_by_key(|(_, step)| distance(**step));
        nearest.map_or(Self::COARSEST, |(at, _)| Self(at as u8))
    }

    /// The number by which libvpx knows it.
    pub(super) const fn number(self) -> u8 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_is_the_coarser_the_coarser_the_quantizer_is() {
        let steps: Vec<_> = (4..=51).map(|value| Step::of(Quantizer::nearest(value))).collect();
        assert!(steps.is_sorted());
        assert_eq!((steps[0], steps.last().copied()), (Step(0), Some(Step::COARSEST)));
    }

    #[test]
    fn step_has_twice_the_size_of_the_quantizers() {
        // H.264's sizes of 16, 23, 32 and 44 are 4, 9, 26 and 104.
        for (quantizer, size) in [(16, 8), (23, 17), (32, 51), (44, 213)] {
            let step = Step::of(Quantizer::nearest(quantizer));
            assert_eq!(STEPS[usize::from(step.number())], size, "of {quantizer}");
        }
    }
}
