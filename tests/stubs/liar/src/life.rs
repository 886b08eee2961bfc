//! A liar's life: a worker's, in which a test decides what happens.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::PathBuf,
    process::ExitCode as ProcessExitCode,
    sync::OnceLock,
};

use lumen_ipc::{
    message::grants::ToWorker,
    process::{ExitCode, Worker as WorkerName},
    service::WorkerConfig,
};
use lumen_ipc_runtime::{
    bootstrap::{self, Grant, ServeError, StartError, Supervision, SupervisorEvent, Worker},
    confine::Policy,
    metrics::Registry,
};
use rustix::event::{PollFd, PollFlags, poll};

use crate::{
    attempt::{make, make_in_child},
    ffi,
    order::{Answer, Held, Order, Tried},
    wire::Wire,
};

/// Where a worker finds its `control` and `grants` sockets at exec.
const INHERITED: [i32; 2] = [3, 4];

/// What [`live`] was called with: the trait that a worker implements has no room for it.
static PART: OnceLock<Part> = OnceLock::new();

#[derive(Debug)]
struct Part {
    policy: fn() -> Policy,
    entrance: PathBuf,
}

/// Lives as `worker`.
pub(crate) fn live(
    worker: WorkerName,
    policy: fn() -> Policy,
    entrance: PathBuf,
) -> ProcessExitCode {
    // Set once: a process lives once.
    let _ = PART.set(Part { policy, entrance });
    match WorkerName::ALL.into_iter().position(|other| other == worker) {
        Some(0) => bootstrap::run::<Liar<0>>(),
        Some(1) => bootstrap::run::<Liar<1>>(),
        Some(2) => bootstrap::run::<Liar<2>>(),
        Some(3) => bootstrap::run::<Liar<3>>(),
        Some(4) => bootstrap::run::<Liar<4>>(),
        Some(5) => bootstrap::run::<Liar<5>>(),
        Some(6) => bootstrap::run::<Liar<6>>(),
        Some(_) | None => ProcessExitCode::from(ExitCode::NotSupervised),
    }
}

struct Liar<const INDEX: usize> {
    wire: Wire,
    held: Vec<(ToWorker, OwnedFd)>,
}

impl<const INDEX: usize> Worker for Liar<INDEX> {
    const WORKER: WorkerName = WorkerName::ALL[INDEX];
    type Config = WorkerConfig;

    fn acquire(_: WorkerConfig, grants: Vec<Grant>) -> Result<Self, StartError> {
        let part = PART.get().ok_or_else(|| StartError::new("no part to play"))?;
        let wire = Wire::connect(&part.entrance)
            .map_err(|error| StartError::caused("cannot connect to the test", error))?;
        let held = grants.into_iter().map(|grant| (grant.what, grant.descriptor)).collect();
        let liar = Self { wire, held };
        liar.prepare(part.policy)?;
        Ok(liar)
    }

    /// Names that would steer a terminal, and numbers as large as they get.
    fn metrics(&self) -> Registry {
        let registry = Registry::default();
        registry.gauge("\u{1b}[2Jlies_bytes").set(i64::MIN);
        registry.gauge("\u{202e}lies_kbps").set(i64::MAX);
        registry.counter("lies_total").add(u64::MAX);
        let histogram = registry.histogram("lies_microseconds");
        histogram.record(u64::MAX);
        histogram.record(0);
        registry
    }

    fn policy(&self) -> Policy {
        PART.get().map_or_else(Policy::base, |part| (part.policy)())
    }

    fn serve(mut self, supervision: Supervision) -> Result<(), ServeError> {
        let broken = |error| ServeError::caused("the test cannot be heard", error);
        self.wire.send(&Answer::Done, &[]).map_err(broken)?;
        let mut ordered = true;
        loop {
            let mut sources = vec![PollFd::new(&supervision, PollFlags::IN)];
            if ordered {
                sources.push(PollFd::new(&self.wire, PollFlags::IN));
            }
            poll(&mut sources, None)
                .map_err(|error| ServeError::caused("cannot wait", std::io::Error::from(error)))?;
            let has_order = sources.get(1).is_some_and(|wire| !wire.revents().is_empty());
            while let Some(event) = supervision.next() {
                match event {
                    SupervisorEvent::Drain => return Ok(()),
                    SupervisorEvent::Granted(grant) => {
                        self.held.push((grant.what, grant.descriptor));
                    }
                }
            }
            if has_order {
                // Without a test it goes on as an idle worker.
                ordered = self.obey(&supervision).map_err(broken)?;
            }
        }
    }
}

impl<const INDEX: usize> Liar<INDEX> {
    /// Makes attempts until it is to confine itself.
    fn prepare(&self, policy: fn() -> Policy) -> Result<(), StartError> {
        let broken = |error| StartError::caused("the test cannot be heard", error);
        loop {
            match self.wire.receive().map_err(broken)? {
                Some((Order::Attempt(calls), _)) => {
                    let tried = make_in_child(&calls, Some(policy))
                        .map_err(|error| StartError::caused("cannot make an attempt", error))?;
                    self.wire.send(&Answer::Tried(tried), &[]).map_err(broken)?;
                }
                Some((Order::Lend, _)) => {
                    self.wire.send(&Answer::Held(self.inventory()), &[]).map_err(broken)?;
                }
                Some((Order::Confine, _)) => return Ok(()),
                Some((order, _)) => {
                    return Err(StartError::new(format!("too early for {order:?}")));
                }
                None => return Err(StartError::new("the test has gone")),
            }
        }
    }

    /// Obeys one order; false when the test has gone.
    fn obey(&self, supervision: &Supervision) -> std::io::Result<bool> {
        let Some((order, _)) = self.wire.receive()? else { return Ok(false) };
        match order {
            Order::Lend => {
                let held = self.inventory();
                // The sockets at these numbers belong to the control thread, which lives as long as the
                // process.
                let inherited = INHERITED.map(ffi::borrowed);
                let granted = self.held.iter().map(|(_, descriptor)| descriptor.as_fd());
                let all: Vec<BorrowedFd<'_>> = inherited.into_iter().chain(granted).collect();
                self.wire.send(&Answer::Held(held), &all)?;
            }
            Order::Make(calls) => {
                let mut results = Vec::new();
                for call in &calls {
                    let result = make(call, &results);
                    results.push(result);
                }
                self.wire.send(&Answer::Tried(Tried { results, ended: None }), &[])?;
            }
            Order::Summarise(summary) => {
                supervision.set_summary(summary);
                self.wire.send(&Answer::Done, &[])?;
            }
            // Too late: the process has threads.
            Order::Attempt(_) | Order::Confine => return Ok(false),
        }
        Ok(true)
    }

    fn inventory(&self) -> Vec<Held> {
        let inherited = INHERITED.map(|number| Held { number, grant: None });
        let granted = self.held.iter().map(|(grant, descriptor)| Held {
            number: std::os::fd::AsRawFd::as_raw_fd(descriptor),
            grant: Some(*grant),
        });
        inherited.into_iter().chain(granted).collect()
    }
}
