//! Whether viewers act, as the session's supervisor is told, which ends sessions that nobody uses. Pure.
//!
//! Decides how often it is told. What somebody did shortly after that is told with what comes next.

use std::time::{Duration, Instant};

/// The shortest time between two words.
const INTERVAL: Duration = Duration::from_secs(5);

/// What the supervisor knows.
#[derive(Debug, Default)]
pub struct Doings {
    /// Whether something was done since it was told.
    done: bool,
    told: Option<Instant>,
}

impl Doings {
    /// A viewer whose input counts did something.
    pub const fn note(&mut self) {
        self.done = true;
    }

    /// Whether the supervisor is to be told now.
    pub fn take(&mut self, now: Instant) -> bool {
        let due = |told: Instant| now.saturating_duration_since(told) >= INTERVAL;
        if !self.done || !self.told.is_none_or(due) {
            return false;
        }
        (self.done, self.told) = (false, Some(now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_deed_is_told_at_once_and_others_once_in_an_interval() {
        let (start, mut doings) = (Instant::now(), Doings::default());
        assert!(!doings.take(start), "nothing was done");
        doings.note();
        assert!(doings.take(start) && !doings.take(start + INTERVAL));
        doings.note();
        assert!(!doings.take(start + INTERVAL / 2));
        assert!(doings.take(start + INTERVAL), "it is not forgotten");
    }
}
