//! Which repairs are of use: a packet that was sent again less than a round trip ago may still
//! arrive, whatever the browser asks for meanwhile, and after an outage it shall go on with the next
//! keyframe instead of asking for all that it missed.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// The round trip until one was measured, and the least that counts: below it, browsers that ask
/// again have waited.
const LEAST_ROUND_TRIP: Duration = Duration::from_millis(5);
/// The longest that counts: a browser that reports a longer one must not stop its own repairs.
const MOST_ROUND_TRIP: Duration = Duration::from_millis(500);
/// Browsers ask for a packet no longer than this.
const ASKED_FOR: Duration = Duration::from_secs(5);
/// Over so many packets the part is measured that is repaired.
const PART_OVER: f64 = 128.0;
/// More repairs than this are not remembered: the pacer holds fewer.
const MOST_REMEMBERED: usize = 2048;

/// The repairs of the last round trip.
#[derive(Debug)]
pub struct Repairs {
    round_trip: Duration,
    /// The RTP sequence number of each repaired packet, and when another repair of it is of use.
    recent: VecDeque<(u16, Instant)>,
    /// The RTP sequence number of the newest packet of a picture.
    newest: Option<u16>,
    /// The part of the last packets that was repaired, older ones counting less and less.
    part: f64,
    /// The last packet that is of no use any more, and until when its number means it.
    useless: Option<(u16, Instant)>,
}

impl Default for Repairs {
    fn default() -> Self {
        Self {
            round_trip: LEAST_ROUND_TRIP,
            recent: VecDeque::new(),
            newest: None,
            part: 0.0,
            useless: None,
        }
    }
}

impl Repairs {
    /// A round trip was measured.
    pub fn on_round_trip(&mut self, round_trip: Duration) {
        self.round_trip = round_trip.clamp(LEAST_ROUND_TRIP, MOST_ROUND_TRIP);
    }

    /// An RTP packet of a picture was made.
    pub fn on_packet(&mut self, packet: &[u8]) {
        // RFC 3550, section 5.1.
        let number = packet.get(2..).and_then(|rest| rest.first_chunk());
        self.newest = number.map(|number| u16::from_be_bytes(*number)).or(self.newest);
        self.part -= self.part / PART_OVER;
    }

    /// The part of the packets that is repaired.
    #[must_use]
    pub const fn part(&self) -> f64 {
        self.part
    }

    /// Packets made so far are of no use any more.
    pub fn begin_anew(&mut self, now: Instant) {
        self.recent.clear();
        self.useless = self.newest.map(|newest| (newest, now + ASKED_FOR));
    }

    /// Whether the packet with this sequence number is sent again; if so, at `leaves`.
    pub fn admits(&mut self, now: Instant, leaves: Instant, sequence: u16) -> bool {
        while self.recent.front().is_some_and(|(_, until)| *until <= now) {
            self.recent.pop_front();
        }
        if self.recent.iter().any(|(recent, until)| *recent == sequence && *until > now) {
            return false;
        }
        if self.is_useless(now, sequence) {
            return false;
        }
        if self.recent.len() >= MOST_REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back((sequence, leaves + self.round_trip));
        self.part += 1.0 / PART_OVER;
        true
    }

    /// Numbers wrap: half of them count as those before another.
    fn is_useless(&self, now: Instant, sequence: u16) -> bool {
        self.useless
            .is_some_and(|(last, until)| now < until && last.wrapping_sub(sequence) <= u16::MAX / 2)
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
    fn packets_from_before_an_outage_are_not_repaired_and_later_ones_are() {
        let start = Instant::now();
        let mut repairs = Repairs::default();
        repairs.begin_anew(start);
        assert!(repairs.admits(start, start, 7), "nothing was made");
        repairs.on_packet(&[0x80, 102, 0, 3, 0]);
        repairs.on_packet(&[0x80, 102]);
        repairs.begin_anew(start);
        for (sequence, admitted) in [(3, false), (0xfff0, false), (4, true), (0x7000, true)] {
            assert_eq!(repairs.admits(start, start, sequence), admitted, "{sequence}");
        }
        assert!(repairs.admits(start + ASKED_FOR, start + ASKED_FOR, 3));
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
