//! The software encoder: x264, configured for a desktop seen through a network.
//!
//! The settings and their reasons:
//!
//! * **One thread, one slice.** The machine's other cores belong to the compositor, the apps and
//!   rtc; slices cost bits at every border and a second thread gains little on pictures that are
//!   mostly skipped. Without threads the process needs no permission to make any.
//! * **Preset `ultrafast`, CAVLC.** On scrolling text `superfast` takes a third more
//!   time for a sixth fewer bits; the time is added to every frame's latency, the bits are not.
//!   CAVLC and no deblocking are cheap for the browser's decoder too. Every browser offers the
//!   profile, Constrained Baseline (`42e01f`).
//! * **Small blocks where bits are short** ([`crate::effort`]): motion for each 8×8 pixels, intra
//!   prediction for each 4×4.
//! * **Better tools where bits stay short** ([`Tools`]): motion of quarter pixels, deblocking and, in
//!   Main profile, CABAC. x264 cannot turn them on between two pictures, so another encoder is
//!   opened ([`super::h264`]).
//! * **The motion search is told how far to go** ([`crate::motion`]). `ultrafast`'s own search
//!   finds a scroll of a line or two by luck, and nothing after a missed frame, which then takes
//!   thirty times the bits. Multi-hexagons as far as the text moved find it at once, and cost
//!   nothing where the neighbours' motion fits. Where there is nothing to find they cost four times
//!   the rest, so they are used only on pictures known to have moved. An entirely new picture is
//!   not searched.
//! * **A quantizer per picture, set by us** ([`crate::rate`]), instead of x264's own rate control
//!   with VBV, which counts frames instead of time: a screen that changes twice a second is charged
//!   as if it changed 60 times. VBV also needs the lookahead's half-size pictures, which are
//!   analysed in full for every frame however small its damage: a quarter of the time of a scroll
//!   frame.
//! * **Constant macroblocks are marked** (`mb_info`). x264 skips a marked one without examining it
//!   if the reference has it at this quantizer or a finer one, and analyses it otherwise. This
//!   makes refinement simple: encode the same picture with a finer quantizer, and only the coarser
//!   macroblocks are touched.

mod ffi;

pub use ffi::{EncodeError, Encoder, OpenError};

/// What an encoder may use. It is fixed when the encoder is opened: x264 turns none of it on later.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tools {
    /// Motion by whole pixels, no deblocking, code words of whole bits.
    Plain,
    /// Motion by quarters of a pixel, and deblocking.
    Fine,
    /// The same, and arithmetic coding, which Constrained Baseline lacks. Its parameter sets have
    /// another number, so that a stream may contain slices of both kinds.
    Arithmetic,
}

impl Tools {
    /// Whether slices are coded arithmetically (CABAC).
    #[must_use]
    pub const fn arithmetic(self) -> bool {
        matches!(self, Self::Arithmetic)
    }
}

#[cfg(test)]
mod tests;
