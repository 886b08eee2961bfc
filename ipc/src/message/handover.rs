//! `handover`: gateway → turn, connections accepted on a port that both share.
//!
//! The gateway looks at a connection's first bytes without taking them off the socket; what speaks
//! STUN, or TLS to the relay's name, is the relay's. Nothing comes back: who is handed over is the
//! relay's client like any other, and no longer the gateway's business.

use serde::{Deserialize, Serialize};

use crate::{codec::Message, link::LinkName};

/// Gateway → turn. The connection is the descriptor beside it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum ToTurn {
    /// It speaks STUN in the clear.
    Plain,
    /// It speaks TLS first.
    Secured,
}

/// Turn → gateway. Nothing is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum ToGateway {}

impl Message for ToTurn {
    const LINK: LinkName = LinkName::Handover;

    fn descriptors(&self) -> usize {
        1
    }
}

impl Message for ToGateway {
    const LINK: LinkName = LinkName::Handover;
}
