//! How like the original a decoded picture is: SSIM of the luma plane, and PSNR where text is.
//!
//! SSIM (Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity",
//! 2004) over windows of 8×8 samples, 4 apart, in decibels: -10·log₁₀(1 − SSIM), so that 3 dB more
//! mean half the loss.

use crate::contents::{HEIGHT, WIDTH};

const WINDOW: usize = 8;
const STEP: usize = 4;

/// Sums over several pictures.
#[derive(Default)]
pub(crate) struct Likeness {
    ssim: f64,
    windows: u32,
    squares: f64,
    text_samples: u32,
}

impl Likeness {
    /// Adds a picture: its original luma, the decoded luma with bytes from one row to the next, and
    /// which samples are text.
    pub(crate) fn add(
        &mut self,
        original: &[u8],
        (decoded, stride): (&[u8], usize),
        text: &[bool],
    ) {
        for y in (0..=HEIGHT - WINDOW).step_by(STEP) {
            for x in (0..=WIDTH - WINDOW).step_by(STEP) {
                let rows = (y..y + WINDOW).map(|row| {
                    (&original[row * WIDTH + x..][..WINDOW], &decoded[row * stride + x..][..WINDOW])
                });
                self.ssim += window(rows);
                self.windows += 1;
            }
        }
        for (at, _) in text.iter().enumerate().filter(|(_, is_text)| **is_text) {
            let (row, column) = (at / WIDTH, at % WIDTH);
            let difference = f64::from(original[at]) - f64::from(decoded[row * stride + column]);
            self.squares += difference * difference;
            self.text_samples += 1;
        }
    }

    /// Decibels of SSIM.
    pub(crate) fn ssim(&self) -> f64 {
        let mean = self.ssim / f64::from(self.windows);
        -10.0 * (1.0 - mean).max(1e-9).log10()
    }

    /// Decibels of PSNR of text, if there was any.
    pub(crate) fn text(&self) -> Option<f64> {
        let mean = self.squares / f64::from(self.text_samples);
        (self.text_samples > 0).then(|| 10.0 * (255.0 * 255.0 / mean.max(1e-3)).log10())
    }
}

/// SSIM of one window.
fn window<'rows>(rows: impl Iterator<Item = (&'rows [u8], &'rows [u8])>) -> f64 {
    const SAMPLES: f64 = (WINDOW * WINDOW) as f64;
    const LUMINANCE: f64 = 0.01 * 255.0 * 0.01 * 255.0 * SAMPLES * SAMPLES;
    const CONTRAST: f64 = 0.03 * 255.0 * 0.03 * 255.0 * SAMPLES * (SAMPLES - 1.0);
    let (mut left, mut right, mut squares, mut products) = (0_u32, 0_u32, 0_u32, 0_u32);
    for (original, decoded) in rows {
        for (a, b) in original.iter().zip(decoded) {
            let (a, b) = (u32::from(*a), u32::from(*b));
            left += a;
            right += b;
            squares += a * a + b * b;
            products += a * b;
        }
    }
    let [left, right, squares, products] = [left, right, squares, products].map(f64::from);
    let means = left * left + right * right;
    let variance = squares * SAMPLES - means;
    let covariance = products * SAMPLES - left * right;
    (2.0 * left * right + LUMINANCE) * (2.0 * covariance + CONTRAST)
        / ((means + LUMINANCE) * (variance + CONTRAST))
}
