//! `grants`: supervisor → worker, one descriptor a message; back, what a worker must tell unasked.
//!
//! INVARIANT: a worker opens nothing by path after it has started; what it needs arrives here.

use serde::{Deserialize, Serialize};

use crate::{codec::Message, link::LinkName};

/// Supervisor → worker. The descriptor beside it is what it names.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub enum ToWorker {
    /// This worker's end of a link. Replaces the end it had, whose other side is gone.
    LinkEnd(LinkName),
    /// Gateway: the bound and listening TCP socket browsers connect to.
    HttpListener,
    /// Rtc: the bound UDP socket all peers of the session share.
    MediaSocket,
    /// Gamepad: a datagram socket in which the uinput descriptors of all slots lie as one message
    /// ([`crate::message::pads::SLOTS`] of them). Looked at with `MSG_PEEK`, which duplicates them
    /// and leaves them there: so they, and the devices made of them, outlive the worker, and
    /// nobody but the worker ever has `/dev/uinput` open.
    PadDevices,
    /// Turn: a sealed memfd with the certificate chain, in PEM.
    RelayCertificate,
    /// Turn: a bound UDP socket. There is one for each local address, so that answers leave from
    /// the address that was asked.
    RelayDatagrams,
    /// Turn: a sealed memfd with the certificate's private key, in PEM.
    RelayKey,
    /// Turn: a sealed memfd with the 32 bytes that credentials are minted with.
    RelaySecret,
    /// Turn: a bound and listening TCP socket whose clients speak TLS first.
    RelaySecured,
    /// Turn: a bound and listening TCP socket.
    RelayStreams,
    /// Compositor: the bound and listening Wayland socket.
    WaylandListener,
}

/// Worker → supervisor.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub enum ToSupervisor {
    /// The other side of this link broke the contract, and the worker has closed its end. The
    /// supervisor ends the offender and starts it anew, which brings both a new link.
    PeerViolated(LinkName),
}

impl Message for ToWorker {
    const LINK: LinkName = LinkName::Grants;

    fn descriptors(&self) -> usize {
        1
    }
}

impl Message for ToSupervisor {
    const LINK: LinkName = LinkName::Grants;
}
