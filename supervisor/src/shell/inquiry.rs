//! What can be known of a host and its sessions at this moment: for administrators, and for the gateway,
//! which tells those who watch over Lumen.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures::future::join_all;
use lumen_ipc::{
    front_door::Listen,
    message::session::{Answer, Question},
    process::ProcessId,
    service::{
        AuthMode, ConfinementReport, ControlClient, HostStatus, Metric, ProcessStatus,
        SessionStatus, WorkerStatus,
    },
    tls::Tls,
    units::SessionId,
};
use tarpc::context::{self, Context};
use tokio::sync::oneshot;

use super::event::{AdminRequest, Clients, Event, Events};

/// How long a worker may take to answer.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);

/// Asks the event loop, the workers and the sessions.
#[derive(Clone)]
pub(super) struct Inquiry {
    events: Events,
}

impl Inquiry {
    pub(super) fn new(events: Events) -> Self {
        Self { events }
    }

    /// Sends a request to the event loop; `None` when it has ended.
    pub(super) async fn ask<Reply>(
        &self,
        request: impl FnOnce(oneshot::Sender<Reply>) -> AdminRequest,
    ) -> Option<Reply> {
        let (reply, answer) = oneshot::channel();
        self.events.send(Event::Admin(request(reply))).await.ok()?;
        answer.await.ok()
    }

    /// Sends a question to a session; `None` when it is gone or does not answer.
    pub(super) async fn ask_session(
        &self,
        session: SessionId,
        question: Question,
    ) -> Option<Answer> {
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

    pub(super) async fn snapshot(&self) -> (HostStatus, Clients) {
        self.ask(AdminRequest::Status).await.unwrap_or_else(|| (nothing(), Vec::new()))
    }

    /// The status of every process.
    pub(super) async fn status(&self) -> HostStatus {
        self.status_of_some(|_| true).await
    }

    /// The status of the host, and of those sessions that are `meant`; no others are asked.
    pub(super) async fn status_of_some(&self, meant: impl Fn(SessionId) -> bool) -> HostStatus {
        let (mut status, clients) = self.snapshot().await;
        status.sessions.retain(|session| meant(session.id));
        let sessions = status.sessions.into_iter().map(|summary| self.status_of(summary));
        let (sessions, workers) =
            tokio::join!(join_all(sessions), summarised(status.workers, clients));
        (status.sessions, status.workers) = (sessions, workers);
        status
    }

    /// The metrics of the workers that are ready, of those scopes that are `meant`: of the host (`None`),
    /// or of a session.
    pub(super) async fn metrics(
        &self,
        meant: impl Fn(Option<SessionId>) -> bool,
    ) -> Vec<(ProcessId, Vec<Metric>)> {
        let (mut status, clients) = self.snapshot().await;
        if !meant(None) {
            status.workers.clear();
        }
        status.sessions.retain(|known| meant(Some(known.id)));
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
