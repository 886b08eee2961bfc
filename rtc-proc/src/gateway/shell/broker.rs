//! Asking the supervisor who a browser is. Its answer is final; the gateway keeps no logins.

use std::{
    net::IpAddr,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use lumen_ipc::{
    service::{AppNews, BrokerClient, Login, LoginRefusal, Refusal, RelayPair},
    text::Secret,
    units::{PeerId, SessionId},
};
use lumen_ipc_runtime::rpc;
use tarpc::{client, context::Context};
use tracing::warn;

/// How long the supervisor may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long it may take over relay credentials: a viewer can be served without.
const RELAY_PATIENCE: Duration = Duration::from_secs(1);

/// How long news of the app may fail to come before the question is asked anew.
const NEWS_PATIENCE: Duration = Duration::from_secs(3600);

/// Why there is no login.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum LoginError {
    /// The supervisor says no.
    #[error(transparent)]
    Refused(#[from] LoginRefusal),
    /// The supervisor says nothing.
    #[error("logging in is not possible at the moment; try again")]
    Unavailable,
}

/// The link to the supervisor's broker.
#[derive(Clone, Debug, Default)]
pub(super) struct Broker {
    client: Arc<Mutex<Option<BrokerClient>>>,
}

impl Broker {
    /// Uses a new end of the link; call it inside a runtime.
    pub(super) fn replace(&self, descriptor: OwnedFd) {
        let client = match rpc::transport(descriptor) {
            Ok(transport) => Some(BrokerClient::new(client::Config::default(), transport).spawn()),
            Err(error) => {
                warn!(%error, "the broker link is unusable");
                None
            }
        };
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = client;
    }

    pub(super) async fn authenticate(
        &self,
        token: Secret,
        from: IpAddr,
    ) -> Result<Login, LoginError> {
        let client = self.client()?;
        let reply = client.authenticate(deadline_in(PATIENCE), token, from).await;
        Ok(reply.map_err(|error| unavailable(&error))??)
    }

    pub(super) async fn resume(&self, cookie: Secret) -> Result<Login, LoginError> {
        let client = self.client()?;
        let reply = client.resume(deadline_in(PATIENCE), cookie).await;
        Ok(reply.map_err(|error| unavailable(&error))??)
    }

    /// Credentials for `peer` of `session`; `None` when there is no relay or no answer.
    pub(super) async fn mint(&self, session: SessionId, peer: PeerId) -> Option<RelayPair> {
        let client = self.client().ok()?;
        let reply = client.mint_relay_credentials(deadline_in(RELAY_PATIENCE), session, peer).await;
        reply.map_err(|error| unavailable(&error)).ok()?
    }

    /// How the app is, once there is news after that numbered `seen`; `None` to ask again later.
    pub(super) async fn watch_app(&self, seen: u32) -> Option<AppNews> {
        let client = self.client().ok()?;
        client.watch_app(deadline_in(NEWS_PATIENCE), seen).await.ok()?
    }

    /// Asks for the app of `session` to be started.
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
