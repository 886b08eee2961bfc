//! Rtc as a client of the relay: a pure machine that keeps one allocation for all viewers.
//!
//! The relay passes data only between its own clients, so a viewer behind it is reached from an
//! allocation of ours. One is enough: the relay knows us by the address of our one socket, and the
//! viewers by theirs. Towards the peers a relayed viewer is a peer at its relayed address like
//! any other, and we are at ours; [`Relay::wrap`] and [`Relay::unwrap`] are all the difference.
//!
//! Decides: when to allocate, renew and give back; when the relay must have been replaced (it does
//! not know us any more) and everything is asked for anew.
//!
//! Trusts: the relay, in what it signs. What it passes on may be anyone's.
//!
//! The crate `turn-client-proto` is not used: it has no way to ask whether the allocation still
//! exists, which is how the death of the relay is noticed while it matters, and none to begin anew.

mod channels;
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
use stun_types::message::TransactionId;

use crate::peer::Datagram;
use channels::Channels;
use wire::{Answer, Incoming, Login, Request};

/// How long an answer may take at first; the relay is on this host. Doubled with each repetition…
const FIRST_PATIENCE: Duration = Duration::from_millis(100);
/// …of which there are so many: three seconds in all.
const REPETITIONS: u8 = 4;
/// Challenges that one request takes: for the nonce, for a nonce that expired meanwhile, and one
/// for a relay that was replaced in between.
const MOST_CHALLENGES: u8 = 3;
/// Life asked for, in seconds, the shortest the relay gives (RFC 8656, section 7.2)…
const LIFETIME: u32 = 600;
/// …renewed so long before its end.
const MARGIN: Duration = Duration::from_secs(60);
/// Permissions last five minutes (RFC 8656, section 9).
const PERMISSION_INTERVAL: Duration = Duration::from_secs(240);
/// While viewers are relayed the relay is asked this often whether it still knows us.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// After the relay has refused or not answered, this long passes before the next try…
const FIRST_REST: Duration = Duration::from_millis(500);
/// …and ever longer, up to this.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// What the machine wants.
#[derive(Debug)]
pub enum Output {
    /// Our relayed address from now on, or that there is none.
    Moved(Option<SocketAddr>),
    /// To send.
    Transmit(Datagram),
}

/// What a datagram from the relay is.
#[derive(Debug, Eq, PartialEq)]
pub enum Unwrapped<'a> {
    /// The relay's own: it has been dealt with.
    Control,
    /// Data.
    Data {
        /// The viewer's relayed address.
        source: SocketAddr,
        /// Ours.
        destination: SocketAddr,
        /// What the viewer has sent.
        contents: &'a [u8],
    },
    /// Nothing that can be believed.
    Foreign,
}

/// The machine.
#[derive(Debug)]
pub struct Relay {
    server: SocketAddr,
    /// Which of our addresses the relay sees.
    local: SocketAddr,
    /// The newest.
    credentials: Option<RelayCredentials>,
    /// As whom the relay knows us.
    login: Option<Login>,
    phase: Phase,
    transactions: Vec<Transaction>,
    failures: u32,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
enum Phase {
    /// There is nobody to relay for.
    Idle,
    /// An allocation is asked for.
    Asking,
    /// There is one.
    Open(Allocation),
    /// The relay does not want us, or is not there.
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

/// A request that waits for its answer.
#[derive(Debug)]
struct Transaction {
    id: TransactionId,
    request: Request,
    bytes: Vec<u8>,
    repeat_at: Instant,
    patience: Duration,
    repetitions: u8,
    challenges: u8,
}

impl Relay {
    /// The relay at `server`, seen from whichever of our addresses is nearest to it. `None` when we
    /// have none in its family.
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

    /// Where the relay is.
    #[must_use]
    pub const fn server(&self) -> SocketAddr {
        self.server
    }

    /// Our relayed address, if we have one.
    #[must_use]
    pub const fn relayed(&self) -> Option<SocketAddr> {
        match &self.phase {
            Phase::Open(allocation) => Some(allocation.relayed),
            _ => None,
        }
    }

    /// The next thing to do, oldest first.
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

    /// Takes fresh credentials for a viewer: makes an allocation, or sees whether the one there is
    /// still exists.
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

    /// Gives the allocation back: there is no viewer any more.
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

    /// Takes a datagram that came from [`Relay::server`].
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

    /// Turns a datagram from our relayed address into one to the relay; `None` when that address is
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

    /// Time has come.
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
                    // Moved on when the answer says how far.
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
        // What the relay has said of itself still holds, or it says it anew.
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

    fn ask(&mut self, now: Instant, request: Request) {
        self.ask_again(now, request, 0);
    }

    fn ask_again(&mut self, now: Instant, request: Request, challenges: u8) {
        let id = TransactionId::generate();
        let bytes = match request.write(id, self.login.as_ref()) {
            Ok(bytes) => bytes,
            // What the relay calls itself does not fit into a message.
            Err(error) => {
                tracing::warn!(%error, "the relay cannot be asked");
                return self.failed(now, request);
            }
        };
        self.transmit(bytes.clone());
        self.transactions.push(Transaction {
            id,
            request,
            bytes,
            repeat_at: now + FIRST_PATIENCE,
            patience: FIRST_PATIENCE,
            repetitions: 0,
            challenges,
        });
    }

    fn transmit(&mut self, contents: Vec<u8>) {
        let (source, destination) = (self.local, self.server);
        let datagram = Datagram { source, destination, header: None, contents };
        self.outputs.push_back(Output::Transmit(datagram));
    }

    fn repeat(&mut self, now: Instant) {
        let mut given_up = Vec::new();
        let mut repeated = Vec::new();
        self.transactions.retain_mut(|transaction| {
            if transaction.repeat_at > now {
                return true;
            }
            if transaction.repetitions >= REPETITIONS {
                given_up.push(transaction.request);
                return false;
            }
            transaction.repetitions += 1;
            transaction.patience *= 2;
            transaction.repeat_at = now + transaction.patience;
            repeated.push(transaction.bytes.clone());
            true
        });
        for bytes in repeated {
            self.transmit(bytes);
        }
        for request in given_up {
            self.failed(now, request);
        }
    }

    fn answered(&mut self, now: Instant, asked: usize, answer: Answer) -> Unwrapped<'static> {
        if matches!(answer, Answer::Unsigned) {
            return Unwrapped::Foreign;
        }
        let Transaction { request, challenges, .. } = self.transactions.swap_remove(asked);
        match answer {
            Answer::Success { relayed, lifetime } => {
                self.granted(now, request, relayed, lifetime.unwrap_or(LIFETIME));
            }
            Answer::Challenge { code, realm, nonce } => {
                let known = self.login.as_ref();
                // Told who we are once, the relay has no reason to ask again but for the nonce.
                let hopeless = challenges >= MOST_CHALLENGES
                    || (code == 401 && challenges > 0 && known.is_some_and(|it| it.nonce == nonce));
                let realm = realm.or_else(|| known.map(|login| login.realm.clone()));
                match (self.name(request), realm) {
                    (Some((username, password)), Some(realm)) if !hopeless => {
                        self.login = Some(Login::new(&username, &password, realm, nonce));
                        self.ask_again(now, request, challenges + 1);
                    }
                    _ => self.failed(now, request),
                }
            }
            Answer::Refused(code) => self.refused(now, request, code),
            Answer::Unsigned => {}
        }
        Unwrapped::Control
    }

    /// As whom a request is made: what follows an allocation is made by whoever made that.
    fn name(&self, request: Request) -> Option<(String, String)> {
        let newest = self.credentials.as_ref();
        let newest = newest.map(|it| (it.username.to_string(), it.password.reveal().to_owned()));
        match request {
            Request::Allocate => newest,
            _ => self.login.as_ref().map(Login::name),
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
            // Of an allocation that is given back.
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
        // Permissions count by address, without the port (RFC 8656, section 9), and viewers' relayed
        // addresses are the relay's own, as ours is.
        self.ask(now, Request::Permit(relayed));
        tracing::info!(%relayed, "the relay has an address for us");
        self.outputs.push_back(Output::Moved(Some(relayed)));
    }

    fn refused(&mut self, now: Instant, request: Request, code: u16) {
        tracing::debug!(?request, code, "the relay refuses");
        match (request, code) {
            // It knows this socket from an earlier life of ours, which nobody needs any more.
            (Request::Allocate, 437) => {
                self.ask(now, Request::Refresh(0));
                self.rest(now);
            }
            // It does not know us: it is another process.
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

    /// The allocation is gone: another is asked for at once.
    fn lost(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Open(_)) {
            tracing::warn!("the relay does not know us any more; asking anew");
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

/// How long after it was granted a life of so many seconds is renewed.
fn renewal(lifetime: u32) -> Duration {
    let life = Duration::from_secs(lifetime.into());
    life.saturating_sub(MARGIN).max(life / 2).max(Duration::from_secs(1))
}
