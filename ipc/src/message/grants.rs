//! `grants`: supervisor → worker, one descriptor per message; back, a worker's reports about its
//! links, and about what it was granted.
//!
//! INVARIANT: a worker opens nothing by path after its start; all descriptors arrive here.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    codec::Message,
    graphics::Judgement,
    link::{Generation, LinkName},
    units::SessionId,
};

/// Supervisor → worker, with the named descriptor beside it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub enum ToWorker {
    /// This worker's end of a link. Replaces its previous end, whose other side is closed.
    LinkEnd {
        /// Which link.
        link: LinkName,
        /// The number of the pair among those of the link.
        generation: Generation,
    },
    /// Compositor: the connected Wayland socket of the clipboard's bridge, the one client that sees and
    /// replaces what is copied without having the keyboard. Replaces the one it had.
    BridgeClient,
    /// Gateway: the bound and listening TCP socket browsers connect to.
    HttpListener,
    /// Rtc: the bound UDP socket all peers of the session share.
    MediaSocket,
    /// Gateway: a sealed memfd with the certificate of the page and its key, as [`crate::tls::Pair`]; the
    /// newest that can be used counts. One that is empty and not sealed yet is for a pair that the gateway
    /// makes and seals before it serves anybody.
    PageCertificate,
    /// Gamepad: a datagram socket that contains one message with the uinput descriptors of all
    /// slots ([`crate::message::pads::SLOTS`] of them). `MSG_PEEK` duplicates them and leaves them
    /// in place: so they and their devices outlive the worker, and nobody but the worker has
    /// `/dev/uinput` open.
    PadDevices,
    /// Gateway: a connection to the proxy's socket, accepted.
    ProxyConnection {
        /// Whether it is the proxy's, as the kernel says; what comes over another is refused.
        vouches: bool,
    },
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
    /// Media: a render node of a graphics processor, opened for this process alone, because what is made
    /// through it lives as long as it is open. Where media is to encode by it, too, it comes twice, each opened by
    /// itself: buffers have names in each opening, which two drivers must not share.
    RenderNode,
    /// Gateway: its end of the signalling link to the rtc of one session; there is one for each
    /// session. Replaces its previous end for that session.
    SignallingEnd {
        /// The session whose rtc is at the other end.
        session: SessionId,
        /// The number of the pair among those of the link.
        generation: Generation,
    },
    /// Sound: a connection to the session's sound server. Replaces the one it had.
    SoundServer,
    /// Sound: another connection to that server, over which the worker makes the sink where there is
    /// none. The supervisor keeps a duplicate: the server removes the sink when the last one is closed,
    /// so it outlives the worker, and not the session. Comes before the connection itself.
    SoundSinkOwner,
    /// Media: a pipe for what it finds out of a graphics processor. A media that has one serves no session: it
    /// tries what is granted to it, tells, and ends.
    TrialReport,
    /// Media: a pipe for the pictures that it encodes meanwhile, in Annex B form.
    TrialVideo,
    /// Compositor: the bound and listening Wayland socket.
    WaylandListener,
}

/// Worker → supervisor.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum ToSupervisor {
    /// The worker has closed its end of a link without accusing the other side.
    LinkLost {
        /// Which link.
        link: LinkName,
        /// Which pair; a report about a replaced pair is ignored.
        generation: Generation,
        /// Why.
        reason: LossReason,
    },
    /// The other side of a link broke the contract, and the worker has closed its end.
    LinkViolated {
        /// Which link.
        link: LinkName,
        /// Which pair.
        generation: Generation,
    },
    /// Media: it has tried the render node that it was granted.
    NodeJudged(Judgement),
    /// Compositor: a viewer acts, whose input counts. Told now and then while that is so.
    ViewerActs,
    /// Gateway: it has closed its end of the signalling link to the rtc of a session without
    /// accusing it.
    SignallingLost {
        /// The session whose rtc is at the other end.
        session: SessionId,
        /// Which pair.
        generation: Generation,
        /// Why.
        reason: LossReason,
    },
    /// Sound: it has no connection to the sound server.
    SoundServerWanted,
    /// Sound: it has made the sink, over the connection that was granted for it.
    SoundSinkMade,
    /// Sound: what programs play goes to the sink.
    SoundSinkReady,
    /// Gateway: the rtc of a session broke the contract, and the gateway has closed its end.
    SignallingViolated {
        /// The session of that rtc.
        session: SessionId,
        /// Which pair.
        generation: Generation,
    },
}

/// Why an end of a link was closed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub enum LossReason {
    /// The other side closed its end first, usually because its process ended.
    Closed,
    /// The kernel refused to send or to receive.
    Failed,
    /// The other side does not read its messages.
    Full,
    /// The other side does not answer.
    TimedOut,
    /// The granted descriptor is not an end of this link, or the worker gave up on it.
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
