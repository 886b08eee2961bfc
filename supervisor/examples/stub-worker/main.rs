//! A worker that does what its test wants. It takes the name of any worker, reads its mode from a
//! file beside its program before it is confined, and serves nothing.
//!
//! `ok` serves and drains; `crash` ends while serving; `hang` never gets ready; `forbidden-syscall`
//! makes one; `wrong-build` ends as one of another build does; `slow-drain` never drains.

use std::{fs, path::PathBuf, process::ExitCode as ProcessExitCode, time::Duration};

use lumen_ipc::{
    process::{ExitCode, Worker as WorkerName},
    service::WorkerConfig,
};
use lumen_ipc_runtime::{
    bootstrap::{self, Grant, ServeError, StartError, Supervision, SupervisorEvent, Worker},
    confine::Policy,
    metrics::Registry,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

fn main() -> ProcessExitCode {
    match own_name() {
        Some(WorkerName::Compositor) => bootstrap::run::<Stub<0>>(),
        Some(WorkerName::Media) => bootstrap::run::<Stub<1>>(),
        Some(WorkerName::Rtc) => bootstrap::run::<Stub<2>>(),
        Some(WorkerName::Gateway) => bootstrap::run::<Stub<3>>(),
        None => ProcessExitCode::from(ExitCode::NotSupervised),
    }
}

fn own_name() -> Option<WorkerName> {
    let called = std::env::args().next()?;
    WorkerName::ALL.into_iter().find(|worker| worker.binary() == called)
}

fn own_mode(worker: WorkerName) -> String {
    let program = fs::read_link("/proc/self/exe").unwrap_or_default();
    let directory = program.parent().map(PathBuf::from).unwrap_or_default();
    fs::read_to_string(directory.join(format!("{worker}.mode"))).unwrap_or_else(|_| "ok".to_owned())
}

struct Stub<const INDEX: usize> {
    mode: String,
    _grants: Vec<Grant>,
}

impl<const INDEX: usize> Worker for Stub<INDEX> {
    const WORKER: WorkerName = WorkerName::ALL[INDEX];
    type Config = WorkerConfig;

    fn own_config(config: WorkerConfig) -> Option<WorkerConfig> {
        Some(config)
    }

    fn acquire(_: WorkerConfig, grants: Vec<Grant>) -> Result<Self, StartError> {
        let mode = own_mode(Self::WORKER);
        match &*mode {
            "hang" => loop {
                std::thread::park();
            },
            "wrong-build" => std::process::exit(ExitCode::WrongBuild.number().into()),
            "cannot-start" => Err(StartError::new("this stub is told not to start")),
            _ => Ok(Self { mode, _grants: grants }),
        }
    }

    fn metrics(&self) -> Registry {
        Registry::default()
    }

    fn policy(&self) -> Policy {
        Policy::base()
    }

    fn serve(self, supervision: Supervision) -> Result<(), ServeError> {
        match &*self.mode {
            "crash" => return Err(ServeError::new("this stub is told to crash")),
            "forbidden-syscall" => {
                let _ = fs::read_to_string("/etc/passwd");
            }
            _ => {}
        }
        supervision.set_summary(format!("stub, {}", self.mode));
        loop {
            match supervision.next() {
                Some(SupervisorEvent::Drain) if self.mode == "slow-drain" => loop {
                    std::thread::sleep(Duration::from_secs(60));
                },
                Some(SupervisorEvent::Drain) => return Ok(()),
                Some(SupervisorEvent::Granted(_)) => {}
                None => {
                    let mut waiting =
                        [PollFd::new(std::os::fd::AsFd::as_fd(&supervision), PollFlags::POLLIN)];
                    poll(&mut waiting, PollTimeout::NONE)
                        .map_err(|error| ServeError::caused("cannot wait", error))?;
                }
            }
        }
    }
}
