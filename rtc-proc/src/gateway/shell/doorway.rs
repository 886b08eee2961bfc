//! Sorts connections on a port that the gateway shares with the relay.
//!
//! The first bytes are peeked at and stay unread; a connection for the relay is handed over with
//! them. An HTTP request costs one extra peek; a connection that sends too little to be recognised
//! gets as much time as one that does not finish its request's head.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    sync::{Arc, Mutex, PoisonError},
};

use lumen_ipc::{
    message::handover::{ToGateway, ToTurn},
    service::Handover,
};
use lumen_ipc_runtime::{link_end::LinkEnd, log::RateLimit};
use nix::sys::socket::{MsgFlags, recv};
use tokio::{io::Interest, net::TcpStream, time::timeout};
use tracing::{debug, warn};

use super::{
    super::opening::{MAX_HELLO_BYTES, Opening, STUN_BYTES, classify},
    figures::Figures,
    server::HEAD_PATIENCE,
};

/// The gateway's end of the handover link.
pub type HandoverLink = LinkEnd<ToGateway, ToTurn>;

/// A connection that is for the gateway.
pub(super) struct Sorted {
    pub(super) stream: TcpStream,
    /// Whether it begins with TLS; known only where the page has TLS.
    pub(super) is_tls: bool,
}

/// Sorts connections.
#[derive(Clone, Debug)]
pub(super) struct Doorway {
    rules: Arc<Handover>,
    /// Whether the page has TLS, so that every connection has to be looked at.
    secured: bool,
    link: Arc<Mutex<Option<HandoverLink>>>,
    figures: Figures,
}

impl Doorway {
    pub(super) fn new(
        rules: Handover,
        secured: bool,
        link: Option<HandoverLink>,
        figures: Figures,
    ) -> Self {
        Self { rules: Arc::new(rules), secured, link: Arc::new(Mutex::new(link)), figures }
    }

    /// Hands connections over to another relay from now on.
    pub(super) fn replace(&self, link: HandoverLink) {
        *self.link.lock().unwrap_or_else(PoisonError::into_inner) = Some(link);
    }

    /// Returns the connection if it is for the gateway.
    pub(super) async fn sort(&self, stream: TcpStream) -> Option<Sorted> {
        if !self.secured && !self.rules.plain && self.rules.name.as_str().is_empty() {
            return Some(Sorted { stream, is_tls: false });
        }
        let opening = match timeout(HEAD_PATIENCE, self.look(&stream)).await {
            Ok(Ok(opening)) => opening,
            Ok(Err(error)) => {
                debug!(%error, "a connection ended before its protocol was known");
                return None;
            }
            Err(_) => {
                debug!("a connection did not say which protocol it speaks");
                return None;
            }
        };
        match opening {
            Opening::Plain => self.hand_over(stream, ToTurn::Plain),
            Opening::Secured => self.hand_over(stream, ToTurn::Secured),
            Opening::Http | Opening::Unfinished => return Some(Sorted { stream, is_tls: false }),
            Opening::Tls => return Some(Sorted { stream, is_tls: true }),
        }
        None
    }

    async fn look(&self, stream: &TcpStream) -> io::Result<Opening> {
        let mut long = Vec::new();
        loop {
            stream.readable().await?;
            // Peeked bytes leave the socket readable. Returning "would block" makes the event loop
            // wait for more bytes instead of polling again and again.
            let looked =
                stream.try_io(Interest::READABLE, || match self.look_once(stream, &mut long)? {
                    Opening::Unfinished => Err(io::ErrorKind::WouldBlock.into()),
                    opening => Ok(opening),
                });
            match looked {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                looked => return looked,
            }
        }
    }

    fn look_once(&self, stream: &TcpStream, long: &mut Vec<u8>) -> io::Result<Opening> {
        let mut short = [0; STUN_BYTES];
        let seen = peek(stream, &mut short)?;
        match short.get(..seen).unwrap_or_default() {
            // End of file: HTTP handles it as well.
            [] => Ok(Opening::Http),
            bytes => match classify(bytes, &self.rules) {
                Opening::Unfinished if seen == short.len() => {
                    long.resize(MAX_HELLO_BYTES, 0);
                    let seen = peek(stream, long)?;
                    Ok(classify(long.get(..seen).unwrap_or_default(), &self.rules))
                }
                opening => Ok(opening),
            },
        }
    }

    fn hand_over(&self, stream: TcpStream, kind: ToTurn) {
        let sent = stream.into_std().map_err(|error| error.to_string()).and_then(|stream| {
            let link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
            let link = link.as_ref().ok_or_else(|| "there is no relay".to_owned())?;
            link.send(&kind, &[stream.as_fd()]).map_err(|error| error.to_string())
        });
        match sent {
            Ok(()) => self.figures.connections_handed_over.increment(),
            Err(error) => {
                static LIMIT: RateLimit = RateLimit::per_second(1);
                if LIMIT.allows() {
                    let suppressed = LIMIT.suppressed();
                    warn!(suppressed, %error, "dropped a connection for the relay");
                }
            }
        }
    }
}

fn peek(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    Ok(recv(stream.as_raw_fd(), buffer, flags)?)
}
