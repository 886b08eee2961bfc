//! How fast the rate grows: slowly at first and close to a limit that was met, faster and faster
//! where nothing speaks against it, and after a rest that becomes longer each time that the same
//! limit is met. Above a limit it does not become faster: an encoder that uses only a part of the rate
//! meets it there, and what is too much by then waits on the way.

use std::{
    ops::RangeInclusive,
    time::{Duration, Instant},
};

/// Growth a second at first, at most, and close to a limit that was met.
const GROWTH: f64 = 0.08;
const MOST_GROWTH: f64 = 1.0;
const GROWTH_AT_LIMIT: f64 = 0.03;
/// What is close to a limit, in parts of it.
const AT_LIMIT: RangeInclusive<f64> = 0.85..=1.1;
/// How long the rate rests after it was lowered, and at most.
const REST: Duration = Duration::from_secs(1);
const MOST_REST: Duration = Duration::from_secs(32);
/// A limit that the rate has passed by so much, in parts, is none.
const PASSED: f64 = 1.75;
/// Two limits that differ by less, in parts, are the same.
const SAME_LIMIT: f64 = 0.25;

/// How fast the rate may grow.
#[derive(Debug)]
pub(super) struct Growth {
    rests_until: Instant,
    rest: Duration,
    /// The limit that was met last.
    limit: Option<f64>,
    met: Option<Instant>,
    /// When growth began that goes on.
    began: Option<Instant>,
}

impl Growth {
    pub(super) const fn new(now: Instant) -> Self {
        Self { rests_until: now, rest: REST, limit: None, met: None, began: None }
    }

    pub(super) fn met_limit(&mut self, now: Instant, bps: f64) {
        let is_same = |limit: f64| (bps - limit).abs() < limit * SAME_LIMIT;
        // Cuts in a row are one meeting.
        let is_anew = now >= self.rests_until;
        if is_anew {
            let again = self.limit.is_some_and(is_same);
            self.rest = if again { (self.rest * 2).min(MOST_REST) } else { REST };
        }
        (self.limit, self.met, self.began) = (Some(bps), Some(now), None);
        self.rests_until = now + self.rest;
    }

    /// Whether the network's limit was met.
    pub(super) const fn has_met_limit(&self) -> bool {
        self.limit.is_some()
    }

    /// Whether the limit that counts was met less than `time` ago.
    pub(super) fn met_limit_within(&self, now: Instant, time: Duration) -> bool {
        self.has_met_limit() && self.met.is_some_and(|met| now < met + time)
    }

    /// The rate is not used, so nothing is learned of it: later growth begins slowly.
    pub(super) const fn pause(&mut self) {
        self.began = None;
    }

    /// The growth a second.
    pub(super) fn rate(&mut self, now: Instant, bps: f64) -> f64 {
        if self.limit.is_some_and(|limit| bps > limit * PASSED) {
            (self.limit, self.rest) = (None, REST);
        }
        if now < self.rests_until {
            return 0.0;
        }
        if self.limit.is_some_and(|limit| AT_LIMIT.contains(&(bps / limit))) {
            return GROWTH_AT_LIMIT;
        }
        if self.limit.is_some_and(|limit| bps > limit) {
            return GROWTH;
        }
        let began = *self.began.get_or_insert(now);
        // It doubles every second.
        let seconds = (now - began).as_secs_f64().min(10.0);
        (GROWTH * seconds.exp2()).min(MOST_GROWTH)
    }
}
