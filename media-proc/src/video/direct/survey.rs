//! How a row of macroblocks compares with the picture before, or with one colour.
//!
//! Works line by line over the whole row, because memory is read fastest that way. Only visible
//! samples count: those beyond the picture's edge may differ.

use super::samples::{CHROMA_SIDE, Colour, Decoded, between, row_at, squares};
use crate::convert::{MACROBLOCK, Planes};

/// Results for one row of macroblocks, from left to right.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Sums of squared differences.
    pub(super) distances: Vec<u32>,
    /// The colour of each macroblock that has only one.
    pub(super) colours: Vec<Option<Colour>>,
}

impl Survey {
    /// Measures the distance between the row at `row` of `planes` and the samples `motion` rows
    /// further down in `before`, whose edges are repeated beyond it.
    pub(super) fn compare(&mut self, planes: &Planes, before: &Decoded, row: usize, motion: i32) {
        let (columns, _) = before.macroblocks();
        let (width, height) = sides(planes);
        self.distances.clear();
        self.distances.resize(columns, 0);
        for line in (row * MACROBLOCK..height).take(MACROBLOCK) {
            let wanted = &planes.luma()[line * width..][..width];
            let shown = row_at(before.luma(), columns * MACROBLOCK, line as i32 + motion);
            add_squares::<MACROBLOCK>(&mut self.distances, wanted, shown);
        }
        let (width, height, stride) = (width / 2, height / 2, columns * CHROMA_SIDE);
        let mut mean = Vec::new();
        for (wanted, shown) in [planes.blue(), planes.red()].into_iter().zip(before.chroma()) {
            for line in (row * CHROMA_SIDE..height).take(CHROMA_SIDE) {
                let wanted = &wanted[line * width..][..width];
                let from = line as i32 + motion.div_euclid(2);
                let mut line = row_at(shown, stride, from);
                if motion % 2 != 0 {
                    mean.clear();
                    let lower = row_at(shown, stride, from + 1);
                    mean.extend(line.iter().zip(lower).map(|(one, other)| between(*one, *other)));
                    line = &mean;
                }
                add_squares::<CHROMA_SIDE>(&mut self.distances, wanted, line);
            }
        }
    }

    /// Finds the macroblocks of one colour in the row at `row` of `planes`.
    pub(super) fn plain(&mut self, planes: &Planes, row: usize) {
        let (width, height) = sides(planes);
        let chroma = |plane: &[u8], column: usize| {
            plane[row * CHROMA_SIDE * (width / 2) + column * CHROMA_SIDE]
        };
        self.colours.clear();
        self.colours.extend((0..width.div_ceil(MACROBLOCK)).map(|column| {
            let luma = planes.luma()[row * MACROBLOCK * width + column * MACROBLOCK];
            Some([luma, chroma(planes.blue(), column), chroma(planes.red(), column)])
        }));
        for line in (row * MACROBLOCK..height).take(MACROBLOCK) {
            keep_plain::<MACROBLOCK>(&mut self.colours, 0, &planes.luma()[line * width..][..width]);
        }
        let (width, height) = (width / 2, height / 2);
        for (component, plane) in [(1, planes.blue()), (2, planes.red())] {
            for line in (row * CHROMA_SIDE..height).take(CHROMA_SIDE) {
                let line = &plane[line * width..][..width];
                keep_plain::<CHROMA_SIDE>(&mut self.colours, component, line);
            }
        }
    }
}

fn sides(planes: &Planes) -> (usize, usize) {
    (planes.size().width().into(), planes.size().height().into())
}

fn add_squares<const SIDE: usize>(distances: &mut [u32], wanted: &[u8], shown: &[u8]) {
    let (whole, rest) = wanted.as_chunks::<SIDE>();
    let (shown, _) = shown.as_chunks::<SIDE>();
    for (distance, (wanted, shown)) in distances.iter_mut().zip(whole.iter().zip(shown)) {
        *distance += squares(wanted, shown);
    }
    if let (Some(distance), Some(shown)) = (distances.get_mut(whole.len()), shown.get(whole.len()))
    {
        let mut seen = *shown;
        seen[..rest.len()].copy_from_slice(rest);
        *distance += squares(&seen, shown);
    }
}

fn keep_plain<const SIDE: usize>(colours: &mut [Option<Colour>], component: usize, line: &[u8]) {
    for (colour, samples) in colours.iter_mut().zip(line.chunks(SIDE)) {
        if colour.is_some_and(|colour| samples.iter().any(|sample| *sample != colour[component])) {
            *colour = None;
        }
    }
}
