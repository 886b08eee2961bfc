//! When the page is told which picture it should be showing.
//!
//! A page knows what it decodes but not what it misses: silence may mean a still desktop. So it is
//! told the RTP time of the newest picture whose last packet was sent: at once after a pause, and
//! otherwise just often enough that it notices a missing picture within a second or two.

use std::time::{Duration, Instant};

/// Least time between two such messages.
pub const PAUSE: Duration = Duration::from_millis(500);

/// The newest sent picture, and the one that the page knows.
#[derive(Debug, Default)]
pub struct SentPictures {
    untold: Option<u64>,
    told: Option<Instant>,
}

impl SentPictures {
    /// The last packet of the picture with this RTP time was sent.
    pub const fn on_sent(&mut self, rtp_ticks: u64) {
        self.untold = Some(rtp_ticks);
    }

    /// When to tell the page; `None` if it knows.
    #[must_use]
    pub fn due(&self, now: Instant) -> Option<Instant> {
        self.untold.map(|_| self.told.map_or(now, |told| told + PAUSE))
    }

    /// The RTP time to tell the page at `now`, if due.
    pub fn take(&mut self, now: Instant) -> Option<u64> {
        let due = self.due(now).is_some_and(|due| due <= now);
        let taken = self.untold.take_if(|_| due);
        if taken.is_some() {
            self.told = Some(now);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn take_first_picture_is_told_at_once_and_the_last_of_many_after_the_pause() {
        let start = Instant::now();
        let mut sent = SentPictures::default();
        assert_eq!(sent.due(start), None);
        sent.on_sent(10);
        assert_eq!(sent.take(start), Some(10));
        for ticks in 11..20 {
            sent.on_sent(ticks);
            assert_eq!(sent.take(start + PAUSE / 2), None);
        }
        assert_eq!(sent.due(start + PAUSE / 2), Some(start + PAUSE));
        assert_eq!(sent.take(start + PAUSE), Some(19));
        assert_eq!(sent.due(start + PAUSE), None);
        assert_eq!(sent.take(start + 4 * PAUSE), None);
    }
}
