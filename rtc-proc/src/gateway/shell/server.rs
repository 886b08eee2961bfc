//! Accepts connections and limits what each may cost.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use lumen_ipc_runtime::log::RateLimit;
use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{mpsc, watch},
    task::JoinSet,
    time::sleep,
};
use tracing::{debug, warn};

use super::{
    super::{forwarded::Sender, quota::Place, voucher::Door},
    app::{App, drained},
    connection::{Sockets, send_to_tls, serve},
    doorway::{Doorway, Sorted},
    figures::Figures,
    routes,
    tls::{PageTls, Version},
};

/// A request's head must arrive within this time of the connection, or of the previous request; so must a
/// TLS handshake.
pub(super) const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// A pause after a failed accept, in which descriptors may be freed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The other end of a request's connection.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) sender: Sender,
    /// By which way it came.
    pub(super) door: Door,
    /// The other end's address and port; `None` on a Unix socket.
    pub(super) end: Option<SocketAddr>,
    /// A WebSocket keeps it for as long as it lives.
    pub(super) place: Arc<Place>,
    /// Whether it came by TLS.
    pub(super) secured: bool,
    /// The WebSockets on it.
    pub(super) sockets: Sockets,
}

/// What a connection meets on its way to the routes.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) doorway: Doorway,
    /// The page's TLS, if it has any.
    pub(super) tls: Option<PageTls>,
    pub(super) figures: Figures,
}

/// Where connections come from.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

enum Stream {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
    /// A connection to the proxy's socket, and whether it is the proxy's.
    Proxied(UnixStream, bool),
}

/// A connection to the proxy's socket, which the supervisor has accepted.
#[derive(Debug)]
pub(super) struct Proxied {
    pub(super) stream: UnixStream,
    /// Whether it is the proxy's.
    pub(super) vouches: bool,
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
            Stream::Unix(_) | Stream::Proxied(..) => None,
        };
        let door = match stream {
            Stream::Tcp(..) | Stream::Unix(_) => Door::Browsers,
            Stream::Proxied(_, true) => Door::Proxy,
            Stream::Proxied(_, false) => Door::Strangers,
        };
        let sender = match door {
            Door::Strangers => Sender { address: None, trusted: false },
            _ => Sender::of(end.map(|end| end.ip()), &app.front_door.trusted),
        };
        let place = match sender {
            Sender { address: Some(address), trusted: false } => app.connections.enter(address),
            _ => app.connections.enter_for_others(),
        };
        let (secured, sockets) = (false, Sockets::default());
        Some(Self { sender, door, end, place: Arc::new(place?), secured, sockets })
    }
}

/// Serves connections until the gateway drains; returns when all requests are answered.
///
/// # Errors
/// When the listener does not listen any more.
pub(super) async fn accept(
    listener: Listener,
    mut proxied: mpsc::Receiver<Proxied>,
    way: Way,
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
            Some(Proxied { stream, vouches }) = proxied.recv() => {
                Ok(Stream::Proxied(stream, vouches))
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(stream) => {
                let Some(client) = Client::admit(&stream, &app) else {
                    figures.connections_refused.increment();
                    continue;
                };
                figures.connections.increment();
                let (way, router) = (way.clone(), router.clone());
                let (draining, figures) = (draining.clone(), figures.clone());
                tasks.spawn(async move {
                    let place = Arc::clone(&client.place);
                    tokio::select! {
                        () = receive(stream, client, way, router, draining) => {}
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
    mut client: Client,
    way: Way,
    router: Router,
    mut draining: watch::Receiver<bool>,
) {
    let stream = match stream {
        Stream::Tcp(stream, _) => stream,
        // A proxy speaks HTTP only.
        Stream::Unix(stream) | Stream::Proxied(stream, _) => {
            return serve(stream, Version::One, client, router, draining).await;
        }
    };
    let sorted = tokio::select! {
        sorted = way.doorway.sort(stream) => sorted,
        () = drained(&mut draining) => None,
    };
    let Some(Sorted { stream, is_tls }) = sorted else { return };
    // Without it responses are slower, nothing worse.
    let _ = stream.set_nodelay(true);
    match (way.tls, is_tls) {
        (None, _) => serve(stream, Version::One, client, router, draining).await,
        // A proxy in the same network may leave TLS to the way from the browser to itself.
        (Some(_), false) if client.sender.trusted => {
            serve(stream, Version::One, client, router, draining).await;
        }
        (Some(_), false) => send_to_tls(stream).await,
        (Some(tls), true) => {
            let accepted = tokio::select! {
                accepted = tls.accept(stream) => accepted,
                () = drained(&mut draining) => return,
            };
            match accepted {
                Ok((stream, version)) => {
                    way.figures.tls_handshakes.increment();
                    client.secured = true;
                    serve(stream, version, client, router, draining).await;
                }
                Err(error) => {
                    way.figures.tls_handshakes_failed.increment();
                    debug!(%error, "a TLS handshake failed");
                }
            }
        }
    }
}
