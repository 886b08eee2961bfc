//! One macroblock: its residual is quantized, written and decoded again (H.264, sections 7.3.5 and
//! 8.5).

use super::{
    bits::BitWriter,
    headers::SliceType,
    neighbours::{Coded, Neighbours},
    residual::{write_block, write_chroma_dc},
    samples::{CHROMA_SIDE, Edges, Samples},
    transform::{Block, Rounding, Scale, ZIGZAG, forward, inverse},
};
use crate::convert::MACROBLOCK;

/// `coded_block_pattern` of inter macroblocks by its code number (H.264, table 9-4).
pub(in crate::video) const PATTERNS: [u8; 48] = [
    0, 16, 1, 2, 4, 8, 32, 3, 5, 10, 12, 15, 47, 7, 11, 13, 14, 6, 9, 31, 35, 37, 42, 44, 33, 34,
    36, 40, 39, 43, 45, 46, 17, 18, 20, 24, 19, 21, 26, 28, 23, 27, 29, 30, 22, 25, 38, 41,
];

/// `mb_type` of `P_L0_16x16` (H.264, table 7-13).
const P_16X16: u32 = 0;
/// `mb_type` in I slices of `I_16x16_0_0_0`: the first prediction, no pattern (H.264, table 7-11).
const I_16X16: u32 = 1;
/// What P slices add to the types of I slices (H.264, section 7.4.5).
pub(in crate::video) const INTRA_IN_P: u32 = 5;

/// Quantizer multipliers of a picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scales {
    pub(super) luma: Scale,
    pub(super) chroma: Scale,
}

/// Quantized levels of a macroblock.
struct Levels {
    /// DC levels of the luma blocks; used only in an intra macroblock, which codes them separately.
    luma_dc: Block,
    /// Levels of the luma blocks in raster order.
    luma: [Block; 16],
    chroma_dc: [[i32; 4]; 2],
    chroma: [[Block; 4]; 2],
}

/// Which blocks of a macroblock have levels.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Pattern {
    /// A bit for each 8×8 of luma.
    luma: u8,
    /// 0 for none, 1 for DC only, 2 for all.
    chroma: u8,
}

/// A macroblock predicted from the picture before: the residual to write, and what decoders show.
pub(super) struct Inter {
    levels: Levels,
    pattern: Pattern,
    decoded: Samples,
}

impl Inter {
    pub(super) fn of(source: &Samples, prediction: &Samples, scales: Scales) -> Self {
        let levels = Levels::inter(source, prediction, scales);
        let pattern = levels.pattern(0);
        let decoded = levels.decoded(prediction, scales, false);
        Self { levels, pattern, decoded }
    }

    pub(super) const fn has_residual(&self) -> bool {
        self.pattern.luma != 0 || self.pattern.chroma != 0
    }

    pub(super) const fn decoded(&self) -> &Samples {
        &self.decoded
    }

    /// Writes it, predicted from `motion` rows down, and says how later ones see it.
    pub(super) fn write(
        &self,
        writer: &mut BitWriter,
        neighbours: &Neighbours,
        motion: i32,
    ) -> Coded {
        write_motion(writer, neighbours, motion);
        let value = self.pattern.luma | self.pattern.chroma << 4;
        let code = PATTERNS.iter().position(|pattern| *pattern == value).unwrap_or(0);
        writer.unsigned(code as u32);
        let mut coded = Coded::copied(motion);
        if self.has_residual() {
            writer.signed(0); // mb_qp_delta
            self.levels.write_luma(writer, neighbours, self.pattern, 0, &mut coded.luma);
            self.levels.write_chroma(writer, neighbours, self.pattern, &mut coded.chroma);
        }
        coded
    }
}

/// The place in raster order of the luma block with this number in the order of the syntax (H.264, figure 6-10).
pub(in crate::video) const fn raster(index: usize) -> usize {
    let column = index % 2 + index / 4 % 2 * 2;
    let row = index / 2 % 2 + index / 8 * 2;
    row * 4 + column
}

/// Writes a macroblock that is `motion` rows down in the picture before, unchanged.
pub(super) fn write_copy(writer: &mut BitWriter, neighbours: &Neighbours, motion: i32) -> Coded {
    write_motion(writer, neighbours, motion);
    writer.unsigned(0); // coded_block_pattern: code number 0 is none
    Coded::copied(motion)
}

fn write_motion(writer: &mut BitWriter, neighbours: &Neighbours, motion: i32) {
    writer.unsigned(P_16X16);
    writer.signed(0); // mvd_l0, horizontal
    writer.signed((motion - neighbours.predicted_motion()) * 4); // in quarter samples
}

/// How luma is predicted from its edges (H.264, table 8-4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mode {
    Vertical = 0,
    Mean = 2,
}

/// A prediction from decoded samples around a macroblock; chroma always uses DC prediction.
pub(super) struct Intra {
    mode: Mode,
    prediction: Samples,
}

impl Intra {
    /// The better luma mode for `source`.
    pub(super) fn of(source: &Samples, luma: &Edges, chroma: &[Edges; 2]) -> Self {
        let mut prediction = Samples::flat(luma.mean(), [0, 0]);
        for (samples, edges) in prediction.chroma.iter_mut().zip(chroma) {
            let means = edges.block_means();
            for (at, sample) in samples.iter_mut().enumerate() {
                *sample = means[at / CHROMA_SIDE / 4 * 2 + at % CHROMA_SIDE / 4];
            }
        }
        if let Some(above) = luma.above() {
            let mut vertical = prediction.clone();
            for line in vertical.luma.chunks_exact_mut(MACROBLOCK) {
                line.copy_from_slice(above);
            }
            // On a tie the vertical mode wins, because its code is shorter.
            if vertical.distance(source) <= prediction.distance(source) {
                return Self { mode: Mode::Vertical, prediction: vertical };
            }
        }
        Self { mode: Mode::Mean, prediction }
    }

    pub(super) fn distance(&self, source: &Samples) -> u32 {
        self.prediction.distance(source)
    }
}

/// Writes `source`, predicted by `intra`. Returns its decoded samples and its entry for later
/// macroblocks.
pub(super) fn write_intra(
    writer: &mut BitWriter,
    slice: SliceType,
    neighbours: &Neighbours,
    source: &Samples,
    intra: &Intra,
    scales: Scales,
) -> (Samples, Coded) {
    let Intra { mode, prediction } = intra;
    let levels = Levels::intra(source, prediction, scales);
    let mut pattern = levels.pattern(1);
    // An intra 16×16 macroblock codes the AC levels of all luma blocks or of none.
    pattern.luma = if pattern.luma == 0 { 0 } else { 15 };
    let whole_luma = if pattern.luma == 0 { 0 } else { 12 };
    write_mode(writer, slice, *mode, 4 * u32::from(pattern.chroma) + whole_luma);
    let mut coded = Coded::default();
    write_block(writer, &scan(&levels.luma_dc), neighbours.luma_levels(&coded.luma, 0));
    levels.write_luma(writer, neighbours, pattern, 1, &mut coded.luma);
    levels.write_chroma(writer, neighbours, pattern, &mut coded.chroma);
    (levels.decoded(prediction, scales, true), coded)
}

/// Writes a macroblock whose prediction is exact, from above if there is a macroblock. Returns its
/// entry for later macroblocks.
pub(super) fn write_as_around(
    writer: &mut BitWriter,
    slice: SliceType,
    neighbours: &Neighbours,
    has_above: bool,
) -> Coded {
    write_mode(writer, slice, if has_above { Mode::Vertical } else { Mode::Mean }, 0);
    let coded = Coded::default();
    write_block(writer, &[0; 16], neighbours.luma_levels(&coded.luma, 0));
    coded
}

/// Writes an intra macroblock up to its levels. `pattern` is what the levels add to its type.
fn write_mode(writer: &mut BitWriter, slice: SliceType, mode: Mode, pattern: u32) {
    let numbered = if slice == SliceType::P { INTRA_IN_P } else { 0 };
    writer.unsigned(numbered + I_16X16 + mode as u32 + pattern);
    writer.unsigned(0); // intra_chroma_pred_mode: mean
    writer.signed(0); // mb_qp_delta
}

impl Levels {
    const NONE: Self = Self {
        luma_dc: [0; 16],
        luma: [[0; 16]; 16],
        chroma_dc: [[0; 4]; 2],
        chroma: [[[0; 16]; 4]; 2],
    };

    fn inter(source: &Samples, prediction: &Samples, scales: Scales) -> Self {
        let mut levels = Self::chroma_of(source, prediction, scales, Rounding::Inter);
        for (block, slot) in levels.luma.iter_mut().enumerate() {
            let values = transformed(&source.luma, &prediction.luma, MACROBLOCK, block);
            *slot = scales.luma.quantize(&values, Rounding::Inter, false);
        }
        levels
    }

    fn intra(source: &Samples, prediction: &Samples, scales: Scales) -> Self {
        if source == prediction {
            return Self::NONE;
        }
        let mut levels = Self::chroma_of(source, prediction, scales, Rounding::Intra);
        let mut first = [0; 16];
        for (block, slot) in levels.luma.iter_mut().enumerate() {
            let values = transformed(&source.luma, &prediction.luma, MACROBLOCK, block);
            first[block] = values[0];
            *slot = scales.luma.quantize(&values, Rounding::Intra, true);
        }
        levels.luma_dc = scales.luma.quantize_luma_dc(&first);
        levels
    }

    fn chroma_of(
        source: &Samples,
        prediction: &Samples,
        scales: Scales,
        rounding: Rounding,
    ) -> Self {
        let mut levels = Self::NONE;
        for plane in 0..2 {
            let (source, prediction) = (&source.chroma[plane], &prediction.chroma[plane]);
            let mut first = [0; 4];
            for (block, first) in first.iter_mut().enumerate() {
                let values = transformed(source, prediction, CHROMA_SIDE, block);
                *first = values[0];
                levels.chroma[plane][block] = scales.chroma.quantize(&values, rounding, true);
            }
            levels.chroma_dc[plane] = scales.chroma.quantize_chroma_dc(first, rounding);
        }
        levels
    }

    /// `first` is the first level that belongs to the luma blocks.
    fn pattern(&self, first: usize) -> Pattern {
        let coded = |block: &Block| block[first..].iter().any(|level| *level != 0);
        let mut luma = 0;
        for (block, levels) in self.luma.iter().enumerate() {
            luma |= u8::from(coded(levels)) << (block / 8 * 2 + block % 4 / 2);
        }
        let higher = |block: &Block| block[1..].iter().any(|level| *level != 0);
        let chroma = if self.chroma.iter().flatten().any(higher) {
            2
        } else {
            u8::from(self.chroma_dc.iter().flatten().any(|level| *level != 0))
        };
        Pattern { luma, chroma }
    }

    fn write_luma(
        &self,
        writer: &mut BitWriter,
        neighbours: &Neighbours,
        pattern: Pattern,
        first: usize,
        counts: &mut [u8; 16],
    ) {
        for index in 0..16 {
            if pattern.luma >> (index / 4) & 1 == 0 {
                continue;
            }
            let block = raster(index);
            let expected = neighbours.luma_levels(counts, block);
            counts[block] = write_block(writer, &scan(&self.luma[block])[first..], expected);
        }
    }

    fn write_chroma(
        &self,
        writer: &mut BitWriter,
        neighbours: &Neighbours,
        pattern: Pattern,
        counts: &mut [[u8; 4]; 2],
    ) {
        if pattern.chroma == 0 {
            return;
        }
        for levels in &self.chroma_dc {
            write_chroma_dc(writer, levels);
        }
        if pattern.chroma == 1 {
            return;
        }
        for (plane, blocks) in self.chroma.iter().enumerate() {
            for (block, levels) in blocks.iter().enumerate() {
                let expected = neighbours.chroma_levels(&counts[plane], plane, block);
                counts[plane][block] = write_block(writer, &scan(levels)[1..], expected);
            }
        }
    }

    /// The samples that decoders reconstruct.
    fn decoded(&self, prediction: &Samples, scales: Scales, intra: bool) -> Samples {
        let mut samples = prediction.clone();
        let first = intra.then(|| scales.luma.restore_luma_dc(&self.luma_dc));
        for (block, levels) in self.luma.iter().enumerate() {
            let mut values = scales.luma.restore(levels, intra);
            if let Some(first) = &first {
                values[0] = first[block];
            }
            add(&mut samples.luma, MACROBLOCK, block, &values);
        }
        for plane in 0..2 {
            let first = scales.chroma.restore_chroma_dc(self.chroma_dc[plane]);
            for (block, levels) in self.chroma[plane].iter().enumerate() {
                let mut values = scales.chroma.restore(levels, true);
                values[0] = first[block];
                add(&mut samples.chroma[plane], CHROMA_SIDE, block, &values);
            }
        }
        samples
    }
}

fn scan(block: &Block) -> Block {
    ZIGZAG.map(|at| block[at])
}

/// Index of the first sample of a 4×4 block in a macroblock's plane of `side`.
const fn start(side: usize, block: usize) -> usize {
    let across = side / 4;
    block / across * 4 * side + block % across * 4
}

/// The transformed difference of one 4×4 block.
fn transformed(source: &[u8], prediction: &[u8], side: usize, block: usize) -> Block {
    let mut residual = [0; 16];
    for (line, values) in residual.chunks_exact_mut(4).enumerate() {
        let at = start(side, block) + line * side;
        for (value, (one, other)) in
            values.iter_mut().zip(source[at..at + 4].iter().zip(&prediction[at..at + 4]))
        {
            *value = i32::from(*one) - i32::from(*other);
        }
    }
    forward(&residual)
}

/// Adds the residual of transformed `values` to a 4×4 block.
fn add(samples: &mut [u8], side: usize, block: usize, values: &Block) {
    if *values == [0; 16] {
        return;
    }
    let residual = inverse(values);
    for (line, values) in residual.chunks_exact(4).enumerate() {
        let at = start(side, block) + line * side;
        for (sample, value) in samples[at..at + 4].iter_mut().zip(values) {
            *sample = (i32::from(*sample) + value).clamp(0, 255) as u8;
        }
    }
}
