//! What a session knows of its host.

use std::sync::Arc;

use lumen_ipc::{link::Generation, message::signalling::Reason, units::SessionId};

use super::super::event::SessionEnd;

/// What is known of the host.
pub(super) struct HostLink {
    /// Whether the host is this process, and ends with the session.
    pub(super) joined: bool,
    pub(super) channel: Option<Arc<SessionEnd>>,
    /// The number that the host gave.
    pub(super) id: Option<SessionId>,
    /// Whether the host has the session in its table.
    pub(super) welcome: bool,
    /// What it refused the session for.
    pub(super) refusal: Option<Reason>,
    /// The page, and whether browsers need the token there.
    pub(super) page: Option<(String, bool)>,
    /// Whether the address has been shown.
    pub(super) shown: bool,
    /// The newest pair of the signalling link.
    pub(super) generation: Generation,
}

impl HostLink {
    /// None has been met. `joined` says that it is this process.
    pub(super) fn new(joined: bool) -> Self {
        Self {
            joined,
            channel: None,
            id: None,
            welcome: false,
            refusal: None,
            page: None,
            shown: false,
            generation: Generation::default(),
        }
    }
}
