//! Telling the supervisor that a peer broke the contract.
//!
//! The accuser has closed its link end already; only the supervisor can give both sides a new pair.
//! Like the log there is one way out per process, open while it serves.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use lumen_ipc::{
    link::{Generation, LinkName},
    message::grants::{ToSupervisor, ToWorker},
};
use tracing::warn;

use super::GrantsChannel;

static SUPERVISOR: OnceLock<Arc<GrantsChannel>> = OnceLock::new();
/// The newest pair of each link whose end was granted.
static NEWEST: Mutex<Option<HashMap<LinkName, Generation>>> = Mutex::new(None);

/// From now on accusations are sent on `grants`.
pub(super) fn open(grants: Arc<GrantsChannel>) {
    // A process serves once: there is nothing to replace.
    let _ = SUPERVISOR.set(grants);
}

/// Notes which pair of a link is the newest.
pub(super) fn note(what: ToWorker) {
    if let ToWorker::LinkEnd { link, generation } = what {
        let mut newest = NEWEST.lock().unwrap_or_else(PoisonError::into_inner);
        newest.get_or_insert_default().insert(link, generation);
    }
}

/// Accuses the peer at the other end of `link`. A process that does not serve under a supervisor (a
/// test of a shell) accuses nobody.
pub fn accuse(link: LinkName) {
    let Some(grants) = SUPERVISOR.get() else { return };
    let newest = NEWEST.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(generation) = newest.as_ref().and_then(|newest| newest.get(&link).copied()) else {
        return;
    };
    if let Err(error) = grants.send(&ToSupervisor::PeerViolated { link, generation }, &[]) {
        warn!(%link, %error, "a peer that broke the contract cannot be reported");
    }
}
