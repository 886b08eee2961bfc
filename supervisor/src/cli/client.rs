//! The caller's end of the admin socket.

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::PathBuf,
};

use lumen_ipc::{
    process::{ExitCode, ProcessId, Worker},
    service::{AdminClient, Refusal},
    units::SessionId,
};
use lumen_ipc_runtime::rpc;
use tarpc::{
    client::{self, RpcError},
    context,
};

use super::output;
use crate::{config::InstanceName, shell::stage};

/// Why the supervisor did not do as asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum AdminError {
    /// It broke off.
    #[error("the desktop does not answer")]
    Broken(#[from] RpcError),
    /// It cannot be reached.
    #[error("cannot reach the desktop at {path}")]
    Io {
        /// Its socket.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// None of that name.
    #[error("no desktop called {name} is running for this user ({path} is not there or not \
             answered); start one with `lumen run`{}", hint(.name))]
    NotRunning {
        /// The name.
        name: String,
        /// Its socket.
        path: PathBuf,
    },
    /// It said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

fn hint(name: &str) -> String {
    match InstanceName::new(name) {
        Some(name) if !name.is_default() => format!(" --name {name}"),
        _ => ", or name another by --name; root's are reached by sudo".to_owned(),
    }
}

/// Connects to the desktop called `name` and lets `act` ask it.
pub(super) fn with<Answer>(
    name: &InstanceName,
    act: impl AsyncFnOnce(AdminClient) -> Result<Answer, AdminError>,
) -> Result<Answer, AdminError> {
    let path = stage::find_home(std::env::var_os("XDG_RUNTIME_DIR")).socket(name);
    let at = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            AdminError::NotRunning { name: name.to_string(), path: path.clone() }
        }
        _ => AdminError::Io { path: path.clone(), source },
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(at)?;
    runtime.block_on(async {
        let stream = UnixStream::connect(&path).map_err(at)?;
        let transport = rpc::transport(OwnedFd::from(stream)).map_err(at)?;
        act(AdminClient::new(client::Config::default(), transport).spawn()).await
    })
}

/// `lumen restart`.
pub(super) async fn restart(admin: &AdminClient, worker: Worker) -> Result<ExitCode, AdminError> {
    let process = ProcessId::serving(SessionId::SOLE, worker);
    admin.restart(context::current(), process).await??;
    Ok(output::print(&format!("{worker} is being restarted\n")))
}

/// `lumen stop`.
pub(super) async fn stop(admin: &AdminClient) -> Result<ExitCode, AdminError> {
    admin.stop(context::current(), None).await??;
    Ok(output::print("the desktop is ending\n"))
}
