//! A limit on a rate, with a burst. Pure.
//!
//! The generic cell rate algorithm (ITU-T I.371), whose whole state is one instant.

use std::time::{Duration, Instant};

/// A rate, and what has been used of it.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    each: Duration,
    at_once: Duration,
    /// When everything so far would have arrived at an even rate.
    even: Instant,
}

impl Pace {
    /// `per_second` in the long run, and `at_once` in a burst after a pause.
    #[must_use]
    pub fn new(now: Instant, per_second: u32, at_once: u32) -> Self {
        let each = Duration::from_secs(1) / per_second.max(1);
        Self { each, at_once: each.saturating_mul(at_once), even: now }
    }

    /// Counts arrivals.
    pub fn spend(&mut self, now: Instant, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.even = self.even.max(now) + self.each.saturating_mul(count);
    }

    /// How many may arrive now.
    #[must_use]
    pub fn left(&self, now: Instant) -> u32 {
        let spent = self.even.saturating_duration_since(now);
        let left = self.at_once.saturating_sub(spent).as_nanos() / self.each.as_nanos().max(1);
        u32::try_from(left).unwrap_or(u32::MAX)
    }

    /// How long until the next may arrive.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Duration {
        self.even.saturating_duration_since(now).saturating_sub(self.at_once)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pace_lets_a_burst_through_and_then_the_even_rate() {
        let start = Instant::now();
        let mut pace = Pace::new(start, 10, 5);
        assert_eq!(pace.left(start), 5);
        pace.spend(start, 5);
        assert_eq!((pace.left(start), pace.wait(start)), (0, Duration::ZERO));
        pace.spend(start, 1);
        assert_eq!(pace.wait(start), Duration::from_millis(100));
        let later = start + Duration::from_millis(300);
        assert_eq!((pace.left(later), pace.wait(later)), (2, Duration::ZERO));
    }
}
