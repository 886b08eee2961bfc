//! The table of allocations, and the quotas for them.
//!
//! INVARIANT: every allocation is indexed by its flow, its port and its grantee, and counted once
//! for its session and once for its source; a free slot is in no index. A grantee has at most as
//! many allocations as its party allows: one, except for probes.
//!
//! A relayed address is an own address and a port to which no socket is bound: data for it is
//! passed to the allocation within this process. So the relay can send only to clients that have
//! authenticated themselves.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use aws_lc_rs::rand;
use lumen_ipc::units::SessionId;

use crate::{
    address::Family,
    auth::credential::{Grantee, MessageKey, Party, Username},
    moment::{Flow, Moment, Source, UnixSeconds},
    quota::{Bucket, Census, Rate},
};

/// Ports of relayed addresses: the dynamic ones, as RFC 8656, section 7.2 advises.
const FIRST_PORT: u16 = 49_152;

/// Number of ports.
const PORTS: u16 = u16::MAX - FIRST_PORT + 1;

/// How long a permission lasts (RFC 8656, section 9).
pub const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);

/// How long a channel stays bound (RFC 8656, section 12).
pub const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);

/// Channels of one allocation: a browser has one peer here, rtc has one for each viewer.
const MAX_CHANNELS: usize = 64;

/// After this silence an allocation may be taken over by its own grantee from another flow, because
/// its NAT has most likely dropped the mapping.
pub const SILENCE: Duration = Duration::from_secs(10);

/// After this silence of its client an allocation gives way to somebody else's if a quota is used
/// up: consent to receive media has expired by then (RFC 7675, section 5.1), so nobody watches
/// through it.
pub const ABANDONED: Duration = Duration::from_secs(30);

/// Rate of requests of one allocation.
const REQUESTS: Rate = Rate { per_second: 20, burst: 100 };

/// Limits on the number of allocations.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AllocationLimits {
    /// All together.
    pub total: u32,
    /// Of one session.
    pub session: u32,
    /// Of viewers and probes at one address; those of rtc are not counted, as all of them come from
    /// this machine.
    pub source: u32,
}

impl AllocationLimits {
    /// At most `total`, with the default limits of a session and a source.
    #[must_use]
    pub const fn up_to(total: u32) -> Self {
        Self { total, session: 64, source: 32 }
    }
}

impl Default for AllocationLimits {
    fn default() -> Self {
        Self::up_to(1024)
    }
}

/// One client's allocation.
#[derive(Debug)]
pub struct Allocation {
    /// The flow that reaches the client.
    pub flow: Flow,
    /// Whom the credential was minted for.
    pub grantee: Grantee,
    /// Family of its relayed address.
    pub family: Family,
    /// Its relayed address.
    pub relayed: SocketAddr,
    /// The transaction that created it, which identifies a retransmission.
    pub transaction: [u8; 12],
    /// Its number among those of its grantee.
    ordinal: u8,
    username: String,
    credential_expires: UnixSeconds,
    key: MessageKey,
    expires: Instant,
    permitted_until: Option<Instant>,
    channels: Vec<Channel>,
    heard: Instant,
    requests: Bucket,
}

#[derive(Clone, Copy, Debug)]
struct Channel {
    number: u16,
    peer_port: u16,
    expires: Instant,
}

/// Why a channel cannot be bound.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BindError {
    /// The number is bound to another peer, or the peer to another number.
    Taken,
    /// The allocation has too many channels.
    Full,
}

impl Allocation {
    /// Whether it has not expired at `now`, swept or not.
    #[must_use]
    pub fn is_live(&self, now: Instant) -> bool {
        now < self.expires
    }

    /// Its remaining lifetime.
    #[must_use]
    pub fn remaining(&self, now: Instant) -> Duration {
        self.expires.saturating_duration_since(now)
    }

    /// The key of its messages, if `username` is the one it was created with.
    #[must_use]
    pub fn key_of(&self, username: &str) -> Option<MessageKey> {
        (self.username == username).then_some(self.key)
    }

    /// Records a packet from the client.
    pub const fn hear(&mut self, now: Instant) {
        self.heard = now;
    }

    /// Records a packet from the client. True while the client stays within its request rate.
    pub fn admits_request(&mut self, now: Instant) -> bool {
        self.heard = now;
        self.requests.spend(REQUESTS, now)
    }

    /// Sets the remaining lifetime, limited by that of the credential.
    pub fn refresh(&mut self, lifetime: Duration, now: Moment) -> Duration {
        let granted = lifetime.min(seconds_left(self.credential_expires, now.unix));
        self.expires = now.at + granted;
        granted
    }

    /// Permits the relay's own address, the only possible peer address, to send to it.
    pub fn permit(&mut self, now: Instant) {
        self.permitted_until = Some(now + PERMISSION_LIFETIME);
    }

    /// Whether the client has created a permission that has not expired.
    #[must_use]
    pub fn is_permitted(&self, now: Instant) -> bool {
        self.permitted_until.is_some_and(|until| now < until)
    }

    /// Binds or renews a channel together with the permission.
    ///
    /// # Errors
    /// [`BindError`] when RFC 8656, section 12.2 forbids it or there are too many channels.
    pub fn bind(&mut self, number: u16, peer_port: u16, now: Instant) -> Result<(), BindError> {
        self.channels.retain(|channel| now < channel.expires);
        let expires = now + CHANNEL_LIFETIME;
        let full = self.channels.len() >= MAX_CHANNELS;
        let related =
            |channel: &&mut Channel| channel.number == number || channel.peer_port == peer_port;
        match self.channels.iter_mut().find(related) {
            Some(same) if same.number == number && same.peer_port == peer_port => {
                same.expires = expires;
            }
            Some(_) => return Err(BindError::Taken),
            None if full => return Err(BindError::Full),
            None => self.channels.push(Channel { number, peer_port, expires }),
        }
        self.permit(now);
        Ok(())
    }

    fn yields_to(&self, wish: &Wish<'_>, now: Moment) -> bool {
        let renewed =
            self.username != wish.text && self.credential_expires <= wish.username.expires;
        !self.is_live(now.at) || renewed || self.silence(now.at) >= SILENCE
    }

    /// Whether it counts towards its source's limit.
    fn is_counted(&self) -> bool {
        self.grantee.party != Party::Rtc
    }

    /// Whether its client no longer uses it. Rtc's is never abandoned: it waits for the next
    /// viewer.
    fn is_abandoned(&self, now: Instant) -> bool {
        let silent = self.grantee.party != Party::Rtc && self.silence(now) >= ABANDONED;
        silent || !self.is_live(now)
    }

    fn silence(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.heard)
    }

    /// The peer's port to which `number` is bound.
    #[must_use]
    pub fn peer_of(&self, number: u16, now: Instant) -> Option<u16> {
        let bound = |channel: &&Channel| channel.number == number && now < channel.expires;
        self.channels.iter().find(bound).map(|channel| channel.peer_port)
    }

    /// The channel number that is bound to the peer at `port`.
    #[must_use]
    pub fn channel_to(&self, port: u16, now: Instant) -> Option<u16> {
        let bound = |channel: &&Channel| channel.peer_port == port && now < channel.expires;
        self.channels.iter().find(bound).map(|channel| channel.number)
    }
}

/// A client's request for an allocation.
#[derive(Debug)]
pub struct Wish<'a> {
    /// The flow that reaches the client.
    pub flow: Flow,
    /// Its username, checked.
    pub username: Username,
    /// The username as text.
    pub text: &'a str,
    /// The key of its messages.
    pub key: MessageKey,
    /// The relay's own address on which it wants a port.
    pub own: IpAddr,
    /// Whether the port must be even.
    pub even_port: bool,
    /// The requested lifetime.
    pub lifetime: Duration,
    /// The transaction of the request.
    pub transaction: [u8; 12],
}

/// Why an allocation was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AllocateError {
    /// A quota is used up.
    #[error("a quota is used up")]
    Quota,
    /// The relay is full.
    #[error("the relay is full")]
    Full,
}

/// All allocations.
#[derive(Debug)]
pub struct Allocations {
    slots: Vec<Option<Allocation>>,
    free: Vec<usize>,
    by_flow: HashMap<Flow, usize>,
    by_port: HashMap<u16, usize>,
    by_grantee: HashMap<(Grantee, u8), usize>,
    sessions: Census<SessionId>,
    sources: Census<Source>,
    total: u32,
}

impl Allocations {
    /// No allocations.
    #[must_use]
    pub fn new(limits: &AllocationLimits) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_flow: HashMap::new(),
            by_port: HashMap::new(),
            by_grantee: HashMap::new(),
            sessions: Census::new(limits.session),
            sources: Census::new(limits.source),
            total: limits.total.min(PORTS.into()),
        }
    }

    /// Number of allocations, including expired ones not yet swept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_flow.len()
    }

    /// Whether there are no allocations.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_flow.is_empty()
    }

    /// The live allocation of `flow`.
    #[must_use]
    pub fn of_flow(&self, flow: &Flow, now: Instant) -> Option<&Allocation> {
        self.live(*self.by_flow.get(flow)?, now)
    }

    /// The live allocation of `flow`, mutable.
    pub fn of_flow_mut(&mut self, flow: &Flow, now: Instant) -> Option<&mut Allocation> {
        let slot = *self.by_flow.get(flow)?;
        self.slots.get_mut(slot)?.as_mut().filter(|allocation| allocation.is_live(now))
    }

    /// The live allocation behind the relayed address with `port`.
    #[must_use]
    pub fn of_port(&self, port: u16, now: Instant) -> Option<&Allocation> {
        self.live(*self.by_port.get(&port)?, now)
    }

    fn live(&self, slot: usize, now: Instant) -> Option<&Allocation> {
        self.slots.get(slot)?.as_ref().filter(|allocation| allocation.is_live(now))
    }

    /// Creates an allocation.
    ///
    /// # Errors
    /// [`AllocateError`] when a quota is used up or the relay is full.
    pub fn allocate(&mut self, wish: &Wish<'_>, now: Moment) -> Result<&Allocation, AllocateError> {
        let ordinal = self.make_way(wish, now)?;
        self.make_room(wish, now.at)?;
        let port = self.free_port(wish.even_port).ok_or(AllocateError::Full)?;
        let left = seconds_left(wish.username.expires, now.unix);
        let allocation = Allocation {
            flow: wish.flow,
            grantee: wish.username.grantee,
            family: Family::of(&wish.own),
            relayed: SocketAddr::new(wish.own, port),
            transaction: wish.transaction,
            ordinal,
            username: wish.text.to_owned(),
            credential_expires: wish.username.expires,
            key: wish.key,
            expires: now.at + wish.lifetime.min(left),
            permitted_until: None,
            channels: Vec::new(),
            heard: now.at,
            requests: Bucket::full(REQUESTS, now.at),
        };
        Ok(self.insert(allocation))
    }

    /// Finds which of its grantee's allocations `wish` can be, and ends the one it replaces: one
    /// that has expired, was created with an older credential, or has fallen silent.
    fn make_way(&mut self, wish: &Wish<'_>, now: Moment) -> Result<u8, AllocateError> {
        // The caller has checked that the flow has no live allocation; an expired one may remain.
        self.release_flow(&wish.flow);
        let grantee = wish.username.grantee;
        let ordinals = 0..grantee.party.allocations();
        let slot_of = |ordinal| self.by_grantee.get(&(grantee, ordinal)).copied();
        if let Some(free) = ordinals.clone().find(|ordinal| slot_of(*ordinal).is_none()) {
            return Ok(free);
        }
        let replaceable = |slot: usize| {
            self.slots.get(slot).and_then(Option::as_ref).is_none_or(|old| old.yields_to(wish, now))
        };
        let mut taken = ordinals.filter_map(|ordinal| Some((ordinal, slot_of(ordinal)?)));
        let (ordinal, slot) =
            taken.find(|(_, slot)| replaceable(*slot)).ok_or(AllocateError::Quota)?;
        self.release(slot);
        Ok(ordinal)
    }

    /// Makes room within the quotas. Clients that die send no farewell, and their allocations may
    /// have minutes to live: the one silent for longest ends before a new client is refused.
    fn make_room(&mut self, wish: &Wish<'_>, now: Instant) -> Result<(), AllocateError> {
        let Grantee { session, party, .. } = wish.username.grantee;
        let source = wish.flow.source();
        let full = !self.sessions.has_room(&session);
        if full && !self.end_abandoned(now, |it| it.grantee.session == session) {
            return Err(AllocateError::Quota);
        }
        let full = party != Party::Rtc && !self.sources.has_room(&source);
        if full && !self.end_abandoned(now, |it| it.is_counted() && it.flow.source() == source) {
            return Err(AllocateError::Quota);
        }
        let full = self.len() >= self.total as usize;
        if full && !self.end_abandoned(now, |_| true) {
            return Err(AllocateError::Full);
        }
        Ok(())
    }

    /// Ends the abandoned one among `these` that has been silent for longest. False when there is
    /// none.
    fn end_abandoned(&mut self, now: Instant, these: impl Fn(&Allocation) -> bool) -> bool {
        let used = (0..).zip(&self.slots).filter_map(|(slot, it)| Some((slot, it.as_ref()?)));
        let longest = used
            .filter(|(_, allocation)| allocation.is_abandoned(now) && these(allocation))
            .min_by_key(|(_, allocation)| allocation.heard)
            .map(|(slot, _)| slot);
        longest.inspect(|slot| self.release(*slot)).is_some()
    }

    fn insert(&mut self, allocation: Allocation) -> &Allocation {
        let slot = self.free.pop().unwrap_or(self.slots.len());
        self.by_flow.insert(allocation.flow, slot);
        self.by_port.insert(allocation.relayed.port(), slot);
        self.by_grantee.insert((allocation.grantee, allocation.ordinal), slot);
        self.sessions.add(allocation.grantee.session);
        if allocation.is_counted() {
            self.sources.add(allocation.flow.source());
        }
        if slot == self.slots.len() {
            self.slots.push(None);
        }
        // The slot exists: it was free, or was just pushed.
        self.slots[slot].insert(allocation)
    }

    /// Ends the allocation of `flow`, if it has one.
    pub fn release_flow(&mut self, flow: &Flow) {
        if let Some(&slot) = self.by_flow.get(flow) {
            self.release(slot);
        }
    }

    /// Ends all expired allocations.
    pub fn sweep(&mut self, now: Instant) {
        let expired = |slot: &Option<Allocation>| slot.as_ref().is_some_and(|it| !it.is_live(now));
        let over: Vec<usize> = (0..self.slots.len())
            .filter(|&slot| self.slots.get(slot).is_some_and(expired))
            .collect();
        for slot in over {
            self.release(slot);
        }
    }

    fn release(&mut self, slot: usize) {
        let Some(allocation) = self.slots.get_mut(slot).and_then(Option::take) else { return };
        self.by_flow.remove(&allocation.flow);
        self.by_port.remove(&allocation.relayed.port());
        self.by_grantee.remove(&(allocation.grantee, allocation.ordinal));
        self.sessions.remove(&allocation.grantee.session);
        if allocation.is_counted() {
            self.sources.remove(&allocation.flow.source());
        }
        self.free.push(slot);
    }

    /// A free port at random, so that the next one cannot be predicted.
    fn free_port(&self, even: bool) -> Option<u16> {
        let mut random = [0; 2];
        rand::fill(&mut random).ok()?;
        // Both are below 2¹⁴, so the sum cannot overflow.
        let start = u16::from_be_bytes(random) % PORTS;
        let nth = |step: u16| FIRST_PORT + (start + step) % PORTS;
        let fits =
            |port: &u16| (!even || port.is_multiple_of(2)) && !self.by_port.contains_key(port);
        (0..PORTS).map(nth).find(fits)
    }

    /// Checks the invariant at the top of this module.
    #[cfg(test)]
    pub(crate) fn verify_invariants(&self) {
        let used: Vec<(usize, &Allocation)> = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(slot, it)| Some((slot, it.as_ref()?)))
            .collect();
        assert_eq!(used.len() + self.free.len(), self.slots.len());
        assert!(self.free.iter().all(|&slot| self.slots[slot].is_none()));
        for (slot, allocation) in &used {
            assert_eq!(self.by_flow.get(&allocation.flow), Some(slot));
            assert_eq!(self.by_port.get(&allocation.relayed.port()), Some(slot));
            assert_eq!(self.by_grantee.get(&(allocation.grantee, allocation.ordinal)), Some(slot));
            assert!(allocation.relayed.port() >= FIRST_PORT);
            assert!(allocation.channels.len() <= MAX_CHANNELS);
        }
        for indexed in [self.by_flow.len(), self.by_port.len(), self.by_grantee.len()] {
            assert_eq!(indexed, used.len());
        }
        let sessions: std::collections::HashSet<_> =
            used.iter().map(|(_, it)| it.grantee.session).collect();
        assert_eq!(self.sessions.keys(), sessions.len());
        assert!(used.len() <= self.total as usize);
    }
}

fn seconds_left(expires: UnixSeconds, now: UnixSeconds) -> Duration {
    Duration::from_secs(expires.0.saturating_sub(now.0))
}
