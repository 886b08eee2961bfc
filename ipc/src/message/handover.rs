//! `handover`: gateway → turn, relay connections that were accepted on a shared port.
//!
//! The gateway peeks at a connection's first bytes; connections that speak STUN, or TLS to the
//! relay's name, belong to the relay. No message goes back: once handed over, a client is the
//! relay's like any other.

use serde::{Deserialize, Serialize};

use crate::{codec::Message, link::LinkName};

/// Gateway → turn. The connection is the descriptor beside it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum ToTurn {
    /// The connection speaks STUN in the clear.
    Plain,
    /// The connection begins with TLS.
    Secured,
}

/// Turn → gateway. There are no such messages.
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
