//! The pictures the test app draws, known to the app and to the tests that look for them.
//!
//! A pure module: sizes in, BGRX rows out.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::chance::Chance;

mod colours;

pub use colours::{BARS, subsampled};

/// An opaque colour.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Colour {
    /// Red.
    pub red: u8,
    /// Green.
    pub green: u8,
    /// Blue.
    pub blue: u8,
}

/// Largest difference of one channel between what was drawn and what a browser shows. The
/// conversion rounds twice (BT.601 limited range and back, at most 3) and the encoder quantises
/// (flat areas: at most 8 at the lowest quality Lumen uses).
pub const TOLERANCE: u8 = 16;

impl Colour {
    /// A colour of three channels.
    #[must_use]
    pub const fn new(red: u8, green: u8, blue: u8) -> Self {
        Self { red, green, blue }
    }

    /// Whether `seen` could be this colour after encoding and decoding.
    #[must_use]
    pub fn is_about(self, seen: Self) -> bool {
        let close = |a: u8, b: u8| a.abs_diff(b) <= TOLERANCE;
        close(self.red, seen.red) && close(self.green, seen.green) && close(self.blue, seen.blue)
    }

    fn bgrx(self) -> [u8; 4] {
        [self.blue, self.green, self.red, 255]
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.red, self.green, self.blue)
    }
}

/// The four quadrants' colours: top left, top right, bottom left, bottom right. Not the corners of
/// the colour cube, where clipping would hide an error of the matrix.
pub const QUADRANTS: [Colour; 4] = [
    Colour::new(208, 48, 48),
    Colour::new(48, 176, 64),
    Colour::new(48, 64, 208),
    Colour::new(224, 208, 96),
];

/// What the app fills its window with by default.
pub const BACKGROUND: Colour = Colour::new(40, 44, 52);

/// Side of the chequered square.
pub const CHECKERS: usize = 48;

/// What a key fills the window with: any two neighbouring key codes differ by more than twice
/// [`TOLERANCE`] in some channel, and so does each from [`BACKGROUND`] and [`QUADRANTS`].
#[must_use]
pub const fn colour_of_key(code: u32) -> Colour {
    const PALETTE: [Colour; 5] = [
        Colour::new(200, 120, 40),
        Colour::new(40, 200, 200),
        Colour::new(200, 40, 200),
        Colour::new(120, 120, 240),
        Colour::new(140, 240, 120),
    ];
    PALETTE[(code % 5) as usize]
}

/// A picture of BGRX rows without gaps.
#[derive(Clone, Debug)]
pub struct Picture {
    width: usize,
    bytes: Vec<u8>,
}

impl Picture {
    /// A flat colour.
    #[must_use]
    pub fn filled(width: usize, height: usize, colour: Colour) -> Self {
        Self { width, bytes: colour.bgrx().repeat(width * height) }
    }

    /// [`BACKGROUND`] with a square of alternating black and white pixels, which begins with a
    /// black one in the middle and is [`CHECKERS`] pixels wide and high.
    #[must_use]
    pub fn checkers(width: usize, height: usize) -> Self {
        let mut picture = Self::filled(width, height, BACKGROUND);
        for (y, x) in (0..CHECKERS).flat_map(|y| (0..CHECKERS).map(move |x| (y, x))) {
            let pixel = ((height / 2 + y) * width + width / 2 + x) * 4;
            if let Some(pixel) = picture.bytes.get_mut(pixel..pixel + 3) {
                pixel.fill(if (x + y).is_multiple_of(2) { 0 } else { 255 });
            }
        }
        picture
    }

    /// Four flat quadrants; an odd middle row or column belongs to the bottom or right.
    #[must_use]
    pub fn quadrants(width: usize, height: usize) -> Self {
        let row = |left: Colour, right: Colour| {
            let mut row = left.bgrx().repeat(width / 2);
            row.extend(right.bgrx().repeat(width - width / 2));
            row
        };
        let [top_left, top_right, bottom_left, bottom_right] = QUADRANTS;
        let mut bytes = row(top_left, top_right).repeat(height / 2);
        bytes.extend(row(bottom_left, bottom_right).repeat(height - height / 2));
        Self { width, bytes }
    }

    /// A page that looks like text to an encoder: dark letters of a few strokes on light paper, in
    /// words and lines of uneven length.
    #[must_use]
    pub fn text(width: usize, height: usize) -> Self {
        const LETTER: usize = 9;
        const LINE: usize = 18;
        let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
        let mut page = Self::filled(width, height, Colour::new(250, 250, 245));
        for top in (4..height.saturating_sub(LINE)).step_by(LINE) {
            let length = width / LETTER * (40 + noise.next() as usize % 60) / 100;
            for letter in 4..length.saturating_sub(1) {
                // About every sixth place is a gap between words.
                if !noise.next().is_multiple_of(6) {
                    page.draw_letter(letter * LETTER, top, noise.next());
                }
            }
        }
        page
    }

    /// Draws strokes two pixels thick on a grid of 3 by 5, one for each bit of `strokes`.
    fn draw_letter(&mut self, left: usize, top: usize, strokes: u64) {
        for (y, x) in (0..10).flat_map(|y| (0..6).map(move |x| (y, x))) {
            let bit = (y / 2) * 3 + x / 2;
            let pixel = ((top + y) * self.width + left + x) * 4;
            if strokes >> bit & 1 == 1
                && let Some(pixel) = self.bytes.get_mut(pixel..pixel + 3)
            {
                pixel.fill(40);
            }
        }
    }

    /// A smooth, coloured gradient with noise: what a film or a game looks like to an encoder.
    #[must_use]
    pub fn gradient(width: usize, height: usize) -> Self {
        let mut noise = Noise(0x2545_f491_4f6c_dd1d);
        let mut bytes = Vec::with_capacity(width * height * 4);
        for y in 0..height {
            for x in 0..width {
                let grain = (noise.next() % 8) as usize;
                bytes.push(((x * 255 / width) + grain).min(255) as u8);
                bytes.push(((y * 255 / height) + grain).min(255) as u8);
                bytes.push((((x + y) % 512) / 2 + grain).min(255) as u8);
                bytes.push(255);
            }
        }
        Self { width, bytes }
    }

    /// Grey noise, of which an encoder can foresee nothing. At 1280 × 720 and 30 pictures a second it
    /// takes all of 8 Mbit/s, at a coarse quantizer that leaves room for a coarser one.
    #[must_use]
    pub fn noise(width: usize, height: usize) -> Self {
        /// Difference between the darkest and the brightest pixel.
        const CONTRAST: u64 = 104;
        let mut noise = Noise(0xda94_2042_e4dd_58b5);
        let mut bytes = Vec::with_capacity(width * height * 4);
        for _ in 0..width * height {
            let grey = (76 + (noise.next() >> 32) % CONTRAST) as u8;
            bytes.extend([grey, grey, grey, 255]);
        }
        Self { width, bytes }
    }

    /// The same rows, each in another place and rolled by another width, by chance of a seed: no part
    /// of it is where it was, nor near.
    #[must_use]
    pub fn shuffled(&self, seed: u64) -> Self {
        let rows: Vec<&[u8]> = self.bytes.chunks_exact(self.width * 4).collect();
        let mut chance = Chance::new(seed);
        let mut bytes = Vec::with_capacity(self.bytes.len());
        for _ in 0..rows.len() {
            let row = rows.get(chance.below(rows.len())).copied().unwrap_or_default();
            let (left, right) = row.split_at(chance.below(self.width) * 4);
            bytes.extend_from_slice(right);
            bytes.extend_from_slice(left);
        }
        Self { width: self.width, bytes }
    }

    /// All rows.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// `rows` rows from row `first` on, continuing at the top after the last.
    pub fn rows_from(&self, first: usize, rows: usize) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks_exact(self.width * 4).cycle().skip(first).take(rows)
    }
}

/// Xorshift: the same noise in every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_colours_neighbouring_or_background_differ_visibly() {
        for code in 1..248 {
            let colour = colour_of_key(code);
            let mut others = vec![colour_of_key(code + 1), BACKGROUND];
            others.extend(QUADRANTS);
            for other in others {
                let channels = [
                    colour.red.abs_diff(other.red),
                    colour.green.abs_diff(other.green),
                    colour.blue.abs_diff(other.blue),
                ];
                assert!(channels.iter().any(|difference| *difference > 2 * TOLERANCE), "{code}");
            }
        }
    }

    #[test]
    fn shuffled_noise_has_its_size_and_differs_almost_everywhere() {
        let noise = Picture::noise(640, 360);
        let (one, other) = (noise.shuffled(1), noise.shuffled(2));
        assert_eq!(one.bytes().len(), 640 * 360 * 4);
        let pixels = one.bytes().iter().zip(other.bytes()).step_by(4);
        let same = pixels.filter(|(one, other)| one == other).count();
        // One pixel of a hundred is the same by chance.
        assert!(same < 640 * 360 / 50, "{same} are the same");
    }

    #[test]
    fn quadrants_of_an_odd_size_fill_every_pixel() {
        let picture = Picture::quadrants(5, 3);
        assert_eq!(picture.bytes().len(), 5 * 3 * 4);
        let [_, _, _, bottom_right] = QUADRANTS;
        assert_eq!(&picture.bytes()[56..], bottom_right.bgrx());
    }
}
