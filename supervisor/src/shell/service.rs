//! The service of the supervisor for the gateway, `broker`. It only passes requests to the event loop, which
//! owns everything.

use std::{net::IpAddr, os::fd::OwnedFd, sync::Arc, time::Instant};

use lumen_ipc::{
    lease::Lease,
    login::{
        Login, LoginId, LoginNews, LoginRefusal, MAX_RETURN_BYTES, Method, Progress, SignIn,
        Visitor,
    },
    message::login::{AccountName, Answers},
    process::ProcessId,
    service::{AppNews, Broker, HostStatus, Metric, Refusal, RelayPair},
    text::{Secret, Text},
    units::{PeerId, SessionId},
    vouching::VoucherFault,
};
use lumen_ipc_runtime::rpc;
use tarpc::context::Context;
use tokio::sync::{Mutex, oneshot};
use tracing::warn;

use super::{
    event::{BrokerRequest, Event, Events},
    inquiry::Inquiry,
};
use crate::pace::Pace;

/// How often a gateway may ask for the state of everything or for metrics: it does so once for each session
/// when somebody asks it for metrics.
const INQUIRIES_PER_SECOND: u32 = 50;
const INQUIRIES_AT_ONCE: u32 = 200;

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

    async fn returned(
        self,
        _: Context,
        attempt: Secret,
        query: Text<MAX_RETURN_BYTES>,
    ) -> Result<Progress, LoginRefusal> {
        self.ask(|reply| BrokerRequest::Returned(attempt, query, reply))
            .await
            .unwrap_or(Err(LoginRefusal::Denied))
    }

    async fn abandon(self, _: Context, attempt: Secret) {
        // It fails only when the event loop has ended.
        let _ = self.events.send(Event::Broker(BrokerRequest::Abandon(attempt))).await;
    }

    async fn resume(
        self,
        _: Context,
        key: Secret,
        named: Option<AccountName>,
    ) -> Result<Login, LoginRefusal> {
        self.ask(|reply| BrokerRequest::Resume(key, named, reply))
            .await
            .unwrap_or(Err(LoginRefusal::Wrong))
    }

    async fn keep(self, _: Context, key: Secret) -> Result<Login, LoginRefusal> {
        self.ask(|reply| BrokerRequest::Keep(key, reply)).await.unwrap_or(Err(LoginRefusal::Wrong))
    }

    async fn renew(self, _: Context, key: Secret) -> Option<Secret> {
        self.ask(|reply| BrokerRequest::Renew(key, reply)).await.flatten()
    }

    async fn distrusted(self, _: Context, fault: VoucherFault, from: IpAddr) {
        // It fails only when the event loop has ended.
        let _ = self.events.send(Event::Broker(BrokerRequest::Distrusted(fault, from))).await;
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

    async fn watch_logins(self, _: Context, seen: u32) -> Option<LoginNews> {
        self.ask(|reply| BrokerRequest::WatchLogins(seen, reply)).await
    }

    async fn visited(self, _: Context, visitors: Vec<Visitor>) {
        // It fails only when the event loop has ended.
        let _ = self.events.send(Event::Broker(BrokerRequest::Visited(visitors))).await;
    }

    async fn sign_ins(self, _: Context, key: Secret) -> Option<(LoginId, Vec<SignIn>)> {
        self.ask(|reply| BrokerRequest::SignIns(key, reply)).await.flatten()
    }

    async fn revoke(self, _: Context, key: Secret, login: LoginId) -> bool {
        self.ask(|reply| BrokerRequest::Revoke(key, login, reply)).await.unwrap_or(false)
    }

    async fn start_app(self, _: Context, session: SessionId) -> Result<(), Refusal> {
        self.ask(|reply| BrokerRequest::StartApp(session, reply))
            .await
            .unwrap_or_else(|| Err(Refusal::because("The desktop has ended.")))
    }
}
