//! All TCP and TLS connections, and the limits on them.

use std::{
    collections::HashMap,
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use lumen_ipc_runtime::metrics::{Counter, Gauge, Registry};
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use rustls::ServerConfig;

use super::{
    FIRST_CONNECTION, Token,
    connection::{Closed, Connection},
    readable,
};
use crate::{
    moment::{Carrier, Flow, Source},
    quota::{Census, Rate, SourceRates},
};

/// The most connections under any limits; the process may have descriptors for this many.
pub const MAX_CONNECTIONS: usize = 512;

/// How long a connection may remain without an allocation.
const GRACE: Duration = Duration::from_secs(15);

/// Bytes read from a connection at once.
const SCRATCH_BYTES: usize = 16 * 1024;

/// Limits on connections.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ConnectionLimits {
    /// All together, at most [`MAX_CONNECTIONS`].
    pub total: usize,
    /// Of one source.
    pub source: u32,
    /// Rate at which one source may open connections.
    pub opened: Rate,
    /// Rate at which all sources together may open connections.
    pub opened_by_all: Rate,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            total: MAX_CONNECTIONS,
            source: 32,
            opened: Rate { per_second: 5, burst: 30 },
            opened_by_all: Rate { per_second: 100, burst: 200 },
        }
    }
}

/// Connections and their limits.
pub(super) struct Connections {
    open: HashMap<u64, Connection>,
    next: u64,
    limits: ConnectionLimits,
    sources: Census<Source>,
    rates: SourceRates,
    /// Connections with newly queued data.
    dirty: Vec<u64>,
    scratch: Box<[u8]>,
    gauge: Gauge,
    refused: Counter,
}

impl Connections {
    pub(super) fn new(limits: ConnectionLimits, registry: &Registry, now: Instant) -> Self {
        Self {
            open: HashMap::new(),
            next: FIRST_CONNECTION,
            sources: Census::new(limits.source),
            rates: SourceRates::new(limits.opened, limits.opened_by_all, now),
            limits,
            dirty: Vec::new(),
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            gauge: registry.gauge("relay_connections_count"),
            refused: registry.counter("relay_connections_refused_total"),
        }
    }

    /// Accepts a new connection unless a limit is reached: then it is closed before it costs
    /// anything.
    pub(super) fn admit(
        &mut self,
        stream: TcpStream,
        remote: SocketAddr,
        tls: Option<&Arc<ServerConfig>>,
        now: Instant,
    ) -> Option<u64> {
        let source = Source::of(remote.ip());
        let welcome = self.open.len() < self.limits.total.min(MAX_CONNECTIONS)
            && self.sources.has_room(&source)
            && self.rates.spend(source, now);
        if !welcome {
            self.refused.increment();
            return None;
        }
        let number = self.next;
        let flow = Flow { carrier: Carrier::Stream(number), remote };
        let connection = Connection::new(stream, tls, flow, now).ok()?;
        self.next += 1;
        self.sources.add(source);
        self.open.insert(number, connection);
        self.gauge.set(self.open.len() as i64);
        Some(number)
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn stream(&self, number: u64) -> Option<&TcpStream> {
        self.open.get(&number).map(Connection::stream)
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<Flow> {
        let connection = self.open.remove(&number)?;
        self.sources.remove(&connection.flow.source());
        self.gauge.set(self.open.len() as i64);
        Some(connection.flow)
    }

    pub(super) fn flow(&self, number: u64) -> Option<Flow> {
        self.open.get(&number).map(|connection| connection.flow)
    }

    pub(super) fn read(&mut self, number: u64, messages: &mut Vec<BytesMut>) -> Result<(), Closed> {
        match self.open.get_mut(&number) {
            Some(connection) => connection.read(&mut self.scratch, messages),
            None => Ok(()),
        }
    }

    pub(super) fn queue(&mut self, number: u64, message: &[u8]) -> bool {
        let Some(connection) = self.open.get_mut(&number) else { return false };
        self.dirty.push(number);
        connection.queue(message)
    }

    pub(super) fn write(&mut self, number: u64, epoll: &Epoll) -> Result<(), Closed> {
        let Some(connection) = self.open.get_mut(&number) else { return Ok(()) };
        let left = connection.write()?;
        if left != connection.waits_for_room {
            connection.waits_for_room = left;
            let mut event = readable(Token::Connection(number));
            if left {
                event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT, event.data());
            }
            epoll.modify(connection.stream(), &mut event).map_err(|_| Closed)?;
        }
        Ok(())
    }

    /// Notes that `number` may have something to send.
    pub(super) fn touch(&mut self, number: u64) {
        self.dirty.push(number);
    }

    /// A connection that may have data to send.
    pub(super) fn next_dirty(&mut self) -> Option<u64> {
        self.dirty.pop()
    }

    /// Connections that have been without an allocation for too long.
    pub(super) fn idle(&mut self, now: Instant, serves: impl Fn(&Flow) -> bool) -> Vec<u64> {
        let mut over = Vec::new();
        for (number, connection) in &mut self.open {
            if serves(&connection.flow) {
                connection.idle_since = now;
            } else if now.saturating_duration_since(connection.idle_since) >= GRACE {
                over.push(*number);
            }
        }
        over
    }
}
