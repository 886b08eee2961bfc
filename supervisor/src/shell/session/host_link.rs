//! What a session knows about its host.

use std::sync::Arc;

use lumen_ipc::{
    link::Generation, message::signalling::Reason, tls::Fingerprint, units::SessionId,
};

use super::super::event::SessionEnd;

/// How browsers reach the page.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Page {
    /// Its URL.
    pub(super) url: String,
    /// Whether they need the token there.
    pub(super) with_token: bool,
    /// The fingerprint of its certificate, if that is Lumen's own.
    pub(super) fingerprint: Option<Fingerprint>,
}

/// What a session knows about its host.
pub(super) struct HostLink {
    /// Whether the host is in this process, and ends with the session.
    pub(super) joined: bool,
    pub(super) channel: Option<Arc<SessionEnd>>,
    /// The number that the host assigned.
    pub(super) id: Option<SessionId>,
    /// Whether the host has registered the session.
    pub(super) welcome: bool,
    /// The reason of its refusal.
    pub(super) refusal: Option<Reason>,
    /// The page, once browsers can connect.
    pub(super) page: Option<Page>,
    /// Of what has been printed, the newest.
    pub(super) shown: Option<Page>,
    /// The newest pair of the signalling link.
    pub(super) generation: Generation,
}

impl HostLink {
    /// No host has been found yet. `joined` says that it is in this process.
    pub(super) fn new(joined: bool) -> Self {
        Self {
            joined,
            channel: None,
            id: None,
            welcome: false,
            refusal: None,
            page: None,
            shown: None,
            generation: Generation::default(),
        }
    }
}
