//! A worker that was taken over, as a test double: it stands in a worker's place in a running Lumen,
//! with that worker's user, namespaces, policy and descriptors, and does what a test orders.
//!
//! Each process crate has an example (`examples/liar-*.rs`) that is [`main`] with its policy and its
//! worker. A test puts it where the worker's binary was. As long as nobody wants lies, it is an honest
//! worker. When the test has opened an entrance ([`wire::Entrance`]), the next process of the worker
//! is a liar: it
//!
//! 1. answers the supervisor as every worker does (`lumen_ipc_runtime::bootstrap`) and takes its
//!    grants;
//! 2. makes attempts, each in a child that is confined as the worker is, because a forbidden call
//!    ends the process that makes it ([`order::Order::Attempt`]);
//! 3. confines itself, tells the supervisor that it serves, and lends its descriptors to the test,
//!    which says on the links whatever it likes ([`order::Order::Lend`]).
//!
//! INVARIANT: the connection to the test is the only descriptor it has beyond a worker's.

mod attempt;
mod ffi;
mod life;
pub mod order;
pub mod wire;

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode as ProcessExitCode,
};

use lumen_ipc::process::{ExitCode, Worker};
use lumen_ipc_runtime::confine::Policy;

use crate::{
    order::{Answer, Order},
    wire::Wire,
};

/// What is appended to the name of a worker's binary for the entrance of the test.
pub const ENTRANCE: &str = ".entrance";

/// Runs the liar in the place of `worker`, confined by `policy`: its `main`. Without an entrance it is the
/// `honest` worker: a host executes nothing but the workers' binaries that it found, so that the
/// worker's own could not be executed from here.
#[must_use]
pub fn main(
    worker: Worker,
    policy: fn() -> Policy,
    honest: fn() -> ProcessExitCode,
) -> ProcessExitCode {
    let Some(entrance) = beside(worker, ENTRANCE) else {
        return ProcessExitCode::from(ExitCode::NotSupervised);
    };
    if entrance.exists() { life::live(worker, policy, entrance) } else { honest() }
}

/// Makes attempts without any confinement, for the test whose entrance is the program's argument.
#[must_use]
pub fn unconfined() -> ProcessExitCode {
    let Some(entrance) = std::env::args_os().nth(1).map(PathBuf::from) else {
        return ProcessExitCode::from(ExitCode::NotSupervised);
    };
    match make_unconfined(&entrance) {
        Ok(()) => ProcessExitCode::SUCCESS,
        Err(_) => ProcessExitCode::from(ExitCode::Failed),
    }
}

/// Until the test has gone.
fn make_unconfined(entrance: &Path) -> io::Result<()> {
    let wire = Wire::connect(entrance)?;
    while let Some((Order::Attempt(calls), _)) = wire.receive()? {
        let tried = attempt::make_in_child(&calls, None)?;
        wire.send(&Answer::Tried(tried), &[])?;
    }
    Ok(())
}

/// A file beside this program that belongs to `worker`.
fn beside(worker: Worker, ending: &str) -> Option<PathBuf> {
    let program = fs::read_link("/proc/self/exe").ok()?;
    Some(program.parent()?.join(format!("{}{ending}", worker.binary())))
}
