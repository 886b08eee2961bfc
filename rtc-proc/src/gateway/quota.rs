//! How many connections there may be, and how fast one may send.
//!
//! Who a connection counts against: the address it came from until its browser shows a login, and
//! that login from then on. Many people may be behind one address (a tunnel, or a proxy that does
//! not name them), so an address whose share is full shuts nobody out: a new connection displaces
//! the oldest one without a login, of those that ask for nothing at the moment if there is any. So a
//! browser whose request is being answered stays, however fast silent connections come; a request whose
//! body has not arrived is not being answered yet. Logins keep their places, each up to a share of its
//! own, whatever connections without a login do.
//!
//! A trusted proxy's connection counts against nobody, because it carries many browsers' requests; each
//! of these counts for the time that its answer takes. Proxies keep connections open in case they
//! need them again: where all places are taken, the one that has been idle for longest makes room.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use lumen_ipc::login::LoginId;
use tokio::sync::Notify;

/// Most connections at a time.
pub const MAX_CONNECTIONS: usize = 256;
/// Most of them without a login.
pub const MAX_STRANGERS: usize = MAX_CONNECTIONS / 2;
/// Most connections at a time from one address without a login, and most of one login.
pub const MAX_CONNECTIONS_PER_HOLDER: usize = 32;

/// All open connections, and whom each counts against.
#[derive(Clone, Debug, Default)]
pub struct Connections {
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    /// The oldest first.
    places: BTreeMap<u64, Taken>,
}

#[derive(Debug)]
struct Taken {
    /// Whether it counts as a connection of its own.
    connection: bool,
    /// `None` for a proxy's connection, which carries many browsers' requests.
    holder: Option<Holder>,
    /// How many of its requests are being answered.
    answering: u32,
    /// When that was last none, in the order of such events.
    idle_since: u64,
    /// Notified when the place is given to another connection.
    displaced: Arc<Notify>,
}

/// Whom a place counts against.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Holder {
    Address(IpAddr),
    Login(LoginId),
}

/// A request that is being answered, until this is dropped.
#[derive(Debug)]
pub struct Answering<'place>(&'place Place);

/// A place among the [`Connections`], given back on drop.
#[derive(Debug)]
pub struct Place {
    connections: Connections,
    number: u64,
    displaced: Arc<Notify>,
}

impl Connections {
    /// A place for a connection from `address`, if there is one.
    #[must_use]
    pub fn enter(&self, address: IpAddr) -> Option<Place> {
        self.place(true, Some(subscriber(address)))
    }

    /// A place for a proxy's connection, which carries many browsers' requests; these
    /// [`share`](Self::share) it.
    #[must_use]
    pub fn enter_for_others(&self) -> Option<Place> {
        self.place(true, None)
    }

    /// A share of a proxy's connection for a request from `address`.
    #[must_use]
    pub fn share(&self, address: IpAddr) -> Option<Place> {
        self.place(false, Some(subscriber(address)))
    }

    fn place(&self, connection: bool, address: Option<IpAddr>) -> Option<Place> {
        let mut open = self.open();
        if let Some(address) = address {
            open.make_room_for(address);
        }
        if connection && open.connections() >= MAX_CONNECTIONS && !open.displace_any() {
            return None;
        }
        let number = open.number();
        let displaced = Arc::new(Notify::new());
        let taken = Taken {
            connection,
            holder: address.map(Holder::Address),
            answering: 0,
            idle_since: number,
            displaced: Arc::clone(&displaced),
        };
        open.places.insert(number, taken);
        Some(Place { connections: self.clone(), number, displaced })
    }

    /// The number of places taken.
    #[must_use]
    pub fn count(&self) -> usize {
        self.open().connections()
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// The number of the next event.
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn connections(&self) -> usize {
        self.places.values().filter(|place| place.connection).count()
    }

    fn share_of(&self, holder: Holder) -> usize {
        self.places.values().filter(|place| place.holder == Some(holder)).count()
    }

    /// Displaces a connection without a login if one more from `address` would be too many: the
    /// oldest from there, or the oldest from the address that has the most.
    fn make_room_for(&mut self, address: IpAddr) {
        if self.share_of(Holder::Address(address)) >= MAX_CONNECTIONS_PER_HOLDER {
            return self.displace(|holder| holder == address);
        }
        let mut shares = BTreeMap::<IpAddr, usize>::new();
        for place in self.places.values() {
            if let Some(Holder::Address(address)) = place.holder {
                *shares.entry(address).or_default() += 1;
            }
        }
        if shares.values().sum::<usize>() >= MAX_STRANGERS {
            let largest = shares.values().copied().max();
            self.displace(|holder| shares.get(&holder).copied() == largest);
        }
    }

    /// Displaces the oldest connection without a login from an address that `is_one` accepts.
    fn displace(&mut self, is_one: impl Fn(IpAddr) -> bool) {
        self.displace_oldest(
            |place| matches!(place.holder, Some(Holder::Address(address)) if is_one(address)),
        );
    }

    /// Displaces an idle stranger that has a connection of its own, or else an idle connection of a
    /// proxy, or else a stranger that is being answered; `false` if there is none of them.
    fn displace_any(&mut self) -> bool {
        let is_stranger = |place: &Taken| matches!(place.holder, Some(Holder::Address(_)));
        let is_one = |place: &Taken| place.connection && is_stranger(place);
        let is_idle = |place: &Taken| place.answering == 0;
        let chosen = self.oldest(|place| is_one(place) && is_idle(place));
        let chosen = chosen.or_else(|| {
            let idle = |(_, place): &(&u64, &Taken)| place.holder.is_none() && is_idle(place);
            let idle = self.places.iter().filter(idle).min_by_key(|(_, place)| place.idle_since);
            idle.map(|(number, _)| *number)
        });
        self.remove(chosen.or_else(|| self.oldest(is_one)))
    }

    fn displace_oldest(&mut self, is_one: impl Fn(&Taken) -> bool) {
        let idle = self.oldest(|place| is_one(place) && place.answering == 0);
        self.remove(idle.or_else(|| self.oldest(is_one)));
    }

    fn oldest(&self, is_one: impl Fn(&Taken) -> bool) -> Option<u64> {
        self.places.iter().find(|(_, place)| is_one(place)).map(|(number, _)| *number)
    }

    /// Takes a place from its connection; `false` if there is none.
    fn remove(&mut self, number: Option<u64>) -> bool {
        let place = number.and_then(|number| self.places.remove(&number));
        place.map(|place| place.displaced.notify_one()).is_some()
    }
}

impl Place {
    /// Counts against a login from now on; `false` when that login has its share already, or the
    /// place was displaced.
    #[must_use]
    pub fn belongs_to(&self, login: LoginId) -> bool {
        let mut open = self.connections.open();
        let holder = Some(Holder::Login(login));
        let share = open.share_of(Holder::Login(login));
        match open.places.get_mut(&self.number) {
            Some(place) if place.holder == holder => true,
            Some(place) if share < MAX_CONNECTIONS_PER_HOLDER => {
                place.holder = holder;
                true
            }
            _ => false,
        }
    }

    /// Keeps the place while a request is answered, as long as others ask for nothing.
    #[must_use]
    pub fn answering(&self) -> Answering<'_> {
        if let Some(place) = self.connections.open().places.get_mut(&self.number) {
            place.answering += 1;
        }
        Answering(self)
    }

    /// Keeps the place for as long as its connection lives: it carries a WebSocket from now on.
    pub fn keep(&self) {
        if let Some(place) = self.connections.open().places.get_mut(&self.number) {
            place.answering += 1;
        }
    }

    /// Waits until another connection takes the place, and what holds it must end.
    pub async fn displaced(&self) {
        self.displaced.notified().await;
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        let mut open = self.0.connections.open();
        let event = open.number();
        if let Some(place) = open.places.get_mut(&self.0.number) {
            place.answering -= 1;
            place.idle_since = event;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.open().places.remove(&self.number);
    }
}

/// The subscriber of an address: one IPv6 subscriber has a whole /64 (RFC 6177).
fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

/// How fast one WebSocket may send: a bucket that fills at a steady rate.
///
/// A browser sends one offer and about ten candidates for each peer connection; a page that
/// reconnects does so at most a few times a second.
#[derive(Clone, Debug)]
pub struct MessageBudget {
    left: u32,
    most: u32,
    interval: Duration,
    filled: Instant,
}

impl MessageBudget {
    const MOST: u32 = 100;
    const INTERVAL: Duration = Duration::from_millis(50);

    /// A full bucket.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self::of(now, Self::MOST, Self::INTERVAL)
    }

    /// A full bucket of another size, which gains one more after each interval.
    #[must_use]
    pub fn of(now: Instant, most: u32, interval: Duration) -> Self {
        Self { left: most, most, interval: interval.max(Duration::from_millis(1)), filled: now }
    }

    /// Takes one message out of the bucket; `false` when it is empty.
    pub fn take(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.filled).as_millis();
        let gained = u32::try_from(elapsed / self.interval.as_millis()).unwrap_or(u32::MAX);
        self.filled += self.interval.saturating_mul(gained);
        self.left = self.left.saturating_add(gained).min(self.most);
        let any = self.left > 0;
        self.left = self.left.saturating_sub(1);
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    /// Whether another connection has taken the place.
    fn is_displaced(place: &Place) -> bool {
        !place.connections.open().places.contains_key(&place.number)
    }

    fn number(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    fn number_of(count: usize) -> IpAddr {
        number(u32::try_from(count).expect("few"))
    }

    #[test]
    fn enter_one_address_too_often_displaces_its_oldest_and_nobody_elses() {
        let connections = Connections::default();
        let other = connections.enter(number(1)).expect("room");
        let enter = || connections.enter(HOME).expect("a newcomer is never refused");
        let places: Vec<_> = (0..MAX_CONNECTIONS_PER_HOLDER + 3).map(|_| enter()).collect();
        let gone: Vec<_> = places.iter().map(is_displaced).collect();
        assert!(gone.iter().take(3).all(|gone| *gone) && gone.iter().skip(3).all(|gone| !*gone));
        assert!(!is_displaced(&other));
        assert_eq!(connections.count(), MAX_CONNECTIONS_PER_HOLDER + 1);
    }

    #[test]
    fn enter_one_subscriber_under_many_addresses_counts_as_one() {
        let connections = Connections::default();
        let address = |host: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, host));
        let places: Vec<_> = (0..100).map(|host| connections.enter(address(host))).collect();
        assert_eq!(connections.count(), MAX_CONNECTIONS_PER_HOLDER);
        drop(places);
        assert_eq!(connections.count(), 0);
    }

    #[test]
    fn enter_from_everywhere_displaces_the_largest_share_and_leaves_logins_alone() {
        let connections = Connections::default();
        let owner = connections.enter(HOME).expect("room");
        assert!(owner.belongs_to(LoginId(1)));
        let crowd: Vec<_> = (0..20).filter_map(|_| connections.enter(number(0))).collect();
        let others: Vec<_> = (1..1000).filter_map(|host| connections.enter(number(host))).collect();
        assert_eq!(connections.count(), MAX_STRANGERS + 1);
        assert!(!is_displaced(&owner));
        // Until its share is as small as the others'.
        assert!(crowd.iter().filter(|place| !is_displaced(place)).count() <= 1);
        assert!(connections.enter(HOME).is_some_and(|place| place.belongs_to(LoginId(1))));
        drop((owner, crowd, others));
        assert_eq!(connections.count(), 0);
    }

    #[test]
    fn enter_among_equal_shares_displaces_the_oldest_whatever_the_addresses_are() {
        for newest_address in [0, u32::MAX] {
            let connections = Connections::default();
            let hosts = 1..u32::try_from(MAX_STRANGERS).expect("few");
            let mut places: Vec<_> =
                hosts.filter_map(|host| connections.enter(number(host))).collect();
            places.extend(connections.enter(number(newest_address)));
            let more: Vec<_> =
                (1000..1010).filter_map(|host| connections.enter(number(host))).collect();
            let gone = places.iter().filter(|place| is_displaced(place)).count();
            assert_eq!((gone, more.len()), (10, 10));
            let oldest = places.iter().take(10);
            assert!(oldest.clone().all(is_displaced), "{newest_address}");
            assert!(oldest.clone().all(|place| !place.belongs_to(LoginId(1))));
        }
    }

    #[test]
    fn belongs_to_one_login_too_often_is_refused_until_one_leaves() {
        let connections = Connections::default();
        let enter = || connections.enter(HOME).expect("room");
        let mut places: Vec<_> = (0..MAX_CONNECTIONS_PER_HOLDER).map(|_| enter()).collect();
        assert!(places.iter().all(|place| place.belongs_to(LoginId(1))));
        let one_more = enter();
        assert!(!one_more.belongs_to(LoginId(1)) && one_more.belongs_to(LoginId(2)));
        places.pop();
        let again = enter();
        assert!(again.belongs_to(LoginId(1)) && again.belongs_to(LoginId(1)));
        assert!(!places.iter().any(is_displaced));
    }

    #[test]
    fn enter_for_others_is_limited_in_all_and_by_whom_it_is_for() {
        let connections = Connections::default();
        let enter = |_| connections.enter_for_others().expect("room");
        let proxy: Vec<_> = (0..MAX_CONNECTIONS).map(enter).collect();
        let answering: Vec<_> = proxy.iter().map(Place::answering).collect();
        assert_eq!(connections.count(), MAX_CONNECTIONS);
        assert!(connections.enter(HOME).is_none() && connections.enter_for_others().is_none());
        drop(answering);
        let share = || connections.share(HOME).expect("a newcomer is never refused");
        let shares: Vec<_> = (0..=MAX_CONNECTIONS_PER_HOLDER).map(|_| share()).collect();
        assert_eq!(shares.iter().filter(|share| is_displaced(share)).count(), 1);
        drop((proxy, shares));
        assert_eq!(connections.count(), 0);
    }

    #[test]
    fn enter_when_all_places_are_taken_displaces_a_stranger_and_no_login() {
        let connections = Connections::default();
        let stranger = connections.enter(HOME).expect("room");
        let login = |number: usize| LoginId(number as u64 / MAX_CONNECTIONS_PER_HOLDER as u64 + 1);
        let signed_in: Vec<_> = (1..MAX_CONNECTIONS)
            .map(|number| {
                let place = connections.enter(number_of(number)).expect("room");
                assert!(place.belongs_to(login(number)));
                place
            })
            .collect();
        let proxy = connections.enter_for_others().expect("in the stranger's place");
        assert!(is_displaced(&stranger) && !is_displaced(&proxy));
        proxy.keep();
        assert!(connections.enter_for_others().is_none(), "nobody is left to make room");
        assert!(!signed_in.iter().any(is_displaced));
        drop(proxy);
        let newcomer = connections.enter(HOME).expect("room");
        assert!(connections.enter(number_of(1)).is_some() && is_displaced(&newcomer));
    }

    #[test]
    fn enter_among_idle_connections_of_a_proxy_displaces_the_one_that_is_idle_for_longest() {
        let connections = Connections::default();
        let enter = |_| connections.enter_for_others().expect("room");
        let proxy: Vec<_> = (0..MAX_CONNECTIONS).map(enter).collect();
        // The first carries a WebSocket, the second answers, the third has just answered.
        proxy[0].keep();
        let _answering = proxy[1].answering();
        drop(proxy[2].answering());
        let more = (connections.enter_for_others(), connections.enter(HOME));
        assert!(more.0.is_some() && more.1.is_some());
        let gone: Vec<_> = (0..proxy.len()).filter(|at| is_displaced(&proxy[*at])).collect();
        assert_eq!(gone, [3, 4]);
        assert_eq!(connections.count(), MAX_CONNECTIONS);
    }

    #[test]
    fn connection_that_is_being_answered_stays_while_silent_ones_come() {
        let connections = Connections::default();
        let asking = connections.enter(number(0)).expect("room");
        let answering = asking.answering();
        let enter =
            |count| connections.enter(number_of(count)).expect("a newcomer is never refused");
        let _crowd: Vec<Place> = (1..4 * MAX_CONNECTIONS).map(enter).collect();
        assert!(!is_displaced(&asking));
        drop(answering);
        let _more: Vec<Place> = (1..4 * MAX_CONNECTIONS).map(enter).collect();
        assert!(is_displaced(&asking), "its answer is there, and it is the oldest");
    }

    #[test]
    fn connections_that_are_all_being_answered_make_room_like_others() {
        let connections = Connections::default();
        let places: Vec<Place> = (0..MAX_STRANGERS)
            .map(|count| connections.enter(number_of(count)).expect("room"))
            .collect();
        let _answering: Vec<_> = places.iter().map(Place::answering).collect();
        let _newcomer = connections.enter(number_of(MAX_STRANGERS)).expect("room");
        assert!(is_displaced(&places[0]) && !is_displaced(&places[1]));
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
