//! The gateway's link: connections to a port that both share, and that are the relay's.
//!
//! Each is served as if the relay had accepted it: the same limits, rates and grace. The gateway
//! is distrusted like any peer: what is no connection is dropped, and one that breaks the contract
//! is reported and not listened to.

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

/// What came over it.
#[derive(Debug)]
pub(super) enum Handed {
    /// A connection, whether it speaks TLS first, and whose it is.
    Connection(TcpStream, bool, SocketAddr),
    /// Nothing more for the time being.
    Nothing,
    /// Something that is not a connection any more.
    Useless,
    /// The link is over.
    Over,
}

impl Handover {
    /// Takes the granted end.
    ///
    /// # Errors
    /// [`NotALink`] when it is none.
    pub fn from_grant(grant: Grant) -> Result<Self, NotALink> {
        grant.into_link_end().map(Self)
    }

    pub(super) fn receive(&self) -> Handed {
        let received = match self.0.receive() {
            Ok(received) => received,
            Err(ReceiveError::Empty) => return Handed::Nothing,
            Err(ReceiveError::PeerGone) => return Handed::Over,
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
        // A client that has hung up meanwhile has no address any more.
        match stream.peer_addr() {
            Ok(remote) => Handed::Connection(stream, secured, unmapped(remote)),
            Err(error) => {
                debug!(%error, "a connection that was handed over is gone");
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
