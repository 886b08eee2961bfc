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

/// Every open connection, and whose each is.
#[derive(Clone, Debug, Default)]
pub struct Connections {
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    connections: usize,
    /// How many each address has. Entries of zero are removed, so it is as large as the number of
    /// connections at most.
    shares: HashMap<IpAddr, usize>,
}

/// A place among the [`Connections`], given back on drop.
#[derive(Debug)]
pub struct Place {
    connections: Connections,
    /// Whether it stands for a connection of its own.
    connection: bool,
    /// Whose share it is of.
    of: Option<IpAddr>,
}

impl Connections {
    /// A place for a connection from `address`, if there is one.
    #[must_use]
    pub fn enter(&self, address: IpAddr) -> Option<Place> {
        self.place(true, Some(subscriber(address)))
    }

    /// A place for a proxy's connection, which brings many browsers: their requests
    /// [`share`](Self::share) it.
    #[must_use]
    pub fn enter_for_others(&self) -> Option<Place> {
        self.place(true, None)
    }

    /// A part of a proxy's connection for a request from `address`.
    #[must_use]
    pub fn share(&self, address: IpAddr) -> Option<Place> {
        self.place(false, Some(subscriber(address)))
    }

    fn place(&self, connection: bool, of: Option<IpAddr>) -> Option<Place> {
        let mut open = self.open();
        if connection && open.connections >= MAX_CONNECTIONS {
            return None;
        }
        if let Some(of) = of {
            let here = open.shares.get(&of).copied().unwrap_or_default();
            if here >= MAX_CONNECTIONS_PER_ADDRESS {
                return None;
            }
            open.shares.insert(of, here + 1);
        }
        open.connections += usize::from(connection);
        Some(Place { connections: self.clone(), connection, of })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.open().connections
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        open.connections = open.connections.saturating_sub(usize::from(self.connection));
        let Some(of) = self.of else { return };
        if let Some(here) = open.shares.get_mut(&of) {
            *here = here.saturating_sub(1);
            if *here == 0 {
                open.shares.remove(&of);
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
        assert!(connections.open().shares.is_empty());
    }

    #[test]
    fn enter_for_others_is_limited_by_whom_it_is_for_and_in_all() {
        let connections = Connections::default();
        let proxy: Vec<_> = std::iter::from_fn(|| connections.enter_for_others()).collect();
        assert_eq!((proxy.len(), connections.count()), (MAX_CONNECTIONS, MAX_CONNECTIONS));
        assert!(connections.enter(HOME).is_none());
        let shares: Vec<_> = std::iter::from_fn(|| connections.share(HOME)).collect();
        assert_eq!(shares.len(), MAX_CONNECTIONS_PER_ADDRESS);
        assert!(connections.share("198.51.100.1".parse().unwrap()).is_some());
        drop((proxy, shares));
        assert_eq!(connections.count(), 0);
        assert!(connections.open().shares.is_empty());
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
