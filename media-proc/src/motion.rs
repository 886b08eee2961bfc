//! How a picture relates to the one encoded before it: the same content moved, entirely new
//! content, or unknown.
//!
//! x264's own search follows motion once it has found it, but finds a shift of more than a few rows
//! only if it searches far, and a far search costs several times the rest of the encode where there
//! is nothing to find. A desktop is simpler than a film: text moves by whole rows, or a window
//! appears. This module looks for exactly these two cases and tells the encoder where a far search
//! pays.
//!
//! A picture is remembered as hashes of short stretches of its rows, in strips spread over its
//! width. A strip whose old rows are found again some rows away votes for that distance. Where
//! sampled stretches are closer to a flat line than to their old content, the content is new.
//!
//! A wrong answer costs time or bits, never a wrong picture.

use lumen_ipc::units::FrameSize;

use crate::convert::{MACROBLOCK, MacroblockMap, Planes};

/// How a picture relates to the one before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Relation {
    /// Neither moved nor new, as far as can be told.
    Altered,
    /// Nothing of the picture before remains.
    Fresh,
    /// Most of the picture before, moved down by this many rows; negative is up.
    Moved(i16),
}

/// Strips in which rows are compared.
const STRIPS: usize = 16;
/// Width of a strip: as much of a row as holds two or three letters.
const STRIP: usize = 32;
/// Rows that must match together, because single rows of letters are too often alike.
const WINDOW: usize = 8;
/// Rows of the new picture that are looked for: one in this many.
const STRIDE: usize = 4;
/// The fewest votes that decide for a distance.
const QUORUM: u32 = 8;
/// Smaller changes, below one macroblock in this many, are not worth examining.
const WORTH_A_LOOK: usize = 16;
/// Macroblocks from one sample to the next, in both directions.
const SAMPLE_EVERY: usize = 4;
/// The sum of differences over the samples of one stretch that counts as noise.
const NOISE: u32 = 64;
/// Base of the windows' rolling hash: odd and without pattern.
const BASE: u32 = 0x9E37_79B1;

/// What is remembered of the picture encoded last.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    size: Option<FrameSize>,
    /// Hashes of all rows of the first strip, then of the second, …
    rows: Vec<u32>,
    samples: Vec<[u8; MACROBLOCK]>,
}

impl Memory {
    /// Says how `planes`, which differ in `changed`, relate to the remembered picture, and
    /// remembers them in its place.
    pub fn relate(&mut self, planes: &Planes, changed: &MacroblockMap) -> Relation {
        let size = planes.size();
        if self.size != Some(size) {
            *self = Self::of(planes);
            return Relation::Altered;
        }
        if changed.changed() * WORTH_A_LOOK < changed.total() {
            self.hash(planes, changed);
            self.sample(planes, changed);
            return Relation::Altered;
        }
        let before = self.rows.clone();
        self.hash(planes, changed);
        let fresh = self.sample(planes, changed);
        if fresh && changed.changed() == changed.total() {
            return Relation::Fresh;
        }
        distance(&before, &self.rows, usize::from(size.height()))
            .map_or(Relation::Altered, Relation::Moved)
    }

    fn of(planes: &Planes) -> Self {
        let size = planes.size();
        let (width, height) = (usize::from(size.width()), usize::from(size.height()));
        let samples = sample_places(width, height).count();
        let mut memory = Self {
            size: Some(size),
            rows: vec![0; STRIPS * height],
            samples: vec![[0; MACROBLOCK]; samples],
        };
        let all = MacroblockMap::whole(size);
        memory.hash(planes, &all);
        memory.sample(planes, &all);
        memory
    }

    fn hash(&mut self, planes: &Planes, changed: &MacroblockMap) {
        let width = usize::from(planes.size().width());
        let height = usize::from(planes.size().height());
        for (y, row) in planes.luma().chunks_exact(width).enumerate() {
            if !changed.row_changed(y / MACROBLOCK) {
                continue;
            }
            for (strip, hashes) in self.rows.chunks_exact_mut(height).enumerate() {
                let start = strip * width / STRIPS;
                let end = (start + STRIP).min(width);
                hashes[y] = hash(&row[start..end]);
            }
        }
    }

    /// Takes new samples and says whether nearly all differ from the old ones.
    fn sample(&mut self, planes: &Planes, changed: &MacroblockMap) -> bool {
        let width = usize::from(planes.size().width());
        let height = usize::from(planes.size().height());
        let mut unlike = 0;
        for (sample, (x, y)) in self.samples.iter_mut().zip(sample_places(width, height)) {
            if !changed.row_changed(y / MACROBLOCK) {
                continue;
            }
            let mut now = [0; MACROBLOCK];
            now.copy_from_slice(&planes.luma()[y * width + x..][..MACROBLOCK]);
            unlike += usize::from(is_unlike(sample, &now));
            *sample = now;
        }
        unlike * 10 > self.samples.len() * 9
    }
}

/// Left edges and rows of the samples, only where a whole macroblock lies.
fn sample_places(width: usize, height: usize) -> impl Iterator<Item = (usize, usize)> {
    let every = SAMPLE_EVERY * MACROBLOCK;
    let rows = (MACROBLOCK / 2..height).step_by(every);
    rows.flat_map(move |y| (0..=width - MACROBLOCK).step_by(every).map(move |x| (x, y)))
}

/// Whether its own mean predicts `now` better than `before` does.
fn is_unlike(before: &[u8; MACROBLOCK], now: &[u8; MACROBLOCK]) -> bool {
    let sum: u32 = now.iter().copied().map(u32::from).sum();
    // The mean of bytes is a byte.
    let mean = (sum / MACROBLOCK as u32) as u8;
    let to_mean: u32 = now.iter().map(|sample| u32::from(sample.abs_diff(mean))).sum();
    let to_before: u32 =
        now.iter().zip(before).map(|(now, before)| u32::from(now.abs_diff(*before))).sum();
    to_before > 2 * to_mean + NOISE
}

fn hash(bytes: &[u8]) -> u32 {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let (words, _) = bytes.as_chunks::<8>();
    let mixed = words.iter().fold(0_u64, |hash, word| {
        ((hash.rotate_left(23)) ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR)
    });
    (mixed >> 32) as u32
}

/// By how many rows most of what changed has moved down.
fn distance(before: &[u32], after: &[u32], height: usize) -> Option<i16> {
    let mut votes = vec![0_u32; 2 * height];
    let (mut looked_for, mut found) = (0, 0);
    for (before, after) in before.chunks_exact(height).zip(after.chunks_exact(height)) {
        let (before, after) = (windows(before), windows(after));
        let mut places = [0_u16; 1 << 12];
        let place = |window: u32| window as usize >> 20;
        for (y, window) in before.iter().enumerate() {
            if let Some(window) = window {
                // Heights are at most 4096.
                places[place(*window)] = y as u16;
            }
        }
        for (y, window) in after.iter().enumerate().step_by(STRIDE) {
            let Some(window) = window else { continue };
            if before[y] == Some(*window) {
                continue;
            }
            looked_for += 1;
            let old = usize::from(places[place(*window)]);
            if before.get(old) == Some(&Some(*window)) {
                found += 1;
                votes[y + height - old] += 1;
            }
        }
    }
    let (index, most) = votes.into_iter().enumerate().max_by_key(|(_, votes)| *votes)?;
    let moved = most >= QUORUM && most * 2 > found && most * 4 > looked_for;
    let down = i16::try_from(index as i64 - height as i64).ok()?;
    moved.then_some(down)
}

/// A rolling hash of every [`WINDOW`] rows; none where all rows are alike, as on blank paper.
fn windows(rows: &[u32]) -> Vec<Option<u32>> {
    let oldest = (1..WINDOW).fold(1_u32, |power, _| power.wrapping_mul(BASE));
    let mut hash = 0_u32;
    let mut alike = 0;
    let mut windows = Vec::with_capacity(rows.len());
    for (y, row) in rows.iter().enumerate() {
        alike = if y > 0 && rows[y - 1] == *row { alike + 1 } else { 1 };
        let leaving = if y >= WINDOW { rows[y - WINDOW].wrapping_mul(oldest) } else { 0 };
        hash = hash.wrapping_sub(leaving).wrapping_mul(BASE).wrapping_add(*row);
        if y + 1 >= WINDOW {
            windows.push((alike < WINDOW).then_some(hash));
        }
    }
    windows
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::convert::Frame;

    const WIDTH: usize = 640;
    const HEIGHT: usize = 480;

    fn size() -> FrameSize {
        FrameSize::new(WIDTH as u16, HEIGHT as u16).expect("legal size")
    }

    fn all() -> MacroblockMap {
        MacroblockMap::whole(size())
    }

    /// Planes with a grey level per pixel.
    fn planes(level: impl Fn(usize, usize) -> u8) -> Planes {
        let mut pixels = vec![0; size().frame_bytes()];
        for (at, pixel) in pixels.chunks_exact_mut(4).enumerate() {
            pixel.fill(level(at % WIDTH, at / WIDTH));
        }
        let mut planes = Planes::new(size());
        let frame = Frame::new(&pixels, size().stride_bytes(), size()).expect("covers the size");
        planes.update(frame, &all()).expect("same size");
        planes
    }

    /// Random letters in lines of 18 rows, of which four are blank.
    fn text(x: usize, y: usize) -> u8 {
        let letter = (x / 9 + y / 18 * 97).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let stroke = letter >> ((y % 18 / 2) * 3 + x % 9 / 3) & 1 == 1;
        if y % 18 < 14 && stroke { 40 } else { 250 }
    }

    fn relation(before: &Planes, after: &Planes) -> Relation {
        let mut memory = Memory::default();
        assert_eq!(memory.relate(before, &all()), Relation::Altered);
        memory.relate(after, &all())
    }

    #[test]
    fn relate_flat_after_text_is_fresh() {
        assert_eq!(relation(&planes(text), &planes(|_, _| 90)), Relation::Fresh);
        assert_eq!(relation(&planes(|_, _| 200), &planes(|_, _| 90)), Relation::Fresh);
    }

    #[test]
    fn relate_other_text_is_altered() {
        let other = planes(|x, y| text(x + 18 * 900, y + 18 * 700));
        assert_eq!(relation(&planes(text), &other), Relation::Altered);
    }

    #[test]
    fn relate_brighter_photograph_is_altered() {
        let grain = |x: usize, y: usize| (x.wrapping_mul(y).wrapping_mul(31) >> 3) as u8 / 2;
        let before = planes(grain);
        let after = planes(|x, y| grain(x, y) + 4);
        assert_eq!(relation(&before, &after), Relation::Altered);
    }

    #[test]
    fn relate_same_picture_is_altered() {
        assert_eq!(relation(&planes(text), &planes(text)), Relation::Altered);
    }

    #[test]
    fn relate_window_that_scrolls_on_a_still_desktop_has_moved() {
        let inside = |x: usize, y: usize| (100..500).contains(&x) && (60..400).contains(&y);
        let desktop = |x: usize, y: usize| (x / 3 + y / 5) as u8;
        let before = planes(|x, y| if inside(x, y) { text(x, y) } else { desktop(x, y) });
        let after = planes(|x, y| if inside(x, y) { text(x, y + 11) } else { desktop(x, y) });
        assert_eq!(relation(&before, &after), Relation::Moved(-11));
    }

    #[test]
    fn relate_remembers_the_picture_before_and_no_older_one() {
        let mut memory = Memory::default();
        for top in [0, 5, 100] {
            memory.relate(&planes(|x, y| text(x, y + top)), &all());
        }
        let next = planes(|x, y| text(x, y + 107));
        assert_eq!(memory.relate(&next, &all()), Relation::Moved(-7));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        /// Text that scrolled up or down is recognised at any distance while half of it remains.
        #[test]
        fn relate_scrolled_text_has_moved(rows in 1_usize..HEIGHT / 2, up in any::<bool>()) {
            let (first, second) = if up { (0, rows) } else { (rows, 0) };
            let before = planes(|x, y| text(x, y + first));
            let after = planes(|x, y| text(x, y + second));
            let down = if up { -(rows as i16) } else { rows as i16 };
            prop_assert_eq!(relation(&before, &after), Relation::Moved(down));
        }

        /// Busy content is never taken for new, because coding it anew is expensive.
        #[test]
        fn relate_noise_is_never_fresh(seed in any::<u64>()) {
            let noise = |x: usize, y: usize| {
                ((x as u64 + y as u64 * 7919).wrapping_mul(seed | 1) >> 40) as u8
            };
            let found = relation(&planes(noise), &planes(|x, y| noise(x + 1, y)));
            prop_assert!(found != Relation::Fresh);
        }
    }
}
