//! How coarse each picture must be so that what is sent fits what the network carries.
//!
//! A bucket of bits fills with real time at the target rate, up to [`WINDOW`], and every picture
//! drains it. The quantizer of a picture follows from what the bucket allows and from how many
//! bits pictures of its kind took per macroblock before (`model`).
//!
//! The frame rate comes first, because a skipped picture makes the next one more expensive: what
//! moved has moved further. An estimate that was too low leaves the bucket in debt, and later
//! pictures repay it by being coarser, down to [`COARSEST`]. Only in deep debt ([`OWED`]), when
//! even the coarsest pictures are too large, does a picture wait until its own bits have
//! accumulated ([`Rate::affordable_at`]); it then shows the newest screen.
//!
//! A still desktop has all the bits it wants, so changes stop at a quantizer that is pleasant in
//! motion ([`MOTION`]), and refinement continues to one without visible loss ([`REFINED`]), and
//! in steps to the finest (`EXACT`) as long as each takes few bits.
//!
//! INVARIANT: a change begins only while the debt is below [`LIMIT`], and the level never exceeds
//! what the target carries in [`WINDOW`]. So in any stretch of time changes take no more than the
//! target carries in it, plus window and limit, plus one picture.

mod model;

use std::time::{Duration, Instant};

use lumen_ipc::units::{Fps, Kbps};

use self::model::{Model, fitting};
use crate::video::Quantizer;

/// How much unused time the bucket keeps, and so what the first picture of a new window may take at
/// once. A longer window makes pictures finer and delays the frames behind them.
pub const WINDOW: Duration = Duration::from_millis(300);

/// The debt beyond which pictures wait for their own bits. Debt is delay in the network's queue, so
/// it must stay below what is noticed after a key press.
pub const OWED: Duration = Duration::from_millis(150);

/// The debt at which no change begins, however small.
pub const LIMIT: Duration = Duration::from_millis(400);

/// The finest quantizer of large changes: text is crisp, at a third of the bits of [`REFINED`].
pub const MOTION: Quantizer = Quantizer::nearest(23);

/// The quantizer that needs no refinement: on text and photographs alike the eye finds no loss. It is
/// the finest of the coder of simple pictures.
pub const REFINED: Quantizer = Quantizer::nearest(10);

/// The quantizer at which refinement ends where that takes few bits: with [`REFINED`], a thin stroke
/// of pure blue may still be off by 8 of 255 levels.
const EXACT: Quantizer = Quantizer::FINEST;

/// The coarsest ever used: beyond it text cannot be read, and fewer pictures are better.
pub const COARSEST: Quantizer = Quantizer::nearest(44);

/// A change of at most one macroblock in this many is small, such as a cursor or a typed letter. It
/// is encoded at [`REFINED`] at once and so needs no refinement later.
const SMALL: usize = 32;

/// From this distance on, a quantizer finer than the picture's is worth re-encoding all of it.
const WORTHWHILE: u8 = 4;

/// The least by which a refinement improves the picture.
const REFINEMENT_STEP: u8 = 3;

/// The most by which a picture in motion improves on the one before. Where the quantizer becomes
/// finer, unchanged content is coded anew, too, so a step of two costs as much as ten pictures
/// without one.
const SHARPENING_STEP: u8 = 2;

/// The same for pictures that have nothing in common with the one before. Where the bits of noise fall
/// fast with the quantizer is only known when it is tried: a picture that is finer by more may take ten
/// times as many, and delays those behind it.
const FRESH_SHARPENING_STEP: u8 = 3;

/// Where all of the picture moves, one takes no more than this part of what others may take beyond
/// their frame's bits: a large one delays those behind it, of which each is as large.
const WHOLE_SPARED: f64 = 0.25;

/// A change after so long a pause is likelier to be a new picture than more of the motion before.
const PAUSE: Duration = Duration::from_millis(150);

/// The share of the incoming bits that a picture in debt may take; the rest repays the debt.
const SPENT_IN_DEBT: f64 = 0.75;

/// Whether a change is small, such as a cursor or a typed letter.
#[must_use]
pub const fn is_small(changed: usize, total: usize) -> bool {
    changed.saturating_mul(SMALL) <= total
}

/// Which model predicts a picture.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// The whole picture, without reference to others, where decoders can start.
    Key,
    /// Damage that has nothing in common with the picture before.
    Fresh,
    /// Damage that is mostly the picture before in another place.
    Moved,
    /// Damage of unknown content.
    Change,
    /// An unchanged picture that becomes finer.
    Refinement,
}

/// A picture about to be encoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ask {
    /// Its kind.
    pub kind: Kind,
    /// Macroblocks that changed.
    pub changed: usize,
    /// Macroblocks in the whole picture.
    pub total: usize,
}

/// The bucket and the learned models.
#[derive(Debug)]
pub struct Rate {
    ceiling: Kbps,
    target: Kbps,
    interval: Duration,
    /// Bits that may be sent; negative in debt.
    level: f64,
    /// The time at which `level` was computed.
    at: Instant,
    /// The coarsest quantizer of any macroblock of the picture that decoders show.
    picture: Quantizer,
    changed_at: Instant,
    /// Whether the next change is expected to be like [`Kind::Moved`]: because the last one was, or
    /// because nothing is known yet of this content.
    moving: bool,
    /// Whether the last picture was a refinement, and another step towards [`EXACT`] is affordable.
    refining: bool,
    key: Model,
    change: Model,
    moved: Model,
    refinement: Model,
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
            moving: true,
            refining: false,
            // First guesses: an ordinary desktop, half of it text.
            key: Model::new(200.0),
            change: Model::new(200.0),
            moved: Model::new(12.0),
            // A refinement codes only what the coarser picture lacks.
            refinement: Model::new(50.0),
        };
        rate.level = rate.capacity();
        rate
    }

    /// The bit rate aimed for.
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

    /// Expects at most `fps` changes a second.
    pub fn set_fps(&mut self, fps: Fps) {
        self.interval = Duration::from_micros(fps.interval_micros());
    }

    /// Whether no macroblock is coarser than [`REFINED`].
    #[must_use]
    pub fn is_refined(&self) -> bool {
        self.picture <= REFINED
    }

    /// Whether the picture stays as it is: refined, and not on an affordable way to `EXACT`.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.is_refined() && !self.refining
    }

    /// When a change of `changed` macroblocks may be encoded.
    #[must_use]
    pub fn affordable_at(&self, changed: usize) -> Instant {
        if self.level >= -self.bits_in(OWED) {
            return self.at;
        }
        let model = if self.moving { &self.moved } else { &self.change };
        let own = model.at(COARSEST) * changed as f64 / SPENT_IN_DEBT;
        let paid = self.changed_at + self.time_of(own);
        paid.max(self.reaches(-self.bits_in(LIMIT))).min(self.reaches(-self.bits_in(OWED)))
    }

    /// When the next refinement may be encoded: with a nearly full bucket, so that a change right
    /// after it still finds bits.
    #[must_use]
    pub fn refinable_at(&self) -> Instant {
        self.reaches(self.refinable_level())
    }

    /// The level at which refinements are encoded, in bits.
    fn refinable_level(&self) -> f64 {
        self.capacity() * 0.9
    }

    /// The bits that a keyframe of so many macroblocks takes at least.
    #[must_use]
    pub fn least_of_key(&self, total: usize) -> f64 {
        self.key.at(COARSEST) * total as f64
    }

    /// Whether a picture that was encoded at `quantizer` is better not sent, but encoded again as a
    /// keyframe and coarser: its content turned out to take so many bits that those behind it would be
    /// late. One that takes fewer than a keyframe is sent.
    #[must_use]
    pub fn refuses(&self, ask: Ask, quantizer: Quantizer, bytes: usize) -> bool {
        let bits = bytes as f64 * 8.0;
        let is_new = match ask.kind {
            Kind::Fresh => true,
            Kind::Change => bits >= self.key.at(quantizer) * ask.total as f64,
            Kind::Key | Kind::Moved | Kind::Refinement => false,
        };
        let is_late = self.level.max(0.0) - bits < -self.bits_in(OWED);
        is_new && ask.changed == ask.total && quantizer < COARSEST && is_late
    }

    /// A picture was encoded and not sent.
    pub fn refused(&mut self, ask: Ask, quantizer: Quantizer, bytes: usize) {
        let seen = bytes as f64 * 8.0 / ask.total.max(1) as f64;
        self.key.learn_whole(quantizer, seen);
        if ask.kind == Kind::Change {
            self.change.learn_whole(quantizer, seen);
        }
    }

    /// The quantizer for a picture encoded at `now`.
    pub fn choose(&mut self, now: Instant, ask: Ask) -> Quantizer {
        self.fill(now);
        let total = ask.total as f64;
        match ask.kind {
            // A viewer waits for a keyframe, so debt must not make it unreadable.
            Kind::Key => {
                let allowance = self.level.max(self.capacity() / 4.0);
                fitting(|quantizer| self.key.at(quantizer) * total, allowance, MOTION)
            }
            Kind::Fresh | Kind::Moved | Kind::Change => self.choose_change(now, ask),
            Kind::Refinement => {
                let step = Quantizer::nearest(self.picture.value().saturating_sub(REFINEMENT_STEP));
                let allowance = self.level.max(self.bits_in(self.interval));
                fitting(|quantizer| self.refinement.at(quantizer) * total, allowance, EXACT)
                    .min(step)
            }
        }
    }

    fn choose_change(&self, now: Instant, ask: Ask) -> Quantizer {
        let small = is_small(ask.changed, ask.total);
        let in_motion = now.saturating_duration_since(self.changed_at) < PAUSE;
        let (changed, total) = (ask.changed as f64, ask.total as f64);
        let cost = |quantizer| {
            let bits = match ask.kind {
                Kind::Moved => self.moved.at(quantizer),
                Kind::Key | Kind::Fresh => self.key.at(quantizer),
                _ if !small && !in_motion => {
                    self.change.at(quantizer).max(self.key.at(quantizer) / 2.0)
                }
                _ => self.change.at(quantizer),
            };
            bits * changed
        };
        let finest = if small { REFINED } else { MOTION };
        let rich = self.level >= self.capacity() / 2.0;
        let step = if rich { SHARPENING_STEP } else { 0 };
        let whole = ask.changed == ask.total && ask.kind != Kind::Moved;
        if whole && in_motion {
            let step = if ask.kind == Kind::Fresh { FRESH_SHARPENING_STEP } else { step };
            let spared = self.level.max(0.0) / 2.0 * WHOLE_SPARED;
            let allowance = self.allowance().min(self.bits_in(self.interval) + spared);
            let finest = Quantizer::nearest(self.picture.value().saturating_sub(step)).max(MOTION);
            return fitting(cost, allowance, finest);
        }
        if whole && ask.kind == Kind::Fresh {
            return fitting(cost, self.allowance(), finest);
        }
        let alone = fitting(cost, self.allowance(), finest);
        if !small && in_motion {
            return alone.max(Quantizer::nearest(self.picture.value().saturating_sub(step)));
        }
        let with_the_rest = |quantizer| cost(quantizer) + self.refinement.at(quantizer) * total;
        let whole = fitting(with_the_rest, self.allowance(), MOTION);
        if whole.value() + WORTHWHILE <= self.picture.value() {
            return whole;
        }
        // A quantizer finer than the picture's would make x264 re-encode the unchanged rest, too.
        alone.max(self.picture)
    }

    /// The bits a change may take.
    fn allowance(&self) -> f64 {
        let frame = self.bits_in(self.interval);
        if self.level < 0.0 { frame * SPENT_IN_DEBT } else { self.level / 2.0 + frame }
    }

    /// Takes the size of an encoded picture into account.
    pub fn encoded(&mut self, now: Instant, ask: Ask, quantizer: Quantizer, bytes: usize) {
        self.fill(now);
        let bits = bytes as f64 * 8.0;
        self.level -= bits;
        let seen = |macroblocks: usize| bits / macroblocks.max(1) as f64;
        // A finer quantizer re-encodes whatever is coarser (see `video::x264`). Those bits say
        // nothing about the next change.
        let whole = ask.changed == ask.total;
        let sharpened = quantizer < self.picture && !whole;
        match ask.kind {
            Kind::Key => self.key.learn_whole(quantizer, seen(ask.total)),
            Kind::Fresh => self.key.learn_whole(quantizer, seen(ask.changed)),
            Kind::Refinement => self.refinement.learn(quantizer, seen(ask.total)),
            Kind::Moved if !sharpened => self.moved.learn(quantizer, seen(ask.changed)),
            Kind::Change if whole => self.change.learn_whole(quantizer, seen(ask.changed)),
            Kind::Change if !sharpened => self.change.learn(quantizer, seen(ask.changed)),
            Kind::Moved | Kind::Change => {}
        }
        let everything = match ask.kind {
            Kind::Key | Kind::Refinement => true,
            Kind::Fresh | Kind::Moved | Kind::Change => whole || quantizer < self.picture,
        };
        self.picture = if everything { quantizer } else { self.picture.max(quantizer) };
        if matches!(ask.kind, Kind::Fresh | Kind::Moved | Kind::Change) {
            self.changed_at = now;
        }
        if ask.kind != Kind::Refinement {
            self.moving = ask.kind != Kind::Change;
        }
        // The next step takes about as many bits as this one.
        self.refining =
            ask.kind == Kind::Refinement && quantizer > EXACT && bits <= self.refinable_level();
    }

    fn fill(&mut self, now: Instant) {
        let gained = self.bits_in(now.saturating_duration_since(self.at));
        self.level = (self.level + gained).min(self.capacity());
        self.at = self.at.max(now);
    }

    fn reaches(&self, level: f64) -> Instant {
        let missing = level - self.level;
        // Less than one bit is rounding error.
        if missing < 1.0 {
            return self.at;
        }
        self.at + self.time_of(missing)
    }

    /// How long the target takes to carry `bits`.
    fn time_of(&self, bits: f64) -> Duration {
        // The target is at least 100 kbit/s, so the division gives a finite time. Rounded up to
        // whole microseconds, or the caller would wake a moment too early.
        Duration::from_micros((bits * 1000.0 / f64::from(self.target.value())).ceil() as u64)
    }

    fn capacity(&self) -> f64 {
        self.bits_in(WINDOW)
    }

    fn bits_in(&self, time: Duration) -> f64 {
        f64::from(self.target.value()) * 1000.0 * time.as_secs_f64()
    }
}

#[cfg(test)]
mod tests;
