//! The client of the admin socket.

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::PathBuf,
};

use lumen_ipc::{
    process::{ExitCode, ProcessId, Scope, Worker},
    service::{AdminClient, Refusal},
};
use lumen_ipc_runtime::rpc;
use nix::{
    sys::socket::{getsockopt, sockopt::PeerCredentials},
    unistd::Uid,
};
use tarpc::{
    client::{self, RpcError},
    context,
};

use super::{
    output,
    sessions::{Sessions, Unclear},
};
use crate::{
    config::{InstanceName, SessionOperand},
    shell::stage,
};

/// Why the supervisor did not carry out a command.
#[derive(Debug, thiserror::Error)]
pub(super) enum AdminError {
    /// The connection broke.
    #[error("the desktop does not answer")]
    Broken(#[from] RpcError),
    /// The socket cannot be connected to.
    #[error("cannot reach the desktop at {path}")]
    Io {
        /// Its socket.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// Somebody else answers at the socket.
    #[error("{path} is a socket of uid {uid}, who is not this user; not asking there")]
    NotOurs {
        /// The socket.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// No desktop has this name.
    #[error("no desktop called {name} is running for this user ({looked}); start one with \
             `lumen run`{}", hint(.name))]
    NotRunning {
        /// The name.
        name: String,
        /// Where it was looked for.
        looked: String,
    },
    /// It refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The command line does not say which session it means.
    #[error(transparent)]
    Unclear(#[from] Unclear),
    /// Nothing is what the command line means.
    #[error("{0}")]
    Unknown(String),
}

impl AdminError {
    /// The exit code for this error.
    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Unclear(_) | Self::Unknown(_) => ExitCode::Usage,
            Self::Broken(_)
            | Self::Io { .. }
            | Self::NotOurs { .. }
            | Self::NotRunning { .. }
            | Self::Refused(_) => ExitCode::Failed,
        }
    }
}

fn hint(name: &str) -> String {
    match InstanceName::new(name) {
        Some(name) if !name.is_default() => format!(" --name {name}"),
        _ => ", or name another by --name".to_owned(),
    }
}

/// Connects to the desktop called `name` and lets `act` send requests to it.
pub(super) fn with<Answer>(
    name: &InstanceName,
    act: impl AsyncFnOnce(AdminClient) -> Result<Answer, AdminError>,
) -> Result<Answer, AdminError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| AdminError::Io { path: PathBuf::from("/"), source })?;
    runtime.block_on(async {
        let (path, stream) = connected(name)?;
        let at = |source| AdminError::Io { path: path.clone(), source };
        let transport = rpc::transport(OwnedFd::from(stream)).map_err(at)?;
        act(AdminClient::new(client::Config::default(), transport).spawn()).await
    })
}

/// Connects to the user's own desktop of this name, or else to root's.
fn connected(name: &InstanceName) -> Result<(PathBuf, UnixStream), AdminError> {
    let (own, mut looked) = (Uid::effective().as_raw(), Vec::new());
    let homes = [(stage::find_home(std::env::var_os("XDG_RUNTIME_DIR")), own)];
    let of_root = (own != 0).then(|| (stage::find_home_of_root(), 0));
    for (home, owner) in homes.into_iter().chain(of_root) {
        let Some(home) = home else { continue };
        let path = home.socket(name);
        let stream = match UnixStream::connect(&path) {
            Ok(stream) => stream,
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    looked.push(format!("{} is not there or not answered", path.display()));
                    continue;
                }
                _ => return Err(AdminError::Io { path, source: error }),
            },
        };
        let at = |source| AdminError::Io { path: path.clone(), source };
        let uid = getsockopt(&stream, PeerCredentials).map_err(|errno| at(errno.into()))?.uid();
        if uid != owner {
            return Err(AdminError::NotOurs { path, uid });
        }
        return Ok((path, stream));
    }
    if looked.is_empty() {
        looked.push("there is no directory of this user's desktops".to_owned());
    }
    Err(AdminError::NotRunning { name: name.to_string(), looked: looked.join("; ") })
}

/// `lumen restart`.
pub(super) async fn restart(
    admin: &AdminClient,
    session: Option<&SessionOperand>,
    worker: Worker,
) -> Result<ExitCode, AdminError> {
    let (session, whose) = match worker.scope() {
        Scope::Host => (None, String::new()),
        Scope::Session => {
            let sessions = Sessions::of(admin).await?;
            let meant = sessions.meant(session, &format!("lumen restart SESSION {worker}"))?;
            (Some(meant.id), sessions.whose(meant))
        }
    };
    let process = ProcessId::new(session, worker);
    let process = process.map_err(|wrong| Refusal::because(wrong.to_string()))?;
    admin.restart(context::current(), process).await??;
    Ok(output::print(&format!("{worker}{whose} is being restarted\n")))
}

/// `lumen stop`.
pub(super) async fn stop(
    admin: &AdminClient,
    session: Option<&SessionOperand>,
) -> Result<ExitCode, AdminError> {
    let sessions = Sessions::of(admin).await?;
    let meant = sessions.meant(session, "lumen stop SESSION")?;
    admin.stop(context::current(), meant.id).await??;
    Ok(output::print(&format!("the desktop{} is ending\n", sessions.whose(meant))))
}
