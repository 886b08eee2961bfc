//! Asks the supervisor who a browser is. The answer is final; the gateway keeps no logins.
//!
//! A sign-in may take as long as a person needs. Their number is limited so that other requests
//! always find room on the link.

use std::{
    net::IpAddr,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use lumen_ipc::{
    lease::Lease,
    login::{
        Login, LoginId, LoginNews, LoginRefusal, MAX_RETURN_BYTES, Method, Progress, SignIn,
        SignedIn, Visitor,
    },
    message::{
        grants::LossReason,
        login::{AccountName, Answers},
    },
    process::ProcessId,
    service::{AppNews, BrokerClient, HostStatus, Metric, Refusal, RelayPair},
    text::{Secret, Text},
    units::{PeerId, SessionId},
    vouching::VoucherFault,
};
use lumen_ipc_runtime::{
    link_end::{GiveUp, LinkGuard},
    log::RateLimit,
    rpc,
};
use tarpc::{
    client::{self, NewClient},
    context::Context,
};
use tokio::sync::Semaphore;
use tracing::warn;

use super::tls::Judged;

/// How long the supervisor may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long it may take to answer a sign-in.
const SIGN_IN_PATIENCE: Duration = Duration::from_secs(30);
/// Most concurrent sign-ins: half of the concurrent requests of the link.
const MOST_SIGN_INS: usize = 8;
/// Most reports in a second of headers that were not believed.
const MOST_REPORTS: u32 = 20;
/// How long it may take to answer with relay credentials, which a viewer can do without.
const RELAY_PATIENCE: Duration = Duration::from_secs(1);

/// How long it may take to ask all workers.
const WATCH_PATIENCE: Duration = Duration::from_secs(8);
/// How long to wait for news of the app before the request is repeated.
const NEWS_PATIENCE: Duration = Duration::from_secs(3600);

/// Why there is no login.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum LoginError {
    /// The supervisor refuses.
    #[error(transparent)]
    Refused(#[from] LoginRefusal),
    /// The supervisor does not answer.
    #[error("logging in is not possible at the moment; try again")]
    Unavailable,
}

/// The link to the supervisor's broker.
#[derive(Clone, Debug)]
pub(super) struct Broker {
    client: Arc<Mutex<Option<BrokerClient>>>,
    sign_ins: Arc<Semaphore>,
    /// How often the supervisor is told what strangers cause.
    reports: Arc<RateLimit>,
}

impl Broker {
    /// A broker without a link.
    pub(super) fn new() -> Self {
        let sign_ins = Arc::new(Semaphore::new(MOST_SIGN_INS));
        let reports = Arc::new(RateLimit::per_second(MOST_REPORTS));
        Self { client: Arc::default(), sign_ins, reports }
    }

    /// Uses a new end of the link and has `guard` report its end; call it inside a runtime.
    pub(super) fn replace(&self, descriptor: OwnedFd, guard: LinkGuard) {
        let client = match rpc::transport(descriptor) {
            Ok(transport) => {
                let NewClient { client, dispatch } =
                    BrokerClient::new(client::Config::default(), transport);
                tokio::spawn(async move {
                    // However the dispatch ends, this end of the link is finished.
                    let _ = dispatch.await;
                    guard.give_up(GiveUp::Lost(LossReason::Closed));
                });
                Some(client)
            }
            Err(error) => {
                warn!(%error, "the broker link is unusable");
                None
            }
        };
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = client;
    }

    /// Begins a sign-in.
    pub(super) async fn begin(&self, method: Method, from: IpAddr) -> Result<Progress, LoginError> {
        // The semaphore is never closed.
        let turn = self.sign_ins.acquire().await.map_err(|_| LoginError::Unavailable)?;
        let client = self.client()?;
        let reply = client.begin(deadline_in(SIGN_IN_PATIENCE), method, from).await;
        drop(turn);
        Ok(reply.map_err(|error| unavailable(&error))??)
    }

    /// Signs a browser in that needs to be asked nothing.
    pub(super) async fn enter(&self, method: Method, from: IpAddr) -> Result<SignedIn, LoginError> {
        match self.begin(method, from).await? {
            Progress::Done { signed_in, .. } => Ok(signed_in),
            // Only accounts are asked something, or go elsewhere.
            Progress::Asked { .. } | Progress::Away { .. } => Err(LoginError::Unavailable),
        }
    }

    /// Answers what a sign-in has asked.
    pub(super) async fn answer(
        &self,
        attempt: Secret,
        answers: Answers,
    ) -> Result<Progress, LoginError> {
        let turn = self.sign_ins.acquire().await.map_err(|_| LoginError::Unavailable)?;
        let client = self.client()?;
        let reply = client.answer(deadline_in(SIGN_IN_PATIENCE), attempt, answers).await;
        drop(turn);
        Ok(reply.map_err(|error| unavailable(&error))??)
    }

    /// A browser is back from the identity provider.
    pub(super) async fn returned(
        &self,
        attempt: Secret,
        query: Text<MAX_RETURN_BYTES>,
    ) -> Result<Progress, LoginError> {
        let turn = self.sign_ins.acquire().await.map_err(|_| LoginError::Unavailable)?;
        let client = self.client()?;
        let reply = client.returned(deadline_in(SIGN_IN_PATIENCE), attempt, query).await;
        drop(turn);
        Ok(reply.map_err(|error| unavailable(&error))??)
    }

    /// Gives a sign-in up.
    pub(super) async fn abandon(&self, attempt: Secret) -> Result<(), LoginError> {
        let client = self.client()?;
        let reply = client.abandon(deadline_in(PATIENCE), attempt).await;
        reply.map_err(|error| unavailable(&error))
    }

    /// Ends the login of a key; returns which one that was, if there was one.
    pub(super) async fn sign_out(
        &self,
        key: Secret,
    ) -> Result<Option<(SessionId, LoginId)>, LoginError> {
        let client = self.client()?;
        let reply = client.sign_out(deadline_in(PATIENCE), key).await;
        reply.map_err(|error| unavailable(&error))
    }

    /// The login of a key; where a proxy has `named` the browser's account, only one of that account's.
    pub(super) async fn resume(
        &self,
        key: Secret,
        named: Option<AccountName>,
    ) -> Result<Login, LoginError> {
        let client = self.client()?;
        let reply = client.resume(deadline_in(PATIENCE), key, named).await;
        Ok(reply.map_err(|error| unavailable(&error))??)
    }

    /// The login of a key with which a page was admitted that has been connected since.
    pub(super) async fn keep(&self, key: Secret) -> Result<Login, LoginError> {
        let client = self.client()?;
        let reply = client.keep(deadline_in(PATIENCE), key).await;
        Ok(reply.map_err(|error| unavailable(&error))??)
    }

    /// Another key for the login of this one, if it is time and there is an answer.
    pub(super) async fn renew(&self, key: Secret) -> Option<Secret> {
        let client = self.client().ok()?;
        let reply = client.renew(deadline_in(PATIENCE), key).await;
        reply.map_err(|error| unavailable(&error)).ok()?
    }

    /// Has it recorded that a header was not believed. Strangers cause this, so not all of it is.
    pub(super) fn distrusted(&self, fault: VoucherFault, from: IpAddr) {
        let Some(client) = self.client().ok().filter(|_| self.reports.allows()) else { return };
        tokio::spawn(async move {
            let reply = client.distrusted(deadline_in(PATIENCE), fault, from).await;
            reply.map_err(|error| unavailable(&error))
        });
    }

    /// Credentials for `peer` of `session`; `None` when there is no relay or no answer.
    pub(super) async fn mint(&self, session: SessionId, peer: PeerId) -> Option<RelayPair> {
        let client = self.client().ok()?;
        let reply = client.mint_relay_credentials(deadline_in(RELAY_PATIENCE), session, peer).await;
        reply.map_err(|error| unavailable(&error)).ok()?
    }

    /// An input lease for a page with this key; `None` when there is none, or no answer.
    pub(super) async fn mint_lease(&self, key: Option<Secret>) -> Option<Lease> {
        let client = self.client().ok()?;
        let reply = client.mint_lease(deadline_in(PATIENCE), key).await;
        reply.map_err(|error| unavailable(&error)).ok()?
    }

    /// Reports what became of a granted certificate. If the supervisor does not hear it, its next gateway
    /// judges for itself.
    pub(super) fn report_certificate(&self, judged: Judged) {
        let Ok(client) = self.client() else { return };
        let Judged { serial, refused } = judged;
        tokio::spawn(async move {
            let reply = client.certificate_judged(deadline_in(PATIENCE), serial, refused).await;
            reply.map_err(|error| unavailable(&error))
        });
    }

    /// The state of the app, once there is news after that numbered `seen`; `None` to ask again
    /// later.
    pub(super) async fn watch_app(&self, seen: u32) -> Option<AppNews> {
        let client = self.client().ok()?;
        client.watch_app(deadline_in(NEWS_PATIENCE), seen).await.ok()?
    }

    /// What becomes of logins, once there is news after that numbered `seen`; `None` to ask again later.
    pub(super) async fn watch_logins(&self, seen: u32) -> Option<LoginNews> {
        let client = self.client().ok()?;
        client.watch_logins(deadline_in(NEWS_PATIENCE), seen).await.ok()?
    }

    /// Reports all pages that are connected.
    pub(super) async fn visited(&self, visitors: Vec<Visitor>) -> Result<(), LoginError> {
        let client = self.client()?;
        let reply = client.visited(deadline_in(PATIENCE), visitors).await;
        reply.map_err(|error| unavailable(&error))
    }

    /// The logins to the session of a key's login, and which of them that is; `None` if there is none.
    pub(super) async fn sign_ins(
        &self,
        key: Secret,
    ) -> Result<Option<(LoginId, Vec<SignIn>)>, LoginError> {
        let client = self.client()?;
        let reply = client.sign_ins(deadline_in(PATIENCE), key).await;
        reply.map_err(|error| unavailable(&error))
    }

    /// Ends another login to the session of a key's login; false if there is no such login.
    pub(super) async fn revoke(&self, key: Secret, login: LoginId) -> Result<bool, LoginError> {
        let client = self.client()?;
        let reply = client.revoke(deadline_in(PATIENCE), key, login).await;
        reply.map_err(|error| unavailable(&error))
    }

    /// The state of everything, for those who watch over it; `None` without an answer.
    pub(super) async fn overview(&self) -> Option<HostStatus> {
        let client = self.client().ok()?;
        let reply = client.overview(deadline_in(WATCH_PATIENCE)).await;
        reply.map_err(|error| unavailable(&error)).ok()
    }

    /// The metrics of a session's workers, or of the host's own.
    pub(super) async fn metrics(
        &self,
        session: Option<SessionId>,
    ) -> Option<Vec<(ProcessId, Vec<Metric>)>> {
        let client = self.client().ok()?;
        let reply = client.metrics(deadline_in(WATCH_PATIENCE), session).await;
        reply.map_err(|error| unavailable(&error)).ok()
    }

    /// Requests a start of the app of `session`.
    pub(super) async fn start_app(&self, session: SessionId) -> Result<(), Refusal> {
        let unavailable = || Refusal::because("The desktop does not answer at the moment.");
        let client = self.client().map_err(|_| unavailable())?;
        let reply = client.start_app(deadline_in(PATIENCE), session).await;
        reply.map_err(|_| unavailable())?
    }

    fn client(&self) -> Result<BrokerClient, LoginError> {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        client.clone().ok_or(LoginError::Unavailable)
    }
}

fn deadline_in(patience: Duration) -> Context {
    let mut context = tarpc::context::current();
    context.deadline = Instant::now() + patience;
    context
}

fn unavailable(error: &client::RpcError) -> LoginError {
    warn!(%error, "the supervisor does not answer");
    LoginError::Unavailable
}
