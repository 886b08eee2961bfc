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
}

impl AdminError {
    /// The exit code for this error.
    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Unclear(_) => ExitCode::Usage,
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
        _ => ", or name another by --name; root's are reached by sudo".to_owned(),
    }
}

/// Connects to the desktop called `name` and lets `act` send requests to it.
pub(super) fn with<Answer>(
    name: &InstanceName,
    act: impl AsyncFnOnce(AdminClient) -> Result<Answer, AdminError>,
) -> Result<Answer, AdminError> {
    let not_running = |looked| AdminError::NotRunning { name: name.to_string(), looked };
    let Some(home) = stage::find_home(std::env::var_os("XDG_RUNTIME_DIR")) else {
        return Err(not_running("there is no directory of this user's desktops".to_owned()));
    };
    let path = home.socket(name);
    let at = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            not_running(format!("{} is not there or not answered", path.display()))
        }
        _ => AdminError::Io { path: path.clone(), source },
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(at)?;
    runtime.block_on(async {
        let stream = UnixStream::connect(&path).map_err(at)?;
        let owner = getsockopt(&stream, PeerCredentials).map_err(|errno| at(errno.into()))?.uid();
        if owner != Uid::effective().as_raw() {
            return Err(AdminError::NotOurs { path: path.clone(), uid: owner });
        }
        let transport = rpc::transport(OwnedFd::from(stream)).map_err(at)?;
        act(AdminClient::new(client::Config::default(), transport).spawn()).await
    })
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
