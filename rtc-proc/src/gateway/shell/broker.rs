//! Asking the supervisor who a browser is. Its answer is final; the gateway keeps no logins.

use std::{
    net::SocketAddr,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use lumen_ipc::{
    service::{BrokerClient, Login, LoginRefusal},
    text::Secret,
};
use lumen_ipc_runtime::rpc;
use tarpc::{client, context::Context};
use tracing::warn;

/// How long the supervisor may take.
const PATIENCE: Duration = Duration::from_secs(3);

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
        from: SocketAddr,
    ) -> Result<Login, LoginError> {
        let client = self.client()?;
        let reply = client.authenticate(deadline(), token, from).await;
        Ok(reply.map_err(|error| unavailable(&error))??)
    }

    pub(super) async fn resume(&self, cookie: Secret) -> Result<Login, LoginError> {
        let client = self.client()?;
        let reply = client.resume(deadline(), cookie).await;
        Ok(reply.map_err(|error| unavailable(&error))??)
    }

    fn client(&self) -> Result<BrokerClient, LoginError> {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        client.clone().ok_or(LoginError::Unavailable)
    }
}

fn deadline() -> Context {
    let mut context = tarpc::context::current();
    context.deadline = Instant::now() + PATIENCE;
    context
}

fn unavailable(error: &client::RpcError) -> LoginError {
    warn!(%error, "the supervisor does not answer");
    LoginError::Unavailable
}
