//! How many bits pictures of one kind take, learned from encoded ones.
//!
//! A model remembers the bits a macroblock took and at which quantizer, and estimates the bits at
//! other quantizers conservatively in both directions: how bits fall with the quantizer depends on
//! the content, from half at every six steps for photographs to half at every twelve for text.

use super::COARSEST;
use crate::video::Quantizer;

/// Steps to a coarser quantizer that can be relied on to halve the bits, nearly.
const SAVED: f64 = 9.0;

/// Steps to a finer quantizer that at most double the bits.
const SPENT: f64 = 6.0;

/// The quantizer that first estimates refer to.
const GUESSED_AT: Quantizer = Quantizer::nearest(28);

/// Bits per macroblock, as observed at some quantizer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Model {
    bits: f64,
    seen_at: Quantizer,
}

impl Model {
    /// An estimate at a middling quantizer.
    pub(super) const fn new(bits: f64) -> Self {
        Self { bits, seen_at: GUESSED_AT }
    }

    /// Estimated bits of a macroblock at `quantizer`.
    pub(super) fn at(&self, quantizer: Quantizer) -> f64 {
        let steps = f64::from(quantizer.value()) - f64::from(self.seen_at.value());
        self.bits * (-steps / if steps > 0.0 { SAVED } else { SPENT }).exp2()
    }

    /// Takes the observed bits of a macroblock into account. Higher values count at once, lower
    /// ones by half, because an overshoot costs more than a coarse frame.
    pub(super) fn learn(&mut self, quantizer: Quantizer, seen: f64) {
        let expected = self.at(quantizer);
        self.bits = if seen > expected { seen } else { (seen + expected) / 2.0 };
        self.seen_at = quantizer;
    }
}

/// The finest quantizer, not below `finest`, at which `cost` macroblocks fit `allowance`; else the
/// coarsest.
pub(super) fn fitting(
    cost: impl Fn(Quantizer) -> f64,
    allowance: f64,
    finest: Quantizer,
) -> Quantizer {
    (finest.value()..COARSEST.value())
        .map(Quantizer::nearest)
        .find(|quantizer| cost(*quantizer) <= allowance)
        .unwrap_or(COARSEST)
}
