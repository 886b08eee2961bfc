//! The samples of one macroblock, and the pictures they are read from and written to.

use std::ops::Range;

use lumen_ipc::units::FrameSize;

use crate::convert::{MACROBLOCK, Planes};

/// Side of a macroblock in chroma samples.
pub(super) const CHROMA_SIDE: usize = MACROBLOCK / 2;

/// Luma, Cb and Cr.
pub(super) type Colour = [u8; 3];

/// A macroblock's samples in raster order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Samples {
    pub(super) luma: [u8; 256],
    /// Cb and Cr.
    pub(super) chroma: [[u8; 64]; 2],
}

impl Samples {
    pub(super) const fn flat(luma: u8, chroma: [u8; 2]) -> Self {
        Self { luma: [luma; 256], chroma: [[chroma[0]; 64], [chroma[1]; 64]] }
    }

    /// The colour, if there is only one.
    pub(super) fn colour(&self) -> Option<Colour> {
        let colour = [self.luma[0], self.chroma[0][0], self.chroma[1][0]];
        (*self == Self::flat(colour[0], [colour[1], colour[2]])).then_some(colour)
    }

    /// The same, with what lies beyond `visible` columns and rows of luma from `other`. It costs no bits
    /// where that is the prediction, and nobody sees it.
    pub(super) fn with_hidden(&self, other: &Self, visible: (usize, usize)) -> Self {
        let (columns, rows) = visible;
        let mut samples = self.clone();
        take_hidden::<MACROBLOCK>(&mut samples.luma, &other.luma, (columns, rows));
        for (samples, other) in samples.chroma.iter_mut().zip(&other.chroma) {
            take_hidden::<CHROMA_SIDE>(samples, other, (columns / 2, rows / 2));
        }
        samples
    }

    /// Sum of squared differences.
    pub(super) fn distance(&self, other: &Self) -> u32 {
        squares(&self.luma, &other.luma)
            + squares(&self.chroma[0], &other.chroma[0])
            + squares(&self.chroma[1], &other.chroma[1])
    }
}

fn take_hidden<const SIDE: usize>(
    samples: &mut [u8],
    other: &[u8],
    (columns, rows): (usize, usize),
) {
    let (square, _) = samples.as_chunks_mut::<SIDE>();
    let (other, _) = other.as_chunks::<SIDE>();
    for (row, (line, other)) in square.iter_mut().zip(other).enumerate() {
        let from = if row < rows { columns.min(SIDE) } else { 0 };
        line[from..].copy_from_slice(&other[from..]);
    }
}

#[inline]
pub(super) fn squares<const COUNT: usize>(one: &[u8; COUNT], other: &[u8; COUNT]) -> u32 {
    let mut sum = 0;
    for (one, other) in one.iter().zip(other) {
        // In 16 bits, because processors multiply and add pairs of 16-bit values in one step.
        let difference = i16::from(*one) - i16::from(*other);
        sum += i32::from(difference) * i32::from(difference);
    }
    sum.unsigned_abs()
}

/// The samples of the macroblock at `column` and `row` of `planes`. Beyond the picture's edge the
/// last samples are repeated, as x264 does.
pub(super) fn source(planes: &Planes, column: usize, row: usize) -> Samples {
    let (width, height) = (usize::from(planes.size().width()), usize::from(planes.size().height()));
    let mut samples = Samples::flat(0, [0, 0]);
    let place = |side: usize| (column * side, row * side);
    take::<MACROBLOCK>(planes.luma(), (width, height), place(MACROBLOCK), &mut samples.luma);
    let chroma_size = (width / 2, height / 2);
    for (plane, samples) in [planes.blue(), planes.red()].into_iter().zip(&mut samples.chroma) {
        take::<CHROMA_SIDE>(plane, chroma_size, place(CHROMA_SIDE), samples);
    }
    samples
}

#[inline]
fn take<const SIDE: usize>(
    plane: &[u8],
    (width, height): (usize, usize),
    (x, y): (usize, usize),
    samples: &mut [u8],
) {
    let (square, _) = samples.as_chunks_mut::<SIDE>();
    if x + SIDE <= width && y + SIDE <= height {
        let rows = plane[y * width..].chunks_exact(width);
        for (line, row) in square.iter_mut().zip(rows) {
            if let Some(inside) = row[x..].first_chunk() {
                *line = *inside;
            }
        }
        return;
    }
    let inside = SIDE.min(width - x);
    for (index, line) in square.iter_mut().enumerate() {
        let start = (y + index).min(height - 1) * width + x;
        line[..inside].copy_from_slice(&plane[start..start + inside]);
        let last = line[inside - 1];
        line[inside..].fill(last);
    }
}

/// A decoded picture, in whole macroblocks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::video) struct Decoded {
    columns: usize,
    rows: usize,
    luma: Vec<u8>,
    chroma: [Vec<u8>; 2],
}

impl Decoded {
    /// A picture of `size`, rounded up to whole macroblocks.
    pub(in crate::video) fn new(size: FrameSize) -> Self {
        let columns = usize::from(size.width()).div_ceil(MACROBLOCK);
        let rows = usize::from(size.height()).div_ceil(MACROBLOCK);
        let plane = |side: usize| vec![0; columns * side * rows * side];
        let chroma = [plane(CHROMA_SIDE), plane(CHROMA_SIDE)];
        Self { columns, rows, luma: plane(MACROBLOCK), chroma }
    }

    /// Macroblocks per row, and rows of macroblocks.
    pub(in crate::video) const fn macroblocks(&self) -> (usize, usize) {
        (self.columns, self.rows)
    }

    /// Luma, rows tightly packed.
    pub(in crate::video) fn luma(&self) -> &[u8] {
        &self.luma
    }

    /// Cb and Cr, rows tightly packed.
    pub(in crate::video) const fn chroma(&self) -> &[Vec<u8>; 2] {
        &self.chroma
    }

    /// Luma, Cb and Cr, writable.
    pub(in crate::video) fn planes_mut(&mut self) -> (&mut [u8], [&mut [u8]; 2]) {
        let [blue, red] = &mut self.chroma;
        (&mut self.luma, [blue, red])
    }

    /// The samples of the macroblock `down` luma rows below that at `column` and `row`. Beyond the
    /// picture's edge the last row is repeated (H.264, section 8.4.2.2.1).
    pub(super) fn samples(&self, column: usize, row: usize, down: i32) -> Samples {
        let mut samples = Samples::flat(0, [0, 0]);
        let top = (row * MACROBLOCK) as i32 + down;
        lines::<MACROBLOCK>(&self.luma, self.columns, column, top, &mut samples.luma);
        let top = (row * CHROMA_SIDE) as i32 + down.div_euclid(2);
        for (plane, samples) in self.chroma.iter().zip(&mut samples.chroma) {
            lines::<CHROMA_SIDE>(plane, self.columns, column, top, samples);
            if down % 2 != 0 {
                let mut lower = [0; 64];
                lines::<CHROMA_SIDE>(plane, self.columns, column, top + 1, &mut lower);
                for (sample, lower) in samples.iter_mut().zip(lower) {
                    *sample = between(*sample, lower);
                }
            }
        }
        samples
    }

    /// Copies the macroblocks of `row` in `columns` from `motion` rows further down in `before`.
    pub(super) fn copy_from(
        &mut self,
        before: &Self,
        row: usize,
        columns: Range<usize>,
        motion: i32,
    ) {
        let width = self.columns * MACROBLOCK;
        let span = columns.start * MACROBLOCK..columns.end * MACROBLOCK;
        for line in row * MACROBLOCK..(row + 1) * MACROBLOCK {
            let from = &row_at(&before.luma, width, line as i32 + motion)[span.clone()];
            self.luma[line * width..][span.clone()].copy_from_slice(from);
        }
        let width = self.columns * CHROMA_SIDE;
        let span = columns.start * CHROMA_SIDE..columns.end * CHROMA_SIDE;
        for (plane, before) in self.chroma.iter_mut().zip(&before.chroma) {
            for line in row * CHROMA_SIDE..(row + 1) * CHROMA_SIDE {
                let from = line as i32 + motion.div_euclid(2);
                let into = &mut plane[line * width..][span.clone()];
                into.copy_from_slice(&row_at(before, width, from)[span.clone()]);
                if motion % 2 != 0 {
                    let lower = &row_at(before, width, from + 1)[span.clone()];
                    into.iter_mut().zip(lower).for_each(|(sample, lower)| {
                        *sample = between(*sample, *lower);
                    });
                }
            }
        }
    }

    pub(super) fn put(&mut self, column: usize, row: usize, samples: &Samples) {
        put_lines::<MACROBLOCK>(&mut self.luma, self.columns, (column, row), &samples.luma);
        for (plane, samples) in self.chroma.iter_mut().zip(&samples.chroma) {
            put_lines::<CHROMA_SIDE>(plane, self.columns, (column, row), samples);
        }
    }

    /// The luma samples around a macroblock, for intra prediction.
    pub(super) fn luma_edges(&self, column: usize, row: usize) -> Edges {
        Edges::of(&self.luma, self.columns, (column, row), MACROBLOCK)
    }

    /// The samples of Cb and Cr around a macroblock.
    pub(super) fn chroma_edges(&self, column: usize, row: usize) -> [Edges; 2] {
        let edges = |plane| Edges::of(plane, self.columns, (column, row), CHROMA_SIDE);
        [edges(&self.chroma[0]), edges(&self.chroma[1])]
    }
}

/// Row `row` of a plane with rows of `width` samples, or the one nearest to it.
pub(super) fn row_at(plane: &[u8], width: usize, row: i32) -> &[u8] {
    let last = plane.len() / width - 1;
    &plane[usize::try_from(row).unwrap_or(0).min(last) * width..][..width]
}

/// Halfway between two chroma rows (H.264, section 8.4.2.2.2).
pub(super) const fn between(upper: u8, lower: u8) -> u8 {
    // The mean of two bytes is a byte.
    (upper as u16 + lower as u16).div_ceil(2) as u8
}

#[inline]
fn lines<const SIDE: usize>(
    plane: &[u8],
    columns: usize,
    column: usize,
    top: i32,
    samples: &mut [u8],
) {
    let (square, _) = samples.as_chunks_mut::<SIDE>();
    for (line, row) in square.iter_mut().zip(top..) {
        if let Some(inside) = row_at(plane, columns * SIDE, row)[column * SIDE..].first_chunk() {
            *line = *inside;
        }
    }
}

#[inline]
fn put_lines<const SIDE: usize>(
    plane: &mut [u8],
    columns: usize,
    (column, row): (usize, usize),
    samples: &[u8],
) {
    let stride = columns * SIDE;
    let rows = plane[row * SIDE * stride..].chunks_exact_mut(stride);
    let (square, _) = samples.as_chunks::<SIDE>();
    for (line, row) in square.iter().zip(rows) {
        if let Some(inside) = row[column * SIDE..].first_chunk_mut() {
            *inside = *line;
        }
    }
}

/// The decoded samples above and left of a macroblock, where they exist.
#[derive(Clone, Debug)]
pub(super) struct Edges {
    above: Option<[u8; MACROBLOCK]>,
    left: Option<[u8; MACROBLOCK]>,
}

impl Edges {
    fn of(plane: &[u8], columns: usize, (column, row): (usize, usize), side: usize) -> Self {
        let stride = columns * side;
        let start = row * side * stride + column * side;
        let above = (row > 0).then(|| {
            let mut samples = [0; MACROBLOCK];
            samples[..side].copy_from_slice(&plane[start - stride..][..side]);
            samples
        });
        let left = (column > 0).then(|| {
            let mut samples = [0; MACROBLOCK];
            for (index, sample) in samples[..side].iter_mut().enumerate() {
                *sample = plane[start + index * stride - 1];
            }
            samples
        });
        Self { above, left }
    }

    /// The samples above, if there is a macroblock above.
    pub(super) const fn above(&self) -> Option<&[u8; MACROBLOCK]> {
        self.above.as_ref()
    }

    /// The mean of a whole macroblock's edges (H.264, section 8.3.3.3).
    pub(super) fn mean(&self) -> u8 {
        Self::rounded(self.above.as_ref(), self.left.as_ref())
    }

    /// The means for the four blocks of chroma (H.264, sections 8.3.4.1 to 8.3.4.3).
    pub(super) fn block_means(&self) -> [u8; 4] {
        let above = |at: usize| self.above.as_ref().map(|edge| &edge[at..at + 4]);
        let left = |at: usize| self.left.as_ref().map(|edge| &edge[at..at + 4]);
        [
            Self::rounded(above(0), left(0)),
            // A block beside the corner prefers the edge that it touches.
            above(4).map_or_else(
                || Self::rounded(None, left(0)),
                |edge| Self::rounded(Some(edge), None),
            ),
            left(4).map_or_else(
                || Self::rounded(above(0), None),
                |edge| Self::rounded(None, Some(edge)),
            ),
            Self::rounded(above(4), left(4)),
        ]
    }

    fn rounded<Edge: AsRef<[u8]> + ?Sized>(above: Option<&Edge>, left: Option<&Edge>) -> u8 {
        let (mut sum, mut count) = (0_u32, 0_u32);
        for edge in above.into_iter().chain(left) {
            sum += edge.as_ref().iter().copied().map(u32::from).sum::<u32>();
            count += edge.as_ref().len() as u32;
        }
        // The mean of bytes is a byte.
        (sum + count / 2).checked_div(count).map_or(128, |mean| mean as u8)
    }
}
