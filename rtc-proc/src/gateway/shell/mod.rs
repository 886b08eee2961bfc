//! The gateway's life: what it acquires before confinement, and how it serves and drains.
//!
//! One thread, one tokio runtime: HTTP is little work, and the media do not pass through here.
//! `run` connects the parts: `server` accepts, `doorway` sorts, `tls` completes handshakes, `connection`
//! speaks HTTP, `entrance` checks, `routes` answers; `socket` talks to one browser, `exchange` to rtc, `broker` to the supervisor.

mod app;
mod attendance;
mod broker;
mod connection;
mod doorway;
mod entrance;
mod exchange;
mod figures;
mod link;
mod routes;
mod server;
mod sign_ins;
mod socket;
mod tls;
mod watching;

use std::{
    io,
    net::TcpListener,
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    sync::Arc,
    time::Duration,
};

use lumen_ipc::{
    front_door::Listen,
    link::LinkName,
    message::{
        grants,
        signalling::{ToGateway, ToRtc},
    },
    process::Worker as WorkerName,
    service::{AppNews, GatewayConfig},
    units::SessionId,
};
use lumen_ipc_runtime::{
    bootstrap::{
        AsyncSupervision, Grant, ServeError, StartError, Supervision, SupervisorEvent, Worker,
    },
    confine::Policy,
    link_end::{LinkEnd, LinkGuard},
    metrics::Registry,
};
use tokio::{
    runtime::Runtime,
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tracing::warn;

use self::{
    app::App,
    broker::Broker,
    doorway::Doorway,
    exchange::{Exchange, Orders},
    figures::Figures,
    server::{Proxied, Way},
    tls::PageTls,
};
pub use self::{doorway::HandoverLink, tls::Beginning};
use super::policy;

/// The gateway's end of the signalling link.
pub type SignallingLink = LinkEnd<ToGateway, ToRtc>;

/// How long WebSockets may take to close when the gateway drains.
const FAREWELL: Duration = Duration::from_millis(1500);

/// Most connections of the proxy that wait until the gateway turns to them; more are closed.
const MOST_PROXIED: usize = 64;

/// How long to wait before news of the app is asked for again.
const NEWS_PAUSE: Duration = Duration::from_secs(1);

/// All that the gateway needs to serve.
#[derive(Debug)]
pub struct Parts {
    /// Its configuration.
    pub config: GatewayConfig,
    /// The bound and listening socket.
    pub listener: Listener,
    /// Its ends of the signalling links, one for each session that exists already.
    pub signalling: Vec<(SessionId, SignallingLink)>,
    /// Its end of the broker link.
    pub broker: (OwnedFd, LinkGuard),
    /// Its end of the handover link, if there is a relay.
    pub handover: Option<HandoverLink>,
    /// The certificate to begin with, if the page has TLS.
    pub certificate: Option<Beginning>,
}

/// A bound and listening socket that does not block.
#[derive(Debug)]
pub enum Listener {
    /// For browsers and proxies.
    Tcp(TcpListener),
    /// For a proxy.
    Unix(UnixListener),
}

impl Listener {
    /// The granted socket, which is of the kind that the configuration names.
    fn new(descriptor: OwnedFd, listen: &Listen) -> io::Result<Self> {
        match listen {
            Listen::Tcp(_) => {
                let listener = TcpListener::from(descriptor);
                listener.set_nonblocking(true)?;
                Ok(Self::Tcp(listener))
            }
            Listen::Unix(_) => {
                let listener = UnixListener::from(descriptor);
                listener.set_nonblocking(true)?;
                Ok(Self::Unix(listener))
            }
        }
    }
}

/// An event from the supervisor.
#[derive(Debug)]
pub enum Event {
    /// A new end of the signalling link of a session: the session is new, or its rtc was replaced.
    SignallingReplaced(SessionId, SignallingLink),
    /// A new end of the broker link.
    BrokerReplaced(OwnedFd, LinkGuard),
    /// A new end of the handover link: the relay was replaced.
    HandoverReplaced(HandoverLink),
    /// Another certificate of the page and its key: the files have changed.
    CertificateReplaced(OwnedFd),
    /// Somebody has connected to the proxy's socket.
    ProxyConnected {
        /// The connection.
        connection: OwnedFd,
        /// Whether it is the proxy's.
        vouches: bool,
    },
    /// Stop serving.
    Drain,
}

/// The worker.
#[derive(Debug)]
pub struct Gateway {
    runtime: Runtime,
    parts: Parts,
    registry: Registry,
}

impl Worker for Gateway {
    const WORKER: WorkerName = WorkerName::Gateway;
    type Config = GatewayConfig;

    fn acquire(config: GatewayConfig, grants: Vec<Grant>) -> Result<Self, StartError> {
        let (mut listener, mut signalling) = (None, Vec::new());
        let (mut broker, mut handover) = (None, None);
        let mut certificates = Vec::new();
        let unusable =
            |what| move |error| StartError::caused(format!("cannot use the grant {what:?}"), error);
        for grant in grants {
            let what = grant.what;
            match what {
                grants::ToWorker::HttpListener => listener = Some(grant.descriptor),
                grants::ToWorker::PageCertificate => certificates.push(grant.descriptor),
                grants::ToWorker::SignallingEnd { session, .. } => {
                    signalling.push((session, grant.into_link_end().map_err(unusable(what))?));
                }
                grants::ToWorker::LinkEnd { link: LinkName::Broker, .. } => {
                    broker = Some(grant.into_guarded().map_err(unusable(what))?);
                }
                grants::ToWorker::LinkEnd { link: LinkName::Handover, .. } => {
                    handover = Some(grant.into_link_end().map_err(unusable(what))?);
                }
                other => {
                    return Err(StartError::new(format!("{other:?} is not a grant for a gateway")));
                }
            }
        }
        let missing = |what: &str| StartError::new(format!("the grant {what} is missing"));
        let listener = listener.ok_or_else(|| missing("HttpListener"))?;
        let listener = Listener::new(listener, &config.front_door.listen)
            .map_err(|error| StartError::caused("cannot configure the HTTP listener", error))?;
        let broker = broker.ok_or_else(|| missing("LinkEnd(Broker)"))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| StartError::caused("cannot build the event loop", error))?;
        let certificate = Beginning::new(&config, certificates)?;
        let parts = Parts { config, listener, signalling, broker, handover, certificate };
        Ok(Self { runtime, parts, registry: Registry::default() })
    }

    fn metrics(&self) -> Registry {
        self.registry.clone()
    }

    fn policy(&self) -> Policy {
        policy::policy()
    }

    fn serve(self, supervision: Supervision) -> Result<(), ServeError> {
        let Self { runtime, parts, registry } = self;
        runtime.block_on(async move {
            let unusable = |error| ServeError::caused("cannot wait for the supervisor", error);
            let supervision = Arc::new(supervision.into_async().map_err(unusable)?);
            let (events, receiver) = mpsc::channel(8);
            let pump = tokio::spawn(pump_events(Arc::clone(&supervision), events));
            let summarise = move |summary: String| supervision.set_summary(summary);
            let outcome = run(parts, receiver, &registry, Box::new(summarise)).await;
            pump.abort();
            outcome
        })
    }
}

/// Serves until [`Event::Drain`] comes, or the sender of events is gone.
///
/// # Errors
/// When the listener or a link cannot be waited for.
pub async fn run(
    parts: Parts,
    mut events: mpsc::Receiver<Event>,
    registry: &Registry,
    summarise: Box<dyn Fn(String) + Send>,
) -> Result<(), ServeError> {
    let Parts { config, listener, signalling, broker, handover, certificate } = parts;
    let unusable = |error| ServeError::caused("cannot wait for the HTTP listener", error);
    let listener = server::Listener::new(listener).map_err(unusable)?;
    let figures = Figures::new(registry);
    let (drain, draining) = watch::channel(false);
    let supervisor = Broker::new();
    let (descriptor, guard) = broker;
    supervisor.replace(descriptor, guard);
    let (exchange, orders) = Exchange::new(supervisor.clone(), figures.clone(), summarise);
    let mut exchanging = tokio::spawn(exchange.run());
    for (session, link) in signalling {
        orders.replace_link(session, link).await;
    }
    let tls = certificate.map(|certificate| PageTls::new(certificate, &supervisor)).transpose();
    let tls = tls.map_err(|error| ServeError::caused("cannot speak TLS", error))?;
    let doorway = Doorway::new(config.handover.clone(), tls.is_some(), handover, figures.clone());
    let way = Way { doorway: doorway.clone(), tls: tls.clone(), figures: figures.clone() };
    let watching = [
        tokio::spawn(watch_app(supervisor.clone(), orders.clone())),
        tokio::spawn(sign_ins::watch(supervisor.clone(), orders.clone())),
    ];
    let app = App::new(config, supervisor.clone(), orders, draining.clone(), figures);
    let reporting = tokio::spawn(app.attendance.clone().report(supervisor));
    let (proxied, connections) = mpsc::channel(MOST_PROXIED);
    let accepting = server::accept(listener, connections, way, app.clone(), draining);
    let mut serving = tokio::spawn(accepting);
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            over = &mut serving => {
                // It ends by itself only when the listener cannot be used; its successor gets another.
                let error = over.map_err(io::Error::from).and_then(|over| over).err();
                let error = error.unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into());
                return Err(ServeError::caused("the HTTP listener is useless", error));
            }
        };
        match event {
            Some(Event::SignallingReplaced(session, link)) => {
                app.exchange.replace_link(session, link).await;
            }
            Some(Event::BrokerReplaced(descriptor, guard)) => {
                app.broker.replace(descriptor, guard);
            }
            Some(Event::HandoverReplaced(link)) => {
                doorway.replace(link);
                app.exchange.replace_relay().await;
            }
            Some(Event::CertificateReplaced(pair)) => match &tls {
                Some(tls) => tls.replace(pair, &app.broker),
                None => warn!("dropped a certificate, because the page has no TLS"),
            },
            Some(Event::ProxyConnected { connection, vouches }) => {
                match tokio::net::UnixStream::from_std(UnixStream::from(connection)) {
                    // Without room it is closed, and the proxy says that Lumen is too busy.
                    Ok(stream) => drop(proxied.try_send(Proxied { stream, vouches })),
                    Err(error) => warn!(%error, "dropped a connection of the proxy"),
                }
            }
            Some(Event::Drain) | None => break,
        }
    }
    // It fails only when all tasks have ended already.
    let _ = drain.send(true);
    watching.iter().chain([&reporting]).for_each(JoinHandle::abort);
    drop(app);
    // The exchange ends when the last WebSocket has left it.
    if timeout(FAREWELL, async { (serving.await, (&mut exchanging).await) }).await.is_err() {
        warn!("some browsers did not close in time");
    }
    Ok(())
}

/// Passes on news of the app, for ever.
async fn watch_app(broker: Broker, orders: Orders) {
    let mut seen = 0;
    loop {
        match broker.watch_app(seen).await {
            Some(AppNews { number, session, state }) => {
                seen = number;
                orders.app_is(session, state).await;
            }
            // The link is being replaced, or there was no news for an hour.
            None => sleep(NEWS_PAUSE).await,
        }
    }
}

/// Ends when the receiver or the runtime does.
async fn pump_events(supervision: Arc<AsyncSupervision>, events: mpsc::Sender<Event>) {
    while let Ok(event) = supervision.next().await {
        if let Some(event) = translate(event)
            && events.send(event).await.is_err()
        {
            return;
        }
    }
}

fn translate(event: SupervisorEvent) -> Option<Event> {
    let grant = match event {
        SupervisorEvent::Drain => return Some(Event::Drain),
        SupervisorEvent::Granted(grant) => grant,
    };
    match grant.what {
        grants::ToWorker::SignallingEnd { session, .. } => grant
            .into_link_end()
            .inspect_err(|error| warn!(%error, "cannot use the granted signalling link"))
            .ok()
            .map(|link| Event::SignallingReplaced(session, link)),
        grants::ToWorker::LinkEnd { link: LinkName::Broker, .. } => {
            let (descriptor, guard) = grant.into_guarded().ok()?;
            Some(Event::BrokerReplaced(descriptor, guard))
        }
        grants::ToWorker::LinkEnd { link: LinkName::Handover, .. } => grant
            .into_link_end()
            .inspect_err(|error| warn!(%error, "cannot use the granted handover link"))
            .ok()
            .map(Event::HandoverReplaced),
        grants::ToWorker::PageCertificate => Some(Event::CertificateReplaced(grant.descriptor)),
        grants::ToWorker::ProxyConnection { vouches } => {
            Some(Event::ProxyConnected { connection: grant.descriptor, vouches })
        }
        other => {
            warn!(?other, "dropped a grant that is not for a gateway");
            None
        }
    }
}
