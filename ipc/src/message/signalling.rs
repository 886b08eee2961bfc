//! `signalling`: gateway ↔ rtc, the WebRTC handshake of each peer.
//!
//! The gateway has authenticated the browser before it says [`ToRtc::PeerJoined`]; rtc never sees
//! how. SDP and candidates pass through the gateway unread: rtc parses them.
//!
//! A peer outlives its signalling for as long as it is healthy and its login lasts. Whoever comes with
//! the peer's ticket and the same login takes it up again, through whichever gateway.

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
        /// Its number.
        peer: PeerId,
        /// What it may do, and for how long.
        login: Login,
        /// Rtc's own way to the relay for this peer; `None` when there is no relay.
        relay: Option<RelayCredentials>,
    },
    /// A browser takes up the peer that it has. Rtc closes the number if there is no such peer.
    PeerResumed {
        /// The peer's number from now on.
        peer: PeerId,
        /// What it may do, and for how long.
        login: Login,
        /// The peer's.
        ticket: Secret,
        /// As at [`ToRtc::PeerJoined`].
        relay: Option<RelayCredentials>,
    },
    /// Its offer; a later one of the same peer begins ICE anew and changes nothing else.
    OfferMade {
        /// Whose.
        peer: PeerId,
        /// The offer.
        sdp: Sdp,
    },
    /// One of its addresses.
    CandidateFound {
        /// Whose.
        peer: PeerId,
        /// The candidate.
        candidate: CandidateLine,
    },
    /// Its browser is done with it.
    PeerGone {
        /// Whose.
        peer: PeerId,
    },
    /// Its signalling connection is gone, and its number with it. The peer may be taken up again.
    SignallingLost {
        /// Whose.
        peer: PeerId,
    },
    /// Its login has been resumed, and is like this.
    LoginRenewed {
        /// Whose.
        peer: PeerId,
        /// The login.
        login: Login,
    },
    /// A login has ended, and with it every peer of it, whether anybody signals for it or not.
    LoginEnded {
        /// Which.
        login: LoginId,
    },
    /// Fresh credentials for a peer that has joined: the old ones are used, are about to expire, or
    /// were for a relay that is gone.
    RelayRenewed {
        /// Whose.
        peer: PeerId,
        /// Rtc's own way to the relay from now on.
        relay: RelayCredentials,
    },
}

/// Rtc → gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToGateway {
    /// The answer to an offer, candidates included.
    AnswerMade {
        /// For whom.
        peer: PeerId,
        /// The answer.
        sdp: Sdp,
        /// With what the browser can take the peer up when its signalling is lost. Nobody can guess it.
        ticket: Secret,
    },
    /// An address of ours that was not known when the answer was made.
    CandidateFound {
        /// For whom.
        peer: PeerId,
        /// The candidate.
        candidate: CandidateLine,
    },
    /// Rtc has ended, or never began, this peer.
    PeerClosed {
        /// Whom.
        peer: PeerId,
        /// Why.
        reason: Reason,
        /// Whether trying again can help.
        retry: bool,
    },
}

impl Message for ToRtc {
    const LINK: LinkName = LinkName::Signalling;
}

impl Message for ToGateway {
    const LINK: LinkName = LinkName::Signalling;
}
