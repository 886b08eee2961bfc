//! Telling the supervisor that a peer broke the contract.
//!
//! The accuser has closed its link end already; only the supervisor can end the offender and give
//! both a new pair. Like the log there is one way out per process, open while it serves.

use std::sync::{Arc, OnceLock};

use lumen_ipc::{link::LinkName, message::grants::ToSupervisor};
use tracing::warn;

use super::GrantsChannel;

static SUPERVISOR: OnceLock<Arc<GrantsChannel>> = OnceLock::new();

/// From now on accusations are sent on `grants`.
pub(super) fn open(grants: Arc<GrantsChannel>) {
    // A process serves once: there is nothing to replace.
    let _ = SUPERVISOR.set(grants);
}

/// Accuses the peer at the other end of `link`, which is ended and started anew. A process that
/// does not serve under a supervisor (a test of a shell) accuses nobody.
pub fn accuse(link: LinkName) {
    let Some(grants) = SUPERVISOR.get() else { return };
    if let Err(error) = grants.send(&ToSupervisor::PeerViolated(link), &[]) {
        warn!(%link, %error, "a peer that broke the contract cannot be reported");
    }
}
