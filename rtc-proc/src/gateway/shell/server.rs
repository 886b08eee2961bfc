//! Accepts connections and limits what each may cost.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use lumen_ipc_runtime::log::RateLimit;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tower_service::Service;
use tracing::{debug, warn};

use super::{
    super::{forwarded::Sender, quota::Place},
    app::{App, drained},
    doorway::Doorway,
    routes,
};

/// A request's head must arrive within this time of the connection, or of the previous request.
pub(super) const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// A connection that is not a WebSocket ends after this time, whatever it does.
const CONNECTION_LIFE: Duration = Duration::from_secs(120);
/// The same for a proxy's connection, which is reused and may live as long as the proxy wants:
/// closing one just when it is reused costs a browser its request. Proxies close idle connections
/// themselves, after two minutes at most.
const PROXY_PATIENCE: Duration = Duration::from_secs(300);
/// Largest head of a request in bytes; browsers send one or two kilobytes.
const MAX_HEAD: usize = 16 * 1024;
/// A pause after a failed accept, in which descriptors may be freed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The other end of a request's connection.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) sender: Sender,
    /// The other end's address and port; `None` on a Unix socket.
    pub(super) end: Option<SocketAddr>,
    /// A WebSocket keeps it for as long as it lives.
    pub(super) place: Arc<Place>,
}

/// Where connections come from.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

enum Stream {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Listener {
    /// Call it inside a runtime.
    pub(super) fn new(listener: super::Listener) -> io::Result<Self> {
        Ok(match listener {
            super::Listener::Tcp(listener) => Self::Tcp(TcpListener::from_std(listener)?),
            super::Listener::Unix(listener) => Self::Unix(UnixListener::from_std(listener)?),
        })
    }

    async fn accept(&self) -> io::Result<Stream> {
        Ok(match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                Stream::Tcp(stream, address)
            }
            Self::Unix(listener) => Stream::Unix(listener.accept().await?.0),
        })
    }
}

impl Client {
    /// The client of a connection, if there is a place for it.
    fn admit(stream: &Stream, app: &App) -> Option<Self> {
        let end = match stream {
            Stream::Tcp(_, address) => Some(*address),
            Stream::Unix(_) => None,
        };
        let sender = Sender::of(end.map(|end| end.ip()), &app.front_door.trusted);
        let place = match sender {
            Sender { address: Some(address), trusted: false } => app.connections.enter(address),
            _ => app.connections.enter_for_others(),
        };
        Some(Self { sender, end, place: Arc::new(place?) })
    }
}

/// Serves connections until the gateway drains; returns when all requests are answered.
///
/// # Errors
/// When the listener does not listen any more.
pub(super) async fn accept(
    listener: Listener,
    doorway: Doorway,
    app: App,
    mut draining: watch::Receiver<bool>,
) -> io::Result<()> {
    let figures = app.figures.clone();
    let router = routes::router(app.clone());
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = drained(&mut draining) => break,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(stream) => {
                let Some(client) = Client::admit(&stream, &app) else {
                    figures.connections_refused.increment();
                    continue;
                };
                figures.connections.increment();
                let (doorway, router) = (doorway.clone(), router.clone());
                let (draining, figures) = (draining.clone(), figures.clone());
                tasks.spawn(async move {
                    let place = Arc::clone(&client.place);
                    tokio::select! {
                        () = receive(stream, client, doorway, router, draining) => {}
                        () = place.displaced() => figures.connections_refused.increment(),
                    }
                });
                // What it has said already is read before the next one may displace it.
                tokio::task::yield_now().await;
            }
            // No connection's fault: this is no listener any more, and never will be.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Err(error),
            Err(error) => {
                static LIMIT: RateLimit = RateLimit::per_second(1);
                if LIMIT.allows() {
                    warn!(%error, suppressed = LIMIT.suppressed(), "cannot accept a connection");
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop((router, app));
    while tasks.join_next().await.is_some() {}
    Ok(())
}

/// Serves a connection, unless it turns out to be for the relay.
async fn receive(
    stream: Stream,
    client: Client,
    doorway: Doorway,
    router: Router,
    mut draining: watch::Receiver<bool>,
) {
    match stream {
        Stream::Tcp(stream, _) => {
            let sorted = tokio::select! {
                sorted = doorway.sort(stream) => sorted,
                () = drained(&mut draining) => None,
            };
            let Some(stream) = sorted else { return };
            // Without it responses are slower, nothing worse.
            let _ = stream.set_nodelay(true);
            serve(stream, client, router, draining).await;
        }
        // A proxy speaks HTTP only.
        Stream::Unix(stream) => serve(stream, client, router, draining).await,
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    client: Client,
    router: Router,
    mut draining: watch::Receiver<bool>,
) {
    let (head, life) = match client.sender.trusted {
        true => (PROXY_PATIENCE, Duration::MAX),
        false => (HEAD_PATIENCE, CONNECTION_LIFE),
    };
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(client.clone());
        router.clone().call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let served = timeout(life, async {
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
        Err(_) => debug!("ended a connection that lived too long"),
    }
}
