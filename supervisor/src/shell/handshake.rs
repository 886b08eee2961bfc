//! The supervisor's side of a worker's start, on `control`.

use std::{net::SocketAddr, time::Instant};

use lumen_ipc::{
    PROTO_HASH,
    process::Worker,
    service::{ConfinementReport, ControlClient, Hello, WorkerConfig},
    text::Text,
};
use tarpc::context::{self, Context};
use tracing::debug;

use super::event::WorkerEvent;
use crate::lifecycle::START_TIMEOUT;

/// A context for calls that may take as long as a start.
fn patient() -> Context {
    let mut context = context::current();
    context.deadline = Instant::now() + START_TIMEOUT;
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

/// Tells a worker whose grants have been sent to serve. `namespaces` are those it was started in.
pub(super) async fn start(
    client: ControlClient,
    grants: u16,
    namespaces: &'static [&'static str],
) -> WorkerEvent {
    match client.start(patient(), grants).await {
        Ok(Ok(report)) => WorkerEvent::Ready(ConfinementReport {
            namespaces: namespaces.iter().map(|name| Text::truncated(*name)).collect(),
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

/// Asks a worker to finish. Its exit shows that it has, so the answer does not matter.
pub(super) async fn drain(client: ControlClient) {
    let _ = client.drain(patient()).await;
}
