//! How coarse each picture must be so that what is sent fits what the network carries.
//!
//! A bucket of bits fills with real time at the target rate, up to [`WINDOW`], and every picture
//! drains it. The quantizer of a picture follows from what the bucket allows and from how many
//! bits pictures of its kind took per macroblock before. A guess that was too low leaves the
//! bucket in debt: the next picture then waits ([`Rate::affordable_at`]) and shows the newest
//! screen when it comes, instead of a queue building up in the network.
//!
//! A still desktop has all the bits it wants, so changes stop at a quantizer that is pleasant in
//! motion ([`MOTION`]), and refinement continues to one without visible loss ([`REFINED`]).
//!
//! INVARIANT: the level never exceeds what the target carries in [`WINDOW`], so in any stretch of
//! time no more is sent than the target carries in it, plus one window, plus one picture.

use std::time::{Duration, Instant};

use lumen_ipc::units::{Fps, Kbps};

use crate::video::Quantizer;

/// How much unused time the bucket keeps: what a new window's picture may take at once. Longer
/// makes pictures finer and the frames behind them later.
pub const WINDOW: Duration = Duration::from_millis(300);

/// The finest quantizer of large changes: text is crisp, and half the bits of [`REFINED`] remain.
pub const MOTION: Quantizer = Quantizer::nearest(23);

/// The quantizer refinement ends at: on text and photographs alike the eye finds no loss.
pub const REFINED: Quantizer = Quantizer::nearest(14);

/// The coarsest ever used: beyond it text cannot be read, and fewer pictures are better.
pub const COARSEST: Quantizer = Quantizer::nearest(46);

/// A change of at most one macroblock in this many is small: a cursor, a typed letter. It is
/// encoded at [`REFINED`] at once and so needs no refinement after.
const SMALL: usize = 32;

/// A finer quantizer than the picture's is worth re-encoding all of it from this distance on.
const WORTHWHILE: u8 = 4;

/// The least a refinement improves on the picture.
const REFINEMENT_STEP: u8 = 3;

/// A change after so long a pause is likelier to be a new picture than more of the motion before.
const PAUSE: Duration = Duration::from_millis(150);

/// Bits of a macroblock at quantizer 0, as first guess: an ordinary desktop's key picture.
const GUESS: f64 = 4000.0;

/// Which model predicts a picture.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// All of it, from nothing.
    Key,
    /// Damage.
    Change,
    /// Nothing changed; it becomes finer.
    Refinement,
}

/// A picture about to be encoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ask {
    /// Its kind.
    pub kind: Kind,
    /// Macroblocks that changed.
    pub changed: usize,
    /// Macroblocks it has.
    pub total: usize,
}

/// The bucket and what was learned.
#[derive(Debug)]
pub struct Rate {
    ceiling: Kbps,
    target: Kbps,
    interval: Duration,
    /// Bits that may be sent; negative in debt.
    level: f64,
    /// When `level` was right.
    at: Instant,
    /// The coarsest quantizer any macroblock of the picture was encoded with.
    picture: Quantizer,
    changed_at: Instant,
    key: f64,
    change: f64,
    refinement: f64,
}

impl Rate {
    /// A full bucket at `ceiling`, which is also the most that may be asked for.
    #[must_use]
    pub fn new(ceiling: Kbps, max_fps: Fps, now: Instant) -> Self {
        let mut rate = Self {
            ceiling,
            target: ceiling,
            interval: Duration::from_micros(max_fps.interval_micros()),
            level: 0.0,
            at: now,
            picture: COARSEST,
            changed_at: now,
            key: GUESS,
            change: GUESS,
            // Only what the coarser picture lacks.
            refinement: GUESS / 4.0,
        };
        rate.level = rate.capacity();
        rate
    }

    /// What is aimed for.
    #[must_use]
    pub const fn target(&self) -> Kbps {
        self.target
    }

    /// Aims for `target`, but never for more than the ceiling.
    pub fn set_target(&mut self, now: Instant, target: Kbps) {
        self.fill(now);
        self.target = target.min(self.ceiling);
        self.level = self.level.min(self.capacity());
    }

    /// Whether no macroblock is coarser than [`REFINED`].
    #[must_use]
    pub fn is_refined(&self) -> bool {
        self.picture <= REFINED
    }

    /// When the next change may be encoded.
    #[must_use]
    pub fn affordable_at(&self) -> Instant {
        self.reaches(-self.bits_in(self.interval))
    }

    /// When the next refinement may be encoded: with a nearly full bucket, so that a change right
    /// after it still finds bits.
    #[must_use]
    pub fn refinable_at(&self) -> Instant {
        self.reaches(self.capacity() * 0.9)
    }

    /// The quantizer for a picture encoded at `now`.
    pub fn choose(&mut self, now: Instant, ask: Ask) -> Quantizer {
        self.fill(now);
        let frame = self.bits_in(self.interval);
        match ask.kind {
            // A viewer waits for it, so debt is no reason to make it unreadable.
            Kind::Key => {
                let allowance = self.level.max(self.capacity() / 4.0);
                fitting(self.key, ask.total, allowance, MOTION)
            }
            Kind::Change => {
                let allowance = self.level.max(0.0) / 2.0 + frame;
                self.choose_change(now, ask, allowance)
            }
            Kind::Refinement => {
                let step = Quantizer::nearest(self.picture.value().saturating_sub(REFINEMENT_STEP));
                let allowance = self.level.max(frame);
                fitting(self.refinement, ask.total, allowance, REFINED).min(step).max(REFINED)
            }
        }
    }

    fn choose_change(&self, now: Instant, ask: Ask, allowance: f64) -> Quantizer {
        let small = ask.changed.saturating_mul(SMALL) <= ask.total;
        let finest = if small { REFINED } else { MOTION };
        let new_picture = !small && now.duration_since(self.changed_at) >= PAUSE;
        let bits = if new_picture { self.change.max(self.key / 2.0) } else { self.change };
        let alone = fitting(bits, ask.changed, allowance, finest);
        let whole = fitting(bits, ask.total, allowance, MOTION);
        if whole.value() + WORTHWHILE <= self.picture.value() {
            return whole;
        }
        // Finer than the rest of the picture would make x264 take up the rest too.
        alone.max(self.picture)
    }

    /// Notes what a picture took.
    pub fn encoded(&mut self, now: Instant, ask: Ask, quantizer: Quantizer, bytes: usize) {
        self.fill(now);
        let bits = bytes as f64 * 8.0;
        self.level -= bits;
        // A finer quantizer re-encodes what is coarser, see `video::x264`.
        let everything = ask.kind != Kind::Change || quantizer < self.picture;
        self.picture = if everything { quantizer } else { self.picture.max(quantizer) };
        let macroblocks = if everything { ask.total } else { ask.changed };
        let seen = bits * coarseness(quantizer) / macroblocks.max(1) as f64;
        match ask.kind {
            Kind::Key => learn(&mut self.key, seen),
            Kind::Change => learn(&mut self.change, seen),
            Kind::Refinement => learn(&mut self.refinement, seen),
        }
        if ask.kind == Kind::Change {
            self.changed_at = now;
        }
    }

    fn fill(&mut self, now: Instant) {
        let gained = self.bits_in(now.saturating_duration_since(self.at));
        self.level = (self.level + gained).min(self.capacity());
        self.at = self.at.max(now);
    }

    fn reaches(&self, level: f64) -> Instant {
        let missing = level - self.level;
        // Less than a bit is rounding.
        if missing < 1.0 {
            return self.at;
        }
        // The target is at least 100 kbit/s, so the division gives a finite time. Rounded up to
        // whole microseconds, or the caller would wake a moment too early.
        let micros = (missing * 1000.0 / f64::from(self.target.value())).ceil();
        self.at + Duration::from_micros(micros as u64)
    }

    fn capacity(&self) -> f64 {
        self.bits_in(WINDOW)
    }

    fn bits_in(&self, time: Duration) -> f64 {
        f64::from(self.target.value()) * 1000.0 * time.as_secs_f64()
    }
}

/// By how much a quantizer divides bits: twice as much for every six.
fn coarseness(quantizer: Quantizer) -> f64 {
    (f64::from(quantizer.value()) / 6.0).exp2()
}

/// The finest quantizer, not below `finest`, at which `macroblocks` should fit `allowance` bits.
fn fitting(bits: f64, macroblocks: usize, allowance: f64, finest: Quantizer) -> Quantizer {
    let excess = bits * macroblocks as f64 / allowance.max(1.0);
    let value = (6.0 * excess.max(1.0).log2()).ceil().min(f64::from(COARSEST.value()));
    // Between 0 and the coarsest, so the conversion is exact.
    Quantizer::nearest(value as u8).max(finest).min(COARSEST)
}

/// Surprises upward count at once, downward by half: an overshoot costs more than a coarse frame.
fn learn(model: &mut f64, seen: f64) {
    *model = if seen > *model { seen } else { (*model + seen) / 2.0 };
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Macroblocks of 1920×1080.
    const TOTAL: usize = 8160;
    const KEY: Ask = Ask { kind: Kind::Key, changed: 0, total: TOTAL };
    const SCROLL: Ask = Ask { kind: Kind::Change, changed: TOTAL, total: TOTAL };
    const LETTER: Ask = Ask { kind: Kind::Change, changed: 4, total: TOTAL };
    const REFINEMENT: Ask = Ask { kind: Kind::Refinement, changed: 0, total: TOTAL };

    fn rate(now: Instant) -> Rate {
        Rate::new(Kbps::clamped(8000), Fps::clamped(60), now)
    }

    #[test]
    fn set_target_above_the_ceiling_is_capped() {
        let now = Instant::now();
        let mut rate = rate(now);
        rate.set_target(now, Kbps::clamped(50_000));
        assert_eq!(rate.target(), Kbps::clamped(8000));
        rate.set_target(now, Kbps::clamped(500));
        assert_eq!(rate.target(), Kbps::clamped(500));
    }

    #[test]
    fn choose_letter_on_a_refined_picture_is_refined_at_once() {
        let now = Instant::now();
        let mut rate = rate(now);
        rate.encoded(now, KEY, REFINED, 1000);
        let quantizer = rate.choose(now, LETTER);
        assert_eq!(quantizer, REFINED);
        rate.encoded(now, LETTER, quantizer, 300);
        assert!(rate.is_refined());
    }

    #[test]
    fn choose_letter_on_a_coarse_picture_leaves_the_rest_alone() {
        let now = Instant::now();
        let mut rate = rate(now);
        rate.encoded(now, KEY, Quantizer::nearest(25), 100_000);
        assert_eq!(rate.choose(now, LETTER), Quantizer::nearest(25));
    }

    #[test]
    fn choose_refinement_reaches_refined_in_a_few_frames() {
        let mut now = Instant::now();
        let mut rate = rate(now);
        rate.encoded(now, KEY, Quantizer::nearest(26), 200_000);
        let mut frames = 0;
        while !rate.is_refined() {
            now = now.max(rate.refinable_at());
            let quantizer = rate.choose(now, REFINEMENT);
            rate.encoded(now, REFINEMENT, quantizer, 100_000);
            frames += 1;
        }
        assert!(frames <= 4, "{frames} frames");
    }

    #[test]
    fn choose_after_an_overshoot_is_coarser_and_waits() {
        let now = Instant::now();
        let mut rate = rate(now);
        let first = rate.choose(now, SCROLL);
        rate.encoded(now, SCROLL, first, 600_000);
        assert!(rate.affordable_at() > now);
        assert!(rate.choose(rate.affordable_at(), SCROLL) > first);
    }

    /// One picture of a screen whose content takes `bits` per macroblock at quantizer 0.
    #[derive(Clone, Copy, Debug)]
    struct Op {
        ask: Ask,
        bits: f64,
        pause_micros: u64,
        target: Option<u64>,
    }

    fn op() -> impl Strategy<Value = Op> {
        let ask = prop_oneof![
            1 => Just(KEY),
            4 => (1..=TOTAL).prop_map(|changed| Ask { changed, ..SCROLL }),
            1 => Just(REFINEMENT),
        ];
        (ask, 1.0..40_000.0, 0_u64..200_000, prop::option::weighted(0.1, 100_u64..20_000))
            .prop_map(|(ask, bits, pause_micros, target)| Op { ask, bits, pause_micros, target })
    }

    proptest! {
        /// Whatever the content does: quantizers stay legal, waiting makes the next picture
        /// affordable, and the level stays below what a window carries.
        #[test]
        fn choose_keeps_its_invariants(ops in prop::collection::vec(op(), 1..100)) {
            let mut now = Instant::now();
            let mut rate = rate(now);
            for op in ops {
                now += Duration::from_micros(op.pause_micros);
                if let Some(target) = op.target {
                    rate.set_target(now, Kbps::clamped(target));
                }
                if op.ask.kind == Kind::Change {
                    now = now.max(rate.affordable_at());
                }
                let quantizer = rate.choose(now, op.ask);
                prop_assert!((REFINED..=COARSEST).contains(&quantizer));
                if op.ask.kind == Kind::Change {
                    prop_assert!(rate.affordable_at() <= now);
                    prop_assert!(quantizer >= MOTION || op.ask.changed * SMALL <= TOTAL
                        || quantizer >= rate.picture);
                }
                let bytes = op.bits * op.ask.changed.max(1) as f64 / coarseness(quantizer) / 8.0;
                rate.encoded(now, op.ask, quantizer, bytes as usize);
                prop_assert!(rate.level <= rate.capacity());
            }
        }

        /// Motion of any steady complexity comes to the target, or to the finest quantizer.
        #[test]
        fn choose_steady_motion_settles_at_the_target(bits in 50.0..20_000.0) {
            let mut now = Instant::now();
            let mut rate = rate(now);
            let frame = Duration::from_micros(16_667);
            let (mut sent, mut quantizer, start) = (0.0, COARSEST, now + frame * 60);
            for _ in 0..240 {
                now = (now + frame).max(rate.affordable_at());
                quantizer = rate.choose(now, SCROLL);
                let bytes = bits * TOTAL as f64 / coarseness(quantizer) / 8.0;
                rate.encoded(now, SCROLL, quantizer, bytes as usize);
                if now >= start {
                    sent += bytes * 8.0;
                }
            }
            let rate = sent / (now - start).as_secs_f64() / 8e6;
            prop_assert!(rate < 1.15, "{rate} times the target");
            prop_assert!(rate > 0.7 || quantizer == MOTION, "{rate} at {quantizer:?}");
        }
    }
}
