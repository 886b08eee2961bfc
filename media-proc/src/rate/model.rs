//! What pictures of one kind take, learned from those that were encoded.
//!
//! A model remembers the bits a macroblock took and the quantizer it took them with, and guesses
//! those of another quantizer carefully in both directions: how bits fall with the quantizer
//! depends on the content, from half at every six steps for photographs to half at every twelve
//! for text.

use super::COARSEST;
use crate::video::Quantizer;

/// Steps to a coarser quantizer that are sure to halve the bits, nearly.
const SAVED: f64 = 9.0;

/// Steps to a finer quantizer that are sure not to do more than double the bits.
const SPENT: f64 = 6.0;

/// The quantizer of first guesses.
const GUESSED_AT: Quantizer = Quantizer::nearest(28);

/// Bits per macroblock, as seen with some quantizer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Model {
    bits: f64,
    seen_at: Quantizer,
}

impl Model {
    /// A guess for a middling quantizer.
    pub(super) const fn new(bits: f64) -> Self {
        Self { bits, seen_at: GUESSED_AT }
    }

    /// Bits of a macroblock with `quantizer`.
    pub(super) fn at(&self, quantizer: Quantizer) -> f64 {
        let steps = f64::from(quantizer.value()) - f64::from(self.seen_at.value());
        self.bits * (-steps / if steps > 0.0 { SAVED } else { SPENT }).exp2()
    }

    /// Takes `seen` bits of a macroblock into account. Surprises upward count at once, downward by
    /// half: an overshoot costs more than a coarse frame.
    pub(super) fn learn(&mut self, quantizer: Quantizer, seen: f64) {
        let expected = self.at(quantizer);
        self.bits = if seen > expected { seen } else { (seen + expected) / 2.0 };
        self.seen_at = quantizer;
    }
}

/// The finest quantizer, not below `finest`, whose `cost` fits `allowance`; else the coarsest.
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
