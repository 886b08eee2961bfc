//! The WebSocket between a viewer and the gateway.

use std::{
    net::{SocketAddr, TcpStream},
    os::fd::{AsFd, BorrowedFd},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use tungstenite::{
    Error, HandshakeError, Message, WebSocket,
    client::{IntoClientRequest, client},
    http::{HeaderName, HeaderValue},
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use super::{http::SignedIn, presence::PageLease};
use crate::patience::{patience, wait_until};

/// How to ask for the WebSocket.
#[derive(Clone, Debug)]
pub struct Handshake {
    address: SocketAddr,
    headers: Vec<(&'static str, String)>,
}

impl Handshake {
    /// As the page of the gateway at `address` asks, but without a login.
    #[must_use]
    pub fn of(address: SocketAddr) -> Self {
        let origin = ("origin", format!("http://{address}"));
        Self { address, headers: vec![origin, ("sec-websocket-protocol", "lumen".to_owned())] }
    }

    /// With both halves of a login's key.
    #[must_use]
    pub fn signed_in(self, login: &SignedIn) -> Self {
        self.cookie(&login.cookie).key(&login.key)
    }

    /// With the cookie of a login, as `name=value`.
    #[must_use]
    pub fn cookie(mut self, cookie: &str) -> Self {
        self.headers.push(("cookie", cookie.to_owned()));
        self
    }

    /// With what the page stores of a login.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.headers.push(("sec-websocket-protocol", format!("lumen, lumen-key.{key}")));
        self
    }

    /// As if another page asked.
    #[must_use]
    pub fn origin(mut self, origin: &str) -> Self {
        self.headers.retain(|(name, _)| *name != "origin");
        self.headers.push(("origin", origin.to_owned()));
        self
    }
}

/// What the gateway says.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum FromGateway {
    /// The answer to the offer.
    Answer {
        /// The answer.
        sdp: String,
        /// What takes the peer up again.
        ticket: String,
    },
    /// The peer is not, or no longer, served.
    Closed {
        /// Why.
        reason: String,
        /// Whether trying again can help.
        retry: bool,
    },
    /// An input lease.
    Lease {
        /// The lease.
        lease: Option<PageLease>,
    },
    /// Anything else.
    #[serde(other)]
    Other,
}

/// An open signalling connection.
#[derive(Debug)]
pub struct Signalling {
    socket: WebSocket<TcpStream>,
}

impl Signalling {
    /// Opens it.
    ///
    /// # Errors
    /// When the gateway refuses; the message has its HTTP status.
    pub fn open(handshake: Handshake) -> Result<Self> {
        let stream = TcpStream::connect(handshake.address).context("connecting to the gateway")?;
        stream.set_read_timeout(Some(patience()))?;
        let mut request = format!("ws://{}/ws/signal", handshake.address).into_client_request()?;
        for (name, value) in handshake.headers {
            let value = HeaderValue::from_str(&value)?;
            request.headers_mut().insert(HeaderName::from_static(name), value);
        }
        match client(request, stream) {
            Ok((socket, _)) => Ok(Self { socket }),
            Err(HandshakeError::Failure(Error::Http(reply))) => {
                bail!("the gateway answers {}", reply.status())
            }
            Err(error) => bail!("no WebSocket: {error}"),
        }
    }

    /// Reads without waiting from now on.
    ///
    /// # Errors
    /// When the socket is broken.
    pub fn set_nonblocking(&self) -> Result<()> {
        Ok(self.socket.get_ref().set_nonblocking(true)?)
    }

    /// Sends a text frame.
    ///
    /// # Errors
    /// When the connection is over.
    pub fn send(&mut self, text: impl Into<String>) -> Result<()> {
        self.socket.send(Message::text(text.into())).context("sending to the gateway")
    }

    /// Sends a binary frame.
    ///
    /// # Errors
    /// When the connection is over.
    pub fn send_binary(&mut self, bytes: Vec<u8>) -> Result<()> {
        self.socket.send(Message::binary(bytes)).context("sending to the gateway")
    }

    /// Says that this viewer is done, which ends its peer; without that it may come back to it.
    pub fn leave(&mut self) {
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        // A gateway that has gone needs no goodbye.
        let _ = self.socket.close(Some(frame));
    }

    /// The next thing the gateway says; `None` when there is nothing yet.
    ///
    /// # Errors
    /// When the connection is over.
    pub fn receive(&mut self) -> Result<Option<FromGateway>> {
        loop {
            return match self.socket.read() {
                Ok(Message::Text(text)) => Ok(Some(serde_json::from_str(text.as_str())?)),
                Ok(Message::Close(frame)) => bail!("the gateway closed the WebSocket: {frame:?}"),
                Ok(_) => continue,
                Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
                Err(error) => Err(error).context("reading from the gateway"),
            };
        }
    }

    /// Waits until the gateway says that the peer is closed, or ends the connection.
    ///
    /// # Errors
    /// When it does neither in time.
    pub fn wait_until_closed(&mut self) -> Result<()> {
        self.set_nonblocking()?;
        wait_until("the gateway closes", || {
            matches!(self.receive(), Err(_) | Ok(Some(FromGateway::Closed { .. })))
        })
    }
}

impl AsFd for Signalling {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.get_ref().as_fd()
    }
}
