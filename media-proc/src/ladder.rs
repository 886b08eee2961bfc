//! What gives way when bits are short: after the quantizer the frame rate, down to 30 pictures a second, then
//! the size of the picture, and last the frame rate again. Fewer pictures could be larger and finer, but each
//! would be longer on its way, and what a viewer does would be seen later.
//!
//! The quantizer follows every picture ([`crate::rate`]). Where even a coarse one (`COARSE`) leaves a
//! motion with more bits than the network carries, the ladder is descended to the first [`Rung`] that
//! the network does carry, and climbed again when there is clear room above. How many bits a motion
//! takes is measured over a second; what it would take on another rung is foretold from the number of
//! samples, and from what the last step has taught of how they matter in this content.
//!
//! Only motion is judged: single changes, such as a new window, are paid for as they come. A picture
//! that rests is shown whole again at once ([`Ladder::rest`]).
//!
//! What is foretold may be wrong: noise of which little is left in a small picture takes far more bits
//! than its power says when it becomes fine. So where pictures are as fine as motion ever is, the next
//! rung is tried, whatever is foretold of it.
//!
//! INVARIANT: between the load at which the ladder is descended and the foretold one at which it is
//! climbed lies a factor of `CROWDED / ROOMY`, a climb that was of no use makes the next one wait twice
//! as long, and after it one needs twice the room while the network carries about the same. So a steady
//! motion over a steady network comes to stand on one rung.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use lumen_ipc::units::{Fps, Kbps};

use crate::{convert::Reduction, rate::MOTION, video::Quantizer};

/// Coarser than this, a smaller or a slower picture is better than a coarser one.
const COARSE: Quantizer = Quantizer::nearest(43);

/// How many steps of the quantizer halve the bits, between what text and photographs need.
const HALVING: f64 = 7.5;

/// How long a motion is observed to judge it.
const WINDOW: Duration = Duration::from_secs(1);

/// A shorter motion is not judged.
const LEAST_SPAN: Duration = Duration::from_millis(500);

/// A motion has at least so many changes in a window; anything slower rests in between.
const LEAST_CHANGES: usize = 5;

/// The load, as a multiple of what the network carries, from which on the ladder is descended.
const CROWDED: f64 = 1.25;

/// The foretold load up to which it is climbed…
const ROOMY: f64 = 0.85;

/// …after this time…
const CLIMB_AFTER: Duration = Duration::from_secs(2);

/// …but at once up to this load: nearly all of the motion has ended.
const EMPTY: f64 = 0.3;

/// A climb was of no use if the ladder is descended again within this time.
const USELESS: Duration = Duration::from_secs(20);

/// The network carries so many times as much as when a climb was of no use: there is new hope.
const HOPE: f64 = 2.0;

/// Until then it is climbed again up to this part of the load only.
const DOUBTFUL: f64 = 0.5;

/// A keyframe that would take longer than this on the network is smaller.
const BEGINS_WITHIN: Duration = Duration::from_millis(350);

/// The longest wait before a climb.
const MOST_PATIENCE: Duration = Duration::from_secs(32);

/// The frame rate is not lowered below this as long as the picture can become smaller instead: at this rate
/// one that takes all of its share of the network is a thirtieth of a second on its way.
const PROMPT_FPS: u16 = 30;

/// The frame rate is not lowered below this.
const LEAST_FPS: u16 = 20;

/// By which power of the samples the bits grow, as long as it is not known better.
const USUAL_POWER: f64 = 1.1;

/// Bounds of what is learned: nearly all bits of a fine chequer are gone at half its size.
const POWERS: (f64, f64) = (0.5, 8.0);

/// Pictures of so much fewer bits than those that the power was learned with are of other content.
const OTHER: f64 = 0.25;

/// How often pictures are shown on a rung.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// As often as the screen may change.
    Full,
    /// Two thirds of that, but not less than [`PROMPT_FPS`].
    Slower,
    /// [`LEAST_FPS`].
    Least,
}

/// What each rung is like. Each takes fewer samples a second than the one before, or is the same.
const TABLE: [(Reduction, Pace); 7] = [
    (Reduction::WHOLE, Pace::Full),
    (Reduction::WHOLE, Pace::Slower),
    (Reduction::SLIGHT, Pace::Slower),
    (Reduction::HALF, Pace::Full),
    (Reduction::STRONG, Pace::Full),
    (Reduction::QUARTER, Pace::Full),
    (Reduction::QUARTER, Pace::Least),
];

/// What a picture in motion is like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rung {
    /// How small it is.
    pub reduction: Reduction,
    /// The most pictures a second.
    pub fps: Fps,
}

/// The ladder, and where on it the picture is.
#[derive(Debug)]
pub struct Ladder {
    /// From the top; at least one.
    rungs: Vec<Rung>,
    at: usize,
    motion: Motion,
    power: Power,
    /// Since when there is room above.
    roomy_since: Option<Instant>,
    /// How long there must be.
    patience: Duration,
    /// When it was climbed last, and what the network carried then, in bit/s.
    climbed: Option<(Instant, f64)>,
    /// What the network carried at the last climb that was of no use.
    vain: Option<f64>,
    /// From when on the next large change may be encoded.
    due: Option<Instant>,
}

impl Ladder {
    /// At the top; there are at most `max_fps` pictures a second.
    #[must_use]
    pub fn new(max_fps: Fps) -> Self {
        let no_slower =
            |fps, least: u16| Fps::clamped(u64::from(least.max(fps).min(max_fps.value())));
        let rung = |(reduction, pace)| {
            let fps = match pace {
                Pace::Full => max_fps,
                Pace::Slower => no_slower(max_fps.value() * 2 / 3, PROMPT_FPS),
                Pace::Least => no_slower(0, LEAST_FPS),
            };
            Rung { reduction, fps }
        };
        let mut rungs: Vec<_> = TABLE.into_iter().map(rung).collect();
        rungs.dedup();
        Self {
            rungs,
            at: 0,
            motion: Motion::default(),
            power: Power::default(),
            roomy_since: None,
            patience: CLIMB_AFTER,
            climbed: None,
            vain: None,
            due: None,
        }
    }

    /// The rung that the picture is on.
    #[must_use]
    pub fn rung(&self) -> Rung {
        self.rungs[self.at]
    }

    fn last(&self) -> usize {
        self.rungs.len() - 1
    }

    /// Its number, from 0 at the top.
    #[must_use]
    pub const fn number(&self) -> usize {
        self.at
    }

    /// The screen changed.
    pub fn changed(&mut self, now: Instant) {
        self.motion.note(now, None);
    }

    /// From when on the frame rate permits a change; `None` if at once.
    #[must_use]
    pub const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// A change was encoded.
    pub fn encoded(&mut self, now: Instant, quantizer: Quantizer, bytes: usize) {
        let finer = f64::from(COARSE.value()) - f64::from(quantizer.value());
        let bits = bytes as f64 * 8.0 * (-finer / HALVING).exp2();
        self.motion.note(now, Some(Encoded { bits, quantizer: quantizer.value().into() }));
        let is_slower = self.rung().fps < self.rungs[0].fps;
        self.due = is_slower.then(|| {
            let interval = Duration::from_micros(self.rung().fps.interval_micros());
            // On average, although the screen changes at instants of its own.
            self.due.map_or(now, |due| due.max(now - interval)) + interval
        });
    }

    /// A keyframe begins, which would take `bits` at least on the rung that the picture is on. Where the
    /// network takes long for that, it comes smaller: soon, and whole when the picture rests.
    pub fn begin(&mut self, bits: f64, target: Kbps) {
        let most = f64::from(target.value()) * 1000.0 * BEGINS_WITHIN.as_secs_f64();
        let fits = |rung: &usize| bits * self.part(*rung).powf(USUAL_POWER) <= most;
        let to = (self.at..=self.last()).find(fits).unwrap_or_else(|| self.last());
        if to != self.at {
            self.go(to);
        }
    }

    /// A change was encoded that is mostly the picture before in another place: text that scrolls. It
    /// stays whole: smaller it cannot be read, and it would move by parts of a row, which no search
    /// finds.
    pub const fn moved(&mut self, now: Instant) {
        self.motion.moved = Some(now);
    }

    /// Decides on which rung the picture is to be, while the network carries `target`.
    pub fn consider(&mut self, now: Instant, target: Kbps) {
        let carried = f64::from(target.value()) * 1000.0;
        if self.vain.is_some_and(|vain| carried >= vain * HOPE) {
            (self.vain, self.patience) = (None, CLIMB_AFTER);
        }
        let Some(observed) = self.motion.observed(now) else {
            // What is no motion, or scrolls, is paid for as it comes, and whole.
            if self.at > 0 && self.has_waited(now) {
                self.climbed = Some((now, carried));
                self.go(0);
            }
            return;
        };
        let load = observed.bits * observed.fps.min(self.fps_at(self.at));
        self.power.learn(observed.bits);
        if load > carried * CROWDED && self.at < self.last() {
            return self.descend(now, observed, carried);
        }
        let doubt = if self.vain.is_some() { DOUBTFUL } else { 1.0 };
        let roomy = |rung: &usize| self.foretold(observed, *rung) <= carried * ROOMY * doubt;
        let is_fine = observed.quantizer <= f64::from(MOTION.value()) + 1.0;
        let next = self.at.checked_sub(1).filter(|_| is_fine && self.vain.is_none());
        let Some(to) = (0..self.at).find(roomy).or(next) else {
            self.roomy_since = None;
            return;
        };
        let is_empty = self.vain.is_none() && self.foretold(observed, to) <= carried * EMPTY;
        if self.has_waited(now) || is_empty {
            self.climbed = Some((now, carried));
            self.power.expect(observed.bits, self.part(to));
            self.go(to);
        }
    }

    fn descend(&mut self, now: Instant, observed: Observed, carried: f64) {
        let fits = |rung: &usize| self.foretold(observed, *rung) <= carried * ROOMY;
        let to = (self.at + 1..=self.last()).find(fits).unwrap_or_else(|| self.last());
        let recent = |(at, _): &(Instant, f64)| now.saturating_duration_since(*at) < USELESS;
        if let Some((_, carried)) = self.climbed.filter(recent) {
            self.patience = (self.patience * 2).min(MOST_PATIENCE);
            self.vain = Some(self.vain.map_or(carried, |vain| vain.max(carried)));
        }
        self.power.expect(observed.bits, self.part(to));
        self.go(to);
    }

    /// The samples on a rung, in times of those on this one.
    fn part(&self, rung: usize) -> f64 {
        self.rungs[rung].reduction.part() / self.rungs[self.at].reduction.part()
    }

    /// The bits a second that the motion would take on a rung.
    fn foretold(&self, observed: Observed, rung: usize) -> f64 {
        let fps = observed.fps.min(self.fps_at(rung));
        observed.bits * fps * self.part(rung).powf(self.power.value)
    }

    /// The picture rests: it is shown whole.
    pub fn rest(&mut self) {
        self.go(0);
        (self.climbed, self.vain, self.patience) = (None, None, CLIMB_AFTER);
    }

    /// The screen has another size, or shows something else.
    pub fn forget(&mut self) {
        self.motion = Motion::default();
        self.power = Power::default();
        self.vain = None;
    }

    /// Whether there has been room above for long enough.
    fn has_waited(&mut self, now: Instant) -> bool {
        let since = *self.roomy_since.get_or_insert(now);
        now.saturating_duration_since(since) >= self.patience
    }

    fn go(&mut self, to: usize) {
        self.at = to;
        self.motion = Motion::default();
        (self.roomy_since, self.due) = (None, None);
    }

    fn fps_at(&self, rung: usize) -> f64 {
        f64::from(self.rungs[rung].fps.value())
    }
}

/// What changed and what was encoded of it, of late.
#[derive(Debug, Default)]
struct Motion {
    /// When a picture was last mostly the one before in another place.
    moved: Option<Instant>,
    /// When what changed, or was encoded.
    notes: VecDeque<(Instant, Option<Encoded>)>,
    /// The last encoded change, which may be older: one that the network takes long for.
    last: Option<Encoded>,
}

/// An encoded change, or the mean of some.
#[derive(Clone, Copy, Debug)]
struct Encoded {
    /// How many bits it would have taken at [`COARSE`].
    bits: f64,
    quantizer: f64,
}

/// A motion.
#[derive(Clone, Copy, Debug)]
struct Observed {
    /// Bits that a picture of it takes at [`COARSE`].
    bits: f64,
    /// The mean quantizer of the pictures.
    quantizer: f64,
    /// How often the screen changes a second.
    fps: f64,
}

impl Motion {
    fn note(&mut self, now: Instant, encoded: Option<Encoded>) {
        self.notes.push_back((now, encoded));
        self.last = encoded.or(self.last);
        self.forget_before(now);
    }

    fn forget_before(&mut self, now: Instant) {
        let old = |at: &Instant| now.saturating_duration_since(*at) >= WINDOW;
        while self.notes.front().is_some_and(|(at, _)| old(at)) {
            self.notes.pop_front();
        }
    }

    fn observed(&mut self, now: Instant) -> Option<Observed> {
        self.forget_before(now);
        let has_moved = |at| now.saturating_duration_since(at) < WINDOW;
        if self.moved.is_some_and(has_moved) {
            return None;
        }
        let span = now.saturating_duration_since(self.notes.front()?.0);
        let encoded = self.notes.iter().filter_map(|(_, encoded)| *encoded);
        let count = encoded.clone().count();
        let changes = self.notes.len() - count;
        if span < LEAST_SPAN || changes < LEAST_CHANGES {
            return None;
        }
        let mean =
            |value: fn(Encoded) -> f64| encoded.clone().map(value).sum::<f64>() / count as f64;
        let Encoded { bits, quantizer } = if count == 0 {
            self.last?
        } else {
            Encoded { bits: mean(|one| one.bits), quantizer: mean(|one| one.quantizer) }
        };
        Some(Observed { bits, quantizer, fps: changes as f64 / span.as_secs_f64() })
    }
}

/// How the bits of a picture grow with its samples: by which power.
#[derive(Debug)]
struct Power {
    value: f64,
    /// The bits of a picture on the rung before, and how many times as many samples the rung has that
    /// was gone to.
    step: Option<(f64, f64)>,
    /// The bits with which it was learned.
    learned: Option<f64>,
}

impl Default for Power {
    fn default() -> Self {
        Self { value: USUAL_POWER, step: None, learned: None }
    }
}

impl Power {
    /// A step is made, to a rung with `step` times as many samples.
    fn expect(&mut self, bits: f64, step: f64) {
        self.step = Some((bits, step));
    }

    fn learn(&mut self, bits: f64) {
        if let Some((before, step)) = self.step.take() {
            let (least, most) = POWERS;
            let value = (bits.max(1.0) / before.max(1.0)).ln() / step.ln();
            // A step of the frame rate alone teaches nothing.
            if value.is_finite() {
                (self.value, self.learned) = (value.clamp(least, most), Some(bits));
            }
        } else if self.learned.is_some_and(|learned| bits < learned * OTHER) {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests;
