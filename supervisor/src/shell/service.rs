//! The services of the supervisor: `admin` for its administrator, `broker` for the gateway. Both
//! only pass requests to the event loop, which owns everything but the log.

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use futures::future::join_all;
use lumen_ipc::{
    front_door::Listen,
    lease::Lease,
    log::{LogPage, LogSource},
    login::{Login, LoginId, LoginRefusal, Method, Progress},
    message::{
        login::Answers,
        session::{Answer, Question},
    },
    process::ProcessId,
    service::{
        Admin, AppNews, AuthMode, Broker, ConfinementReport, ControlClient, HostStatus, Metric,
        ProcessStatus, Refusal, RelayPair, SessionStatus, SessionSummary, WorkerStatus,
    },
    text::{Secret, Text},
    tls::Tls,
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

/// How long a worker may take to answer.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);

/// Most administrators connected at a time. Otherwise programs of the same user could use up the
/// descriptors of this process, which it also needs to start workers.
const MOST_ADMINISTRATORS: usize = 64;

/// Accepts administrators for ever. Beyond the limit, the oldest connection is closed.
pub(super) async fn admin(listener: UnixListener, events: Events, log: Log) {
    let mut connections: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Most likely out of descriptors, which may become free.
                warn!(%error, "cannot accept on the admin socket");
                tokio::time::sleep(ASK_TIMEOUT).await;
                continue;
            }
        };
        let uid = stream.peer_cred().map(|peer| peer.uid());
        if !uid.as_ref().is_ok_and(|uid| *uid == 0 || *uid == Uid::effective().as_raw()) {
            warn!(?uid, "refused a connection of another user to the admin socket");
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

/// Serves the gateway on its broker link until it is gone.
pub(super) fn broker(end: OwnedFd, events: Events) {
    let server = BrokerServer { events };
    tokio::spawn(async move {
        if let Err(error) = rpc::answer(end, server.serve()).await {
            warn!(%error, "cannot serve the broker link");
        }
    });
}

#[derive(Clone)]
struct AdminServer {
    events: Events,
    log: Log,
}

impl AdminServer {
    /// Sends a request to the event loop; `None` when it has ended.
    async fn ask<Reply>(
        &self,
        request: impl FnOnce(oneshot::Sender<Reply>) -> AdminRequest,
    ) -> Option<Reply> {
        let (reply, answer) = oneshot::channel();
        self.events.send(Event::Admin(request(reply))).await.ok()?;
        answer.await.ok()
    }

    /// Sends a question to a session; `None` when it is gone or does not answer.
    async fn ask_session(&self, session: SessionId, question: Question) -> Option<Answer> {
        let asked = self.ask(|reply| AdminRequest::Ask(session, question, reply));
        tokio::time::timeout(2 * ASK_TIMEOUT, asked).await.ok().flatten()
    }

    /// A session's status; what the host knows of it when it does not answer.
    async fn status_of(&self, summary: SessionStatus) -> SessionStatus {
        match self.ask_session(summary.id, Question::Status).await {
            Some(Answer::Status(status)) if status.id == summary.id => status,
            _ => summary,
        }
    }

    async fn snapshot(&self) -> (HostStatus, Clients) {
        self.ask(AdminRequest::Status).await.unwrap_or_else(|| (nothing(), Vec::new()))
    }
}

impl Admin for AdminServer {
    async fn status(self, _: Context) -> HostStatus {
        let (mut status, clients) = self.snapshot().await;
        let sessions = status.sessions.into_iter().map(|summary| self.status_of(summary));
        let (sessions, workers) =
            tokio::join!(join_all(sessions), summarised(status.workers, clients));
        (status.sessions, status.workers) = (sessions, workers);
        status
    }

    async fn restart(self, _: Context, process: ProcessId) -> Result<(), Refusal> {
        let worker = process.kind();
        let Some(session) = process.session() else {
            let asked = self.ask(|reply| AdminRequest::Restart(worker, reply));
            return asked.await.unwrap_or_else(|| Err(Refusal::because("the host has ended")));
        };
        match self.ask_session(session, Question::Restart { worker }).await {
            Some(Answer::Done(done)) => done,
            _ => Err(no_answer(session)),
        }
    }

    async fn sessions(self, _: Context) -> Vec<SessionSummary> {
        let (status, _) = self.snapshot().await;
        let summary = |session: SessionStatus| SessionSummary {
            id: session.id,
            name: session.name,
            shares_log: session.supervisor_pid == status.supervisor_pid,
        };
        status.sessions.into_iter().map(summary).collect()
    }

    async fn logs(
        self,
        _: Context,
        session: Option<SessionId>,
        source: Option<LogSource>,
        after: u64,
    ) -> Option<LogPage> {
        let Some(session) = session else { return Some(self.log.page(source, after)) };
        match self.ask_session(session, Question::Logs { source, after }).await {
            Some(Answer::Logs(page)) => Some(page),
            // A session whose supervisor does not answer keeps its lines.
            _ if self.snapshot().await.0.sessions.iter().any(|known| known.id == session) => {
                Some(LogPage { lines: Vec::new() })
            }
            _ => None,
        }
    }

    async fn metrics(
        self,
        _: Context,
        session: Option<SessionId>,
    ) -> Vec<(ProcessId, Vec<Metric>)> {
        let (mut status, clients) = self.snapshot().await;
        if let Some(session) = session {
            status.workers.clear();
            status.sessions.retain(|known| known.id == session);
        }
        let asked = status.sessions.into_iter().map(|summary| self.status_of(summary));
        status.sessions = join_all(asked).await;
        let client = |process: ProcessId| {
            let found = clients.iter().find(|(known, _)| *known == process);
            found.map(|(_, client)| client.clone())
        };
        let ready = status.processes().filter(|process| process.state.as_str() == "ready");
        let answers = ready.map(|process| async {
            let process = process.process;
            let Some(session) = process.session() else {
                return (process, metrics_of(client(process)).await);
            };
            let question = Question::Metrics { worker: process.kind() };
            match self.ask_session(session, question).await {
                Some(Answer::Metrics(metrics)) => (process, metrics),
                _ => (process, Vec::new()),
            }
        });
        join_all(answers).await
    }

    async fn stop(self, _: Context, session: SessionId) -> Result<(), Refusal> {
        // If the host cannot be asked, it has ended already.
        self.ask(|reply| AdminRequest::Stop(session, reply)).await.unwrap_or(Ok(()))
    }
}

fn no_answer(session: SessionId) -> Refusal {
    Refusal::because(format!("session {session} does not answer"))
}

/// A session's status with the summaries of its workers.
pub(super) async fn with_summaries(mut status: SessionStatus, clients: Clients) -> SessionStatus {
    status.workers = summarised(status.workers, clients).await;
    status
}

async fn summarised(mut workers: Vec<ProcessStatus>, clients: Clients) -> Vec<ProcessStatus> {
    let asked =
        clients.iter().map(async |(process, client)| (*process, client.status(soon()).await.ok()));
    for (asked, answer) in join_all(asked).await {
        let of = workers.iter_mut().find(|process| process.process == asked);
        if let (Some(process), Some(WorkerStatus { summary, .. })) = (of, answer) {
            process.summary = summary;
        }
    }
    workers
}

/// A worker's metrics; none if it is not running or does not answer.
pub(super) async fn metrics_of(client: Option<ControlClient>) -> Vec<Metric> {
    match client {
        Some(client) => client.metrics(soon()).await.unwrap_or_default(),
        None => Vec::new(),
    }
}

#[derive(Clone)]
struct BrokerServer {
    events: Events,
}

impl BrokerServer {
    /// Sends a request to the event loop; `None` when it has ended.
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
    ) -> Result<Progress, LoginRefusal> {
        self.ask(|reply| BrokerRequest::Begin(method, from, reply))
            .await
            .unwrap_or(Err(LoginRefusal::Wrong))
    }

    async fn answer(
        self,
        _: Context,
        attempt: Secret,
        answers: Answers,
    ) -> Result<Progress, LoginRefusal> {
        self.ask(|reply| BrokerRequest::Answer(attempt, answers, reply))
            .await
            .unwrap_or(Err(LoginRefusal::Denied))
    }

    async fn abandon(self, _: Context, attempt: Secret) {
        // It fails only when the event loop has ended.
        let _ = self.events.send(Event::Broker(BrokerRequest::Abandon(attempt))).await;
    }

    async fn resume(self, _: Context, key: Secret) -> Result<Login, LoginRefusal> {
        self.ask(|reply| BrokerRequest::Resume(key, reply))
            .await
            .unwrap_or(Err(LoginRefusal::Wrong))
    }

    async fn sign_out(self, _: Context, key: Secret) -> Option<(SessionId, LoginId)> {
        self.ask(|reply| BrokerRequest::SignOut(key, reply)).await.flatten()
    }

    async fn mint_relay_credentials(
        self,
        _: Context,
        session: SessionId,
        peer: PeerId,
    ) -> Option<RelayPair> {
        self.ask(|reply| BrokerRequest::MintRelayCredentials(session, peer, reply)).await.flatten()
    }

    async fn mint_lease(self, _: Context, key: Option<Secret>) -> Option<Lease> {
        self.ask(|reply| BrokerRequest::MintLease(key, reply)).await.flatten()
    }

    async fn certificate_judged(self, _: Context, serial: u32, refused: Option<Text<256>>) {
        // Without an answer the host has ended.
        let _ = self.ask(|reply| BrokerRequest::CertificateJudged(serial, refused, reply)).await;
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

/// The status of a desktop that is ending.
fn nothing() -> HostStatus {
    HostStatus {
        listen: Listen::Tcp(SocketAddr::from(([0, 0, 0, 0], 0))),
        auth: AuthMode::Token,
        tls: Tls::Off,
        fingerprint: None,
        supervisor_pid: std::process::id(),
        restraint: ConfinementReport::default(),
        waiting: Vec::new(),
        workers: Vec::new(),
        sessions: Vec::new(),
    }
}
