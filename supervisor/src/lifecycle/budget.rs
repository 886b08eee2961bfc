//! How soon, and how often, something that ended may be started again.
//!
//! Deaths are counted over a sliding window. A death soon after the start delays the next start,
//! twice as long each time; a late one does not, because nothing suggests that the next start will
//! fail.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// How long a death counts.
pub const WINDOW: Duration = Duration::from_secs(60);
/// The number of deaths within [`WINDOW`] that is too many.
pub const MOST_DEATHS: usize = 10;
/// The same for a process that has never worked, and so hardly ever will.
pub const MOST_DEATHS_BEFORE_FIRST_SUCCESS: usize = 3;
/// The wait after the second early death.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The first pause after a failure.
const FIRST_RETRY: Duration = Duration::from_secs(10);
/// The longest pause.
pub const SLOWEST_RETRY: Duration = Duration::from_secs(60);

/// The pause after a failure, twice as long for each earlier one.
#[must_use]
pub fn slow_retry(failures: u32) -> Duration {
    let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
    FIRST_RETRY.saturating_mul(factor).min(SLOWEST_RETRY)
}

/// The deaths of one process within [`WINDOW`].
#[derive(Clone, Debug, Default)]
pub struct Budget {
    deaths: VecDeque<Death>,
}

#[derive(Clone, Copy, Debug)]
struct Death {
    at: Instant,
    early: bool,
}

impl Budget {
    /// Counts a death and returns how long to wait before the next start; `None` when there must be
    /// no next start. `early` means soon after the start, `most` is the number of deaths that is
    /// too many.
    pub fn spend(&mut self, now: Instant, early: bool, most: usize) -> Option<Duration> {
        self.deaths.retain(|death| now.saturating_duration_since(death.at) < WINDOW);
        self.deaths.push_back(Death { at: now, early });
        (self.deaths.len() < most).then(|| self.wait())
    }

    /// Forgets all deaths, because an administrator says that it works again.
    pub fn refill(&mut self) {
        self.deaths.clear();
    }

    /// How many deaths count at present.
    #[must_use]
    pub fn spent(&self) -> usize {
        self.deaths.len()
    }

    fn wait(&self) -> Duration {
        let early = self.deaths.iter().filter(|death| death.early).count();
        match (self.deaths.back().is_some_and(|last| last.early), early.checked_sub(2)) {
            (true, Some(doublings)) => {
                let factor = 1_u32.checked_shl(doublings.try_into().unwrap_or(u32::MAX));
                factor.map_or(LONGEST_WAIT, |factor| {
                    FIRST_WAIT.saturating_mul(factor).min(LONGEST_WAIT)
                })
            }
            _ => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn early_deaths_wait_twice_as_long_each_time() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        let waits: Vec<_> = (0..10).map(|_| budget.spend(now, true, 99)).collect();
        let millis = [0, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000];
        assert_eq!(waits, millis.map(|wait| Some(Duration::from_millis(wait))));
    }

    #[test]
    fn late_deaths_do_not_wait() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        assert!(
            (1..MOST_DEATHS)
                .all(|_| { budget.spend(now, false, MOST_DEATHS) == Some(Duration::ZERO) })
        );
    }

    #[test]
    fn the_tenth_death_within_the_window_is_one_too_many() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        for second in 0..9 {
            let now = start + Duration::from_secs(second);
            assert!(budget.spend(now, true, MOST_DEATHS).is_some());
        }
        assert_eq!(budget.spend(start + Duration::from_secs(9), true, MOST_DEATHS), None);
        budget.refill();
        assert!(budget.spend(start + Duration::from_secs(9), true, MOST_DEATHS).is_some());
    }

    #[test]
    fn deaths_outside_the_window_are_forgotten() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        for minute in 0..50 {
            let now = start + WINDOW * minute;
            assert_eq!(budget.spend(now, true, MOST_DEATHS), Some(Duration::ZERO));
        }
    }
}
