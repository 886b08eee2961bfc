//! Residuals to quantized levels and back (H.264, section 8.5; the standard leaves the forward
//! direction open, and this is the usual inverse).
//!
//! Blocks are 4×4 in raster order. The inverse is what decoders do, bit for bit.

use crate::video::Quantizer;

/// 4×4 values in raster order.
pub(super) type Block = [i32; 16];

/// Raster index of each position of the zigzag scan (H.264, figure 6-6).
pub(super) const ZIGZAG: [usize; 16] = [0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15];

/// Multipliers of the forward direction, 2¹⁵ over quantizer step and gain of the transform: for
/// positions with even row and column, with odd row and column, and for all others.
const FORWARD: [[i32; 3]; 6] = [
    [13107, 5243, 8066],
    [11916, 4660, 7490],
    [10082, 4194, 6554],
    [9362, 3647, 5825],
    [8192, 3355, 5243],
    [7282, 2893, 4559],
];

/// `LevelScale` over 16 (H.264, section 8.5.9), for the same positions.
const INVERSE: [[i32; 3]; 6] =
    [[10, 16, 13], [11, 18, 14], [13, 20, 16], [14, 23, 18], [16, 25, 20], [18, 29, 23]];

/// Chroma quantizers from 30 on (H.264, table 8-15).
const CHROMA: [u8; 22] =
    [29, 30, 31, 32, 32, 33, 34, 34, 35, 35, 36, 36, 37, 37, 37, 38, 38, 38, 39, 39, 39, 39];

/// How a value between two levels is rounded: the share of a step that is added before truncation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Rounding {
    /// A third of a step, for samples predicted from the same picture.
    Intra,
    /// A sixth of a step, for differences to another picture, most of which are noise.
    Inter,
}

/// The multipliers of one quantizer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    step: usize,
    octave: u32,
}

impl Scale {
    pub(super) const fn luma(quantizer: Quantizer) -> Self {
        Self::of(quantizer.value())
    }

    /// `offset` is the parameter set's `chroma_qp_index_offset`.
    pub(super) fn chroma(quantizer: Quantizer, offset: i32) -> Self {
        let index = (i32::from(quantizer.value()) + offset).clamp(0, 51) as u8;
        Self::of(index.checked_sub(30).map_or(index, |past| CHROMA[usize::from(past)]))
    }

    const fn of(quantizer: u8) -> Self {
        Self { step: quantizer as usize % 6, octave: quantizer as u32 / 6 }
    }

    /// Levels of transformed values; the first is zero if `skip_first`.
    pub(super) fn quantize(self, values: &Block, rounding: Rounding, skip_first: bool) -> Block {
        let shift = 15 + self.octave;
        let half = rounding.part(shift);
        let mut levels = [0; 16];
        for at in usize::from(skip_first)..16 {
            levels[at] = level(values[at], FORWARD[self.step][class(at)], half, shift);
        }
        levels
    }

    /// Values of levels; the first is zero if `skip_first`, because it is coded separately.
    pub(super) fn restore(self, levels: &Block, skip_first: bool) -> Block {
        let mut values = [0; 16];
        for at in usize::from(skip_first)..16 {
            values[at] = (levels[at] * INVERSE[self.step][class(at)]) << self.octave;
        }
        values
    }

    /// DC levels of 16 luma blocks (`Intra16x16DCLevel`), in raster order.
    pub(super) fn quantize_luma_dc(self, values: &Block) -> Block {
        let shift = 16 + self.octave;
        let half = Rounding::Intra.part(shift);
        hadamard(values).map(|value| level(value / 2, FORWARD[self.step][0], half, shift))
    }

    /// DC values of 16 luma blocks (H.264, section 8.5.10).
    pub(super) fn restore_luma_dc(self, levels: &Block) -> Block {
        let scale = INVERSE[self.step][0] * 16;
        hadamard(levels).map(|value| match self.octave.checked_sub(6) {
            Some(up) => (value * scale) << up,
            None => (value * scale + (1 << (5 - self.octave))) >> (6 - self.octave),
        })
    }

    /// DC levels of four chroma blocks, in raster order.
    pub(super) fn quantize_chroma_dc(self, values: [i32; 4], rounding: Rounding) -> [i32; 4] {
        let shift = 16 + self.octave;
        let half = rounding.part(shift);
        hadamard_2(values).map(|value| level(value, FORWARD[self.step][0], half, shift))
    }

    /// DC values of four chroma blocks (H.264, section 8.5.11).
    pub(super) fn restore_chroma_dc(self, levels: [i32; 4]) -> [i32; 4] {
        let scale = INVERSE[self.step][0] * 16;
        hadamard_2(levels).map(|value| ((value * scale) << self.octave) >> 5)
    }
}

impl Rounding {
    const fn part(self, shift: u32) -> i32 {
        match self {
            Self::Intra => (1 << shift) / 3,
            Self::Inter => (1 << shift) / 6,
        }
    }
}

/// The class of a position: both even, both odd, or mixed.
const fn class(at: usize) -> usize {
    match (at / 4 % 2, at % 2) {
        (0, 0) => 0,
        (1, 1) => 1,
        _ => 2,
    }
}

#[inline]
fn level(value: i32, factor: i32, half: i32, shift: u32) -> i32 {
    let magnitude = (value.abs() * factor + half) >> shift;
    if value < 0 { -magnitude } else { magnitude }
}

/// The forward transform of a residual.
pub(super) fn forward(residual: &Block) -> Block {
    let mut values = *residual;
    for row in 0..4 {
        transform_line(&mut values, row * 4, 1);
    }
    for column in 0..4 {
        transform_line(&mut values, column, 4);
    }
    values
}

#[inline]
const fn transform_line(values: &mut Block, start: usize, step: usize) {
    let (a, b) = (values[start], values[start + step]);
    let (c, d) = (values[start + 2 * step], values[start + 3 * step]);
    let (outer_sum, outer_difference) = (a + d, a - d);
    let (inner_sum, inner_difference) = (b + c, b - c);
    values[start] = outer_sum + inner_sum;
    values[start + step] = 2 * outer_difference + inner_difference;
    values[start + 2 * step] = outer_sum - inner_sum;
    values[start + 3 * step] = outer_difference - 2 * inner_difference;
}

/// The residual of transformed values (H.264, section 8.5.12.2).
pub(super) fn inverse(values: &Block) -> Block {
    let mut residual = *values;
    for row in 0..4 {
        restore_line(&mut residual, row * 4, 1);
    }
    for column in 0..4 {
        restore_line(&mut residual, column, 4);
    }
    residual.map(|value| (value + 32) >> 6)
}

#[inline]
const fn restore_line(values: &mut Block, start: usize, step: usize) {
    let (a, b) = (values[start], values[start + step]);
    let (c, d) = (values[start + 2 * step], values[start + 3 * step]);
    let (even_sum, even_difference) = (a + c, a - c);
    let (odd_low, odd_high) = ((b >> 1) - d, b + (d >> 1));
    values[start] = even_sum + odd_high;
    values[start + step] = even_difference + odd_low;
    values[start + 2 * step] = even_difference - odd_low;
    values[start + 3 * step] = even_sum - odd_high;
}

fn hadamard(values: &Block) -> Block {
    let mut sums = *values;
    for (starts, step) in [([0, 4, 8, 12], 1), ([0, 1, 2, 3], 4)] {
        for start in starts {
            let [a, b, c, d] = [0, 1, 2, 3].map(|index| sums[start + index * step]);
            sums[start] = a + b + c + d;
            sums[start + step] = a + b - c - d;
            sums[start + 2 * step] = a - b - c + d;
            sums[start + 3 * step] = a - b + c - d;
        }
    }
    sums
}

const fn hadamard_2([a, b, c, d]: [i32; 4]) -> [i32; 4] {
    [a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The decoded residual differs by no more than the step and rounding explain.
        #[test]
        fn residuals_come_back_within_a_step(
            residual in prop::array::uniform16(-255_i32..256),
            quantizer in 12_u8..52,
        ) {
            let scale = Scale::of(quantizer);
            let levels = scale.quantize(&forward(&residual), Rounding::Intra, false);
            let back = inverse(&scale.restore(&levels, false));
            let step = 0.625 * (f64::from(quantizer) / 6.0).exp2();
            for (one, other) in residual.iter().zip(&back) {
                prop_assert!(f64::from((one - other).abs()) <= 4.0 * step + 2.0);
            }
        }
    }
}
