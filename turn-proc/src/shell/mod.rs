//! The event loop between the granted sockets and [`Relay`]. One thread owns all of it.
//!
//! Decides nothing about TURN. It limits connections: how many there are, how fast one source may
//! open them (before TLS costs anything), and how long one may remain without an allocation.

mod connection;
mod connections;
mod datagrams;
mod handover;
mod tls;

use std::{
    fmt, io,
    net::{TcpListener, UdpSocket},
    ops::ControlFlow,
    os::fd::AsFd,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::BytesMut;
use lumen_ipc::text::counted;
use lumen_ipc_runtime::metrics::{Counter, Registry};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use rustls::ServerConfig;

use self::{
    connections::Connections,
    datagrams::{Datagrams, Received},
    handover::Handed,
};
pub use self::{
    connections::{ConnectionLimits, MAX_CONNECTIONS},
    handover::Handover,
    tls::{TlsError, server_config},
};
use crate::{
    moment::{Carrier, Flow, Moment, UnixSeconds},
    relay::{Outcome, Relay},
};

/// How often expired state is swept.
const SWEEP: Duration = Duration::from_secs(1);

/// Datagram batches of one socket before others are served.
const BATCHES_A_TURN: usize = 8;

/// Connections accepted or handed over before others are served.
const ACCEPTS_A_TURN: usize = 32;

/// Events taken from the kernel per call.
const EVENTS: usize = 64;

/// The sockets the relay was granted.
#[derive(Debug, Default)]
pub struct Sockets {
    /// UDP sockets, each bound to one local address, so that answers leave from the address that
    /// was asked.
    pub datagrams: Vec<UdpSocket>,
    /// TCP listeners.
    pub streams: Vec<TcpListener>,
    /// TCP listeners for TLS.
    pub secured: Vec<TcpListener>,
}

/// Why the relay cannot continue.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// TLS listeners were granted without a certificate.
    #[error("there are TLS sockets but no certificate")]
    NoCertificate,
    /// A granted socket or the kernel's event queue failed.
    #[error("cannot {doing}")]
    Io {
        /// What failed.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
}

fn failing(doing: &'static str) -> impl FnOnce(io::Error) -> ShellError {
    move |source| ShellError::Io { doing, source }
}

/// What an event is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Token {
    Overseer,
    Handover,
    Datagrams(u8),
    Listener(u8),
    Connection(u64),
}

/// Connections are numbered from here on, so that every token is one number.
const FIRST_CONNECTION: u64 = 1024;

impl Token {
    const fn number(self) -> u64 {
        match self {
            Self::Overseer => 0,
            Self::Handover => 1,
            Self::Datagrams(index) => 256 + index as u64,
            Self::Listener(index) => 512 + index as u64,
            Self::Connection(number) => number,
        }
    }

    const fn of(number: u64) -> Self {
        match number {
            0 => Self::Overseer,
            1..256 => Self::Handover,
            256..512 => Self::Datagrams((number - 256) as u8),
            512..FIRST_CONNECTION => Self::Listener((number - 512) as u8),
            _ => Self::Connection(number),
        }
    }
}

/// The owner of the server, which the event loop also waits for.
pub trait Overseer: AsFd {
    /// Handles a readable descriptor. `Break` ends the server.
    fn heed(&mut self, server: &mut Server) -> ControlFlow<()>;

    /// Called about once a second, and at start.
    fn look(&mut self, _server: &Server) {}
}

/// The ports that clients use, for the log.
#[derive(Clone, Copy, Debug)]
struct Ports {
    plain: u16,
    secured: Option<u16>,
}

impl Ports {
    /// Reads the ports before confinement forbids it.
    fn of(sockets: &Sockets) -> Self {
        let port = |listener: &TcpListener| listener.local_addr().ok().map(|at| at.port());
        Self {
            plain: sockets.streams.first().and_then(port).unwrap_or(0),
            secured: sockets.secured.first().and_then(port),
        }
    }
}

/// The running relay.
pub struct Server {
    epoll: Epoll,
    ports: Ports,
    relay: Relay,
    datagrams: Vec<Datagrams>,
    listeners: Vec<(TcpListener, Option<Arc<ServerConfig>>)>,
    handover: Option<Handover>,
    tls: Option<Arc<ServerConfig>>,
    connections: Connections,
    /// The answer being written.
    out: BytesMut,
    received: Vec<Received>,
    swept: Instant,
    lost: Counter,
}

/// Both clocks.
#[must_use]
pub fn now() -> Moment {
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    // A clock before 1970 admits nobody: every credential would seem to live too long.
    Moment { at: Instant::now(), unix: UnixSeconds(unix.map_or(0, |since| since.as_secs())) }
}

impl Server {
    /// Takes the sockets. Nothing is read before [`Self::run`].
    ///
    /// # Errors
    /// [`ShellError`] when a socket cannot be used.
    pub fn new(
        sockets: Sockets,
        relay: Relay,
        tls: Option<Arc<ServerConfig>>,
        limits: ConnectionLimits,
        registry: &Registry,
    ) -> Result<Self, ShellError> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)
            .map_err(|errno| failing("make an event queue")(errno.into()))?;
        if tls.is_none() && !sockets.secured.is_empty() {
            return Err(ShellError::NoCertificate);
        }
        let ports = Ports::of(&sockets);
        let datagrams =
            sockets.datagrams.into_iter().map(Datagrams::new).collect::<io::Result<_>>();
        let plain = sockets.streams.into_iter().map(|listener| (listener, None));
        let secured = sockets.secured.into_iter().map(|listener| (listener, tls.clone()));
        let started = Instant::now();
        let server = Self {
            epoll,
            ports,
            relay,
            datagrams: datagrams.map_err(failing("use a UDP socket"))?,
            listeners: plain.chain(secured).collect(),
            handover: None,
            tls,
            connections: Connections::new(limits, registry, started),
            out: BytesMut::new(),
            received: Vec::new(),
            swept: started,
            lost: registry.counter("relay_lost_total"),
        };
        server.register()?;
        Ok(server)
    }

    fn register(&self) -> Result<(), ShellError> {
        let watch = failing("watch a socket");
        let mut all = Vec::new();
        for (index, datagrams) in (0_u8..=u8::MAX).zip(&self.datagrams) {
            all.push((datagrams.socket().as_fd(), Token::Datagrams(index)));
        }
        for (index, (listener, _)) in (0_u8..=u8::MAX).zip(&self.listeners) {
            if let Err(error) = listener.set_nonblocking(true) {
                return Err(watch(error));
            }
            all.push((listener.as_fd(), Token::Listener(index)));
        }
        let add = |(fd, token): (_, Token)| self.epoll.add(fd, readable(token));
        all.into_iter().try_for_each(add).map_err(|errno| watch(errno.into()))
    }

    /// Accepts connections from the gateway over `link`, which replaces the one before.
    ///
    /// # Errors
    /// [`ShellError`] when the link cannot be watched.
    pub fn hand_over_from(&mut self, link: Handover) -> Result<(), ShellError> {
        // Closing the old end removes it from the event queue.
        self.handover = None;
        self.epoll
            .add(&link, readable(Token::Handover))
            .map_err(|errno| failing("watch the gateway's link")(errno.into()))?;
        self.handover = Some(link);
        Ok(())
    }

    /// Relays until `overseer` ends it.
    ///
    /// # Errors
    /// [`ShellError`] when a granted socket fails.
    pub fn run(&mut self, overseer: &mut impl Overseer) -> Result<(), ShellError> {
        let wait = || failing("wait for events");
        self.epoll
            .add(&*overseer, readable(Token::Overseer))
            .map_err(|errno| wait()(errno.into()))?;
        overseer.look(self);
        let mut events = [EpollEvent::empty(); EVENTS];
        loop {
            let count =
                match self.epoll.wait(&mut events, EpollTimeout::from(SWEEP.as_millis() as u16)) {
                    Ok(count) => count,
                    Err(nix::errno::Errno::EINTR) => 0,
                    Err(errno) => return Err(wait()(errno.into())),
                };
            let now = now();
            for event in events.iter().take(count) {
                match Token::of(event.data()) {
                    Token::Overseer if overseer.heed(self).is_break() => return Ok(()),
                    Token::Overseer => {}
                    Token::Handover => self.take_over(now),
                    Token::Datagrams(index) => self.serve_datagrams(index, now)?,
                    Token::Listener(index) => self.accept(index, now)?,
                    Token::Connection(number) => self.serve_connection(number, event.events(), now),
                }
            }
            self.flush()?;
            if self.sweep(now) {
                overseer.look(self);
            }
        }
    }

    fn serve_datagrams(&mut self, index: u8, now: Moment) -> Result<(), ShellError> {
        let mut received = std::mem::take(&mut self.received);
        for _ in 0..BATCHES_A_TURN {
            let Some(datagrams) = self.datagrams.get_mut(usize::from(index)) else { break };
            let more = datagrams.receive(&mut received).map_err(failing("read a UDP socket"))?;
            for datagram in &received {
                let from = Flow { carrier: Carrier::Datagrams(index), remote: datagram.from };
                let Some(datagrams) = self.datagrams.get(usize::from(index)) else { break };
                let outcome =
                    self.relay.handle(now, from, datagrams.bytes(datagram), &mut self.out);
                self.dispatch(outcome, from)?;
            }
            self.flush()?;
            if !more {
                break;
            }
        }
        self.received = received;
        Ok(())
    }

    /// Queues what the relay has written at its socket or connection.
    fn dispatch(&mut self, outcome: Outcome, from: Flow) -> Result<(), ShellError> {
        let to = match outcome {
            Outcome::Dropped(_) => return Ok(()),
            Outcome::Forward(to) => to,
            Outcome::Reply => from,
        };
        match to.carrier {
            Carrier::Datagrams(index) => match self.datagrams.get_mut(usize::from(index)) {
                Some(datagrams) => datagrams
                    .queue(&mut self.out, to.remote)
                    .map_err(failing("write to a UDP socket")),
                None => Ok(()),
            },
            Carrier::Stream(number) => {
                if !self.connections.queue(number, &self.out) {
                    self.lost.increment();
                }
                Ok(())
            }
        }
    }

    fn accept(&mut self, index: u8, now: Moment) -> Result<(), ShellError> {
        let Some((listener, tls)) = self.listeners.get(usize::from(index)) else { return Ok(()) };
        for _ in 0..ACCEPTS_A_TURN {
            let (stream, remote) = match listener.accept() {
                Ok(accepted) => accepted,
                // It was shut down, and would be reported for ever.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    return Err(failing("accept from a listener that is none any more")(error));
                }
                // Any other error than "would block" belongs to the connection being accepted.
                Err(_) => break,
            };
            let admitted = self.connections.admit(stream, remote, tls.as_ref(), now.at);
            watch(&self.epoll, &mut self.connections, admitted);
        }
        Ok(())
    }

    fn take_over(&mut self, now: Moment) {
        for _ in 0..ACCEPTS_A_TURN {
            let Some(link) = &self.handover else { return };
            match link.receive() {
                // Without a certificate the relay offers no TLS, so such a connection is dropped.
                Handed::Connection(_, true, _) if self.tls.is_none() => {}
                Handed::Connection(stream, secured, remote) => {
                    let tls = self.tls.as_ref().filter(|_| secured);
                    let admitted = self.connections.admit(stream, remote, tls, now.at);
                    watch(&self.epoll, &mut self.connections, admitted);
                }
                Handed::Nothing => return,
                // The gateway restarts, and a new end will be granted.
                Handed::Over => self.handover = None,
                Handed::Useless => {}
            }
        }
    }

    fn serve_connection(&mut self, number: u64, events: EpollFlags, now: Moment) {
        if events.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR) {
            let mut messages = Vec::new();
            let read = self.connections.read(number, &mut messages);
            let Some(from) = self.connections.flow(number) else { return };
            for message in &messages {
                let outcome = self.relay.handle(now, from, message, &mut self.out);
                // A failing UDP socket reports its error when it is served itself.
                let _ = self.dispatch(outcome, from);
            }
            if read.is_err() {
                return self.close(number);
            }
        }
        self.connections.touch(number);
    }

    /// Sends everything that was queued in this round.
    fn flush(&mut self) -> Result<(), ShellError> {
        for datagrams in &mut self.datagrams {
            datagrams.flush().map_err(failing("write to a UDP socket"))?;
        }
        while let Some(number) = self.connections.next_dirty() {
            if self.connections.write(number, &self.epoll).is_err() {
                self.close(number);
            }
        }
        Ok(())
    }

    fn close(&mut self, number: u64) {
        if let Some(flow) = self.connections.remove(number) {
            self.relay.close(&flow);
        }
    }

    /// Sweeps expired state, once a second. True when it did.
    fn sweep(&mut self, now: Moment) -> bool {
        if now.at.saturating_duration_since(self.swept) < SWEEP {
            return false;
        }
        self.swept = now.at;
        self.relay.sweep(now);
        let relay = &self.relay;
        for number in self.connections.idle(now.at, |flow| relay.serves(flow, now)) {
            self.close(number);
        }
        true
    }
}

/// The summary for `lumen status`.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ports { plain, secured } = self.ports;
        write!(f, "port {plain}")?;
        if let Some(secured) = secured {
            write!(f, ", TLS {secured}")?;
        }
        let (allocations, connections) = (self.relay.allocations(), self.connections.len());
        let allocations = counted(allocations, "allocation");
        write!(f, ", {allocations}, {}", counted(connections, "connection"))
    }
}

/// Watches a new connection; one that cannot be watched is closed.
fn watch(epoll: &Epoll, connections: &mut Connections, number: Option<u64>) {
    let Some(number) = number else { return };
    let watched = connections
        .stream(number)
        .is_some_and(|stream| epoll.add(stream, readable(Token::Connection(number))).is_ok());
    if !watched {
        connections.remove(number);
    }
}

fn readable(token: Token) -> EpollEvent {
    EpollEvent::new(EpollFlags::EPOLLIN, token.number())
}
