//! A worker that does what its test wants. It takes the name of any worker, reads its mode from a
//! file beside its program before it is confined, and serves nothing.
//!
//! `ok` serves and drains; `crash` ends while serving; `hang` never gets ready; `loop` turns for ever while it serves, and answers `control`; `forbidden-syscall`
//! makes one; `wrong-build` ends as one of another build does; `slow-drain` never drains; `accuse`
//! says of every pair of `frames` that its peer broke the contract; `log-flood` logs without end;
//! `garbage`, `oversize` and `fd-flood` break the contract themselves, on `grants`, and
//! `control-garbage` on `control`; `close-control` closes its end while it starts, `shut-grants` shuts its
//! own while it serves, and both live on.

use std::{
    fs,
    io::{self, IoSlice, Write},
    path::PathBuf,
    process::ExitCode as ProcessExitCode,
    time::Duration,
};

use lumen_ipc::{
    codec::MAX_MESSAGE_BYTES,
    link::LinkName,
    message::grants::ToWorker,
    process::{ExitCode, Worker as WorkerName},
    service::WorkerConfig,
};
use lumen_ipc_runtime::{
    bootstrap::{self, Grant, ServeError, StartError, Supervision, SupervisorEvent, Worker},
    confine::Policy,
    link_end::GiveUp,
    metrics::Registry,
};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{ControlMessage, MsgFlags, Shutdown, send, sendmsg, shutdown},
    unistd::close,
};

/// Where a worker finds its `control` and `grants` sockets at exec.
const CONTROL: i32 = 3;
const GRANTS: i32 = 4;

fn main() -> ProcessExitCode {
    match own_index() {
        Some(0) => bootstrap::run::<Stub<0>>(),
        Some(1) => bootstrap::run::<Stub<1>>(),
        Some(2) => bootstrap::run::<Stub<2>>(),
        Some(3) => bootstrap::run::<Stub<3>>(),
        Some(4) => bootstrap::run::<Stub<4>>(),
        Some(5) => bootstrap::run::<Stub<5>>(),
        Some(6) => bootstrap::run::<Stub<6>>(),
        Some(_) | None => ProcessExitCode::from(ExitCode::NotSupervised),
    }
}

/// Its place in [`WorkerName::ALL`].
fn own_index() -> Option<usize> {
    let called = std::env::args().next()?;
    WorkerName::ALL.into_iter().position(|worker| worker.binary() == called)
}

fn own_mode(worker: WorkerName) -> String {
    let program = fs::read_link("/proc/self/exe").unwrap_or_default();
    let directory = program.parent().map(PathBuf::from).unwrap_or_default();
    fs::read_to_string(directory.join(format!("{worker}.mode"))).unwrap_or_else(|_| "ok".to_owned())
}

/// Sends on `grants` what no channel would: these bytes, and so many descriptors beside them.
fn send_raw(bytes: &[u8], descriptors: usize) {
    let flood = vec![GRANTS; descriptors];
    let rights = [ControlMessage::ScmRights(&flood)];
    let rights = if descriptors == 0 { &[][..] } else { &rights[..] };
    let parts = [IoSlice::new(bytes)];
    // Refused by the kernel or not: either way nothing but this stub may suffer.
    let _ = sendmsg::<()>(GRANTS, &parts, rights, MsgFlags::empty(), None);
}

impl<const INDEX: usize> Stub<INDEX> {
    /// Says of the end of `frames` that its peer broke the contract, if that is what this stub does;
    /// keeps every other end.
    fn accuse(&mut self, grant: Grant) {
        let frames = matches!(grant.what, ToWorker::LinkEnd { link: LinkName::Frames, .. });
        if self.mode != "accuse" || !frames {
            return self.grants.push(grant);
        }
        if let Ok((_, guard)) = grant.into_guarded() {
            guard.give_up(GiveUp::Violated);
        }
    }
}

struct Stub<const INDEX: usize> {
    mode: String,
    grants: Vec<Grant>,
}

impl<const INDEX: usize> Worker for Stub<INDEX> {
    const WORKER: WorkerName = WorkerName::ALL[INDEX];
    type Config = WorkerConfig;

    fn acquire(_: WorkerConfig, grants: Vec<Grant>) -> Result<Self, StartError> {
        let mode = own_mode(Self::WORKER);
        match &*mode {
            "hang" => loop {
                std::thread::park();
            },
            // Nobody else holds it yet: whoever missed it later would end the process.
            "close-control" => {
                let _ = close(CONTROL);
                loop {
                    std::thread::park();
                }
            }
            "wrong-build" => std::process::exit(ExitCode::WrongBuild.number().into()),
            "cannot-start" => Err(StartError::new("this stub is told not to start")),
            _ => Ok(Self { mode, grants }),
        }
    }

    fn metrics(&self) -> Registry {
        Registry::default()
    }

    fn policy(&self) -> Policy {
        Policy::base().allow(nix::libc::SYS_shutdown, "`shut-grants` does what no worker may")
    }

    fn serve(mut self, supervision: Supervision) -> Result<(), ServeError> {
        match &*self.mode {
            "crash" => return Err(ServeError::new("this stub is told to crash")),
            "forbidden-syscall" => {
                let _ = fs::read_to_string("/etc/passwd");
            }
            "shut-grants" => {
                let _ = shutdown(GRANTS, Shutdown::Write);
            }
            "control-garbage" => {
                // A frame of four bytes that are no reply.
                let _ = send(CONTROL, &[0, 0, 0, 4, 255, 255, 255, 255], MsgFlags::empty());
            }
            "garbage" => send_raw(&[0xff; 16], 0),
            "oversize" => send_raw(&[0; MAX_MESSAGE_BYTES + 1], 0),
            "fd-flood" => send_raw(&[0, 0], 64),
            "loop" => loop {
                std::hint::spin_loop();
            },
            _ => {}
        }
        for grant in std::mem::take(&mut self.grants) {
            self.accuse(grant);
        }
        supervision.set_summary(format!("stub, {}", self.mode));
        loop {
            match supervision.next() {
                Some(SupervisorEvent::Drain) if self.mode == "slow-drain" => loop {
                    std::thread::sleep(Duration::from_secs(60));
                },
                Some(SupervisorEvent::Drain) => return Ok(()),
                Some(SupervisorEvent::Granted(grant)) => {
                    self.accuse(grant);
                }
                None if self.mode == "log-flood" => {
                    // The filter lets no thread be started that could do it.
                    let lines = b"INFO stub: a line of the flood\n".repeat(100);
                    io::stderr()
                        .write_all(&lines)
                        .map_err(|error| ServeError::caused("cannot log", error))?;
                }
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
