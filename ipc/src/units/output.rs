//! The size of an output in pixels of the frame and in logical pixels of apps.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{FrameSize, OutOfRange, Side};

ranged! {
    /// Pixels of the output per logical pixel of an app, in 120ths, as
    /// `wp_fractional_scale_v1.preferred_scale` counts them: 1.0 to 4.0.
    Scale: u16, "scale in 120ths", 120, 480
}

impl Scale {
    /// One pixel per logical pixel.
    pub const ONE: Self = Self::MIN;
    /// Units of a scale of one.
    const PARTS: u16 = 120;

    /// The legal scale nearest to `factor`; [`Scale::ONE`] if that is not a number.
    #[must_use]
    pub fn nearest(factor: f64) -> Self {
        // The cast saturates, and turns NaN into zero.
        Self::clamped((factor * f64::from(Self::PARTS)).round() as u64)
    }

    /// The scale as a factor.
    #[must_use]
    pub fn factor(self) -> f64 {
        f64::from(self.value()) / f64::from(Self::PARTS)
    }

    /// The factor, if it is an integer.
    #[must_use]
    pub const fn whole(self) -> Option<u16> {
        if self.value().is_multiple_of(Self::PARTS) {
            Some(self.value() / Self::PARTS)
        } else {
            None
        }
    }
}

/// The size of an output: its pixels, and their relation to apps' logical pixels.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub struct OutputSize {
    /// The pixels of a frame.
    pub pixels: FrameSize,
    /// Pixels per logical pixel.
    pub scale: Scale,
}

impl OutputSize {
    /// The most pixels a side is trimmed by to become a whole number of logical pixels.
    const MOST_TRIMMED: u16 = 8;

    /// The best output for a window of `width` × `height` pixels at `scale`: a legal frame that
    /// apps can fill without a remainder, if trimming some pixels makes that possible. If the frame
    /// is smaller than the window, `scale` shrinks with it, so that as much is shown.
    #[must_use]
    pub fn nearest(width: u32, height: u32, scale: Scale) -> Self {
        let pixels = FrameSize::nearest(width, height);
        let shrunk = shrinkage(width, pixels.width()).min(shrinkage(height, pixels.height()));
        let scale = if shrunk < 1.0 { Scale::nearest(scale.factor() * shrunk) } else { scale };
        Self { pixels: trimmed(pixels, scale), scale }
    }

    /// Width and height in logical pixels.
    #[must_use]
    pub fn logical(self) -> (i32, i32) {
        let logical = |pixels: u16| logical_length(pixels, self.scale);
        (logical(self.pixels.width()), logical(self.pixels.height()))
    }
}

/// The share of a window's side that the frame has; 1 if the frame is merely made even.
fn shrinkage(window: u32, frame: u16) -> f64 {
    let frame = u32::from(frame);
    if frame + 1 >= window { 1.0 } else { f64::from(frame) / f64::from(window) }
}

/// The nearest whole number of logical pixels.
fn logical_length(pixels: u16, scale: Scale) -> i32 {
    (f64::from(pixels) / scale.factor()).round() as i32
}

fn trimmed(size: FrameSize, scale: Scale) -> FrameSize {
    let fits = |pixels: u16| {
        let logical = f64::from(logical_length(pixels, scale));
        (logical * scale.factor()).round() as i32 == i32::from(pixels)
    };
    let side = |pixels: u16| {
        let least = pixels.saturating_sub(OutputSize::MOST_TRIMMED).max(Side::MIN.value());
        (least..=pixels).rev().step_by(2).find(|pixels| fits(*pixels)).unwrap_or(pixels)
    };
    FrameSize::nearest(side(size.width()).into(), side(size.height()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scale_of_any_factor_is_legal_and_counts_120ths() {
        for (factor, parts) in [
            (1.0, 120),
            (1.25, 150),
            (1.5, 180),
            (2.0, 240),
            (2.625, 315),
            (3.0, 360),
            (0.5, 120),
            (-1.0, 120),
            (9.0, 480),
            (f64::NAN, 120),
            (f64::INFINITY, 480),
        ] {
            assert_eq!(Scale::nearest(factor).value(), parts, "{factor}");
        }
        assert_eq!(Scale::nearest(2.0).whole(), Some(2));
        assert_eq!(Scale::nearest(1.5).whole(), None);
    }

    #[test]
    fn output_of_any_window_at_any_usual_scale_is_filled_by_whole_logical_pixels() {
        for factor in [1.0, 1.1, 1.25, 1.5, 1.75, 2.0, 2.5, 2.625, 3.0, 3.5, 4.0] {
            let scale = Scale::nearest(factor);
            for side in 300..1300_u16 {
                let output = OutputSize::nearest(side.into(), 600, scale);
                let pixels = output.pixels.width();
                assert_eq!(output.scale, scale);
                assert!(pixels <= side && side - pixels <= 9, "{side} at {factor}: {pixels}");
                let filled = (f64::from(output.logical().0) * scale.factor()).round();
                assert!((filled - f64::from(pixels)).abs() < 0.1, "{side} at {factor}: {filled}");
            }
        }
    }

    #[test]
    fn output_of_a_window_beyond_the_largest_frame_keeps_its_logical_size() {
        let (width, height) = OutputSize::nearest(8000, 8000, Scale::nearest(3.0)).logical();
        assert!((2650..=2690).contains(&width) && width == height, "{width}x{height}");
        let smallest = OutputSize::nearest(0, 0, Scale::MAX);
        assert_eq!(smallest.pixels, FrameSize::nearest(16, 16));
    }
}
