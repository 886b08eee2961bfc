//! Attempts to sign in with a password that are not finished: how many there may be, how often one may begin,
//! and which of them a browser means. Pure.
//!
//! An attempt counts as a wrong one when it begins, because a password can be guessed and so must not even be
//! compared too often; success forgives it. Addresses pay for themselves, and an account only for what was
//! tried from the same address: nobody locks somebody else out. (What many addresses try on one account is
//! for pam_faillock to end, which tells the administrator.)
//!
//! Whoever answers must know the attempt's key: a guess at it ends nobody's attempt and is told nothing.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use lumen_ipc::{message::login::AccountName, text::Secret};

use super::{
    not_begun::NotBegun,
    secret::{Digest, Key},
    throttle::{Allowance, Meters, TooMany, network_of},
};

/// Most unfinished attempts.
const MOST: usize = 16;
/// Most of one network.
const MOST_OF_ONE: usize = 4;
/// When to try again if there are too many.
const RETRY: Duration = Duration::from_secs(5);
/// Attempts of one network, whatever accounts they name.
const PER_NETWORK: Allowance = Allowance { most: 20, refill: Duration::from_secs(10) };
/// Attempts of one network at one account.
const PER_ACCOUNT: Allowance = Allowance { most: 5, refill: Duration::from_secs(30) };

/// Identifies an attempt inside the supervisor.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct AttemptId(u64);

#[cfg(test)]
impl AttemptId {
    /// An attempt that nobody began.
    pub(super) const fn for_test(number: u64) -> Self {
        Self(number)
    }
}

#[derive(Debug)]
struct Entry {
    key: Digest,
    from: IpAddr,
    network: IpAddr,
    account: AccountName,
    /// Whether it waits for its browser.
    asks: bool,
}

/// All unfinished attempts.
#[derive(Debug)]
pub(super) struct Attempts {
    entries: BTreeMap<AttemptId, Entry>,
    last: u64,
    networks: Meters<IpAddr>,
    accounts: Meters<(IpAddr, AccountName)>,
}

impl Default for Attempts {
    fn default() -> Self {
        let (networks, accounts) = (Meters::new(PER_NETWORK), Meters::new(PER_ACCOUNT));
        Self { entries: BTreeMap::new(), last: 0, networks, accounts }
    }
}

impl Attempts {
    /// An attempt begins; returns the key with which its browser answers.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        from: IpAddr,
        account: &AccountName,
    ) -> Result<(AttemptId, Secret), NotBegun> {
        let network = network_of(from);
        let of_network = self.entries.values().filter(|entry| entry.network == network).count();
        if self.entries.len() >= MOST || of_network >= MOST_OF_ONE {
            return Err(NotBegun::TooMany(TooMany { retry_after: RETRY }));
        }
        let key = Key::random().map_err(NotBegun::NoRandomness)?.to_secret();
        let pair = (network, account.clone());
        self.accounts.spend(now, pair).map_err(NotBegun::TooMany)?;
        self.networks.spend(now, network).map_err(NotBegun::TooMany)?;
        self.last += 1;
        let id = AttemptId(self.last);
        let account = account.clone();
        let entry = Entry { key: Digest::of(&key), from, network, account, asks: false };
        self.entries.insert(id, entry);
        Ok((id, key))
    }

    /// Something is asked of the attempt's browser. False if there is no such attempt.
    pub(super) fn ask(&mut self, id: AttemptId) -> bool {
        let entry = self.entries.get_mut(&id);
        entry.map(|entry| entry.asks = true).is_some()
    }

    /// A browser answers: the attempt of this key, if it waits for that.
    pub(super) fn answer(&mut self, key: &Secret) -> Option<AttemptId> {
        let digest = Digest::of(key);
        let (id, entry) = self.entries.iter_mut().find(|(_, entry)| entry.key == digest)?;
        std::mem::take(&mut entry.asks).then_some(*id)
    }

    /// A browser gives its attempt up.
    pub(super) fn abandon(&mut self, key: &Secret) -> Option<AttemptId> {
        let digest = Digest::of(key);
        let id = self.entries.iter().find(|(_, entry)| entry.key == digest).map(|(id, _)| *id)?;
        self.entries.remove(&id);
        Some(id)
    }

    /// The attempt has failed.
    pub(super) fn fail(&mut self, id: AttemptId) {
        self.entries.remove(&id);
    }

    /// The attempt has succeeded; returns from where it was made. `None` if there is no such attempt.
    pub(super) fn succeed(&mut self, id: AttemptId) -> Option<IpAddr> {
        let entry = self.entries.remove(&id)?;
        self.networks.give_back(&entry.network);
        self.accounts.forgive(&(entry.network, entry.account));
        Some(entry.from)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn account(name: &str) -> AccountName {
        AccountName::new(name).expect("legal")
    }

    fn address(low: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, low).into()
    }

    fn begin(
        attempts: &mut Attempts,
        now: Instant,
        low: u8,
        name: &str,
    ) -> Result<(AttemptId, Secret), NotBegun> {
        attempts.begin(now, address(low), &account(name))
    }

    #[test]
    fn unfinished_attempts_are_few_in_all_and_fewer_of_one_address() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        let mut begun = Vec::new();
        for low in 1..=4 {
            for number in 0..4 {
                let name = format!("user{number}");
                begun.push(begin(&mut attempts, now, low, &name).expect("few"));
            }
            let too_many = NotBegun::TooMany(TooMany { retry_after: RETRY });
            assert_eq!(begin(&mut attempts, now, low, "other").unwrap_err(), too_many);
        }
        assert!(begin(&mut attempts, now, 5, "other").is_err(), "sixteen are unfinished");
        attempts.fail(begun[0].0);
        assert!(begin(&mut attempts, now, 5, "other").is_ok());
    }

    #[test]
    fn wrong_attempts_at_an_account_are_bounded_from_one_address_and_not_from_another() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        for _ in 0..5 {
            let (id, _) = begin(&mut attempts, now, 1, "alice").expect("few");
            attempts.fail(id);
        }
        let retry_after = PER_ACCOUNT.refill;
        let refusal = begin(&mut attempts, now, 1, "alice").unwrap_err();
        assert_eq!(refusal, NotBegun::TooMany(TooMany { retry_after }));
        assert!(begin(&mut attempts, now, 1, "bob").is_ok());
        let (id, _) =
            begin(&mut attempts, now, 2, "alice").expect("somebody else is not locked out");
        assert!(attempts.succeed(id).is_some());
        assert!(begin(&mut attempts, now, 1, "alice").is_err(), "only its own success forgives");
        assert!(begin(&mut attempts, now + retry_after, 1, "alice").is_ok());
    }

    #[test]
    fn address_that_tries_many_accounts_is_stopped_too() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        let tried = (0..100).take_while(|number| {
            let begun = begin(&mut attempts, now, 1, &format!("user{number}"));
            begun.map(|(id, _)| attempts.fail(id)).is_ok()
        });
        assert_eq!(tried.count(), 20);
        assert!(begin(&mut attempts, now, 2, "user1").is_ok());
    }

    #[test]
    fn success_forgives_what_was_tried_before() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        for _ in 0..20 {
            for _ in 0..2 {
                let (id, _) = begin(&mut attempts, now, 1, "alice").expect("forgiven");
                attempts.succeed(id);
            }
        }
    }

    #[test]
    fn only_the_key_answers_and_only_what_was_asked() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        let (id, key) = begin(&mut attempts, now, 1, "alice").expect("few");
        let other = Secret::new("0".repeat(64)).expect("short");
        assert_eq!(attempts.answer(&key), None, "nothing was asked yet");
        assert!(attempts.ask(id));
        assert_eq!((attempts.answer(&other), attempts.abandon(&other)), (None, None));
        assert_eq!(attempts.answer(&key), Some(id));
        assert_eq!(attempts.answer(&key), None, "it was answered");
        assert_eq!(attempts.abandon(&key), Some(id));
        assert!(!attempts.ask(id) && attempts.succeed(id).is_none(), "it is over");
    }

    proptest! {
        #[test]
        fn attempts_stay_bounded_and_an_address_without_failures_always_begins(
            steps in prop::collection::vec((0_u8..6, 0_u8..8, any::<bool>(), 0_u64..40), 0..300),
        ) {
            let (mut attempts, mut now) = (Attempts::default(), Instant::now());
            let mut open = Vec::new();
            for (low, user, succeeds, seconds) in steps {
                now += Duration::from_secs(seconds);
                if let Ok((id, _)) = begin(&mut attempts, now, low, &format!("user{user}")) {
                    open.push(id);
                }
                if open.len() > 3 {
                    let id = open.remove(usize::from(user) % open.len());
                    if succeeds { attempts.succeed(id); } else { attempts.fail(id); }
                }
                prop_assert!(attempts.entries.len() <= MOST);
                for low in 0..6 {
                    let of_one = |entry: &&Entry| entry.network == address(low);
                    prop_assert!(attempts.entries.values().filter(of_one).count() <= MOST_OF_ONE);
                }
            }
            for id in open {
                attempts.fail(id);
            }
            prop_assert!(begin(&mut attempts, now, 200, "user0").is_ok());
        }
    }
}
