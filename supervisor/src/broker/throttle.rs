//! How often a client may send a wrong token: a state machine in virtual time.
//!
//! Each address pays for its own wrong attempts only: it has a few, which come back one by one, and
//! they do not limit what is tried from elsewhere. Nor do they limit right tokens, because many
//! people may be behind one address (a tunnel, or a proxy that does not name them), and a token of
//! 256 bits cannot be guessed however many attempts there are. So only wrong tokens are counted,
//! after the comparison. (A password, which others can guess, is refused before the comparison:
//! [`super::attempts`].)
//!
//! Each table is bounded, and a new key is never refused for lack of room: the entry that expires
//! first is dropped.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

use lumen_ipc::login::LoginRefusal;

/// Wrong attempts that one address has at once.
const PER_ADDRESS: Allowance = Allowance { most: 5, refill: Duration::from_secs(6) };
/// Most keys remembered of one kind.
const MOST_KEYS: usize = 1024;

#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    pub(super) most: u32,
    /// The time after which one more attempt is allowed.
    pub(super) refill: Duration,
}

/// Attempts used, as the instant at which all of them have come back (GCRA).
#[derive(Clone, Copy, Debug)]
pub(super) struct Meter {
    clear_at: Instant,
}

/// The recent attempts of each key, of which every one has the same allowance.
#[derive(Debug)]
pub(super) struct Meters<Key> {
    allowance: Allowance,
    meters: BTreeMap<Key, Meter>,
}

/// The recent wrong attempts of each address.
#[derive(Debug)]
pub(crate) struct Throttle {
    addresses: Meters<IpAddr>,
}

/// One attempt too many.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TooMany {
    /// When the next attempt is allowed.
    pub(crate) retry_after: Duration,
}

impl TooMany {
    /// What the browser is told.
    pub(super) fn refusal(self) -> LoginRefusal {
        let whole = self.retry_after + Duration::from_millis(999);
        let retry_after_seconds = u16::try_from(whole.as_secs()).unwrap_or(u16::MAX);
        LoginRefusal::TooMany { retry_after_seconds }
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self { addresses: Meters::new(PER_ADDRESS) }
    }
}

impl Throttle {
    /// Counts a wrong attempt from `address`, unless it is one too many.
    pub(crate) fn wrong(&mut self, now: Instant, address: IpAddr) -> Result<(), TooMany> {
        self.addresses.spend(now, network_of(address))
    }
}

impl<Key: Ord + Clone> Meters<Key> {
    /// No attempts.
    pub(super) const fn new(allowance: Allowance) -> Self {
        Self { allowance, meters: BTreeMap::new() }
    }

    /// Counts one more attempt of this key, unless it is one too many.
    pub(super) fn spend(&mut self, now: Instant, key: Key) -> Result<(), TooMany> {
        let meter = self.allowance.spend(self.meters.get(&key).copied(), now)?;
        self.make_room(now, &key);
        self.meters.insert(key, meter);
        Ok(())
    }

    /// Counts one attempt of this key less.
    pub(super) fn give_back(&mut self, key: &Key) {
        let refill = self.allowance.refill;
        if let Some(meter) = self.meters.get_mut(key) {
            meter.clear_at = meter.clear_at.checked_sub(refill).unwrap_or(meter.clear_at);
        }
    }

    /// Forgets the attempts of this key.
    pub(super) fn forgive(&mut self, key: &Key) {
        self.meters.remove(key);
    }

    fn make_room(&mut self, now: Instant, newcomer: &Key) {
        if self.meters.len() < MOST_KEYS || self.meters.contains_key(newcomer) {
            return;
        }
        self.meters.retain(|_, meter| meter.clear_at > now);
        if self.meters.len() >= MOST_KEYS {
            let nearest = self.meters.iter().min_by_key(|(_, meter)| meter.clear_at);
            if let Some(key) = nearest.map(|(key, _)| key.clone()) {
                self.meters.remove(&key);
            }
        }
    }
}

impl Allowance {
    /// Counts one more attempt, unless it is one too many.
    pub(super) fn spend(self, meter: Option<Meter>, now: Instant) -> Result<Meter, TooMany> {
        let from = meter.map_or(now, |meter| meter.clear_at.max(now));
        let clear_at = from + self.refill;
        let fullest = now + self.refill * self.most;
        match clear_at.checked_duration_since(fullest).filter(|over| !over.is_zero()) {
            Some(retry_after) => Err(TooMany { retry_after }),
            None => Ok(Meter { clear_at }),
        }
    }
}

/// The network of an address: whoever has one IPv6 address has all of its /64.
pub(super) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    const BROWSER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn wrong_sixth_is_too_many_until_one_comes_back() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..5 {
            assert_eq!(throttle.wrong(now, BROWSER), Ok(()));
        }
        let refusal = throttle.wrong(now, BROWSER).unwrap_err();
        assert_eq!(refusal.retry_after, PER_ADDRESS.refill);
        assert_eq!(throttle.wrong(now + refusal.retry_after, BROWSER), Ok(()));
    }

    #[test]
    fn wrong_from_any_number_of_addresses_costs_no_other_address_an_attempt() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for address in 1..10_000 {
            let address = IpAddr::V4(Ipv4Addr::from_bits(address));
            while throttle.wrong(now, address).is_ok() {}
        }
        let other = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
        for _ in 0..5 {
            assert_eq!(throttle.wrong(now, other), Ok(()));
        }
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        let address = |low: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, low));
        for low in 0..5 {
            assert_eq!(throttle.wrong(now, address(low)), Ok(()));
        }
        assert!(throttle.wrong(now, address(99)).is_err());
    }

    proptest! {
        #[test]
        fn table_stays_bounded_and_a_newcomer_is_never_refused(
            attempts in proptest::collection::vec((any::<u32>(), 0_u64..50), 0..3000),
        ) {
            let (mut throttle, mut now) = (Throttle::default(), Instant::now());
            let mut seen = std::collections::BTreeSet::new();
            for (address, millis) in attempts {
                now += Duration::from_millis(millis);
                let address = IpAddr::V4(Ipv4Addr::from_bits(address));
                let outcome = throttle.wrong(now, address);
                prop_assert!(outcome.is_ok() || !seen.insert(address));
                seen.insert(address);
                prop_assert!(throttle.addresses.meters.len() <= MOST_KEYS);
            }
        }
    }
}
