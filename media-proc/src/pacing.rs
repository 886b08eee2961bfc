//! When to encode what: changes at once, a keyframe when a decoder needs one, refinement once the
//! screen is still, and then nothing.
//!
//! A state machine in virtual time. The shell reports events, calls [`Pacing::step`], does what it
//! says, reports that with [`Pacing::encoded`], and sleeps when told to.
//!
//! INVARIANT: without a picture, a viewer or an open outlet nothing is encoded and no timer runs;
//! likewise once the newest picture was sent and is refined.

use std::time::{Duration, Instant};

use crate::key_floor::{KeyFloor, Reason};

/// A screen unchanged for this long is still and worth refining. Longer than the pause between two
/// frames of a 10 fps animation, shorter than a reader's glance.
pub const STILL_AFTER: Duration = Duration::from_millis(200);

/// What to encode.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Work {
    /// The whole picture, where decoders can start.
    Key,
    /// What changed since the last picture.
    Change,
    /// The same content with a finer quantizer.
    Refinement,
}

/// What to do next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Encode this.
    Encode(Work),
    /// Sleep until then, or until an event.
    Wait(Option<Instant>),
}

/// When the bit rate permits which work, from [`crate::rate`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Budget {
    /// A change.
    pub change_at: Instant,
    /// A refinement.
    pub refinement_at: Instant,
}

/// The state machine.
#[derive(Debug)]
pub struct Pacing {
    picture: bool,
    watched: bool,
    outlet: bool,
    /// Why a keyframe is due, if one is.
    key: Option<Reason>,
    floor: KeyFloor,
    /// Whether no decoder can follow before the next keyframe.
    cut: bool,
    changed: bool,
    changed_at: Option<Instant>,
    refined: bool,
}

impl Default for Pacing {
    fn default() -> Self {
        Self::new()
    }
}

impl Pacing {
    /// No picture yet, nobody watching, no outlet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            picture: false,
            watched: false,
            outlet: false,
            key: Some(Reason::Needed),
            floor: KeyFloor::new(),
            cut: true,
            changed: false,
            changed_at: None,
            refined: false,
        }
    }

    /// The planes changed.
    pub fn screen_changed(&mut self, now: Instant) {
        self.picture = true;
        self.changed = true;
        self.changed_at = Some(now);
    }

    /// There are no planes until the screen changes.
    pub fn picture_lost(&mut self) {
        self.picture = false;
        self.key_needed();
    }

    /// A decoder must be able to start, because the earlier packets are useless: they are of another
    /// encoder, or for another reader.
    pub fn key_needed(&mut self) {
        self.want_key(Reason::Needed);
        self.cut = true;
    }

    /// Rtc asks for a keyframe: for a viewer who has `joined`, or for one who cannot go on.
    pub fn key_asked(&mut self, joined: bool) {
        self.want_key(if joined { Reason::Joined } else { Reason::Asked });
    }

    /// A packet was dropped because rtc has no room for it, so decoders cannot follow.
    pub fn dropped(&mut self) {
        self.want_key(Reason::Asked);
        self.cut = true;
    }

    /// Whether anybody watches. The first viewer has received nothing before.
    pub fn set_watched(&mut self, watched: bool) {
        if watched && !self.watched {
            self.want_key(Reason::Joined);
            self.cut = true;
        }
        self.watched = watched;
    }

    fn want_key(&mut self, reason: Reason) {
        self.key = self.key.max(Some(reason));
    }

    /// Whether a packet can be sent.
    pub fn set_outlet(&mut self, open: bool) {
        self.outlet = open;
    }

    /// What to do at `now`.
    #[must_use]
    pub fn step(&self, now: Instant, budget: Budget) -> Step {
        if !(self.picture && self.watched && self.outlet) {
            return Step::Wait(None);
        }
        let key = self.key.map(|reason| self.floor.due(reason).unwrap_or(now));
        let change = (self.changed && !self.cut).then_some(budget.change_at);
        let refinement = self.refinement_at(budget).filter(|_| !self.cut);
        let candidates = [(key, Work::Key), (change, Work::Change), (refinement, Work::Refinement)];
        if let Some((_, work)) = candidates.iter().find(|(at, _)| at.is_some_and(|at| at <= now)) {
            return Step::Encode(*work);
        }
        Step::Wait(candidates.into_iter().filter_map(|(at, _)| at).min())
    }

    fn refinement_at(&self, budget: Budget) -> Option<Instant> {
        let still = self.changed_at.map(|at| at + STILL_AFTER)?;
        (!self.changed && !self.refined).then(|| still.max(budget.refinement_at))
    }

    /// `work` was encoded and sent; `refined` says whether nothing is left to refine.
    pub fn encoded(&mut self, now: Instant, work: Work, refined: bool) {
        if work == Work::Key {
            if let Some(reason) = self.key.take() {
                self.floor.made(now, reason);
            }
            self.cut = false;
        }
        self.changed = false;
        self.refined = refined;
    }
}

#[cfg(test)]
mod tests;
