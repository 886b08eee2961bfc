//! How many relay credentials each login may get: so many at once, and one more at intervals.
//!
//! Without authentication all browsers share one login; then each browser has a budget of its own.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use lumen_ipc::login::LoginId;

use super::BrowserId;

/// Credentials that may be minted at once. A page takes two at first, one for each later
/// connection, and a few for each test of the relay.
pub(super) const MOST: u32 = 30;
/// The time after which one more is allowed.
pub(super) const REFILL: Duration = Duration::from_secs(2);
/// Most budgets remembered; beyond that, full ones are dropped.
const MOST_KEPT: usize = 1024;

/// Whose budget it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Payer {
    Browser(BrowserId),
    Login(LoginId),
}

/// What has been spent, as the instant at which a budget is full again.
#[derive(Debug, Default)]
pub(super) struct Budgets(BTreeMap<Payer, Instant>);

impl Payer {
    pub(super) fn of(login: LoginId, browser: BrowserId) -> Self {
        match login == LoginId::OPEN {
            true => Self::Browser(browser),
            false => Self::Login(login),
        }
    }
}

impl Budgets {
    /// Takes one out; when there is none, returns when there is one again.
    pub(super) fn spend(&mut self, now: Instant, payer: Payer) -> Result<(), Instant> {
        if self.0.len() >= MOST_KEPT {
            self.0.retain(|_, whole_at| *whole_at > now);
        }
        let whole_at = self.0.get(&payer).map_or(now, |whole_at| (*whole_at).max(now)) + REFILL;
        let over = whole_at.saturating_duration_since(now + REFILL * MOST);
        if !over.is_zero() {
            return Err(now + over);
        }
        self.0.insert(payer, whole_at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budget_runs_dry_fills_again_and_is_nobody_elses() {
        let (now, mut budgets) = (Instant::now(), Budgets::default());
        let (own, other) = (Payer::Login(LoginId(1)), Payer::Login(LoginId(2)));
        assert_eq!((0..90).filter(|_| budgets.spend(now, own).is_ok()).count(), MOST as usize);
        assert_eq!(budgets.spend(now, own), Err(now + REFILL));
        assert!(budgets.spend(now, other).is_ok());
        assert!(budgets.spend(now + REFILL, own).is_ok());
        assert!(budgets.spend(now + REFILL, own).is_err());
    }

    #[test]
    fn budgets_that_are_whole_again_are_forgotten() {
        let (mut now, mut budgets) = (Instant::now(), Budgets::default());
        for id in 0..10_000 {
            now += REFILL;
            assert!(budgets.spend(now, Payer::Browser(BrowserId(id))).is_ok());
            assert!(budgets.0.len() <= MOST_KEPT);
        }
    }
}
