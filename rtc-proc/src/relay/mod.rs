//! Rtc as a client of the relay: a pure state machine with one allocation for all viewers.
//!
//! The relay passes data only between its own clients, so a viewer behind it is reached from an
//! allocation of ours. One is enough: the relay identifies us by the address of our one socket, and
//! the viewers by theirs. To the rest of rtc a relayed viewer is at its relayed address and we are
//! at ours; the only difference is in [`Relay::wrap`] and [`Relay::unwrap`].
//!
//! Decides when to allocate, renew and release, and when the relay must have been replaced (because
//! it does not know us) so that everything is requested anew.
//!
//! Trusts the relay's signed messages. The data it passes on may come from anyone.
//!
//! The crate `turn-client-proto` is not used: it cannot check whether the allocation still exists,
//! which reveals the death of the relay in time, nor start over.

mod channels;
mod requests;
#[cfg(test)]
pub(crate) mod scripted;
#[cfg(test)]
mod tests;
mod wire;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use lumen_ipc::service::RelayCredentials;

use crate::peer::Datagram;
use channels::Channels;
use requests::Transaction;
use wire::{Incoming, Login, Request};

/// Requested lifetime in seconds, the shortest the relay grants (RFC 8656, section 7.2)…
const LIFETIME: u32 = 600;
/// …renewed so long before its end.
const MARGIN: Duration = Duration::from_secs(60);
/// Permissions last five minutes (RFC 8656, section 9).
const PERMISSION_INTERVAL: Duration = Duration::from_secs(240);
/// While viewers are relayed, how often the relay is asked whether it still knows us.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// The pause after the relay has refused or not answered…
const FIRST_REST: Duration = Duration::from_millis(500);
/// …which grows up to this.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// An output of the machine.
#[derive(Debug)]
pub enum Output {
    /// Our new relayed address, or that there is none.
    Moved(Option<SocketAddr>),
    /// A datagram to send.
    Transmit(Datagram),
}

/// The meaning of a datagram from the relay.
#[derive(Debug, Eq, PartialEq)]
pub enum Unwrapped<'a> {
    /// A message of the relay's own, which has been handled.
    Control,
    /// Data from a viewer.
    Data {
        /// The viewer's relayed address.
        source: SocketAddr,
        /// Our relayed address.
        destination: SocketAddr,
        /// The viewer's data.
        contents: &'a [u8],
    },
    /// Not authentic.
    Foreign,
}

/// The state machine.
#[derive(Debug)]
pub struct Relay {
    server: SocketAddr,
    /// Our address as the relay sees it.
    local: SocketAddr,
    /// The newest credentials.
    credentials: Option<RelayCredentials>,
    /// The login under which the relay knows us.
    login: Option<Login>,
    phase: Phase,
    transactions: Vec<Transaction>,
    failures: u32,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
enum Phase {
    /// No viewer needs the relay.
    Idle,
    /// An allocation was requested.
    Asking,
    /// There is an allocation.
    Open(Allocation),
    /// The relay refused us, or does not answer.
    Resting { until: Instant },
}

#[derive(Debug)]
struct Allocation {
    relayed: SocketAddr,
    refresh_at: Instant,
    permit_at: Instant,
    checked: Instant,
    channels: Channels,
}

impl Relay {
    /// The relay at `server`, seen from the nearest of our addresses. `None` when none is of its
    /// family.
    #[must_use]
    pub fn new(server: SocketAddr, candidates: &[SocketAddr]) -> Option<Self> {
        let same = candidates.iter().find(|address| address.ip() == server.ip());
        let family = || candidates.iter().find(|address| address.is_ipv4() == server.is_ipv4());
        let local = *same.or_else(family)?;
        Some(Self {
            server,
            local,
            credentials: None,
            login: None,
            phase: Phase::Idle,
            transactions: Vec::new(),
            failures: 0,
            outputs: VecDeque::new(),
        })
    }

    /// The relay's address.
    #[must_use]
    pub const fn server(&self) -> SocketAddr {
        self.server
    }

    /// Our relayed address, if there is one.
    #[must_use]
    pub const fn relayed(&self) -> Option<SocketAddr> {
        match &self.phase {
            Phase::Open(allocation) => Some(allocation.relayed),
            _ => None,
        }
    }

    /// The next output, oldest first.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Relay::timeout`].
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let own = match &self.phase {
            Phase::Idle | Phase::Asking => None,
            Phase::Open(allocation) => {
                let own = allocation.refresh_at.min(allocation.permit_at);
                Some(allocation.channels.deadline().map_or(own, |at| at.min(own)))
            }
            Phase::Resting { until } => Some(*until),
        };
        self.transactions.iter().map(|transaction| transaction.repeat_at).chain(own).min()
    }

    /// Takes new credentials for a viewer: makes an allocation, or checks whether the existing one
    /// is still known.
    pub fn renew(&mut self, now: Instant, credentials: RelayCredentials) {
        self.credentials = Some(credentials);
        match self.phase {
            Phase::Idle | Phase::Resting { .. } => {
                self.failures = 0;
                self.allocate(now);
            }
            Phase::Asking => {}
            Phase::Open(_) => self.check(now),
        }
    }

    /// Releases the allocation, because no viewer is left.
    pub fn release(&mut self, now: Instant) {
        self.credentials = None;
        if matches!(self.phase, Phase::Idle) {
            return;
        }
        self.transactions.clear();
        if let Phase::Open(_) = std::mem::replace(&mut self.phase, Phase::Idle) {
            self.outputs.push_back(Output::Moved(None));
            self.ask(now, Request::Refresh(0));
        }
    }

    /// Handles a datagram from [`Relay::server`].
    pub fn unwrap<'a>(&mut self, now: Instant, bytes: &'a [u8]) -> Unwrapped<'a> {
        if let [first @ 0x40..=0x4f, second, high, low, rest @ ..] = bytes {
            let number = u16::from_be_bytes([*first, *second]);
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let Some(contents) = rest.get(..length) else { return Unwrapped::Foreign };
            return self.unwrap_channel(now, number, contents);
        }
        match wire::read(bytes) {
            None => Unwrapped::Foreign,
            Some(Incoming::Answer(id, message)) => {
                let asked = self.transactions.iter().position(|asked| asked.id == id);
                let Some(asked) = asked else { return Unwrapped::Foreign };
                let answer = wire::judge(&message, self.login.as_ref());
                self.answered(now, asked, answer)
            }
            Some(Incoming::Data { peer, bytes }) => {
                let Phase::Open(allocation) = &mut self.phase else { return Unwrapped::Foreign };
                let destination = allocation.relayed;
                if let Some(channel) = allocation.channels.hear(now, peer) {
                    self.ask(now, Request::Bind(channel));
                }
                self.check_in_time(now);
                Unwrapped::Data { source: peer, destination, contents: bytes }
            }
        }
    }

    fn unwrap_channel<'a>(
        &mut self,
        now: Instant,
        number: u16,
        contents: &'a [u8],
    ) -> Unwrapped<'a> {
        let Phase::Open(allocation) = &mut self.phase else { return Unwrapped::Foreign };
        let destination = allocation.relayed;
        let Some(source) = allocation.channels.peer_of(now, number) else {
            return Unwrapped::Foreign;
        };
        self.check_in_time(now);
        Unwrapped::Data { source, destination, contents }
    }

    /// Turns a datagram from our relayed address into one to the relay; `None` when the address is
    /// not ours any more.
    pub fn wrap(&mut self, now: Instant, datagram: Datagram) -> Option<Datagram> {
        let Phase::Open(allocation) = &mut self.phase else { return None };
        if datagram.source != allocation.relayed {
            return None;
        }
        let number = allocation.channels.number_of(now, datagram.destination);
        self.check_in_time(now);
        let (source, destination) = (self.local, self.server);
        let Some(number) = number else {
            let contents = wire::write_indication(datagram.destination, &datagram.contents).ok()?;
            return Some(Datagram { source, destination, header: None, contents });
        };
        let length = u16::try_from(datagram.contents.len()).ok()?;
        let ([n0, n1], [l0, l1]) = (number.to_be_bytes(), length.to_be_bytes());
        let header = Some([n0, n1, l0, l1]);
        Some(Datagram { source, destination, header, contents: datagram.contents })
    }

    /// Handles deadlines that have passed.
    pub fn timeout(&mut self, now: Instant) {
        self.repeat(now);
        match &mut self.phase {
            Phase::Idle | Phase::Asking => {}
            Phase::Resting { until } => {
                if *until <= now {
                    self.allocate(now);
                }
            }
            Phase::Open(allocation) => {
                let relayed = allocation.relayed;
                let channels = allocation.channels.due(now);
                let permit = allocation.permit_at <= now;
                let refresh = allocation.refresh_at <= now;
                if permit {
                    allocation.permit_at = now + PERMISSION_INTERVAL;
                }
                if refresh {
                    // The answer sets the real time.
                    allocation.refresh_at = now + MARGIN;
                    self.ask(now, Request::Refresh(LIFETIME));
                }
                if permit {
                    self.ask(now, Request::Permit(relayed));
                }
                for channel in channels {
                    self.ask(now, Request::Bind(channel));
                }
            }
        }
    }

    fn allocate(&mut self, now: Instant) {
        let Some(credentials) = &self.credentials else {
            self.phase = Phase::Idle;
            return;
        };
        self.transactions.clear();
        // The relay's realm and nonce still hold, or it sends new ones.
        self.login = self.login.take().map(|login| {
            let name = credentials.username.as_str();
            Login::new(name, credentials.password.reveal(), login.realm, login.nonce)
        });
        self.phase = Phase::Asking;
        self.ask(now, Request::Allocate);
    }

    fn check_in_time(&mut self, now: Instant) {
        if let Phase::Open(allocation) = &self.phase
            && now >= allocation.checked + CHECK_INTERVAL
        {
            self.check(now);
        }
    }

    /// Asks the relay whether it knows us.
    fn check(&mut self, now: Instant) {
        let Phase::Open(allocation) = &mut self.phase else { return };
        allocation.checked = now;
        let asked = |asked: &Transaction| matches!(asked.request, Request::Refresh(_));
        if !self.transactions.iter().any(asked) {
            self.ask(now, Request::Refresh(LIFETIME));
        }
    }

    fn granted(
        &mut self,
        now: Instant,
        request: Request,
        relayed: Option<SocketAddr>,
        lifetime: u32,
    ) {
        match (request, &mut self.phase) {
            (Request::Allocate, Phase::Asking) => match relayed {
                Some(relayed) => self.opened(now, relayed, lifetime),
                None => self.rest(now),
            },
            (Request::Refresh(_), Phase::Open(allocation)) => {
                allocation.refresh_at = now + renewal(lifetime);
            }
            (Request::Bind(channel), Phase::Open(allocation)) => {
                allocation.channels.bound(now, channel);
            }
            // A request about an allocation that was released.
            _ => {}
        }
    }

    fn opened(&mut self, now: Instant, relayed: SocketAddr, lifetime: u32) {
        self.failures = 0;
        self.phase = Phase::Open(Allocation {
            relayed,
            refresh_at: now + renewal(lifetime),
            permit_at: now + PERMISSION_INTERVAL,
            checked: now,
            channels: Channels::default(),
        });
        // Permissions count by address without the port (RFC 8656, section 9), and all relayed
        // addresses are the relay's own.
        self.ask(now, Request::Permit(relayed));
        tracing::info!(%relayed, "the relay allocated an address");
        self.outputs.push_back(Output::Moved(Some(relayed)));
    }

    fn refused(&mut self, now: Instant, request: Request, code: u16) {
        tracing::debug!(?request, code, "the relay refused a request");
        match (request, code) {
            // The relay knows this socket from our predecessor, whose allocation is not needed any
            // more.
            (Request::Allocate, 437) => {
                self.ask(now, Request::Refresh(0));
                self.rest(now);
            }
            // The relay does not know us, so it is another process.
            (Request::Refresh(_) | Request::Permit(_) | Request::Bind(_), 437) => self.lost(now),
            _ => self.failed(now, request),
        }
    }

    fn failed(&mut self, now: Instant, request: Request) {
        match (request, &mut self.phase) {
            (Request::Allocate, _) => self.rest(now),
            (Request::Bind(channel), Phase::Open(allocation)) => {
                allocation.channels.failed(channel);
            }
            (Request::Refresh(_) | Request::Permit(_), Phase::Open(_)) => self.lost(now),
            _ => {}
        }
    }

    /// The allocation is lost: another is requested at once.
    fn lost(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Open(_)) {
            tracing::warn!("the relay lost our allocation; requesting another");
            self.outputs.push_back(Output::Moved(None));
            self.allocate(now);
        }
    }

    fn rest(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Asking) {
            let rest = FIRST_REST.saturating_mul(1 << self.failures.min(16)).min(LONGEST_REST);
            self.failures += 1;
            self.phase = Phase::Resting { until: now + rest };
        }
    }
}

/// When to renew an allocation with this lifetime, counted from the grant.
fn renewal(lifetime: u32) -> Duration {
    let life = Duration::from_secs(lifetime.into());
    life.saturating_sub(MARGIN).max(life / 2).max(Duration::from_secs(1))
}
