//! BGRX to I420: BT.601, limited range, chroma averaged over each 2×2 block.
//!
//! Why not BT.709: browsers that convert in software multiply chroma by factors in steps of 1/64,
//! none above 2 (libyuv on x86). BT.709 needs 2.11 for blue, so pure blue came out as `0000f1` and
//! yellow as `ffff0d`; BT.601 needs 2.02. It is also what those take for granted that ignore the
//! stream's description, and more of blue and red lies in luma, which has a sample for every pixel.
//!
//! Decides which pixels are converted: only macroblocks that damage touches. The planes live until
//! the frame size changes; samples outside the damage keep their values.
//!
//! Trusts the [`Frame`] it is given: its constructor checked that the pixels cover the size.
//!
//! INVARIANT: after a conversion every sample of a changed macroblock is what a conversion of the
//! whole frame would have put there, bit for bit; [`Run`]s are cut to keep it so.

mod macroblocks;
mod reduced;

use lumen_ipc::{
    message::frames::Rect,
    units::{FrameSize, PIXEL_BYTES},
};
use yuv::{
    BufferStoreMut, YuvConversionMode, YuvError, YuvPlanarImageMut, YuvRange, YuvStandardMatrix,
    bgra_to_yuv420,
};

pub use macroblocks::{MACROBLOCK, MacroblockMap, RowChanges, Run};
pub use reduced::{Reduced, Reduction, Shrinking};

/// Luma of black in limited range (BT.601, section 2.5.3).
const BLACK: u8 = 16;
/// Both chroma components of every grey.
const GREY: u8 = 128;

/// The pixels of one frame where the compositor drew them.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'memory> {
    pixels: &'memory [u8],
    stride_bytes: usize,
    size: FrameSize,
}

/// The pixels do not cover the size they were announced with.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{found} bytes in rows of {stride_bytes} bytes do not hold a frame of {size}")]
pub struct BadFrame {
    /// Bytes present.
    pub found: usize,
    /// Bytes from one row to the next.
    pub stride_bytes: usize,
    /// The announced size.
    pub size: FrameSize,
}

impl<'memory> Frame<'memory> {
    /// A frame of `size` in `pixels`, with `stride_bytes` from one row to the next.
    ///
    /// # Errors
    /// [`BadFrame`] when a row is too short or rows are missing.
    pub fn new(
        pixels: &'memory [u8],
        stride_bytes: usize,
        size: FrameSize,
    ) -> Result<Self, BadFrame> {
        let needed = stride_bytes.checked_mul(usize::from(size.height()));
        let covered = stride_bytes >= size.stride_bytes()
            && needed.is_some_and(|needed| needed <= pixels.len());
        if !covered {
            return Err(BadFrame { found: pixels.len(), stride_bytes, size });
        }
        Ok(Self { pixels, stride_bytes, size })
    }

    /// Its size.
    #[must_use]
    pub const fn size(&self) -> FrameSize {
        self.size
    }
}

/// The picture as the encoder reads it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Planes {
    size: FrameSize,
    luma: Vec<u8>,
    blue: Vec<u8>,
    red: Vec<u8>,
}

impl Planes {
    /// A black picture.
    #[must_use]
    pub fn new(size: FrameSize) -> Self {
        let samples = usize::from(size.width()) * usize::from(size.height());
        Self {
            size,
            luma: vec![BLACK; samples],
            blue: vec![GREY; samples / 4],
            red: vec![GREY; samples / 4],
        }
    }

    /// Its size.
    #[must_use]
    pub const fn size(&self) -> FrameSize {
        self.size
    }

    /// Y, one sample per pixel, rows tightly packed.
    #[must_use]
    pub fn luma(&self) -> &[u8] {
        &self.luma
    }

    /// Cb, one sample per 2×2 pixels.
    #[must_use]
    pub fn blue(&self) -> &[u8] {
        &self.blue
    }

    /// Cr, one sample per 2×2 pixels.
    #[must_use]
    pub fn red(&self) -> &[u8] {
        &self.red
    }

    /// Replaces the luma of a part of the picture by the samples in `rows`, row after row. What lies outside
    /// the picture is left out.
    pub fn set_luma(&mut self, part: Rect, rows: &[u8]) {
        let stride = usize::from(self.size.width());
        let width = usize::from(part.width).max(1);
        for (row, samples) in (usize::from(part.y)..).zip(rows.chunks_exact(width)) {
            let at = row * stride + usize::from(part.x);
            if let Some(place) = self.luma.get_mut(at..at + width) {
                place.copy_from_slice(samples);
            }
        }
    }

    /// The same with chroma: pairs of both samples of each 2×2 block of the part, whose edges are even.
    pub fn set_chroma(&mut self, part: Rect, rows: &[u8]) {
        let stride = usize::from(self.size.width() / 2);
        let width = usize::from(part.width / 2).max(1);
        for (row, pairs) in (usize::from(part.y / 2)..).zip(rows.chunks_exact(width * 2)) {
            let at = row * stride + usize::from(part.x / 2);
            let places = self.blue.get_mut(at..at + width).zip(self.red.get_mut(at..at + width));
            let Some((blue, red)) = places else { continue };
            for ((blue, red), pair) in blue.iter_mut().zip(red).zip(pairs.as_chunks::<2>().0) {
                [*blue, *red] = *pair;
            }
        }
    }

    /// Converts the changed macroblocks of `frame`.
    ///
    /// # Errors
    /// [`ConvertError`] when frame or map are of another size, or the converter refuses, which the
    /// checks above rule out.
    pub fn update(
        &mut self,
        frame: Frame<'_>,
        changed: &MacroblockMap,
    ) -> Result<(), ConvertError> {
        for size in [frame.size, changed.size()] {
            if size != self.size {
                return Err(ConvertError::Size { planes: self.size, update: size });
            }
        }
        for run in changed.runs() {
            self.convert(frame, run)?;
        }
        Ok(())
    }

    /// The converter takes whole strides only and derives the number of rows from the length of its
    /// slices. A slice that begins inside a row is cut short at the end of the frame's last rows,
    /// so those are converted from the left edge on, which changes no sample outside the damage.
    fn convert(&mut self, frame: Frame<'_>, run: Run) -> Result<(), ConvertError> {
        let height = usize::from(self.size.height());
        let below = if run.y + run.height == height { 2 } else { 0 };
        let above = Run { height: run.height - below, ..run };
        let last = Run { x: 0, y: height - 2, width: run.x + run.width, height: below };
        for part in [above, last] {
            if part.height > 0 {
                self.convert_rows(frame, part)?;
            }
        }
        Ok(())
    }

    fn convert_rows(&mut self, frame: Frame<'_>, run: Run) -> Result<(), ConvertError> {
        let width = usize::from(self.size.width());
        let chroma_width = width / 2;
        let luma = run.y * width + run.x;
        let chroma = run.y / 2 * chroma_width + run.x / 2;
        let pixels = run.y * frame.stride_bytes + run.x * PIXEL_BYTES;
        // A run that begins inside a row never includes the last one, so no end lies past a
        // plane's.
        let chroma_end = chroma + run.height / 2 * chroma_width;
        let pixels_end = pixels + run.height * frame.stride_bytes;
        let mut image = YuvPlanarImageMut {
            y_plane: BufferStoreMut::Borrowed(&mut self.luma[luma..luma + run.height * width]),
            y_stride: narrow(width),
            u_plane: BufferStoreMut::Borrowed(&mut self.blue[chroma..chroma_end]),
            u_stride: narrow(chroma_width),
            v_plane: BufferStoreMut::Borrowed(&mut self.red[chroma..chroma_end]),
            v_stride: narrow(chroma_width),
            width: narrow(run.width),
            height: narrow(run.height),
        };
        bgra_to_yuv420(
            &mut image,
            &frame.pixels[pixels..pixels_end],
            narrow(frame.stride_bytes),
            YuvRange::Limited,
            YuvStandardMatrix::Bt601,
            YuvConversionMode::Balanced,
        )?;
        Ok(())
    }
}

/// Sides are at most 4096 and announced strides are `u32`, so no value is truncated.
const fn narrow(value: usize) -> u32 {
    value as u32
}

/// Why a conversion was not done.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// Frame or map are of another size than the planes.
    #[error("a frame of {update} cannot update planes of {planes}")]
    Size {
        /// Size of the planes.
        planes: FrameSize,
        /// Size of the frame or the map.
        update: FrameSize,
    },
    /// The converter refused.
    #[error("the colour converter refused")]
    Converter(#[from] YuvError),
}

#[cfg(test)]
mod tests;
