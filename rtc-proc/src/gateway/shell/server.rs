//! Accepting connections, and what each may cost.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use lumen_ipc_runtime::log::RateLimit;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tower_service::Service;
use tracing::{debug, warn};

use super::{
    super::quota::{Connections, Place},
    app::{App, drained},
    doorway::Doorway,
    routes,
};

/// A request's head has to be here within this time of the connection, or of the request before.
pub(super) const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// A connection that is no WebSocket ends after this time, whatever it does.
const CONNECTION_LIFE: Duration = Duration::from_secs(120);
/// Largest head of a request in bytes; browsers send one or two kilobytes.
const MAX_HEAD: usize = 16 * 1024;
/// A pause after accepting failed, for descriptors to come free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who is at the other end of a request's connection.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) address: SocketAddr,
    /// Held by a WebSocket for as long as it lives.
    pub(super) place: Arc<Place>,
}

/// Serves connections until the gateway drains; returns when all requests are answered.
pub(super) async fn accept(
    listener: TcpListener,
    doorway: Doorway,
    app: App,
    mut draining: watch::Receiver<bool>,
) {
    let figures = app.figures.clone();
    let router = routes::router(app);
    let connections = Connections::default();
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = drained(&mut draining) => break,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                let Some(place) = connections.enter(address.ip()) else {
                    figures.connections_refused.increment();
                    continue;
                };
                figures.connections.increment();
                let client = Client { address, place: Arc::new(place) };
                let (doorway, router) = (doorway.clone(), router.clone());
                let mut draining = draining.clone();
                tasks.spawn(async move {
                    let sorted = tokio::select! {
                        sorted = doorway.sort(stream) => sorted,
                        () = drained(&mut draining) => None,
                    };
                    if let Some(stream) = sorted {
                        serve(stream, client, router, draining).await;
                    }
                });
            }
            Err(error) => {
                static LIMIT: RateLimit = RateLimit::per_second(1);
                if LIMIT.allows() {
                    warn!(%error, suppressed = LIMIT.suppressed(), "cannot accept a connection");
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(router);
    while tasks.join_next().await.is_some() {}
}

async fn serve(
    stream: TcpStream,
    client: Client,
    router: Router,
    mut draining: watch::Receiver<bool>,
) {
    // Without it answers are slower, nothing worse.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(client.clone());
        router.clone().call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let served = timeout(CONNECTION_LIFE, async {
        tokio::select! {
            served = connection.as_mut() => return served,
            () = drained(&mut draining) => {}
        }
        connection.as_mut().graceful_shutdown();
        connection.await
    });
    match served.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "a connection ended early"),
        Err(_) => debug!("a connection lived too long"),
    }
}
