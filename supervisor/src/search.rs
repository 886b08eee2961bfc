//! When to look again for something that may come late and may go. Pure.
//!
//! Who wants it may say so as often as it likes: attempts are at least `LEAST` apart, and further and
//! further while they fail, or while what they find is lost at once.

use std::time::Duration;

/// The least time between two attempts.
const LEAST: Duration = Duration::from_millis(100);
/// The longest: what came is found after this at the latest.
const MOST: Duration = Duration::from_secs(5);

/// A search.
#[derive(Debug)]
pub struct Search {
    is_wanted: bool,
    is_waiting: bool,
    wait: Duration,
}

impl Default for Search {
    fn default() -> Self {
        Self { is_wanted: false, is_waiting: false, wait: LEAST }
    }
}

impl Search {
    /// It is wanted. Returns whether to look for it at once.
    pub const fn want(&mut self) -> bool {
        self.is_wanted = true;
        !self.is_waiting
    }

    /// This was the outcome of an attempt. Returns when to call [`Search::due`].
    pub fn tried(&mut self, found: bool) -> Duration {
        self.is_wanted = !found;
        self.is_waiting = true;
        let next = (self.wait * 2).min(MOST);
        std::mem::replace(&mut self.wait, next)
    }

    /// There is reason to believe that it has come. Returns whether to look for it at once.
    #[must_use]
    pub const fn hinted(&self) -> bool {
        self.is_wanted
    }

    /// The time has passed. Returns whether to look for it.
    pub const fn due(&mut self) -> bool {
        self.is_waiting = false;
        if !self.is_wanted {
            // It was found, and lasted.
            self.wait = LEAST;
        }
        self.is_wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_that_fails_goes_on_ever_more_slowly_but_never_ends() {
        let mut search = Search::default();
        assert!(search.want());
        let mut waits = Vec::new();
        for _ in 0..10 {
            waits.push(search.tried(false));
            assert!(!search.want(), "it is waiting");
            assert!(search.due());
        }
        assert!(waits.is_sorted() && waits.first() == Some(&LEAST) && waits.last() == Some(&MOST));
    }

    #[test]
    fn hint_ends_a_wait_for_what_is_wanted_and_for_nothing_else() {
        let mut search = Search::default();
        assert!(!search.hinted());
        assert!(search.want());
        let _ = search.tried(false);
        assert!(search.hinted());
        let _ = search.tried(true);
        assert!(!search.hinted());
    }

    #[test]
    fn what_is_found_and_lost_at_once_is_looked_for_ever_more_slowly_until_it_lasts() {
        let mut search = Search::default();
        assert!(search.want());
        for attempt in 0..3 {
            assert_eq!(search.tried(true), LEAST * 2u32.pow(attempt));
            assert!(!search.want(), "not at once");
            assert!(search.due());
        }
        let _ = search.tried(true);
        assert!(!search.due(), "nobody wants it");
        assert!(search.want());
        assert_eq!(search.tried(true), LEAST);
    }
}
