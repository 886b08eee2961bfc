//! How often somebody may try a token: a machine in virtual time.
//!
//! A token of 256 bits cannot be guessed; the throttle keeps the log readable and the gateway's
//! processor free, and makes a weaker secret safe should one ever be allowed. Each address has a
//! few attempts that come back one by one; so has everyone together, so that many addresses do not
//! add up. The table of addresses is bounded: when it is full the one idle longest makes room.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

/// Attempts one address has at once.
const PER_ADDRESS: Allowance = Allowance { most: 5, refill: Duration::from_secs(6) };
/// Attempts all addresses together have at once.
const ALL_TOGETHER: Allowance = Allowance { most: 50, refill: Duration::from_secs(1) };
/// Most addresses remembered.
const MOST_ADDRESSES: usize = 1024;

#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    pub(super) most: u32,
    /// After this long one more attempt is allowed.
    pub(super) refill: Duration,
}

/// Attempts used, as the instant at which none is used any more (GCRA).
#[derive(Clone, Copy, Debug)]
pub(super) struct Meter {
    clear_at: Instant,
}

/// Who failed how often of late.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    addresses: BTreeMap<IpAddr, Meter>,
    everyone: Option<Meter>,
}

/// An attempt that is not even looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TooMany {
    /// When the next one will be.
    pub(crate) retry_after: Duration,
}

impl Throttle {
    /// Counts an attempt from `address`, or refuses it without counting.
    pub(crate) fn attempt(&mut self, now: Instant, address: IpAddr) -> Result<(), TooMany> {
        let address = network_of(address);
        let own = self.addresses.get(&address).copied();
        let own = PER_ADDRESS.spend(own, now)?;
        self.everyone = Some(ALL_TOGETHER.spend(self.everyone, now)?);
        self.make_room(now, address);
        self.addresses.insert(address, own);
        Ok(())
    }

    /// Forgets the attempts of an address that has proved itself.
    pub(crate) fn succeeded(&mut self, address: IpAddr) {
        self.addresses.remove(&network_of(address));
    }

    fn make_room(&mut self, now: Instant, newcomer: IpAddr) {
        if self.addresses.len() < MOST_ADDRESSES || self.addresses.contains_key(&newcomer) {
            return;
        }
        self.addresses.retain(|_, meter| meter.clear_at > now);
        if self.addresses.len() >= MOST_ADDRESSES {
            let idle = self.addresses.iter().min_by_key(|(_, meter)| meter.clear_at);
            if let Some(address) = idle.map(|(address, _)| *address) {
                self.addresses.remove(&address);
            }
        }
    }
}

impl Allowance {
    /// Counts one more, unless it is too many.
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

/// Whoever has one IPv6 address has all of its /64, so that is what counts.
fn network_of(address: IpAddr) -> IpAddr {
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
    fn sixth_attempt_is_refused_until_one_comes_back() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..5 {
            assert_eq!(throttle.attempt(now, BROWSER), Ok(()));
        }
        let refusal = throttle.attempt(now, BROWSER).unwrap_err();
        assert_eq!(refusal.retry_after, PER_ADDRESS.refill);
        assert_eq!(throttle.attempt(now + refusal.retry_after, BROWSER), Ok(()));
    }

    #[test]
    fn one_address_does_not_use_up_another_ones_attempts() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        while throttle.attempt(now, BROWSER).is_ok() {}
        assert_eq!(throttle.attempt(now, IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))), Ok(()));
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        let address = |low: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, low));
        for low in 0..5 {
            assert_eq!(throttle.attempt(now, address(low)), Ok(()));
        }
        assert!(throttle.attempt(now, address(99)).is_err());
    }

    #[test]
    fn success_gives_the_attempts_back() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        while throttle.attempt(now, BROWSER).is_ok() {}
        throttle.succeeded(BROWSER);
        assert_eq!(throttle.attempt(now, BROWSER), Ok(()));
    }

    proptest! {
        #[test]
        fn table_stays_bounded_and_everyone_together_is_limited(
            attempts in proptest::collection::vec((any::<u32>(), 0_u64..50), 0..3000),
        ) {
            let (mut throttle, start) = (Throttle::default(), Instant::now());
            let (mut now, mut granted) = (start, 0);
            for (address, millis) in attempts {
                now += Duration::from_millis(millis);
                let address = IpAddr::V4(Ipv4Addr::from_bits(address));
                granted += u64::from(throttle.attempt(now, address).is_ok());
                prop_assert!(throttle.addresses.len() <= MOST_ADDRESSES);
            }
            let most = u64::from(ALL_TOGETHER.most) + (now - start).as_secs() + 1;
            prop_assert!(granted <= most, "{granted} attempts in {:?}", now - start);
        }
    }
}
