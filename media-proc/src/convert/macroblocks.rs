//! Which macroblocks of a picture changed: damage on the encoder's grid.
//!
//! One byte per macroblock in raster order, in exactly the form x264 reads it, so that the map is
//! handed over without a copy. Damage of several frames adds up until an encode clears it.

use std::ops::Range;

use lumen_ipc::{message::frames::Rect, units::FrameSize};

/// Side of a macroblock in luma samples (H.264, section 3.100).
pub const MACROBLOCK: usize = 16;

/// x264's `X264_MBINFO_CONSTANT`: the samples are the same as in the picture encoded before.
const CONSTANT: u8 = 1;
/// x264 is promised nothing and examines the macroblock.
const CHANGED: u8 = 0;

/// Macroblocks that are converted together: 64 pixels, a whole number of the converter's vectors on
/// every processor, so that a run is rounded exactly as the whole row would be.
const BLOCK: usize = 4;

/// The macroblocks of one picture, each either changed or constant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MacroblockMap {
    size: FrameSize,
    flags: Vec<u8>,
}

/// A stretch of one row of macroblocks that contains all its changes, in pixels. Clipped to the
/// picture; begins and, except at the right edge, ends at a multiple of four macroblocks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Run {
    /// Left edge, a multiple of four [`MACROBLOCK`]s.
    pub x: usize,
    /// Top edge, a multiple of [`MACROBLOCK`].
    pub y: usize,
    /// Width, even because frame sizes are.
    pub width: usize,
    /// Height, at most [`MACROBLOCK`].
    pub height: usize,
}

impl MacroblockMap {
    /// A map of a picture of `size` in which nothing changed.
    #[must_use]
    pub fn constant(size: FrameSize) -> Self {
        let rows = usize::from(size.height()).div_ceil(MACROBLOCK);
        Self { size, flags: vec![CONSTANT; columns(size) * rows] }
    }

    /// A map of a picture of `size` in which everything changed.
    #[must_use]
    pub fn whole(size: FrameSize) -> Self {
        let mut map = Self::constant(size);
        map.mark_all();
        map
    }

    /// Size of the picture.
    #[must_use]
    pub const fn size(&self) -> FrameSize {
        self.size
    }

    /// Marks every macroblock that `rect` touches. Parts outside the picture are ignored.
    pub fn mark(&mut self, rect: Rect) {
        let span = |start: u16, length: u16| {
            let (start, length) = (usize::from(start), usize::from(length));
            start / MACROBLOCK..(start + length).div_ceil(MACROBLOCK)
        };
        let (across, down) = (span(rect.x, rect.width), span(rect.y, rect.height));
        let rows = self.flags.chunks_exact_mut(columns(self.size));
        for row in rows.skip(down.start).take(down.len()) {
            let end = across.end.min(row.len());
            row[across.start.min(end)..end].fill(CHANGED);
        }
    }

    /// Marks every macroblock.
    pub fn mark_all(&mut self) {
        self.flags.fill(CHANGED);
    }

    /// Adds what changed in `later`, a map of the same picture.
    pub fn add(&mut self, later: &Self) {
        debug_assert_eq!(self.size, later.size);
        for (flag, later) in self.flags.iter_mut().zip(&later.flags) {
            // CHANGED is zero, so it survives the conjunction.
            *flag &= later;
        }
    }

    /// Forgets all changes.
    pub fn clear(&mut self) {
        self.flags.fill(CONSTANT);
    }

    /// How many macroblocks changed.
    #[must_use]
    pub fn changed(&self) -> usize {
        self.flags.iter().filter(|flag| **flag == CHANGED).count()
    }

    /// Whether any macroblock of this row of macroblocks changed.
    #[must_use]
    pub fn row_changed(&self, row: usize) -> bool {
        let mut rows = self.flags.chunks_exact(columns(self.size));
        rows.nth(row).is_some_and(|flags| flags.contains(&CHANGED))
    }

    /// How many macroblocks the picture has.
    #[must_use]
    pub fn total(&self) -> usize {
        self.flags.len()
    }

    /// The changes of each row of macroblocks.
    pub fn rows(&self) -> impl Iterator<Item = RowChanges<'_>> {
        self.flags.chunks_exact(columns(self.size)).map(|flags| RowChanges { flags: flags.iter() })
    }

    /// One flag per macroblock, as x264's `mb_info` wants them.
    #[must_use]
    pub fn flags(&self) -> &[u8] {
        &self.flags
    }

    /// What must be converted, each pixel once.
    pub fn runs(&self) -> impl Iterator<Item = Run> + '_ {
        let (width, height) = (usize::from(self.size.width()), usize::from(self.size.height()));
        self.flags.chunks_exact(columns(self.size)).enumerate().flat_map(move |(row, flags)| {
            let y = row * MACROBLOCK;
            spans(flags).map(move |span| Run {
                x: span.start * MACROBLOCK,
                y,
                width: (span.end * MACROBLOCK).min(width) - span.start * MACROBLOCK,
                height: (y + MACROBLOCK).min(height) - y,
            })
        })
    }

    /// The same as few rectangles, for whoever pays for each.
    #[must_use]
    pub fn rects(&self) -> Vec<Rect> {
        // Sides are at most 4096.
        let rect = |run: Run| Rect {
            x: run.x as u16,
            y: run.y as u16,
            width: run.width as u16,
            height: run.height as u16,
        };
        let mut rects: Vec<Rect> = Vec::new();
        for run in self.runs().map(rect) {
            let above = rects.iter_mut().rev().find(|rect| {
                (rect.x, rect.width, rect.y + rect.height) == (run.x, run.width, run.y)
            });
            match above {
                Some(above) => above.height += run.height,
                None => rects.push(run),
            }
        }
        rects
    }
}

/// Whether each macroblock of a row changed, from left to right.
#[derive(Clone, Debug)]
pub struct RowChanges<'map> {
    flags: std::slice::Iter<'map, u8>,
}

impl Iterator for RowChanges<'_> {
    type Item = bool;

    fn next(&mut self) -> Option<bool> {
        self.flags.next().map(|flag| *flag == CHANGED)
    }
}

/// Macroblocks in a row.
fn columns(size: FrameSize) -> usize {
    usize::from(size.width()).div_ceil(MACROBLOCK)
}

/// The maximal stretches of blocks with a changed flag, in macroblocks.
fn spans(flags: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    let blocks = flags.chunks(BLOCK).map(|block| block.contains(&CHANGED));
    let mut blocks = blocks.enumerate().peekable();
    std::iter::from_fn(move || {
        let (first, _) = blocks.find(|(_, changed)| *changed)?;
        let mut last = first;
        while let Some((next, _)) = blocks.next_if(|(_, changed)| *changed) {
            last = next;
        }
        Some(first * BLOCK..((last + 1) * BLOCK).min(flags.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size() -> FrameSize {
        FrameSize::new(70, 40).expect("legal size")
    }

    #[test]
    fn mark_pixel_in_the_last_partial_macroblock_gives_a_clipped_run() {
        let mut map = MacroblockMap::constant(size());
        map.mark(Rect { x: 69, y: 39, width: 1, height: 1 });
        let runs: Vec<_> = map.runs().collect();
        assert_eq!(runs, [Run { x: 64, y: 32, width: 6, height: 8 }]);
    }

    #[test]
    fn mark_overlapping_rects_gives_each_pixel_once() {
        let wide = FrameSize::new(260, 40).expect("legal size");
        let mut map = MacroblockMap::constant(wide);
        map.mark(Rect { x: 20, y: 0, width: 50, height: 16 });
        map.mark(Rect { x: 60, y: 8, width: 16, height: 8 });
        map.mark(Rect { x: 200, y: 0, width: 1, height: 1 });
        let runs: Vec<_> = map.runs().collect();
        assert_eq!(
            runs,
            [
                Run { x: 0, y: 0, width: 128, height: 16 },
                Run { x: 192, y: 0, width: 64, height: 16 },
            ]
        );
        assert_eq!((map.changed(), map.total()), (5, 51));
    }

    #[test]
    fn rects_are_few_and_cover_what_the_runs_do() {
        let wide = FrameSize::new(260, 72).expect("legal size");
        assert_eq!(MacroblockMap::whole(wide).rects().len(), 1);
        let mut map = MacroblockMap::constant(wide);
        map.mark(Rect { x: 10, y: 10, width: 20, height: 60 });
        map.mark(Rect { x: 200, y: 20, width: 10, height: 10 });
        let rect = |x, y, width, height| Rect { x, y, width, height };
        assert_eq!(map.rects(), [rect(0, 0, 64, 72), rect(192, 16, 64, 16)]);
        let area: usize = map.runs().map(|run| run.width * run.height).sum();
        let covered: usize =
            map.rects().iter().map(|it| usize::from(it.width) * usize::from(it.height)).sum();
        assert_eq!(area, covered);
    }

    #[test]
    fn mark_outside_the_picture_changes_nothing() {
        let mut map = MacroblockMap::constant(size());
        map.mark(Rect { x: 4000, y: 4000, width: 95, height: 95 });
        assert_eq!(map.changed(), 0);
    }

    #[test]
    fn add_keeps_the_changes_of_both() {
        let (mut one, mut other) =
            (MacroblockMap::constant(size()), MacroblockMap::constant(size()));
        one.mark(Rect { x: 0, y: 0, width: 1, height: 1 });
        other.mark(Rect { x: 32, y: 32, width: 1, height: 1 });
        one.add(&other);
        assert_eq!(one.changed(), 2);
        one.clear();
        assert_eq!(one.changed(), 0);
    }
}
