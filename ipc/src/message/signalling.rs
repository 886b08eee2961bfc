//! `signalling`: gateway ↔ rtc, the WebRTC handshake of each peer.
//!
//! The gateway has authenticated the browser before it says [`ToRtc::PeerJoined`]; rtc never sees
//! how. SDP and candidates pass through the gateway unread: rtc parses them.

use serde::{Deserialize, Serialize};

use crate::{
    codec::Message, identity::PeerId, link::LinkName, relay::RelayCredentials, text::Text,
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
        /// What it may do.
        rights: Rights,
        /// Rtc's own way to the relay for this peer; `None` when there is no relay.
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
    /// Its signalling connection is gone, so it is.
    PeerGone {
        /// Whose.
        peer: PeerId,
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

/// What a peer may do. Judged by the supervisor at log-in, enforced by rtc.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Rights {
    /// Whether its keyboard, pointer and window size count.
    pub control: bool,
}

impl Message for ToRtc {
    const LINK: LinkName = LinkName::Signalling;
}

impl Message for ToGateway {
    const LINK: LinkName = LinkName::Signalling;
}
