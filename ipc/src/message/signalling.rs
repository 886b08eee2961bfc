//! `signalling`: gateway ↔ rtc, the WebRTC handshake of each peer.
//!
//! The gateway has authenticated the browser before it sends [`ToRtc::PeerJoined`]; rtc does not
//! learn how. SDP and candidates pass through the gateway unparsed; rtc parses them.
//!
//! A peer outlives its signalling for as long as it is healthy and its login lasts. A browser that
//! presents the peer's ticket and the same login resumes it, through any gateway.

use serde::{Deserialize, Serialize};

use crate::{
    codec::Message,
    identity::PeerId,
    link::LinkName,
    login::{Login, LoginId},
    relay::RelayCredentials,
    text::{Secret, Text},
};

/// A session description (RFC 8866). Chromium's offers are about 6 KiB.
pub type Sdp = Text<{ 32 * 1024 }>;
/// A candidate attribute (RFC 8839, section 5.1).
pub type CandidateLine = Text<1024>;
/// Why something was refused or ended, as a sentence for the viewer.
pub type Reason = Text<512>;

/// Gateway → rtc.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToRtc {
    /// An authenticated browser wants to watch.
    PeerJoined {
        /// The number of its peer.
        peer: PeerId,
        /// What it may do, and for how long.
        login: Login,
        /// Rtc's credentials for using the relay for this peer; `None` when there is no relay.
        relay: Option<RelayCredentials>,
    },
    /// A browser resumes its existing peer. Rtc closes the number if there is no such peer.
    PeerResumed {
        /// The peer's number from now on.
        peer: PeerId,
        /// What it may do, and for how long.
        login: Login,
        /// The ticket of the peer.
        ticket: Secret,
        /// As at [`ToRtc::PeerJoined`].
        relay: Option<RelayCredentials>,
    },
    /// The peer's offer; a later one of the same peer restarts ICE and changes nothing else.
    OfferMade {
        /// The peer.
        peer: PeerId,
        /// The offer.
        sdp: Sdp,
    },
    /// One of the peer's addresses.
    CandidateFound {
        /// The peer.
        peer: PeerId,
        /// The candidate.
        candidate: CandidateLine,
    },
    /// The browser has left.
    PeerGone {
        /// The peer.
        peer: PeerId,
    },
    /// The peer's signalling connection is lost, and its number with it. The peer may be resumed.
    SignallingLost {
        /// The peer.
        peer: PeerId,
    },
    /// The peer's login was resumed and now reads like this.
    LoginRenewed {
        /// The peer.
        peer: PeerId,
        /// The login.
        login: Login,
    },
    /// A login has ended, and with it all its peers, whether or not they have signalling.
    LoginEnded {
        /// The login.
        login: LoginId,
    },
    /// New credentials for a peer that has joined: the old ones were used, expire soon, or belonged
    /// to a relay that has ended.
    RelayRenewed {
        /// The peer.
        peer: PeerId,
        /// Rtc's credentials from now on.
        relay: RelayCredentials,
    },
}

/// Rtc → gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToGateway {
    /// The answer to an offer, including candidates.
    AnswerMade {
        /// The peer.
        peer: PeerId,
        /// The answer.
        sdp: Sdp,
        /// The ticket with which the browser can resume the peer when its signalling is lost. It
        /// cannot be guessed.
        ticket: Secret,
    },
    /// An address of this machine that was not known when the answer was made.
    CandidateFound {
        /// The peer.
        peer: PeerId,
        /// The candidate.
        candidate: CandidateLine,
    },
    /// Rtc has ended or refused this peer.
    PeerClosed {
        /// The peer.
        peer: PeerId,
        /// Why.
        reason: Reason,
        /// Whether another attempt can succeed.
        retry: bool,
    },
}

impl Message for ToRtc {
    const LINK: LinkName = LinkName::Signalling;
}

impl Message for ToGateway {
    const LINK: LinkName = LinkName::Signalling;
}
