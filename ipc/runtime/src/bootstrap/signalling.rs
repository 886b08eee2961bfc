//! Telling the supervisor that a link between the gateway and the rtc of a session is over. There are as
//! many as there are sessions, so they are named by session and not by a row of the table.

use std::sync::OnceLock;

use lumen_ipc::{
    link::Generation,
    message::grants::{LossReason, ToSupervisor},
    units::SessionId,
};

use crate::link_end::Reports;

static SUPERVISOR: OnceLock<Reports> = OnceLock::new();

/// From now on reports are sent this way.
pub(super) fn open(reports: Reports) {
    // A process serves once: there is nothing to replace.
    let _ = SUPERVISOR.set(reports);
}

/// Tells the supervisor that this pair of the signalling link to the rtc of a session has been given
/// up: for a reason, or, with none, because rtc broke the contract. A process that does not serve under
/// a supervisor (a test of a shell) tells nobody.
pub fn signalling_given_up(session: SessionId, generation: Generation, reason: Option<LossReason>) {
    let Some(reports) = SUPERVISOR.get() else { return };
    reports.send(match reason {
        None => ToSupervisor::SignallingViolated { session, generation },
        Some(reason) => ToSupervisor::SignallingLost { session, generation, reason },
    });
}
