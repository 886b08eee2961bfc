//! A smaller picture for networks that carry too little for the whole one.
//!
//! Each sample is the mean of the area that it covers, a box filter: nothing of the picture is left
//! out, so thin lines fade instead of vanishing, and still content stays still. Only what changed is
//! computed, from the planes that are there anyway.
//!
//! INVARIANT: every sample is what a reduction of the whole picture would have put there. So a
//! macroblock that is not named as changed is the same as before.

use lumen_ipc::{message::frames::Rect, units::FrameSize};

use super::{MacroblockMap, Planes, Run};

/// How much smaller a picture is, along each side.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Reduction {
    /// Eighths of a side that remain.
    eighths: u8,
}

/// Pictures of fewer pixels are of no use to anybody, and are left as they are.
const LEAST_PIXELS: u32 = 320 * 180;

impl Reduction {
    /// Three quarters of each side.
    pub const SLIGHT: Self = Self { eighths: 6 };
    /// Half of each side.
    pub const HALF: Self = Self { eighths: 4 };
    /// Three eighths of each side.
    pub const STRONG: Self = Self { eighths: 3 };
    /// A quarter of each side.
    pub const QUARTER: Self = Self { eighths: 2 };
    /// The whole picture.
    pub const WHOLE: Self = Self { eighths: 8 };

    /// The part of the pixels that remains.
    #[must_use]
    pub fn part(self) -> f64 {
        let side = f64::from(self.eighths) / 8.0;
        side * side
    }

    /// The size of a picture of `whole`. One that would be too small keeps the least size of its
    /// shape.
    #[must_use]
    pub fn of(self, whole: FrameSize) -> FrameSize {
        let (width, height) = (u32::from(whole.width()), u32::from(whole.height()));
        let reduced = |eighths: u32| FrameSize::nearest(width * eighths / 8, height * eighths / 8);
        let large = |size: &FrameSize| pixels(*size) >= LEAST_PIXELS;
        (u32::from(self.eighths)..8).map(reduced).find(large).unwrap_or(whole)
    }
}

fn pixels(size: FrameSize) -> u32 {
    u32::from(size.width()) * u32::from(size.height())
}

/// A smaller copy of a picture.
#[derive(Clone, Debug)]
pub struct Reduced {
    whole: FrameSize,
    planes: Planes,
    changed: MacroblockMap,
    luma: Shrinking,
    chroma: Grid,
    /// Whether nothing was computed yet.
    fresh: bool,
    /// Sums of columns; kept to reuse the memory.
    sums: Vec<u32>,
}

impl Reduced {
    /// A copy of `size` of pictures of `whole`, which are at least as large.
    #[must_use]
    pub fn new(whole: FrameSize, size: FrameSize) -> Self {
        let sides = |size: FrameSize| (usize::from(size.width()), usize::from(size.height()));
        let ((from_width, from_height), (width, height)) = (sides(whole), sides(size));
        let chroma = ((from_width / 2, width / 2), (from_height / 2, height / 2));
        Self {
            whole,
            planes: Planes::new(size),
            changed: MacroblockMap::constant(size),
            luma: Shrinking::new(whole, size),
            chroma: Grid::new(chroma.0, chroma.1),
            fresh: true,
            sums: Vec::new(),
        }
    }

    /// Whether it is of `size` and of pictures of `whole`.
    #[must_use]
    pub fn is_of(&self, whole: FrameSize, size: FrameSize) -> bool {
        (self.whole, self.planes.size()) == (whole, size)
    }

    /// Computes what `changed` names, or all if nothing was computed yet. `whole` is of the size that
    /// this was made for.
    pub fn update(&mut self, whole: &Planes, changed: &MacroblockMap) {
        debug_assert_eq!(self.whole, whole.size());
        if std::mem::take(&mut self.fresh) {
            self.changed.mark_all();
        } else {
            self.changed = self.luma.changed(changed);
        }
        for run in self.changed.runs() {
            let half =
                Run { x: run.x / 2, y: run.y / 2, width: run.width / 2, height: run.height / 2 };
            let Self { planes, luma, chroma, sums, .. } = self;
            luma.pixels.fill(&whole.luma, &mut planes.luma, run, sums);
            chroma.fill(&whole.blue, &mut planes.blue, half, sums);
            chroma.fill(&whole.red, &mut planes.red, half, sums);
        }
    }

    /// The samples.
    #[must_use]
    pub const fn planes(&self) -> &Planes {
        &self.planes
    }

    /// What the last update changed.
    #[must_use]
    pub const fn changed(&self) -> &MacroblockMap {
        &self.changed
    }
}

/// Which macroblocks of a smaller picture change with those of the whole one.
#[derive(Clone, Debug)]
pub struct Shrinking {
    size: FrameSize,
    pixels: Grid,
}

impl Shrinking {
    /// From pictures of `whole` to smaller ones of `size`.
    #[must_use]
    pub fn new(whole: FrameSize, size: FrameSize) -> Self {
        let (columns, rows) = (whole.width().into(), whole.height().into());
        let (width, height) = (size.width().into(), size.height().into());
        Self { size, pixels: Grid::new((columns, width), (rows, height)) }
    }

    /// What of the smaller picture changes with what `changed` names.
    #[must_use]
    pub fn changed(&self, changed: &MacroblockMap) -> MacroblockMap {
        let mut smaller = MacroblockMap::constant(self.size);
        changed.runs().for_each(|run| smaller.mark(self.pixels.covering(run)));
        smaller
    }
}

/// How the samples of one plane cover those of a larger one.
#[derive(Clone, Debug)]
struct Grid {
    columns: Axis,
    rows: Axis,
}

impl Grid {
    fn new(columns: (usize, usize), rows: (usize, usize)) -> Self {
        Self { columns: Axis::new(columns), rows: Axis::new(rows) }
    }

    /// The samples that cover any of `run`, which lies in the larger plane.
    fn covering(&self, run: Run) -> Rect {
        let (left, right) = self.columns.covering(run.x, run.x + run.width);
        let (top, bottom) = self.rows.covering(run.y, run.y + run.height);
        // Sides are at most 4096, so no value is truncated.
        let narrow = |value: usize| value as u16;
        Rect {
            x: narrow(left),
            y: narrow(top),
            width: narrow(right - left),
            height: narrow(bottom - top),
        }
    }

    /// Computes the samples of `run`: sums columns, which the compiler does many at a time, and then
    /// along the row.
    fn fill(&self, from: &[u8], to: &mut [u8], run: Run, sums: &mut Vec<u32>) {
        let (first, end) = self.columns.covered(run.x, run.x + run.width);
        // The sum of a whole area is below 2³² for sides of at most 4096.
        let area = u64::from(self.columns.weight) * u64::from(self.rows.weight);
        let reciprocal = (1_u64 << SHIFT).div_ceil(area);
        for y in run.y..run.y + run.height {
            sums.clear();
            sums.resize(end - first, 0);
            let (source, weights) = self.rows.taps(y);
            for (source, weight) in (source..).zip(weights) {
                let row = &from[source * self.columns.from..][first..end];
                sums.iter_mut()
                    .zip(row)
                    .for_each(|(sum, value)| *sum += weight * u32::from(*value));
            }
            let row = &mut to[y * self.columns.to..][run.x..run.x + run.width];
            for (x, sample) in (run.x..).zip(row) {
                let (source, weights) = self.columns.taps(x);
                let covered = &sums[source - first..][..weights.len()];
                let sum: u32 = covered.iter().zip(weights).map(|(sum, weight)| sum * weight).sum();
                *sample = (((u64::from(sum) + area / 2) * reciprocal) >> SHIFT) as u8;
            }
        }
    }
}

/// Bits of the reciprocal of an area: so many that a mean is exact to far less than one.
const SHIFT: u32 = 32;

/// One direction of a grid.
#[derive(Clone, Debug)]
struct Axis {
    /// Samples of the larger plane.
    from: usize,
    /// Samples of this one.
    to: usize,
    /// What the weights of each sample add up to.
    weight: u32,
    /// The first sample that each one covers, and where its weights begin.
    starts: Vec<(usize, usize)>,
    weights: Vec<u32>,
}

impl Axis {
    /// Lays `to` samples over `from`, in units of which each of the former is `from` long and each of
    /// the latter `to`, or a common part of that.
    fn new((from, to): (usize, usize)) -> Self {
        let common = greatest_common_divisor(from, to);
        let (long, short) = (from / common, to / common);
        let (mut starts, mut weights) = (Vec::with_capacity(to + 1), Vec::new());
        for sample in 0..to {
            let (begin, end) = (sample * long, (sample + 1) * long);
            starts.push((begin / short, weights.len()));
            let covered = begin / short..end.div_ceil(short);
            weights.extend(covered.map(|source| {
                let overlap = end.min((source + 1) * short) - begin.max(source * short);
                overlap as u32
            }));
        }
        starts.push((from, weights.len()));
        Self { from, to, weight: long as u32, starts, weights }
    }

    /// The first sample that one covers, and the weights of all that it covers.
    fn taps(&self, sample: usize) -> (usize, &[u32]) {
        let (source, begin) = self.starts[sample];
        let (_, end) = self.starts[sample + 1];
        (source, &self.weights[begin..end])
    }

    /// What the samples from `begin` to `end` cover.
    fn covered(&self, begin: usize, end: usize) -> (usize, usize) {
        (begin * self.from / self.to, (end * self.from).div_ceil(self.to))
    }

    /// The samples that cover anything from `begin` to `end`.
    fn covering(&self, begin: usize, end: usize) -> (usize, usize) {
        (begin * self.to / self.from, (end * self.to).div_ceil(self.from))
    }
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn size(width: u16, height: u16) -> FrameSize {
        FrameSize::new(width, height).expect("legal size")
    }

    /// Planes with these samples, by place.
    fn painted(size: FrameSize, sample: impl Fn(usize, usize) -> u8) -> Planes {
        let mut planes = Planes::new(size);
        let width = usize::from(size.width());
        for (plane, width) in
            [(&mut planes.luma, width), (&mut planes.blue, width / 2), (&mut planes.red, width / 2)]
        {
            plane.iter_mut().enumerate().for_each(|(at, value)| {
                *value = sample(at % width, at / width);
            });
        }
        planes
    }

    fn reduced(planes: &Planes, size: FrameSize) -> Reduced {
        let mut reduced = Reduced::new(planes.size(), size);
        reduced.update(planes, &MacroblockMap::whole(planes.size()));
        reduced
    }

    #[test]
    fn of_gives_even_sides_of_the_same_shape_and_nothing_too_small() {
        for (whole, half) in [
            ((1920, 1080), (960, 540)),
            ((1366, 768), (682, 384)),
            ((640, 360), (320, 180)),
            // 160x120 would be too small.
            ((320, 240), (280, 210)),
            ((64, 64), (64, 64)),
        ] {
            let found = Reduction::HALF.of(size(whole.0, whole.1));
            assert_eq!(found, size(half.0, half.1), "{whole:?}");
        }
        let whole = size(1280, 720);
        assert_eq!(Reduction::WHOLE.of(whole), whole);
        assert_eq!(Reduction::SLIGHT.of(whole), size(960, 540));
        assert_eq!(Reduction::QUARTER.of(whole), size(320, 180));
        assert_eq!(Reduction::QUARTER.of(size(800, 600)), size(300, 224));
    }

    #[test]
    fn sample_is_the_mean_of_the_area_that_it_covers() {
        let whole = painted(size(640, 480), |x, y| ((x % 2) * 100 + (y % 2) * 50) as u8);
        let half = reduced(&whole, size(320, 240));
        assert!(half.planes.luma().iter().all(|value| *value == 75));
        // Of four columns 0, 1, 2, 3 the first of three means is (3 × 0 + 1 × 1) / 4, and so on.
        let ramp = painted(size(640, 480), |x, _| (x % 4 * 60) as u8);
        let slight = reduced(&ramp, size(480, 360));
        assert_eq!(slight.planes.luma()[..4], [15, 90, 165, 15]);
    }

    #[test]
    fn flat_colour_is_exact_at_every_reduction_and_shape() {
        for (width, height) in [(1366, 768), (802, 602), (4096, 320)] {
            for value in [0, 127, 255] {
                let whole = painted(size(width, height), |_, _| value);
                for reduction in [Reduction::SLIGHT, Reduction::STRONG, Reduction::QUARTER] {
                    let size = reduction.of(whole.size());
                    assert_eq!(reduced(&whole, size).planes, painted(size, |_, _| value));
                }
            }
        }
    }

    #[test]
    fn update_of_nothing_changes_nothing() {
        let whole = painted(size(640, 480), |x, y| (x * 7 + y * 3) as u8);
        let mut half = reduced(&whole, size(320, 240));
        assert_eq!(half.changed().changed(), half.changed().total());
        half.update(&whole, &MacroblockMap::constant(whole.size()));
        assert_eq!(half.changed().changed(), 0);
    }

    proptest! {
        #[test]
        fn of_any_size_is_even_no_larger_and_keeps_the_shape(
            width in 32_u32..2048, height in 32_u32..2048, eighths in 1_u8..=8,
        ) {
            let whole = FrameSize::nearest(width * 2, height * 2);
            let size = Reduction { eighths }.of(whole);
            prop_assert!(size.width().is_multiple_of(2) && size.height().is_multiple_of(2));
            prop_assert!(size.width() <= whole.width() && size.height() <= whole.height());
            prop_assert!(size == whole || pixels(size) >= LEAST_PIXELS);
            // Each side is cut to an even number of pixels.
            let across = f64::from(size.width()) * f64::from(whole.height());
            let down = f64::from(size.height()) * f64::from(whole.width());
            let cut = 2.0 * f64::from(whole.width().max(whole.height()));
            prop_assert!((across - down).abs() <= cut, "{} of {}", size, whole);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn update_of_damage_is_what_the_whole_would_be(
            (width, height) in (170_u16..240, 170_u16..200),
            eighths in 2_u32..8,
            rects in prop::collection::vec((0_u16..480, 0_u16..400, 1_u16..90, 1_u16..90), 1..5),
        ) {
            let whole = size(width * 2, height * 2);
            let (wide, high) = (u32::from(whole.width()), u32::from(whole.height()));
            let size = FrameSize::nearest(wide * eighths / 8, high * eighths / 8);
            let before = painted(whole, |x, y| (x * 31 + y * 17) as u8);
            let mut updated = reduced(&before, size);
            let old = updated.planes.clone();
            let mut damage = MacroblockMap::constant(whole);
            for (x, y, width, height) in rects {
                damage.mark(Rect { x, y, width, height });
            }
            let mut after = before;
            let width = usize::from(whole.width());
            for run in damage.runs() {
                for y in run.y..run.y + run.height {
                    after.luma[y * width + run.x..][..run.width].fill(99);
                    after.blue[y / 2 * width / 2 + run.x / 2..][..run.width / 2].fill(98);
                    after.red[y / 2 * width / 2 + run.x / 2..][..run.width / 2].fill(97);
                }
            }
            updated.update(&after, &damage);
            prop_assert_eq!(&updated.planes, &reduced(&after, size).planes);
            // What is not named as changed is as it was.
            let width = usize::from(size.width());
            for (at, same) in old.luma.iter().zip(updated.planes.luma()).map(|(a, b)| a == b).enumerate() {
                let (column, row) = (at % width / 16, at / width / 16);
                let flag = updated.changed.rows().nth(row).and_then(|mut row| row.nth(column));
                prop_assert!(same || flag == Some(true));
            }
        }
    }
}
