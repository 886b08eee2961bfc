//! Which repairs are of use: a packet that was sent again less than a round trip ago may still
//! arrive, whatever the browser asks for meanwhile.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// The round trip until one was measured, and the least that counts: below it, browsers that ask
/// again have waited.
const LEAST_ROUND_TRIP: Duration = Duration::from_millis(5);
/// The longest that counts: a browser that reports a longer one must not stop its own repairs.
const MOST_ROUND_TRIP: Duration = Duration::from_millis(500);
/// More repairs than this are not remembered: the pacer holds fewer.
const MOST_REMEMBERED: usize = 2048;

/// The repairs of the last round trip.
#[derive(Debug)]
pub struct Repairs {
    round_trip: Duration,
    /// The RTP sequence number of each repaired packet, and when another repair of it is of use.
    recent: VecDeque<(u16, Instant)>,
}

impl Default for Repairs {
    fn default() -> Self {
        Self { round_trip: LEAST_ROUND_TRIP, recent: VecDeque::new() }
    }
}

impl Repairs {
    /// A round trip was measured.
    pub fn on_round_trip(&mut self, round_trip: Duration) {
        self.round_trip = round_trip.clamp(LEAST_ROUND_TRIP, MOST_ROUND_TRIP);
    }

    /// Whether the packet with this sequence number is sent again; if so, at `leaves`.
    pub fn admits(&mut self, now: Instant, leaves: Instant, sequence: u16) -> bool {
        while self.recent.front().is_some_and(|(_, until)| *until <= now) {
            self.recent.pop_front();
        }
        if self.recent.iter().any(|(recent, until)| *recent == sequence && *until > now) {
            return false;
        }
        if self.recent.len() >= MOST_REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back((sequence, leaves + self.round_trip));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn packet_is_repaired_once_in_a_round_trip() {
        let start = Instant::now();
        let mut repairs = Repairs::default();
        repairs.on_round_trip(MS * 80);
        assert!(repairs.admits(start, start + MS * 10, 7));
        assert!(repairs.admits(start, start + MS * 10, 8));
        assert!(!repairs.admits(start + MS * 89, start + MS * 89, 7));
        assert!(repairs.admits(start + MS * 90, start + MS * 90, 7));
        assert!(!repairs.admits(start + MS * 91, start + MS * 91, 7));
    }

    #[test]
    fn round_trip_that_is_absurd_stops_no_repair_for_long() {
        let start = Instant::now();
        let mut repairs = Repairs::default();
        repairs.on_round_trip(MS * 100_000);
        assert!(repairs.admits(start, start, 7));
        assert!(repairs.admits(start + MOST_ROUND_TRIP, start, 7));
    }

    #[test]
    fn memory_is_bounded_whatever_is_asked_for() {
        let start = Instant::now();
        let mut repairs = Repairs::default();
        for sequence in 0..=u16::MAX {
            repairs.admits(start, start, sequence);
        }
        assert_eq!(repairs.recent.len(), MOST_REMEMBERED);
    }
}
