//! How many connections there may be, and how fast one may talk.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Most connections at a time.
pub const MAX_CONNECTIONS: usize = 256;
/// Most connections at a time from one address.
pub const MAX_CONNECTIONS_PER_ADDRESS: usize = 32;

/// Every open connection.
#[derive(Clone, Debug, Default)]
pub struct Connections {
    /// How many there are per address. Entries of zero are removed, so it is as large as the number
    /// of connections at most.
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A place among the [`Connections`], given back on drop.
#[derive(Debug)]
pub struct Place {
    connections: Connections,
    from: IpAddr,
}

impl Connections {
    /// A place for a connection from `address`, if there is one.
    #[must_use]
    pub fn enter(&self, address: IpAddr) -> Option<Place> {
        let from = subscriber(address);
        let mut open = self.open();
        let total: usize = open.values().sum();
        let here = open.get(&from).copied().unwrap_or_default();
        if total >= MAX_CONNECTIONS || here >= MAX_CONNECTIONS_PER_ADDRESS {
            return None;
        }
        open.insert(from, here + 1);
        Some(Place { connections: self.clone(), from })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.open().values().sum()
    }

    fn open(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        if let Some(here) = open.get_mut(&self.from) {
            *here = here.saturating_sub(1);
            if *here == 0 {
                open.remove(&self.from);
            }
        }
    }
}

/// Whom an address belongs to: one IPv6 subscriber has a whole /64 (RFC 6177).
fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

/// How fast one WebSocket may talk: a bucket that fills at a steady rate.
///
/// A browser sends one offer and about ten candidates for each peer connection; a page that
/// reconnects does so at most a few times a second.
#[derive(Clone, Debug)]
pub struct MessageBudget {
    left: u32,
    filled: Instant,
}

impl MessageBudget {
    const MOST: u32 = 100;
    const INTERVAL: Duration = Duration::from_millis(50);

    /// A full bucket.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { left: Self::MOST, filled: now }
    }

    /// Takes one message out; `false` when there is none left.
    pub fn take(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.filled).as_millis();
        let gained = u32::try_from(elapsed / Self::INTERVAL.as_millis()).unwrap_or(u32::MAX);
        self.filled += Self::INTERVAL.saturating_mul(gained);
        self.left = self.left.saturating_add(gained).min(Self::MOST);
        let any = self.left > 0;
        self.left = self.left.saturating_sub(1);
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn enter_one_address_too_often_is_refused_until_one_leaves() {
        let connections = Connections::default();
        let mut places: Vec<_> = std::iter::from_fn(|| connections.enter(HOME)).collect();
        assert_eq!(places.len(), MAX_CONNECTIONS_PER_ADDRESS);
        assert!(connections.enter("198.51.100.1".parse().unwrap()).is_some());
        places.pop();
        assert!(connections.enter(HOME).is_some());
    }

    #[test]
    fn enter_one_subscriber_under_many_addresses_counts_as_one() {
        let connections = Connections::default();
        let address = |host: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, host));
        let places: Vec<_> = (0..100).map_while(|host| connections.enter(address(host))).collect();
        assert_eq!(places.len(), MAX_CONNECTIONS_PER_ADDRESS);
    }

    #[test]
    fn enter_too_many_in_all_is_refused() {
        let connections = Connections::default();
        let address = |number: u32| IpAddr::V4(number.into());
        let places: Vec<_> =
            (0..1000).map_while(|number| connections.enter(address(number))).collect();
        assert_eq!(places.len(), MAX_CONNECTIONS);
        drop(places);
        assert_eq!(connections.count(), 0);
        assert!(connections.open().is_empty());
    }

    #[test]
    fn budget_runs_dry_and_fills_again() {
        let start = Instant::now();
        let mut budget = MessageBudget::new(start);
        assert_eq!((0..200).filter(|_| budget.take(start)).count(), 100);
        let later = start + Duration::from_millis(125);
        assert_eq!((0..200).filter(|_| budget.take(later)).count(), 2);
        let much_later = start + Duration::from_secs(3600);
        assert_eq!((0..200).filter(|_| budget.take(much_later)).count(), 100);
    }
}
