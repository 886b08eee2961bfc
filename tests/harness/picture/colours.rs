//! Saturated colours, in areas and in thin strokes, and what a picture with one colour sample for
//! four pixels (4:2:0) can keep of them.

use super::{Colour, Picture};

/// The bars, from left to right: all corners of the colour cube, where errors are largest.
pub const BARS: [Colour; 8] = [
    Colour::new(0, 0, 255),
    Colour::new(255, 255, 0),
    Colour::new(0, 255, 0),
    Colour::new(255, 0, 255),
    Colour::new(255, 0, 0),
    Colour::new(0, 255, 255),
    Colour::new(255, 255, 255),
    Colour::new(0, 0, 0),
];

/// From one line of letters to the next, and from one letter to the next.
const LINE: usize = 16;
const LETTER: usize = 9;

impl Picture {
    /// [`BARS`] in the upper half. Below them, under each bar, letters in its colour with strokes
    /// of a single pixel: first on white, then on black.
    #[must_use]
    pub fn colours(width: usize, height: usize) -> Self {
        let mut picture = Self::filled(width, height, Colour::new(255, 255, 255));
        let half = height / 2;
        for (at, pixel) in picture.bytes.chunks_exact_mut(4).enumerate() {
            let (x, y) = (at % width, at / width);
            let bar = BARS[x * BARS.len() / width.max(1)];
            let black = Colour::new(0, 0, 0);
            match y {
                _ if y < half => pixel.copy_from_slice(&bar.bgrx()),
                _ if y >= half + half / 2 => pixel.copy_from_slice(&black.bgrx()),
                _ => {}
            }
            let (column, row) = (x % LETTER, (y - half.min(y)) % LINE);
            if y >= half && (2..13).contains(&row) && column < 7 {
                let letter = (x / LETTER + (y - half) / LINE * 31 + 1) as u64;
                if is_stroke(letter.wrapping_mul(0x9e37_79b9_7f4a_7c15), column, row - 2) {
                    pixel.copy_from_slice(&bar.bgrx());
                }
            }
        }
        picture
    }

    /// The colours of a part of the picture, row by row.
    #[must_use]
    pub fn part(
        &self,
        (left, top): (usize, usize),
        (width, height): (usize, usize),
    ) -> Vec<Colour> {
        let row = |y: usize| &self.bytes[(y * self.width + left) * 4..][..width * 4];
        let pixels = (top..top + height).flat_map(|y| row(y).chunks_exact(4));
        pixels.map(|bgrx| Colour::new(bgrx[2], bgrx[1], bgrx[0])).collect()
    }
}

/// What of `pixels` is left, in rows of `width`, both even, when each square of four has one colour
/// difference, the mean of theirs, and nothing else is lost: no rounding, no quantizer.
#[must_use]
pub fn subsampled(pixels: &[Colour], width: usize) -> Vec<Colour> {
    let squares: Vec<usize> =
        (0..pixels.len()).map(|at| at / width / 2 * (width / 2) + at % width / 2).collect();
    let brightness = |[red, green, blue]: [f64; 3]| 0.299 * red + 0.587 * green + 0.114 * blue;
    let mut means = vec![[0.0; 3]; pixels.len() / 4];
    let channels = |pixel: &Colour| [pixel.red, pixel.green, pixel.blue].map(f64::from);
    for (pixel, square) in pixels.iter().zip(&squares) {
        for (mean, channel) in means[*square].iter_mut().zip(channels(pixel)) {
            *mean += channel / 4.0;
        }
    }
    let left = pixels.iter().zip(&squares).map(|(pixel, square)| {
        let (mean, own) = (means[*square], brightness(channels(pixel)));
        let [red, green, blue] =
            mean.map(|channel| (channel - brightness(mean) + own).clamp(0.0, 255.0).round() as u8);
        Colour::new(red, green, blue)
    });
    left.collect()
}

/// Whether a letter of this shape has a stroke there: strokes lie on a grid of three by four cells
/// and are one pixel wide, some upright, some level.
fn is_stroke(shape: u64, column: usize, row: usize) -> bool {
    let upright = column.is_multiple_of(3) && shape >> (column / 3 * 4 + row / 3) & 1 == 1;
    let level = row.is_multiple_of(5) && shape >> (20 + row / 5 * 3 + column / 3) & 1 == 1;
    upright || level
}
