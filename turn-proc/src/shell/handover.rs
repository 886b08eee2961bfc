//! The gateway's link: relay connections that arrived at the gateway's port.
//!
//! Each is served as if the relay had accepted it, with the same limits, rates and grace. The
//! gateway is not trusted: a descriptor that is not a connection is dropped, and a breach of the
//! contract is reported and ends the link.

use std::{
    net::{SocketAddr, TcpStream},
    os::fd::{AsFd, BorrowedFd},
};

use lumen_ipc::message::handover::{ToGateway, ToTurn};
use lumen_ipc_runtime::{
    bootstrap::Grant,
    channel::{NotALink, ReceiveError},
    link_end::LinkEnd,
};
use tracing::{debug, warn};

use crate::address::unmapped;

/// The relay's end of the link.
#[derive(Debug)]
pub struct Handover(LinkEnd<ToTurn, ToGateway>);

/// The result of reading the link.
#[derive(Debug)]
pub(super) enum Handed {
    /// A connection, whether it begins with TLS, and its client's address.
    Connection(TcpStream, bool, SocketAddr),
    /// Nothing to read at present.
    Nothing,
    /// A descriptor that is not, or no longer, a connection.
    Useless,
    /// The link is closed.
    Over,
}

impl Handover {
    /// Takes the granted end.
    ///
    /// # Errors
    /// [`NotALink`] when the grant is not a link end.
    pub fn from_grant(grant: Grant) -> Result<Self, NotALink> {
        grant.into_link_end().map(Self)
    }

    pub(super) fn receive(&self) -> Handed {
        let received = match self.0.receive() {
            Ok(received) => received,
            Err(ReceiveError::Empty) => return Handed::Nothing,
            Err(ReceiveError::Closed) => return Handed::Over,
            Err(error @ ReceiveError::Violation(_)) => {
                warn!(%error, "the gateway broke the contract");
                return Handed::Over;
            }
            Err(error) => {
                warn!(%error, "cannot read the gateway's link");
                return Handed::Over;
            }
        };
        let secured = received.message == ToTurn::Secured;
        let Some(descriptor) = received.descriptors.into_iter().next() else {
            return Handed::Useless;
        };
        let stream = TcpStream::from(descriptor);
        // A client that has already hung up has no address.
        match stream.peer_addr() {
            Ok(remote) => Handed::Connection(stream, secured, unmapped(remote)),
            Err(error) => {
                debug!(%error, "a handed-over connection was already closed");
                Handed::Useless
            }
        }
    }
}

impl From<LinkEnd<ToTurn, ToGateway>> for Handover {
    fn from(end: LinkEnd<ToTurn, ToGateway>) -> Self {
        Self(end)
    }
}

impl AsFd for Handover {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
