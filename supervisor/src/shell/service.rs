//! The services of the supervisor: `admin` for its administrator, `broker` for the gateway. Both
//! only pass requests to the event loop, which owns everything but the log.

use std::{
    collections::VecDeque,
    net::IpAddr,
    os::fd::OwnedFd,
    sync::Arc,
    time::{Duration, Instant},
};

use lumen_ipc::{
    lease::Lease,
    log::{LogPage, LogSource},
    login::{Login, LoginId, LoginRefusal, Method, Progress},
    message::{
        login::Answers,
        session::{Answer, Question},
    },
    process::ProcessId,
    service::{
        Admin, AppNews, Broker, HostStatus, Metric, Refusal, RelayPair, SessionStatus,
        SessionSummary,
    },
    text::{Secret, Text},
    units::{PeerId, SessionId},
};
use lumen_ipc_runtime::rpc;
use nix::unistd::Uid;
use tarpc::context::Context;
use tokio::{
    net::UnixListener,
    sync::{Mutex, oneshot},
    task::AbortHandle,
};
use tracing::warn;

use super::{
    event::{AdminRequest, BrokerRequest, Event, Events},
    inquiry::Inquiry,
    log::Log,
};
use crate::pace::Pace;

/// A pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// How often a gateway may ask for the state of everything or for metrics: it does so once for each session
/// when somebody asks it for metrics.
const INQUIRIES_PER_SECOND: u32 = 50;
const INQUIRIES_AT_ONCE: u32 = 200;

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
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let uid = stream.peer_cred().map(|peer| peer.uid());
        if !uid.as_ref().is_ok_and(|uid| *uid == 0 || *uid == Uid::effective().as_raw()) {
            warn!(?uid, "refused a connection of another user to the admin socket");
            continue;
        }
        let Ok(stream) = stream.into_std() else { continue };
        let server = AdminServer { inquiry: Inquiry::new(events.clone()), log: log.clone() };
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
    let pace = Pace::new(Instant::now(), INQUIRIES_PER_SECOND, INQUIRIES_AT_ONCE);
    let server = BrokerServer { events, pace: Arc::new(Mutex::new(pace)) };
    tokio::spawn(async move {
        if let Err(error) = rpc::answer(end, server.serve()).await {
            warn!(%error, "cannot serve the broker link");
        }
    });
}

#[derive(Clone)]
struct AdminServer {
    inquiry: Inquiry,
    log: Log,
}

impl Admin for AdminServer {
    async fn status(self, _: Context) -> HostStatus {
        self.inquiry.status().await
    }

    async fn restart(self, _: Context, process: ProcessId) -> Result<(), Refusal> {
        let worker = process.kind();
        let Some(session) = process.session() else {
            let asked = self.inquiry.ask(|reply| AdminRequest::Restart(worker, reply));
            return asked.await.unwrap_or_else(|| Err(Refusal::because("the host has ended")));
        };
        match self.inquiry.ask_session(session, Question::Restart { worker }).await {
            Some(Answer::Done(done)) => done,
            _ => Err(no_answer(session)),
        }
    }

    async fn sessions(self, _: Context) -> Vec<SessionSummary> {
        let (status, _) = self.inquiry.snapshot().await;
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
        match self.inquiry.ask_session(session, Question::Logs { source, after }).await {
            Some(Answer::Logs(page)) => Some(page),
            // A session whose supervisor does not answer keeps its lines.
            _ if self
                .inquiry
                .snapshot()
                .await
                .0
                .sessions
                .iter()
                .any(|known| known.id == session) =>
            {
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
        self.inquiry.metrics(|whose| session.is_none() || whose == session).await
    }

    async fn stop(self, _: Context, session: SessionId) -> Result<(), Refusal> {
        // If the host cannot be asked, it has ended already.
        self.inquiry.ask(|reply| AdminRequest::Stop(session, reply)).await.unwrap_or(Ok(()))
    }
}

fn no_answer(session: SessionId) -> Refusal {
    Refusal::because(format!("session {session} does not answer"))
}

#[derive(Clone)]
struct BrokerServer {
    events: Events,
    /// How often the gateway has everybody asked.
    pace: Arc<Mutex<Pace>>,
}

impl BrokerServer {
    /// A gateway that was taken over does not keep everybody answering.
    async fn wait_for_a_turn(&self) {
        let mut pace = self.pace.lock().await;
        tokio::time::sleep(pace.wait(Instant::now())).await;
        pace.spend(Instant::now(), 1);
    }

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

    async fn overview(self, _: Context) -> HostStatus {
        self.wait_for_a_turn().await;
        Inquiry::new(self.events).status().await
    }

    async fn metrics(
        self,
        _: Context,
        session: Option<SessionId>,
    ) -> Vec<(ProcessId, Vec<Metric>)> {
        self.wait_for_a_turn().await;
        Inquiry::new(self.events).metrics(|whose| whose == session).await
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
