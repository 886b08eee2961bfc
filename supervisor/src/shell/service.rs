//! The services the supervisor offers: `admin` to its administrator, `broker` to the gateway. Both
//! only pass requests to the loop, which owns everything but the log.

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use futures::future::join_all;
use lumen_ipc::{
    front_door::Listen,
    log::{LogPage, LogSource},
    login::{Login, LoginId, LoginRefusal, Method, SignedIn},
    process::ProcessId,
    service::{
        Admin, AppNews, AuthMode, Broker, HostStatus, Metric, Refusal, RelayPair, WorkerStatus,
    },
    text::Secret,
    units::{PeerId, SessionId},
};
use lumen_ipc_runtime::rpc;
use nix::unistd::Uid;
use tarpc::context::{self, Context};
use tokio::{net::UnixListener, sync::oneshot, task::AbortHandle};
use tracing::warn;

use super::{
    event::{AdminRequest, BrokerRequest, Clients, Event, Events},
    log::Log,
};

/// How long a worker may take to say how it is.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);

/// Administrators that are connected at a time. Programs of the same user could otherwise take every
/// descriptor that this process may have, with which it starts workers, too.
const MOST_ADMINISTRATORS: usize = 64;

/// Accepts administrators for ever. Of too many the one that came first is cut off.
pub(super) async fn admin(listener: UnixListener, events: Events, log: Log) {
    let mut connections: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, most likely: others may be closed meanwhile.
                warn!(%error, "cannot accept on the admin socket");
                tokio::time::sleep(ASK_TIMEOUT).await;
                continue;
            }
        };
        let uid = stream.peer_cred().map(|peer| peer.uid());
        if !uid.as_ref().is_ok_and(|uid| *uid == 0 || *uid == Uid::effective().as_raw()) {
            warn!(?uid, "a stranger on the admin socket is refused");
            continue;
        }
        let Ok(stream) = stream.into_std() else { continue };
        let server = AdminServer { events: events.clone(), log: log.clone() };
        connections.retain(|connection| !connection.is_finished());
        while connections.len() >= MOST_ADMINISTRATORS {
            connections.pop_front().iter().for_each(AbortHandle::abort);
        }
        let connection = tokio::spawn(rpc::answer(OwnedFd::from(stream), server.serve()));
        connections.push_back(connection.abort_handle());
    }
}

/// Answers the gateway on its broker link until it is gone.
pub(super) fn broker(end: OwnedFd, events: Events) {
    let server = BrokerServer { events };
    tokio::spawn(async move {
        if let Err(error) = rpc::answer(end, server.serve()).await {
            warn!(%error, "the broker link cannot be served");
        }
    });
}

#[derive(Clone)]
struct AdminServer {
    events: Events,
    log: Log,
}

impl AdminServer {
    /// Asks the loop; `None` when it has ended.
    async fn ask<Answer>(
        &self,
        request: impl FnOnce(oneshot::Sender<Answer>) -> AdminRequest,
    ) -> Option<Answer> {
        let (reply, answer) = oneshot::channel();
        self.events.send(Event::Admin(request(reply))).await.ok()?;
        answer.await.ok()
    }

    async fn snapshot(&self) -> (HostStatus, Clients) {
        self.ask(AdminRequest::Status).await.unwrap_or_else(|| (nothing(), Vec::new()))
    }
}

impl Admin for AdminServer {
    async fn status(self, _: Context) -> HostStatus {
        let (mut status, clients) = self.snapshot().await;
        let answers = join_all(
            clients
                .iter()
                .map(async |(process, client)| (*process, client.status(soon()).await.ok())),
        );
        let sessions = status.sessions.iter_mut().flat_map(|session| &mut session.workers);
        let mut processes: Vec<_> = sessions.chain(&mut status.workers).collect();
        for (asked, answer) in answers.await {
            let of = processes.iter_mut().find(|process| process.process == asked);
            if let (Some(process), Some(WorkerStatus { summary, .. })) = (of, answer) {
                process.summary = summary;
            }
        }
        status
    }

    async fn restart(self, _: Context, process: ProcessId) -> Result<(), Refusal> {
        self.ask(|reply| AdminRequest::Restart(process, reply))
            .await
            .unwrap_or_else(|| Err(Refusal::because("the desktop has ended")))
    }

    async fn logs(self, _: Context, source: Option<LogSource>, after: u64) -> LogPage {
        self.log.page(source, after)
    }

    async fn metrics(self, _: Context) -> Vec<(ProcessId, Vec<Metric>)> {
        let (_, clients) = self.snapshot().await;
        let answers = join_all(clients.iter().map(async |(process, client)| {
            (*process, client.metrics(soon()).await.unwrap_or_default())
        }));
        answers.await
    }

    async fn stop(self, _: Context) {
        // The loop has ended already if it cannot be told.
        let _ = self.events.send(Event::Admin(AdminRequest::Stop)).await;
    }
}

#[derive(Clone)]
struct BrokerServer {
    events: Events,
}

impl BrokerServer {
    /// Asks the loop; `None` when it has ended.
    async fn ask<Answer>(
        &self,
        request: impl FnOnce(oneshot::Sender<Answer>) -> BrokerRequest,
    ) -> Option<Answer> {
        let (reply, answer) = oneshot::channel();
        self.events.send(Event::Broker(request(reply))).await.ok()?;
        answer.await.ok()
    }
}

impl Broker for BrokerServer {
    async fn begin(
        self,
        _: Context,
        method: Method,
        from: IpAddr,
    ) -> Result<SignedIn, LoginRefusal> {
        self.ask(|reply| BrokerRequest::Begin(method, from, reply))
            .await
            .unwrap_or(Err(LoginRefusal::Wrong))
    }

    async fn resume(self, _: Context, cookie: Secret) -> Result<Login, LoginRefusal> {
        self.ask(|reply| BrokerRequest::Resume(cookie, reply))
            .await
            .unwrap_or(Err(LoginRefusal::Wrong))
    }

    async fn sign_out(self, _: Context, cookie: Secret) -> Option<LoginId> {
        self.ask(|reply| BrokerRequest::SignOut(cookie, reply)).await.flatten()
    }

    async fn mint_relay_credentials(
        self,
        _: Context,
        session: SessionId,
        peer: PeerId,
    ) -> Option<RelayPair> {
        self.ask(|reply| BrokerRequest::MintRelayCredentials(session, peer, reply)).await.flatten()
    }

    async fn watch_app(self, _: Context, seen: u32) -> Option<AppNews> {
        self.ask(|reply| BrokerRequest::WatchApp(seen, reply)).await
    }

    async fn start_app(self, _: Context, session: SessionId) -> Result<(), Refusal> {
        self.ask(|reply| BrokerRequest::StartApp(session, reply))
            .await
            .unwrap_or_else(|| Err(Refusal::because("The desktop has ended.")))
    }
}

fn soon() -> Context {
    let mut context = context::current();
    context.deadline = Instant::now() + ASK_TIMEOUT;
    context
}

/// The status of a desktop that ends this moment.
fn nothing() -> HostStatus {
    HostStatus {
        listen: Listen::Tcp(SocketAddr::from(([0, 0, 0, 0], 0))),
        auth: AuthMode::Token,
        supervisor_pid: std::process::id(),
        workers: Vec::new(),
        sessions: Vec::new(),
    }
}
