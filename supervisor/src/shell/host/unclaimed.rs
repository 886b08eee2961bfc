//! Leases that their sessions have not taken yet, and who waits for them. A page gets its lease only when
//! its session has it.

use std::collections::BTreeMap;

use lumen_ipc::{
    lease::{Lease, LeaseId},
    units::SessionId,
};
use tokio::sync::oneshot;

/// Where a lease is waited for.
pub(super) type Reply = oneshot::Sender<Option<Lease>>;

#[derive(Default)]
pub(super) struct Unclaimed(BTreeMap<LeaseId, (SessionId, Lease, Reply)>);

impl Unclaimed {
    pub(super) fn add(&mut self, session: SessionId, lease: Lease, reply: Reply) {
        // Nobody waits any more for those of a gateway that is gone.
        self.0.retain(|_, (.., reply)| !reply.is_closed());
        self.0.insert(lease.id, (session, lease, reply));
    }

    /// A session has taken a lease; one that is not its own it cannot take.
    pub(super) fn claim(&mut self, session: SessionId, lease: LeaseId) {
        if self.0.get(&lease).is_some_and(|(of, ..)| *of == session)
            && let Some((_, lease, reply)) = self.0.remove(&lease)
        {
            // The gateway may have gone.
            let _ = reply.send(Some(lease));
        }
    }
}
