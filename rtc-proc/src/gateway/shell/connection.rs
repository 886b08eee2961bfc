//! One connection whose protocol is known: HTTP/1.1 or HTTP/2, with limits on what it may cost.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, extract::Request, response::Response};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::{sleep, timeout},
};
use tower_service::Service;
use tracing::debug;

use super::{
    super::refusal::tls_needed,
    app::drained,
    server::{Client, HEAD_PATIENCE},
    tls::Version,
};

/// A connection that is not a WebSocket ends after this time, whatever it does.
const CONNECTION_LIFE: Duration = Duration::from_secs(120);
/// The same for a proxy's connection, which is reused and may live as long as the proxy wants:
/// closing one just when it is reused costs a browser its request. Proxies close idle connections
/// themselves, after two minutes at most.
const PROXY_PATIENCE: Duration = Duration::from_secs(300);
/// Largest head of a request in bytes; browsers send one or two kilobytes.
const MAX_HEAD: u16 = 16 * 1024;
/// Most requests at a time on one connection of HTTP/2: as many as HTTP/1.1 gets on the connections that
/// one address may have.
const MOST_STREAMS: u32 = 32;
/// Most WebSockets on one connection of HTTP/2; a page needs one, and each window is a page.
const MOST_SOCKETS: usize = 8;
/// Most unread or unsent bytes of a stream of HTTP/2, and most unread ones of its connection.
const WINDOW: u32 = 64 * 1024;

/// The WebSockets that live on a connection. That of HTTP/1.1 becomes one; HTTP/2 carries several.
#[derive(Clone, Debug, Default)]
pub(super) struct Sockets(Arc<AtomicUsize>);

/// One of them, until this is dropped.
#[derive(Debug)]
pub(super) struct Carried(Arc<AtomicUsize>);

impl Sockets {
    /// Counts one more; `None` when the connection has its share already.
    pub(super) fn carry(&self) -> Option<Carried> {
        let fits = |count| (count < MOST_SOCKETS).then_some(count + 1);
        let counted = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        counted.ok().map(|_| Carried(Arc::clone(&self.0)))
    }

    fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answers the requests of a connection until it ends, or the gateway drains.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    version: Version,
    client: Client,
    router: Router,
    draining: watch::Receiver<bool>,
) {
    let (head, life) = match client.sender.trusted {
        true => (PROXY_PATIENCE, Duration::MAX),
        false => (HEAD_PATIENCE, CONNECTION_LIFE),
    };
    let sockets = client.sockets.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(client.clone());
        router.clone().call(request)
    });
    match version {
        Version::One => {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(head)
                .max_buf_size(MAX_HEAD.into())
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            let finish = http1::UpgradeableConnection::graceful_shutdown;
            carry(connection, finish, (life, sockets), draining).await;
        }
        Version::Two => {
            let connection = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(MOST_STREAMS)
                .max_header_list_size(MAX_HEAD.into())
                .initial_stream_window_size(WINDOW)
                .initial_connection_window_size(WINDOW)
                .max_send_buf_size(usize::try_from(WINDOW).unwrap_or(usize::MAX))
                .enable_connect_protocol()
                .serve_connection(TokioIo::new(stream), service);
            let finish = http2::Connection::graceful_shutdown;
            carry(connection, finish, (life, sockets), draining).await;
        }
    }
}

/// Drives a connection until it ends by itself, its life is over and no WebSocket is left on it, or the
/// gateway drains.
async fn carry<C: Future<Output = hyper::Result<()>>>(
    connection: C,
    finish: impl Fn(Pin<&mut C>),
    (life, sockets): (Duration, Sockets),
    mut draining: watch::Receiver<bool>,
) {
    let mut connection = std::pin::pin!(connection);
    let over = async {
        loop {
            sleep(life).await;
            if sockets.is_empty() {
                return;
            }
        }
    };
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = over => {
            debug!("ending a connection that lives too long");
            finish(connection.as_mut());
            // What is being answered may be finished; whoever does not read that is cut off.
            timeout(HEAD_PATIENCE, connection).await.unwrap_or(Ok(()))
        }
        () = drained(&mut draining) => {
            finish(connection.as_mut());
            timeout(life, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = served {
        debug!(%error, "a connection ended early");
    }
}

/// Answers one request that came unencrypted to a port that speaks TLS.
pub(super) async fn send_to_tls(stream: impl AsyncRead + AsyncWrite + Unpin + 'static) {
    let service = service_fn(async |request: Request<Incoming>| {
        let answer = tls_needed(request.method(), request.uri(), request.headers());
        Ok::<Response, std::convert::Infallible>(answer)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(MAX_HEAD.into())
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(2 * HEAD_PATIENCE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "a connection without TLS ended early"),
        Err(_) => debug!("ended a connection without TLS that lived too long"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_carries_so_many_sockets_and_another_when_one_has_ended() {
        let sockets = Sockets::default();
        let mut carried: Vec<_> = (0..MOST_SOCKETS).filter_map(|_| sockets.carry()).collect();
        assert!(carried.len() == MOST_SOCKETS && sockets.carry().is_none());
        carried.pop();
        assert!(sockets.carry().is_some() && !sockets.is_empty());
        carried.clear();
        assert!(sockets.is_empty());
    }
}
