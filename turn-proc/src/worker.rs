//! The worker as the supervisor sees it: the grants it takes at start, and its status reports.
//!
//! Grants are checked before use: secret, certificate and key must be sealed memory of a possible
//! size, and sockets must be what their grants call them. The secret is wiped once the keys are
//! derived from it.

use std::{
    cell::Cell,
    net::{TcpListener, UdpSocket},
    ops::ControlFlow,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use lumen_ipc::{
    link::LinkName, message::grants::ToWorker, process::Worker as WorkerName, relay::SECRET_BYTES,
    service::TurnConfig,
};
use lumen_ipc_runtime::{
    bootstrap::{Grant, ServeError, StartError, Supervision, SupervisorEvent, Worker},
    confine::Policy,
    metrics::Registry,
    sealed,
};
use tracing::{info, warn};
use zeroize::Zeroizing;

use crate::{
    address::OwnAddresses,
    auth::credential::RelaySecret,
    policy,
    quota::StrangerRates,
    relay::{Relay, RelayConfig, allocation::AllocationLimits},
    shell::{ConnectionLimits, Handover, Overseer, Server, Sockets, now, server_config},
};

/// Longest certificate chain or key, in bytes.
const MOST_PEM_BYTES: usize = 64 * 1024;

/// The relay's worker.
pub struct Turn {
    server: Server,
    registry: Registry,
}

/// All grants received at start, by kind.
#[derive(Default)]
struct Granted {
    sockets: Sockets,
    secret: Option<Zeroizing<[u8; SECRET_BYTES]>>,
    certificate: Option<Vec<u8>>,
    key: Option<Zeroizing<Vec<u8>>>,
    handover: Option<Handover>,
}

impl Worker for Turn {
    const WORKER: WorkerName = WorkerName::Turn;
    type Config = TurnConfig;

    fn acquire(config: TurnConfig, grants: Vec<Grant>) -> Result<Self, StartError> {
        let mut granted = Granted::default();
        for grant in grants {
            let what = grant.what;
            granted
                .take(grant)
                .map_err(|error| StartError::caused(format!("cannot use grant {what:?}"), error))?;
        }
        let secret = granted.secret.ok_or_else(|| StartError::new("no secret was granted"))?;
        let own = OwnAddresses::from_interfaces(&config.own)
            .map_err(|error| StartError::caused("cannot make relayed addresses", error))?;
        let tls = match (&granted.certificate, &granted.key) {
            (Some(chain), Some(key)) => Some(server_config(chain, key).map_err(|error| {
                StartError::caused(
                    "cannot speak TLS with what --relay-cert and --relay-key name",
                    error,
                )
            })?),
            _ => None,
        };
        let registry = Registry::default();
        let config = RelayConfig {
            own,
            realm: config.realm.into_string(),
            secret: RelaySecret::new(&secret),
            rates: StrangerRates::default(),
            limits: AllocationLimits::up_to(config.allocations),
        };
        let cannot = |error| StartError::caused("cannot start the relay", error);
        let relay = Relay::new(config, &registry, now())
            .map_err(|error| StartError::caused("cannot draw nonces", error))?;
        let limits = ConnectionLimits::default();
        let mut server =
            Server::new(granted.sockets, relay, tls, limits, &registry).map_err(cannot)?;
        if let Some(handover) = granted.handover {
            server.hand_over_from(handover).map_err(cannot)?;
        }
        Ok(Self { server, registry })
    }

    fn metrics(&self) -> Registry {
        self.registry.clone()
    }

    fn policy(&self) -> Policy {
        policy::policy()
    }

    fn serve(mut self, supervision: Supervision) -> Result<(), ServeError> {
        info!(sockets = %self.server, "relaying");
        let mut overseer = Supervisor { supervision, said: Cell::new(None) };
        self.server
            .run(&mut overseer)
            .map_err(|error| ServeError::caused("the relay cannot go on", error))
    }
}

impl Granted {
    fn take(&mut self, grant: Grant) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        if matches!(grant.what, ToWorker::LinkEnd { link: LinkName::Handover, .. }) {
            self.handover = Some(Handover::from_grant(grant)?);
            return Ok(());
        }
        let Grant { what, descriptor, .. } = grant;
        match what {
            ToWorker::RelayCertificate => {
                self.certificate = Some(sealed::read(descriptor, MOST_PEM_BYTES)?);
            }
            ToWorker::RelayDatagrams => self.sockets.datagrams.push(UdpSocket::from(descriptor)),
            ToWorker::RelayKey => {
                self.key = Some(Zeroizing::new(sealed::read(descriptor, MOST_PEM_BYTES)?));
            }
            ToWorker::RelaySecret => self.secret = Some(secret(descriptor)?),
            ToWorker::RelaySecured => self.sockets.secured.push(TcpListener::from(descriptor)),
            ToWorker::RelayStreams => self.sockets.streams.push(TcpListener::from(descriptor)),
            _ => return Err("it belongs to another worker".into()),
        }
        Ok(())
    }
}

fn secret(
    descriptor: OwnedFd,
) -> Result<Zeroizing<[u8; SECRET_BYTES]>, Box<dyn std::error::Error + Send + Sync>> {
    let bytes = Zeroizing::new(sealed::read(descriptor, SECRET_BYTES)?);
    let secret: [u8; SECRET_BYTES] = bytes
        .as_slice()
        .try_into()
        .map_err(|_| format!("a secret of {} bytes, not {SECRET_BYTES}", bytes.len()))?;
    Ok(Zeroizing::new(secret))
}

/// The supervisor's side of the event loop: its events and our reports.
struct Supervisor {
    supervision: Supervision,
    /// The last reported summary.
    said: Cell<Option<String>>,
}

impl AsFd for Supervisor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.supervision.as_fd()
    }
}

impl Overseer for Supervisor {
    fn heed(&mut self, server: &mut Server) -> ControlFlow<()> {
        while let Some(event) = self.supervision.next() {
            match event {
                SupervisorEvent::Drain => return ControlFlow::Break(()),
                SupervisorEvent::Granted(
                    grant @ Grant {
                        what: ToWorker::LinkEnd { link: LinkName::Handover, .. }, ..
                    },
                ) => {
                    let taken =
                        Handover::from_grant(grant).map_err(|error| error.to_string()).and_then(
                            |link| server.hand_over_from(link).map_err(|error| error.to_string()),
                        );
                    if let Err(error) = taken {
                        warn!(error, "a new end of the gateway's link cannot be used");
                    }
                }
                SupervisorEvent::Granted(grant) => {
                    warn!(what = ?grant.what, "closed a grant that the relay does not use")
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn look(&mut self, server: &Server) {
        let summary = server.to_string();
        let said = self.said.take();
        if said.as_deref() != Some(&summary) {
            self.supervision.set_summary(summary.clone());
        }
        self.said.set(Some(summary));
    }
}
