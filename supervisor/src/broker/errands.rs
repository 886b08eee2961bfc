//! Browsers that are away at an identity provider. Pure.
//!
//! Each has an attempt, whose key only the page that began it knows; it keeps that until it is back. An attempt costs a
//! process, so there are few, and anybody may begin one: where there is no room the oldest of the same network makes
//! room, and otherwise the oldest of the network that has most. So strangers who begin attempts and never come back
//! keep nobody else out.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use lumen_ipc::text::Secret;

use super::{
    not_begun::NotBegun,
    secret::{Digest, Key},
    throttle::{Allowance, Meters, network_of},
};

/// Most browsers that are away.
const MOST: usize = 32;
/// Most of one network.
const MOST_OF_ONE: usize = 8;
/// How often the browsers of one network may go.
const PER_NETWORK: Allowance = Allowance { most: 20, refill: Duration::from_secs(10) };

/// Identifies an errand inside the supervisor. Later ones have higher numbers.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ErrandId(u64);

/// An errand that has begun.
#[derive(Debug)]
pub struct Begun {
    /// Which.
    pub id: ErrandId,
    /// Names it; for its browser only.
    pub key: Secret,
    /// The one that has made room for it.
    pub displaced: Option<ErrandId>,
}

#[derive(Debug)]
struct Entry {
    key: Digest,
    network: IpAddr,
}

/// All errands.
#[derive(Debug)]
pub(super) struct Errands {
    entries: BTreeMap<ErrandId, Entry>,
    last: u64,
    networks: Meters<IpAddr>,
}

impl Default for Errands {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), last: 0, networks: Meters::new(PER_NETWORK) }
    }
}

impl Errands {
    /// A browser at this address goes.
    pub(super) fn begin(&mut self, now: Instant, from: IpAddr) -> Result<Begun, NotBegun> {
        let network = network_of(from);
        let key = Key::random().map_err(NotBegun::NoRandomness)?.to_secret();
        self.networks.spend(now, network).map_err(NotBegun::TooMany)?;
        let displaced = self.without_room(network);
        if let Some(oldest) = displaced {
            self.entries.remove(&oldest);
        }
        self.last += 1;
        let id = ErrandId(self.last);
        self.entries.insert(id, Entry { key: Digest::of(&key), network });
        Ok(Begun { id, key, displaced })
    }

    /// The one that makes room for another of this network.
    fn without_room(&self, network: IpAddr) -> Option<ErrandId> {
        let of = |network: IpAddr| {
            let own = move |(_, entry): &(&ErrandId, &Entry)| entry.network == network;
            self.entries.iter().filter(own).map(|(id, _)| *id)
        };
        if of(network).count() >= MOST_OF_ONE {
            return of(network).next();
        }
        if self.entries.len() < MOST {
            return None;
        }
        let networks = self.entries.values().map(|entry| entry.network);
        networks.max_by_key(|network| of(*network).count()).and_then(|most| of(most).next())
    }

    /// A browser is back: the errand of this key, which is over.
    pub(super) fn end(&mut self, key: &Secret) -> Option<ErrandId> {
        let digest = Digest::of(key);
        let (id, _) = self.entries.iter().find(|(_, entry)| entry.key == digest)?;
        let id = *id;
        self.entries.remove(&id);
        Some(id)
    }

    /// The errand has failed before its browser was back.
    pub(super) fn fail(&mut self, id: ErrandId) {
        self.entries.remove(&id);
    }

    /// What a browser at this address has brought back is good: that it went counts no more.
    pub(super) fn succeed(&mut self, from: IpAddr) {
        self.networks.give_back(&network_of(from));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(low: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, low).into()
    }

    #[test]
    fn key_ends_its_own_errand_once() {
        let (mut errands, now) = (Errands::default(), Instant::now());
        let one = errands.begin(now, address(1)).expect("room");
        let other = errands.begin(now, address(1)).expect("room");
        assert_eq!(errands.end(&one.key), Some(one.id));
        assert_eq!(errands.end(&one.key), None);
        errands.fail(other.id);
        assert_eq!(errands.end(&other.key), None);
    }

    #[test]
    fn oldest_of_the_same_network_makes_room() {
        let (mut errands, now) = (Errands::default(), Instant::now());
        let begun: Vec<Begun> = (0..=MOST_OF_ONE)
            .map(|_| errands.begin(now, address(1)).expect("room is made"))
            .collect();
        let displaced: Vec<_> = begun.iter().filter_map(|begun| begun.displaced).collect();
        assert_eq!(displaced, [begun[0].id]);
        assert_eq!(errands.end(&begun[0].key), None);
    }

    #[test]
    fn stranger_who_never_comes_back_keeps_nobody_else_out() {
        let (mut errands, now) = (Errands::default(), Instant::now());
        let honest = errands.begin(now, address(200)).expect("room");
        for round in 0..20 {
            for low in 0..8 {
                let now = now + Duration::from_secs(100 * round);
                errands.begin(now, address(low)).expect("room is made");
                assert!(errands.entries.len() <= MOST);
            }
        }
        assert_eq!(errands.end(&honest.key), Some(honest.id));
    }

    #[test]
    fn network_that_goes_again_and_again_is_stopped_and_no_other() {
        let (mut errands, now) = (Errands::default(), Instant::now());
        let gone = (0..100).take_while(|_| errands.begin(now, address(1)).is_ok()).count();
        assert_eq!(gone, 20);
        assert!(errands.begin(now, address(2)).is_ok());
        errands.succeed(address(1));
        assert!(errands.begin(now, address(1)).is_ok());
    }
}
