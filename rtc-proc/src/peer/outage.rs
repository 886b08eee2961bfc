//! Notices that a browser is back after its line failed.
//!
//! Pictures that left meanwhile are lost, and so was the browser's request for a keyframe, which it
//! repeats only after seconds. Without one, everything that is sent to it is of no use.
//!
//! A line that fails in both directions is silent; it is back with whatever the browser sends first.
//! One that fails in one direction carries the browser's signs of life all the time; it is back when
//! the browser reports that something has arrived.

use std::time::{Duration, Instant};

/// A shorter silence than this is a long way, or a queue. Packets that were lost in a shorter outage
/// are sent again.
pub const SILENCE: Duration = Duration::from_millis(900);

/// What has been heard of the browser.
#[derive(Debug)]
pub struct Outage {
    /// When something came from the browser.
    heard: Instant,
    /// When the first packet of a picture left since the browser last reported an arrival.
    unanswered: Option<Instant>,
}

impl Outage {
    /// The browser was just heard, and has been sent nothing.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self { heard: now, unanswered: None }
    }

    /// A packet of a picture leaves.
    pub fn on_picture(&mut self, now: Instant) {
        self.unanswered.get_or_insert(now);
    }

    /// Something came from the browser; returns whether it ends an outage.
    pub fn on_heard(&mut self, now: Instant) -> bool {
        let was_silent = now >= self.heard + SILENCE;
        self.heard = now;
        was_silent && self.ends(now)
    }

    /// The browser reports that something has arrived; returns whether it ends an outage.
    pub fn on_arrival(&mut self, now: Instant) -> bool {
        let ends = self.ends(now);
        self.unanswered = None;
        ends
    }

    fn ends(&mut self, now: Instant) -> bool {
        self.unanswered.take_if(|since| now >= *since + SILENCE).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn browser_that_is_heard_after_unanswered_pictures_is_back_once() {
        let start = Instant::now();
        let mut outage = Outage::new(start);
        outage.on_picture(start + 100 * MS);
        outage.on_picture(start + 900 * MS);
        assert!(outage.on_heard(start + 3000 * MS));
        assert!(!outage.on_heard(start + 3001 * MS));
        assert!(!outage.on_arrival(start + 3100 * MS));
    }

    #[test]
    fn browser_that_is_silent_on_a_still_screen_has_missed_nothing() {
        let start = Instant::now();
        let mut outage = Outage::new(start);
        outage.on_picture(start);
        assert!(!outage.on_arrival(start + 100 * MS));
        assert!(!outage.on_heard(start + 9000 * MS));
        outage.on_picture(start + 9000 * MS);
        assert!(!outage.on_arrival(start + 9200 * MS));
    }

    #[test]
    fn browser_whose_signs_of_life_come_all_the_time_is_back_when_something_arrives() {
        let start = Instant::now();
        let mut outage = Outage::new(start);
        outage.on_picture(start);
        for index in 1..40 {
            assert!(!outage.on_heard(start + index * 100 * MS));
        }
        assert!(outage.on_arrival(start + 4000 * MS));
        assert!(!outage.on_arrival(start + 4100 * MS));
    }

    #[test]
    fn browser_far_away_is_not_taken_for_one_whose_line_failed() {
        let start = Instant::now();
        let mut outage = Outage::new(start);
        for index in 0..100 {
            outage.on_picture(start + index * 33 * MS);
            let report = start + (index * 33 + 600) * MS;
            assert!(!outage.on_heard(report) && !outage.on_arrival(report));
        }
    }
}
