//! One TCP or TLS connection: bytes to messages and messages to bytes, never blocking.
//!
//! INVARIANT: the queue of unsent bytes is bounded. A message that does not fit is dropped whole,
//! like a datagram, because newer media is worth more than a long queue.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Instant,
};

use bytes::{Buf, BytesMut};
use lumen_ipc_runtime::make_nonblocking;
use nix::{
    errno::Errno,
    sys::socket::{setsockopt, sockopt},
};
use rustls::{ServerConfig, ServerConnection};

use crate::{framing::Framer, moment::Flow};

/// Bytes that may wait for a slow receiver: a quarter of a second of a fast stream.
const MAX_PENDING_BYTES: usize = 256 * 1024;

/// Reads of one connection before others are served.
const READS_A_TURN: usize = 8;

/// Seconds of silence before the kernel probes whether the other end is alive, and between probes.
const ASKED_AFTER: u32 = 10;

/// Milliseconds without an acknowledgement before the other end counts as dead: as long as consent
/// to receive media lasts (RFC 7675, section 5.1).
const DEAD_AFTER: u32 = 30_000;

/// Plain bytes passed to TLS between writes.
const TLS_BYTES: usize = 16 * 1024;

/// A client's connection.
pub(super) struct Connection {
    stream: TcpStream,
    tls: Option<Box<ServerConnection>>,
    framer: Framer,
    pending: BytesMut,
    /// Lengths of the pending messages, for TLS.
    lengths: VecDeque<usize>,
    /// The flow of its client.
    pub(super) flow: Flow,
    /// Since when it has had no allocation.
    pub(super) idle_since: Instant,
    /// Whether the event loop waits until the socket is writable.
    pub(super) waits_for_room: bool,
}

/// The connection was closed or failed.
#[derive(Debug)]
pub(super) struct Closed;

impl From<Errno> for Closed {
    fn from(_: Errno) -> Self {
        Self
    }
}

impl From<io::Error> for Closed {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl Connection {
    pub(super) fn new(
        stream: TcpStream,
        tls: Option<&Arc<ServerConfig>>,
        flow: Flow,
        now: Instant,
    ) -> Result<Self, Closed> {
        make_nonblocking(&stream)?;
        stream.set_nodelay(true)?;
        notice_death(&stream)?;
        let tls = match tls {
            None => None,
            Some(config) => {
                Some(Box::new(ServerConnection::new(Arc::clone(config)).map_err(|_| Closed)?))
            }
        };
        Ok(Self {
            stream,
            tls,
            framer: Framer::default(),
            pending: BytesMut::new(),
            lengths: VecDeque::new(),
            flow,
            idle_since: now,
            waits_for_room: false,
        })
    }

    pub(super) const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Reads from the connection and appends each whole message to `messages`.
    pub(super) fn read(
        &mut self,
        scratch: &mut [u8],
        messages: &mut Vec<BytesMut>,
    ) -> Result<(), Closed> {
        for _ in 0..READS_A_TURN {
            let some = match &mut self.tls {
                None => read_some(&mut self.stream, scratch, &mut self.framer)?,
                Some(tls) => read_tls(&mut self.stream, tls, scratch, &mut self.framer)?,
            };
            while let Some(message) = self.framer.next_message().map_err(|_| Closed)? {
                messages.push(message);
            }
            if !some {
                break;
            }
        }
        Ok(())
    }

    /// Queues `message`. False when it is dropped for lack of room.
    pub(super) fn queue(&mut self, message: &[u8]) -> bool {
        let room = self.pending.len() + message.len() <= MAX_PENDING_BYTES;
        if room {
            self.pending.extend_from_slice(message);
            if self.tls.is_some() {
                self.lengths.push_back(message.len());
            }
        }
        room
    }

    /// Sends as much as the kernel accepts. True when something remains.
    pub(super) fn write(&mut self) -> Result<bool, Closed> {
        match &mut self.tls {
            None => {
                while !self.pending.is_empty() {
                    match would_block(self.stream.write(&self.pending))? {
                        Some(0) => return Err(Closed),
                        Some(written) => self.pending.advance(written),
                        None => return Ok(true),
                    }
                }
                Ok(false)
            }
            Some(tls) => write_tls(&mut self.stream, tls, &mut self.pending, &mut self.lengths),
        }
    }
}

/// Lets the kernel end a connection whose other end has died silently. Otherwise it would keep its
/// place until its allocation expires.
fn notice_death(stream: &TcpStream) -> nix::Result<()> {
    setsockopt(stream, sockopt::KeepAlive, &true)?;
    setsockopt(stream, sockopt::TcpKeepIdle, &ASKED_AFTER)?;
    setsockopt(stream, sockopt::TcpKeepInterval, &ASKED_AFTER)?;
    setsockopt(stream, sockopt::TcpUserTimeout, &DEAD_AFTER)
}

/// Reads once. False when there is nothing more.
fn read_some(
    stream: &mut TcpStream,
    scratch: &mut [u8],
    framer: &mut Framer,
) -> Result<bool, Closed> {
    match would_block(stream.read(scratch))? {
        None => Ok(false),
        Some(0) => Err(Closed),
        Some(length) => {
            framer.push(scratch.get(..length).unwrap_or_default());
            Ok(length == scratch.len())
        }
    }
}

fn read_tls(
    stream: &mut TcpStream,
    tls: &mut ServerConnection,
    scratch: &mut [u8],
    framer: &mut Framer,
) -> Result<bool, Closed> {
    let more = match would_block(tls.read_tls(stream))? {
        None => false,
        Some(0) => return Err(Closed),
        Some(_) => true,
    };
    if tls.process_new_packets().is_err() {
        // Tells the client why, if the kernel accepts it at once.
        let _ = tls.write_tls(stream);
        return Err(Closed);
    }
    loop {
        match would_block(tls.reader().read(scratch))? {
            None => return Ok(more),
            Some(0) => return Err(Closed),
            Some(length) => framer.push(scratch.get(..length).unwrap_or_default()),
        }
    }
}

/// Each message becomes its own TLS record, because some clients take a record for a message.
fn write_tls(
    stream: &mut TcpStream,
    tls: &mut ServerConnection,
    pending: &mut BytesMut,
    lengths: &mut VecDeque<usize>,
) -> Result<bool, Closed> {
    loop {
        while tls.wants_write() {
            if would_block(tls.write_tls(stream))?.is_none() {
                return Ok(true);
            }
        }
        if pending.is_empty() || tls.is_handshaking() {
            return Ok(false);
        }
        let mut handed = 0;
        while handed < TLS_BYTES
            && let Some(length) = lengths.pop_front()
        {
            let message = pending.split_to(length.min(pending.len()));
            // TLS has just been emptied and accepts more than is passed to it here.
            tls.writer().write_all(&message)?;
            handed += length;
        }
    }
}

/// Turns "would block" into `None`.
fn would_block(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use nix::sys::socket::getsockopt;

    use super::*;
    use crate::moment::Carrier;

    #[test]
    fn new_connection_is_watched_for_the_death_of_its_other_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, remote) = listener.accept().unwrap();
        let flow = Flow { carrier: Carrier::Stream(1), remote };
        let connection = Connection::new(stream, None, flow, Instant::now()).unwrap();
        let stream = connection.stream();
        assert_eq!(getsockopt(stream, sockopt::KeepAlive), Ok(true));
        assert_eq!(getsockopt(stream, sockopt::TcpKeepIdle), Ok(ASKED_AFTER));
        assert_eq!(getsockopt(stream, sockopt::TcpKeepInterval), Ok(ASKED_AFTER));
        assert_eq!(getsockopt(stream, sockopt::TcpUserTimeout), Ok(DEAD_AFTER));
    }
}
