//! How many relay credentials each login may get, and how many offers it may make: so many at once, and
//! one more at intervals.
//!
//! Without authentication all browsers share one login; then each browser has a budget of its own.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use lumen_ipc::login::LoginId;

use super::BrowserId;

/// So many at once, and one more after each refill.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub(super) most: u32,
    pub(super) refill: Duration,
}

/// Credentials. A page takes two at first, one for each later connection, and a few for each test of
/// the relay.
pub(super) const CREDENTIALS: Rate = Rate { most: 30, refill: Duration::from_secs(2) };
/// Offers of connections and of ICE restarts, each of which costs rtc a millisecond or more. A page
/// makes one for each connection, and waits longer after each that fails.
pub(super) const OFFERS: Rate = Rate { most: 60, refill: Duration::from_millis(500) };
/// Most budgets remembered; beyond that, full ones are dropped.
const MOST_KEPT: usize = 1024;

/// Whose budget it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Payer {
    Browser(BrowserId),
    Login(LoginId),
}

/// What has been spent, as the instant at which a budget is full again.
#[derive(Debug)]
pub(super) struct Budgets {
    rate: Rate,
    whole: BTreeMap<Payer, Instant>,
}

impl Payer {
    pub(super) fn of(login: LoginId, browser: BrowserId) -> Self {
        match login == LoginId::OPEN {
            true => Self::Browser(browser),
            false => Self::Login(login),
        }
    }
}

impl Budgets {
    /// Everybody's budget is whole.
    pub(super) const fn of(rate: Rate) -> Self {
        Self { rate, whole: BTreeMap::new() }
    }

    /// Takes one out; when there is none, returns when there is one again.
    pub(super) fn spend(&mut self, now: Instant, payer: Payer) -> Result<(), Instant> {
        if self.whole.len() >= MOST_KEPT {
            self.whole.retain(|_, whole_at| *whole_at > now);
        }
        let Rate { most, refill } = self.rate;
        let whole_at = self.whole.get(&payer).map_or(now, |whole_at| (*whole_at).max(now)) + refill;
        let over = whole_at.saturating_duration_since(now + refill * most);
        if !over.is_zero() {
            return Err(now + over);
        }
        self.whole.insert(payer, whole_at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u32 = CREDENTIALS.most;
    const REFILL: Duration = CREDENTIALS.refill;

    #[test]
    fn budget_runs_dry_fills_again_and_is_nobody_elses() {
        let (now, mut budgets) = (Instant::now(), Budgets::of(CREDENTIALS));
        let (own, other) = (Payer::Login(LoginId(1)), Payer::Login(LoginId(2)));
        assert_eq!((0..90).filter(|_| budgets.spend(now, own).is_ok()).count(), MOST as usize);
        assert_eq!(budgets.spend(now, own), Err(now + REFILL));
        assert!(budgets.spend(now, other).is_ok());
        assert!(budgets.spend(now + REFILL, own).is_ok());
        assert!(budgets.spend(now + REFILL, own).is_err());
    }

    #[test]
    fn budgets_that_are_whole_again_are_forgotten() {
        let (mut now, mut budgets) = (Instant::now(), Budgets::of(CREDENTIALS));
        for id in 0..10_000 {
            now += REFILL;
            assert!(budgets.spend(now, Payer::Browser(BrowserId(id))).is_ok());
            assert!(budgets.whole.len() <= MOST_KEPT);
        }
    }
}
