//! A worker's life, from exec to exit code.
//!
//! A worker's `main` is [`run`] with its [`Worker`]. What happens, in this order:
//!
//! 1. every descriptor from 5 on is closed; 3 must be the control socket and 4 the grants socket,
//!    or the process was started by hand and ends;
//! 2. the main thread serves `control` until `start` is asked for (`control`);
//! 3. the grants are received and [`Worker::acquire`] opens, maps and warms up;
//! 4. [`crate::confine::confine`] takes away the rest, around [`Worker::warm`];
//! 5. the control thread takes over `control` and the later grants (`supervision`), `start` is
//!    answered, and [`Worker::serve`] runs on the main thread until it is drained.
//!
//! INVARIANT: no link of another worker is read before step 5. No thread starts before step 4 is
//! over.
//!
//! When the supervisor's end of `control` closes, the process ends at once
//! ([`ExitCode::SupervisorGone`]); so it does after a panic on any thread ([`ExitCode::Panicked`]),
//! unless [`contain`] keeps it to one connection.

mod control;
mod events;
mod inherited;
mod process_metrics;
mod supervision;

use std::{
    cell::Cell, error::Error, ffi::CString, io, os::fd::OwnedFd, panic::AssertUnwindSafe,
    process::ExitCode as ProcessExitCode,
};

use lumen_ipc::{
    codec::{Message, ProtocolViolation},
    graphics::Judgement,
    message::grants::{ToSupervisor, ToWorker},
    phase::Phase,
    process::{ExitCode, Worker as WorkerName},
    service::{ConfinementReport, Refusal, WorkerConfig},
};
use tracing::{error, info};

use crate::{
    channel::{Channel, NotALink, ReceiveError, Received},
    confine::{self, Policy},
    fds, ffi,
    link_end::{LinkEnd, LinkGuard, Reports},
    log,
    metrics::Registry,
};
use control::{Control, StartOrder, Started};
pub use events::SupervisorEvent;
use inherited::Inherited;
pub use inherited::take_readiness;
use supervision::WaitingThread;
pub use supervision::{AsyncSupervision, Supervision};

/// The worker's end of the `grants` link.
pub(crate) type GrantsChannel = Channel<ToWorker, ToSupervisor>;

/// What distinguishes one kind of worker from another.
pub trait Worker: Sized {
    /// Its name.
    const WORKER: WorkerName;
    /// Its part of [`WorkerConfig`].
    type Config: TryFrom<WorkerConfig, Error: std::fmt::Display>;

    /// Opens, maps and warms up all it needs, before confinement. Reads no link and starts no
    /// thread: a thread started here would stay outside Landlock.
    ///
    /// # Errors
    /// [`StartError`] ends the process with [`ExitCode::CouldNotStart`].
    fn acquire(config: Self::Config, grants: Vec<Grant>) -> Result<Self, StartError>;

    /// Starts what must run before system calls are filtered but can be kept from files: a library that
    /// loads others, or starts threads of its own. [`Worker::policy`] is asked before for files and limits,
    /// and again afterwards for system calls.
    fn warm(&mut self) {}

    /// Its metrics; called once, before it serves.
    fn metrics(&self) -> Registry;

    /// Its confinement.
    fn policy(&self) -> Policy;

    /// Starts the threads that it needs besides those of this module, and returns when they run: it can
    /// start none later. They are bound by the confinement like the main thread.
    ///
    /// # Errors
    /// The error of the thread; ends the process with [`ExitCode::CouldNotConfine`].
    fn start_threads(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Does its work on the main thread, confined, until it is drained.
    ///
    /// # Errors
    /// [`ServeError`] ends the process with its [`ServeError::exit_code`].
    fn serve(self, supervision: Supervision) -> Result<(), ServeError>;
}

/// A descriptor from the supervisor.
#[derive(Debug)]
pub struct Grant {
    /// What it is.
    pub what: ToWorker,
    /// The descriptor.
    pub descriptor: OwnedFd,
    /// Where the link end reports its own closing.
    pub reports: Reports,
}

impl Grant {
    /// `None` without a descriptor. A decoded grant came with exactly one: its type says so.
    fn received(received: Received<ToWorker>, reports: &Reports) -> Option<Self> {
        let descriptor = received.descriptors.into_iter().next()?;
        Some(Self { what: received.message, descriptor, reports: reports.clone() })
    }

    /// Says what came of trying a render node.
    pub fn judge(&self, judgement: Judgement) {
        self.reports.send(ToSupervisor::NodeJudged(judgement));
    }

    /// Turns the grant into the link end that it is.
    ///
    /// # Errors
    /// [`NotALink`] when it is not one, which is then reported.
    pub fn into_link_end<In: Message, Out: Message>(self) -> Result<LinkEnd<In, Out>, NotALink> {
        let (descriptor, guard) = self.into_guarded()?;
        LinkEnd::new(descriptor, guard)
    }

    /// Turns the grant into a descriptor and a guard, for an RPC link: the user of the descriptor
    /// reports through the guard why the link ends.
    ///
    /// # Errors
    /// [`NotALink`] when something else was granted.
    pub fn into_guarded(self) -> Result<(OwnedFd, LinkGuard), NotALink> {
        let guard = match self.what {
            ToWorker::LinkEnd { link, generation } => {
                LinkGuard::new(link, generation, self.reports)
            }
            ToWorker::SignallingEnd { session, generation } => {
                LinkGuard::of_signalling(session, generation, self.reports)
            }
            _ => return Err(NotALink::WrongKind),
        };
        Ok((self.descriptor, guard))
    }
}

type Cause = Box<dyn Error + Send + Sync>;

/// Why a worker cannot start with its configuration and grants.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub struct StartError {
    sentence: String,
    #[source]
    source: Option<Cause>,
}

impl StartError {
    /// With a sentence that names the fault and the expectation.
    #[must_use]
    pub fn new(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), source: None }
    }

    /// With a sentence and the cause.
    #[must_use]
    pub fn caused(sentence: impl Into<String>, source: impl Into<Cause>) -> Self {
        Self { sentence: sentence.into(), source: Some(source.into()) }
    }
}

/// Why a worker stopped serving.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub struct ServeError {
    sentence: String,
    #[source]
    source: Option<Cause>,
    code: ExitCode,
}

impl ServeError {
    /// With a sentence that names what failed; [`ExitCode::Failed`].
    #[must_use]
    pub fn new(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), source: None, code: ExitCode::Failed }
    }

    /// With a sentence and the cause.
    #[must_use]
    pub fn caused(sentence: impl Into<String>, source: impl Into<Cause>) -> Self {
        Self { sentence: sentence.into(), source: Some(source.into()), code: ExitCode::Failed }
    }

    /// With an exit code of its own, by which the supervisor knows what failed.
    #[must_use]
    pub fn coded(code: ExitCode, sentence: impl Into<String>, source: impl Into<Cause>) -> Self {
        Self { code, ..Self::caused(sentence, source) }
    }

    /// The other side of a link broke the contract in a way the worker cannot survive;
    /// [`ExitCode::LinkViolation`].
    #[must_use]
    pub fn violation(violation: ProtocolViolation) -> Self {
        Self {
            sentence: "the other side of a link broke the contract".to_owned(),
            source: Some(violation.into()),
            code: ExitCode::LinkViolation,
        }
    }

    /// The exit code of the process.
    #[must_use]
    pub const fn exit_code(&self) -> ExitCode {
        self.code
    }
}

/// Why a worker's life ended early: the exit code, and the reason for the log.
struct Ended {
    code: ExitCode,
    reason: String,
}

impl Ended {
    fn because(code: ExitCode, error: &(dyn Error + 'static)) -> Self {
        Self { code, reason: chain(error) }
    }
}

/// Runs a worker: its `main`.
#[must_use]
pub fn run<W: Worker>() -> ProcessExitCode {
    let Some(inherited) = inherited::take() else {
        let binary = W::WORKER.binary();
        log::write_line(&format!(
            "{binary} is started by its supervisor, not by hand; run `lumen run` instead"
        ));
        return ExitCode::NotSupervised.into();
    };
    end_on_panic(W::WORKER.binary());
    show_name(W::WORKER.binary());
    let filter = log::start();
    match live::<W>(inherited, filter) {
        Ok(()) => {
            info!("drained");
            ExitCode::Ok.into()
        }
        Err(Ended { code, reason }) => {
            error!(code = code.number(), "{reason}");
            code.into()
        }
    }
}

fn live<W: Worker>(inherited: Inherited, filter: log::Filter) -> Result<(), Ended> {
    let could_not_start = |error: io::Error| Ended::because(ExitCode::CouldNotStart, &error);
    let control = Control::new::<W>(inherited.control, filter).map_err(could_not_start)?;
    let (control, order) = control.until_start()?;
    let StartOrder { config, grants, answer } = order;
    let (reports, made) = Reports::new();
    match prepare::<W>(config, grants, (&inherited.grants, &reports), &control) {
        Ok((worker, report, waiting)) => {
            let (thread, supervision) = waiting
                .serve(control, inherited.grants, (reports, made), worker.metrics())
                .map_err(could_not_start)?;
            let started: Started = Ok(report);
            // The receiver is gone only when the supervisor is, and that ends the process anyway.
            let _ = answer.send(started);
            let served = worker.serve(supervision);
            thread.stop();
            served.map_err(|error| Ended::because(error.exit_code(), &error))
        }
        Err(ended) => {
            let _ = answer.send(Err(Refusal::because(ended.reason.clone())));
            control.flush();
            Err(ended)
        }
    }
}

/// Steps 3 and 4: from grants to confinement.
fn prepare<W: Worker>(
    config: WorkerConfig,
    grants: u16,
    channel: (&GrantsChannel, &Reports),
    control: &Control,
) -> Result<(W, ConfinementReport, WaitingThread), Ended> {
    let wrong = |error: <W::Config as TryFrom<WorkerConfig>>::Error| Ended {
        code: ExitCode::CouldNotStart,
        reason: error.to_string(),
    };
    let config = W::Config::try_from(config).map_err(wrong)?;
    let grants = receive_grants(channel, grants)?;
    let mut worker = W::acquire(config, grants)
        .map_err(|error| Ended::because(ExitCode::CouldNotStart, &error))?;
    let before = worker.policy();
    let (report, waiting) = confine::confine_in_steps(&before, W::WORKER.binary(), || {
        worker.warm();
        worker.start_threads()?;
        Ok((WaitingThread::start()?, worker.policy()))
    })
    .map_err(|error| Ended::because(ExitCode::CouldNotConfine, &error))?;
    control.enter(Phase::Confined);
    Ok((worker, report, waiting))
}

fn receive_grants(channel: (&GrantsChannel, &Reports), count: u16) -> Result<Vec<Grant>, Ended> {
    (0..count).map(|_| receive_grant(channel)).collect()
}

fn receive_grant((channel, reports): (&GrantsChannel, &Reports)) -> Result<Grant, Ended> {
    loop {
        match channel.receive() {
            Ok(received) => {
                let missing = || Ended {
                    code: ExitCode::CouldNotStart,
                    reason: "a grant came without its descriptor".to_owned(),
                };
                return Grant::received(received, reports).ok_or_else(missing);
            }
            Err(ReceiveError::Empty) => fds::wait_readable(channel)
                .map_err(|error| Ended::because(ExitCode::CouldNotStart, &error))?,
            Err(error @ ReceiveError::Closed) => {
                return Err(Ended::because(ExitCode::SupervisorGone, &error));
            }
            Err(error) => return Err(Ended::because(ExitCode::CouldNotStart, &error)),
        }
    }
}

/// Ends the process at once, on any thread, with a line in the log: for what no error value can report,
/// because the thread that would return it does not come back.
pub fn end_now(code: ExitCode, line: &str) -> ! {
    log::write_line(line);
    ffi::exit_now(code)
}

/// Shows a program's name in `ps` and `top`: the supervisor executes it by descriptor, for which
/// the kernel would show a name like "7".
pub fn show_name(program: &str) {
    if let Ok(name) = CString::new(program) {
        // A program works without a name, too.
        let _ = rustix::thread::set_name(&name);
    }
}

thread_local! {
    /// Whether a panic of this thread costs only what [`contain`] runs.
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// A panic on any thread ends the process, unless it is contained: half a worker is worse than a
/// restarted one. The line has no backtrace, because making one opens files, which the policy forbids.
pub fn end_on_panic(program: &'static str) {
    std::panic::set_hook(Box::new(move |panic| {
        let is_contained = CONTAINED.get();
        let cost = if is_contained { ", which costs one connection" } else { "" };
        log::write_line(&format!("{program}: a bug{cost}: {panic}"));
        if !is_contained {
            ffi::exit_now(ExitCode::Panicked);
        }
    }));
}

/// What was run has panicked.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a bug was met")]
pub struct Panicked;

/// Runs something whose panic is to cost nothing but what it works on: a library that parses what a
/// stranger wrote, for one connection of many. The caller drops what it works on after a panic.
///
/// # Errors
/// [`Panicked`].
pub fn contain<T>(run: impl FnOnce() -> T) -> Result<T, Panicked> {
    let before = CONTAINED.replace(true);
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(run));
    CONTAINED.set(before);
    outcome.map_err(|_| Panicked)
}

/// An error and its causes, as one sentence.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut sentence = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        sentence.push_str(": ");
        sentence.push_str(&cause.to_string());
        next = cause.source();
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contained_panic_costs_what_ran_and_later_ones_are_not_contained() {
        assert!(contain(|| panic!("of a library")).is_err());
        assert_eq!(contain(|| 7).ok(), Some(7));
        assert!(!CONTAINED.get());
    }

    #[test]
    fn chain_names_every_cause() {
        let error = StartError::caused("cannot open the encoder", io::Error::other("no memory"));
        assert_eq!(chain(&error), "cannot open the encoder: no memory");
    }
}
