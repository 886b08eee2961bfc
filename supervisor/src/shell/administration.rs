//! The service `admin`, for administrators and for users who look after their own sessions. Each request is
//! judged by who is connected ([`crate::admin::rights`]), then passed to the event loop.

use std::{
    os::fd::OwnedFd,
    sync::Arc,
    time::{Duration, Instant},
};

use lumen_ipc::{
    log::{LogPage, LogSource},
    login::{Revocation, SignIn},
    message::session::{Answer, Question},
    process::ProcessId,
    service::{Admin, HostStatus, Metric, Refusal, SessionSummary},
    units::SessionId,
};
use lumen_ipc_runtime::rpc;
use nix::unistd::{Gid, Uid};
use tarpc::context::Context;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::Mutex,
    task::AbortHandle,
};
use tracing::warn;

use super::{
    audit::Audit,
    event::{AdminRequest, Events},
    ffi,
    inquiry::Inquiry,
    log::Log,
};
use crate::{
    admin::rights::{Asker, Connections, GROUP, Owner, Peer},
    broker::audit::Deed,
    pace::Pace,
};

/// A pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// What every connection needs.
#[derive(Clone)]
pub(super) struct Office {
    pub(super) events: Events,
    pub(super) log: Log,
    pub(super) audit: Audit,
    /// The group of administrators, if there is one.
    pub(super) admins: Option<Gid>,
}

impl Office {
    /// Accepts connections for ever. If there are too many, others are closed.
    pub(super) async fn serve(self, listener: UnixListener) {
        let own = Uid::effective();
        let admins = self.admins.filter(|_| own.is_root()).map(Gid::as_raw);
        let owner = Owner { uid: own.as_raw(), admins };
        let mut connections: Connections<AbortHandle> = Connections::default();
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
            let peer = peer(&stream);
            let Some(asker) = peer.as_ref().and_then(|peer| owner.judge(peer)) else {
                let uid = peer.map(|peer| peer.uid);
                warn!(?uid, "refused a connection of another user to the admin socket");
                continue;
            };
            let Ok(stream) = stream.into_std() else { continue };
            connections.retain(|connection| !connection.is_finished());
            let server = AdminServer::new(&self, asker);
            let connection = tokio::spawn(rpc::answer(OwnedFd::from(stream), server.serve()));
            let victim = connections.add(asker, connection.abort_handle());
            victim.iter().for_each(AbortHandle::abort);
        }
    }
}

/// Who is at the other end of a connection; `None` if the kernel does not say.
fn peer(stream: &UnixStream) -> Option<Peer> {
    let credentials = stream.peer_cred().ok()?;
    let mut groups = ffi::peer_groups(stream).ok()?;
    groups.push(credentials.gid());
    Some(Peer { uid: credentials.uid(), groups })
}

#[derive(Clone)]
struct AdminServer {
    asker: Asker,
    /// How often they may ask, if that is limited.
    pace: Option<Arc<Mutex<Pace>>>,
    inquiry: Inquiry,
    log: Log,
    audit: Audit,
}

impl AdminServer {
    fn new(office: &Office, asker: Asker) -> Self {
        Self {
            asker,
            pace: asker.pace(Instant::now()).map(|pace| Arc::new(Mutex::new(pace))),
            inquiry: Inquiry::new(office.events.clone()),
            log: office.log.clone(),
            audit: office.audit.clone(),
        }
    }

    async fn wait_for_a_turn(&self) {
        let Some(pace) = &self.pace else { return };
        let mut pace = pace.lock().await;
        tokio::time::sleep(pace.wait(Instant::now())).await;
        pace.spend(Instant::now(), 1);
    }

    /// The sessions that the asker may know of.
    async fn known(&self) -> Vec<SessionSummary> {
        let mut all = self.inquiry.ask(AdminRequest::Sessions).await.unwrap_or_default();
        all.retain(|session| self.asker.may(session.owner));
        all
    }

    async fn knows(&self, session: SessionId) -> bool {
        self.known().await.iter().any(|known| known.id == session)
    }

    /// Fails unless the asker may do something with a session. Who may not is told the same as if there were
    /// none.
    async fn permit(&self, session: SessionId, what: &'static str) -> Result<(), Refusal> {
        if self.knows(session).await {
            return Ok(());
        }
        if !self.asker.may_all() {
            self.audit.record(&Deed::Forbidden { what, by: self.asker.uid });
        }
        Err(Refusal::because(format!("there is no session {session}, or not any more")))
    }

    /// Fails unless the asker may do something with the host.
    fn permit_host(&self, what: &'static str) -> Result<(), Refusal> {
        if self.asker.may_all() {
            return Ok(());
        }
        self.audit.record(&Deed::Forbidden { what, by: self.asker.uid });
        let reason = format!(
            "the host is for root and members of the group {GROUP}; you may {what} what is your own session's"
        );
        Err(Refusal::because(reason))
    }

    fn record_restart(&self, process: ProcessId) {
        self.audit.record(&Deed::Restarted { process, by: self.asker.uid });
    }
}

impl Admin for AdminServer {
    async fn status(self, _: Context) -> HostStatus {
        self.wait_for_a_turn().await;
        if self.asker.may_all() {
            return self.inquiry.status().await;
        }
        let known = self.known().await;
        let mut status =
            self.inquiry.status_of_some(|id| known.iter().any(|session| session.id == id)).await;
        status.workers.clear();
        status.waiting.clear();
        status
    }

    async fn restart(self, _: Context, process: ProcessId) -> Result<(), Refusal> {
        self.wait_for_a_turn().await;
        let worker = process.kind();
        let Some(session) = process.session() else {
            self.permit_host("restart")?;
            let asked = self.inquiry.ask(|reply| AdminRequest::Restart(worker, reply)).await;
            let done = asked.unwrap_or_else(|| Err(Refusal::because("the host has ended")));
            return done.inspect(|()| self.record_restart(process));
        };
        self.permit(session, "restart").await?;
        match self.inquiry.ask_session(session, Question::Restart { worker }).await {
            Some(Answer::Done(done)) => done.inspect(|()| self.record_restart(process)),
            _ => Err(Refusal::because(format!("session {session} does not answer"))),
        }
    }

    async fn sessions(self, _: Context) -> Vec<SessionSummary> {
        self.wait_for_a_turn().await;
        self.known().await
    }

    async fn logs(
        self,
        _: Context,
        session: Option<SessionId>,
        source: Option<LogSource>,
        after: u64,
    ) -> Result<Option<LogPage>, Refusal> {
        self.wait_for_a_turn().await;
        let Some(session) = session else {
            self.permit_host("read the log of")?;
            return Ok(Some(self.log.page(source, after)));
        };
        if !self.knows(session).await {
            return Ok(None);
        }
        match self.inquiry.ask_session(session, Question::Logs { source, after }).await {
            Some(Answer::Logs(page)) => Ok(Some(page)),
            // A session whose supervisor does not answer keeps its lines.
            _ if self.knows(session).await => Ok(Some(LogPage { lines: Vec::new() })),
            _ => Ok(None),
        }
    }

    async fn metrics(
        self,
        _: Context,
        session: Option<SessionId>,
    ) -> Vec<(ProcessId, Vec<Metric>)> {
        self.wait_for_a_turn().await;
        let (all, known) = (self.asker.may_all(), self.known().await);
        let may = |whose: Option<SessionId>| match whose {
            None => all,
            Some(id) => known.iter().any(|session| session.id == id),
        };
        self.inquiry.metrics(|whose| (session.is_none() || whose == session) && may(whose)).await
    }

    async fn stop(self, _: Context, session: SessionId) -> Result<(), Refusal> {
        self.wait_for_a_turn().await;
        self.permit(session, "stop").await?;
        // If the host cannot be asked, it has ended already.
        let asked = self.inquiry.ask(|reply| AdminRequest::Stop(session, reply)).await;
        let by = self.asker.uid;
        asked.unwrap_or(Ok(())).inspect(|()| self.audit.record(&Deed::Stopped { session, by }))
    }

    async fn sign_ins(self, _: Context) -> Vec<SignIn> {
        self.wait_for_a_turn().await;
        let known = self.known().await;
        let mut all = self.inquiry.ask(AdminRequest::SignIns).await.unwrap_or_default();
        let may = |sign_in: &SignIn| known.iter().any(|session| session.id == sign_in.session);
        all.retain(|sign_in| self.asker.may_all() || may(sign_in));
        all
    }

    async fn revoke(self, _: Context, which: Revocation) -> Result<u32, Refusal> {
        self.wait_for_a_turn().await;
        let asker = self.asker;
        let asked = self.inquiry.ask(|reply| AdminRequest::Revoke(asker, which, reply)).await;
        asked.ok_or_else(|| Refusal::because("the host has ended"))
    }
}
