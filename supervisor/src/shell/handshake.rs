//! The supervisor's side of a worker's start, on `control`.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use lumen_ipc::{
    PROTO_HASH,
    lease::{Lease, LeaseRights},
    process::Worker,
    service::{ConfinementReport, ControlClient, Hello, WorkerConfig},
    text::Text,
};
use tarpc::{
    client::RpcError,
    context::{self, Context},
};
use tracing::debug;

use super::event::WorkerEvent;
use crate::lifecycle::LONGEST_START;

/// A context for calls that may take as long as the longest start. Whoever takes longer than it may is ended by the
/// lifecycle.
fn patient() -> Context {
    let mut context = context::current();
    context.deadline = Instant::now() + LONGEST_START;
    context
}

/// Says hello and hands over the configuration.
pub(super) async fn introduce(
    client: ControlClient,
    worker: Worker,
    config: WorkerConfig,
    log: Text<128>,
) -> WorkerEvent {
    let caller = Hello { proto_hash: PROTO_HASH, worker };
    match client.hello(patient(), caller).await {
        Ok(Ok(answer)) if answer == caller => {}
        Ok(Ok(_)) => return WorkerEvent::WrongBuild,
        Ok(Err(refusal)) => return WorkerEvent::HandshakeFailed(refusal.to_string()),
        Err(error) => return WorkerEvent::HandshakeFailed(error.to_string()),
    }
    match client.configure(patient(), config, log).await {
        Ok(Ok(())) => WorkerEvent::Configured,
        Ok(Err(refusal)) => WorkerEvent::HandshakeFailed(refusal.to_string()),
        Err(error) => WorkerEvent::HandshakeFailed(error.to_string()),
    }
}

/// Tells a worker whose grants have been sent to serve. `outside` is what the supervisor did to confine
/// it: its namespaces, and whether its datagrams reach only whoever wrote to it.
pub(super) async fn start(
    client: ControlClient,
    grants: u16,
    outside: (&'static [&'static str], bool),
) -> WorkerEvent {
    match client.start(patient(), grants).await {
        Ok(Ok(report)) => WorkerEvent::Ready(ConfinementReport {
            only_answers: outside.1,
            namespaces: outside.0.iter().map(|name| Text::truncated(*name)).collect(),
            ..report
        }),
        Ok(Err(refusal)) => WorkerEvent::HandshakeFailed(refusal.to_string()),
        Err(error) => WorkerEvent::HandshakeFailed(error.to_string()),
    }
}

/// Tells rtc the addresses of the media socket.
pub(super) async fn set_candidates(client: ControlClient, candidates: Vec<SocketAddr>) {
    match client.set_candidates(patient(), candidates).await {
        Ok(Ok(())) => {}
        Ok(Err(refusal)) => {
            debug!(%refusal, "rtc is not ready; it gets the candidates at its start")
        }
        Err(error) => debug!(%error, "rtc is gone; the next one gets the candidates at its start"),
    }
}

/// How long one question for a sign of life stays; then it is asked again.
const SIGN_TIMEOUT: Duration = Duration::from_secs(60);

/// Waits for a worker's sign of life, however long it takes; `None` when the worker is gone.
pub(super) async fn sign_of_life(client: ControlClient) -> Option<WorkerEvent> {
    loop {
        let mut context = context::current();
        context.deadline = Instant::now() + SIGN_TIMEOUT;
        match client.alive(context).await {
            Ok(()) => return Some(WorkerEvent::Alive),
            Err(RpcError::DeadlineExceeded) => {}
            // The end of the link is reported on its own.
            Err(_) => return None,
        }
    }
}

/// Tells the compositor the session's leases.
pub(super) async fn set_leases(client: ControlClient, leases: Vec<Lease>) {
    match client.set_leases(patient(), leases).await {
        Ok(Ok(())) => {}
        Ok(Err(refusal)) => debug!(%refusal, "the compositor is told the leases when it is ready"),
        Err(error) => debug!(%error, "the next compositor is told the leases"),
    }
}

/// Tells rtc the rights of the session's leases.
pub(super) async fn set_rights(client: ControlClient, rights: Vec<LeaseRights>) {
    match client.set_rights(patient(), rights).await {
        Ok(Ok(())) => {}
        Ok(Err(refusal)) => debug!(%refusal, "rtc is told the rights of viewers when it is ready"),
        Err(error) => debug!(%error, "the next rtc is told the rights of viewers"),
    }
}

/// Asks a worker to finish. Its exit shows that it has, so the answer does not matter.
pub(super) async fn drain(client: ControlClient) {
    let _ = client.drain(patient()).await;
}
