//! How many bits pictures of one kind take, learned from encoded ones.
//!
//! A model remembers the bits a macroblock took and at which quantizer, and estimates the bits at
//! other quantizers conservatively in both directions: how bits fall with the quantizer depends on
//! the content, from half at every six steps for photographs to half at every twelve for text. Noise
//! is far steeper: of a faint one everything vanishes within a few steps. So from pictures of which
//! everything changed a model learns how steep their content is ([`Model::learn_whole`]).

use super::COARSEST;
use crate::video::Quantizer;

/// Steps to a coarser quantizer that can be relied on to halve the bits, nearly.
const SAVED: f64 = 9.0;

/// Steps to a finer quantizer that at most double the bits.
const SPENT: f64 = 6.0;

/// The bounds of what is learned of that, in steps that halve the bits.
const HALVINGS: (f64, f64) = (0.75, 12.0);

/// What was learned is relied on with this margin, towards more bits.
const CAUTION: f64 = 1.25;

/// A picture of which everything changes is expected to take at most this many times what the last
/// one took.
const MOST_DOUBT: f64 = 2.0;

/// Pictures whose quantizers differ by less teach nothing: they differ by more than that.
const TELLING: f64 = 2.0;

/// The quantizer that first estimates refer to.
const GUESSED_AT: Quantizer = Quantizer::nearest(28);

/// Bits per macroblock, as observed at some quantizer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Model {
    bits: f64,
    seen_at: Quantizer,
    /// How many steps of the quantizer halve the bits of this content, if that is known.
    halving: Option<f64>,
    /// The bits of the last picture by itself, and its quantizer.
    last: Option<(f64, Quantizer)>,
}

impl Model {
    /// An estimate at a middling quantizer.
    pub(super) const fn new(bits: f64) -> Self {
        Self { bits, seen_at: GUESSED_AT, halving: None, last: None }
    }

    /// Estimated bits of a macroblock at `quantizer`.
    pub(super) fn at(&self, quantizer: Quantizer) -> f64 {
        let steps = between(self.seen_at, quantizer);
        let halving = if steps > 0.0 {
            self.halving.map_or(SAVED, |halving| SAVED.min(halving * CAUTION))
        } else {
            self.halving.map_or(SPENT, |halving| SPENT.min(halving / CAUTION))
        };
        self.bits * (-steps / halving).exp2()
    }

    /// Takes the observed bits of a macroblock into account. Higher values count at once, lower
    /// ones by half, because an overshoot costs more than a coarse frame.
    pub(super) fn learn(&mut self, quantizer: Quantizer, seen: f64) {
        let expected = self.at(quantizer);
        self.bits = if seen > expected { seen } else { (seen + expected) / 2.0 };
        self.seen_at = quantizer;
    }

    /// The same for a picture of which everything changed. Two of these in a row are of similar
    /// content, so they also tell how much the quantizer matters.
    pub(super) fn learn_whole(&mut self, quantizer: Quantizer, seen: f64) {
        if let Some((before, at)) = self.last {
            let steps = between(at, quantizer);
            if steps.abs() >= TELLING {
                self.halving = halving_of(steps, before / seen);
            }
        }
        self.last = Some((seen, quantizer));
        self.learn(quantizer, seen);
        self.bits = self.bits.min(seen * MOST_DOUBT);
    }
}

/// How many steps halve the bits if so many steps divide them by `factor`; `None` if it is no
/// matter of the quantizer.
fn halving_of(steps: f64, factor: f64) -> Option<f64> {
    let (least, most) = HALVINGS;
    let halving = steps / factor.log2();
    (halving > 0.0).then(|| halving.clamp(least, most))
}

/// How many steps coarser `to` is than `from`.
fn between(from: Quantizer, to: Quantizer) -> f64 {
    f64::from(to.value()) - f64::from(from.value())
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn model_of_pictures_that_change_as_a_whole_learns_how_steep_they_are(
            halving in 0.8..6.0_f64, first in 12_u8..40, step in 2_u8..12, bits in 1.0..1e6_f64,
        ) {
            let of = |quantizer: u8| bits * (-f64::from(quantizer) / halving).exp2();
            let mut model = Model::new(200.0);
            for quantizer in [first, first + step, first] {
                model.learn_whole(Quantizer::nearest(quantizer), of(quantizer));
            }
            for other in [first - 4, first + 4] {
                let times = model.at(Quantizer::nearest(other)) / of(other);
                prop_assert!((0.99..5.0).contains(&times), "{times} times what {other} takes");
            }
        }
    }

    #[test]
    fn model_of_content_that_changes_with_the_quantizer_believes_what_it_believed_before() {
        let mut model = Model::new(200.0);
        model.learn_whole(Quantizer::nearest(30), 100.0);
        model.learn_whole(Quantizer::nearest(36), 400.0);
        let times = model.at(Quantizer::nearest(36 - 6)) / 400.0;
        assert!((times - 2.0).abs() < 1e-9, "{times}");
    }
}
