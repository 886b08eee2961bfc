//! `grants`: supervisor → worker, one descriptor a message; back, what a worker must tell unasked.
//!
//! INVARIANT: a worker opens nothing by path after it has started; what it needs arrives here.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    codec::Message,
    link::{Generation, LinkName},
    units::SessionId,
};

/// Supervisor → worker. The descriptor beside it is what it names.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub enum ToWorker {
    /// This worker's end of a link. Replaces the end it had, whose other side is gone.
    LinkEnd {
        /// Which link.
        link: LinkName,
        /// Which of the pairs that the link is made of, one after the other.
        generation: Generation,
    },
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
    /// Gateway: its end of the signalling link to the rtc of this session, of which it has one for
    /// each session. Replaces the one it had to that session.
    SignallingEnd {
        /// Whose rtc is at the other end.
        session: SessionId,
        /// Which of the pairs that the link is made of, one after the other.
        generation: Generation,
    },
    /// Compositor: the bound and listening Wayland socket.
    WaylandListener,
}

/// Worker → supervisor.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub enum ToSupervisor {
    /// The worker has closed its end of a link, and nobody broke the contract.
    LinkLost {
        /// Which link.
        link: LinkName,
        /// Which pair: a word about one that has been replaced is about nothing.
        generation: Generation,
        /// Why.
        reason: LossReason,
    },
    /// The other side of a link broke the contract, and the worker has closed its end.
    PeerViolated {
        /// Which link.
        link: LinkName,
        /// Which pair.
        generation: Generation,
    },
    /// Gateway: it has closed its end of the signalling link to the rtc of a session, and nobody broke
    /// the contract.
    SignallingLost {
        /// Whose rtc is at the other end.
        session: SessionId,
        /// Which pair.
        generation: Generation,
        /// Why.
        reason: LossReason,
    },
    /// Gateway: the rtc of a session broke the contract, and the gateway has closed its end.
    SignallingViolated {
        /// Whose rtc it is.
        session: SessionId,
        /// Which pair.
        generation: Generation,
    },
}

/// Why an end of a link was closed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub enum LossReason {
    /// The other side closed its end first; mostly because its process has ended.
    Closed,
    /// The kernel refused to send or to receive.
    Failed,
    /// The other side does not read what is sent.
    Full,
    /// The other side does not answer.
    TimedOut,
    /// The descriptor that was granted is no end of this link, or the worker gave up on it.
    Unusable,
}

impl fmt::Display for LossReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the other end is closed",
            Self::Failed => "the kernel refused to carry a message",
            Self::Full => "the other side does not read",
            Self::TimedOut => "the other side does not answer",
            Self::Unusable => "the end could not be used",
        })
    }
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
