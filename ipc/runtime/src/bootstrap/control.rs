//! The worker's side of the `control` link: how each request is answered in each phase.
//!
//! The main thread drives it until `start`, the control thread afterwards. A request that
//! [`Phase::permits`] rejects is refused with the phase in the reason.

use std::{
    io,
    net::SocketAddr,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::StreamExt;
use lumen_ipc::{
    PROTO_HASH,
    lease::{Lease, LeaseRights},
    phase::{Phase, Request},
    process::{ExitCode, Worker as WorkerName},
    service::{self, ConfinementReport, Hello, Metric, Refusal, WorkerConfig, WorkerStatus},
    text::Text,
};
use tarpc::{
    context::Context,
    server::{BaseChannel, Channel},
};
use tokio::{
    runtime::Runtime,
    sync::{mpsc, oneshot},
};
use tracing::{info, warn};

use super::{Ended, Worker, events::Events, process_metrics::ProcessMetrics};
use crate::{ffi, log, metrics::Registry, rpc};

/// The answer to `start`.
pub(super) type Started = Result<ConfinementReport, Refusal>;

/// The control link and the runtime that drives it.
#[derive(Debug)]
pub(super) struct Control {
    runtime: Runtime,
    shared: Arc<Shared>,
    orders: mpsc::Receiver<Order>,
}

/// An order for the main thread before it serves.
#[derive(Debug)]
enum Order {
    Start(Box<StartOrder>),
    /// End: the supervisor is of another build, or took this worker for another.
    End(String),
}

/// A `start` request, which is answered when the worker is ready or has failed to start.
#[derive(Debug)]
pub(super) struct StartOrder {
    pub(super) config: WorkerConfig,
    pub(super) grants: u16,
    pub(super) answer: oneshot::Sender<Started>,
}

/// State shared by the request handlers.
#[derive(Debug)]
pub(super) struct Shared {
    worker: WorkerName,
    filter: log::Filter,
    orders: mpsc::Sender<Order>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    greeted: bool,
    config: Option<WorkerConfig>,
    summary: Text<256>,
    serving: Option<Serving>,
}

/// State that exists only while the worker serves.
#[derive(Debug)]
struct Serving {
    registry: Registry,
    process: ProcessMetrics,
    events: Events,
}

impl Control {
    /// Serves `socket` once the runtime is driven.
    pub(super) fn new<W: Worker>(socket: OwnedFd, filter: log::Filter) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (sender, orders) = mpsc::channel(1);
        let state = State {
            phase: Phase::Starting,
            greeted: false,
            config: None,
            summary: Text::default(),
            serving: None,
        };
        let shared = Arc::new(Shared {
            worker: W::WORKER,
            filter,
            orders: sender,
            state: Mutex::new(state),
        });
        let transport = {
            let _entered = runtime.enter();
            rpc::transport(socket)?
        };
        let server = Server(Arc::clone(&shared));
        runtime.spawn(async move {
            let requests =
                BaseChannel::with_defaults(transport).execute(service::Control::serve(server));
            requests.for_each(|request| async { drop(tokio::spawn(request)) }).await;
            info!("the supervisor closed the control link");
            ffi::exit_now(ExitCode::SupervisorGone)
        });
        Ok(Self { runtime, shared, orders })
    }

    /// Serves until `start` is requested.
    pub(super) fn until_start(mut self) -> Result<(Self, StartOrder), Ended> {
        match self.runtime.block_on(self.orders.recv()) {
            Some(Order::Start(order)) => Ok((self, *order)),
            Some(Order::End(reason)) => {
                self.flush();
                Err(Ended { code: ExitCode::WrongBuild, reason })
            }
            // `shared` holds a sender, so the queue cannot close.
            None => Err(Ended { code: ExitCode::Failed, reason: "no order came".to_owned() }),
        }
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.shared.state().phase = phase;
    }

    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    pub(super) const fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Sends the replies that are ready.
    pub(super) fn flush(&self) {
        self.runtime.block_on(flush());
    }
}

/// Yields to the task that makes a reply and to the one that writes it. The socket's buffer has
/// room for it, because the supervisor asks one thing at a time.
pub(super) async fn flush() {
    for _ in 0..16 {
        tokio::task::yield_now().await;
    }
}

impl Shared {
    /// From here on `metrics` and `drain` reach the worker.
    pub(super) fn serve(&self, registry: Registry, events: Events) {
        let process = ProcessMetrics::new(&registry);
        let mut state = self.state();
        state.serving = Some(Serving { registry, process, events });
        state.phase = Phase::Ready;
    }

    pub(super) fn summarise(&self, summary: Text<256>) {
        self.state().summary = summary;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn permitted(&self, request: Request) -> Result<MutexGuard<'_, State>, Refusal> {
        let state = self.state();
        if state.phase.permits(request) {
            return Ok(state);
        }
        let refusal = format!("{request:?} is not answered while {}", state.phase);
        warn!("{refusal}");
        Err(Refusal::because(refusal))
    }

    fn greet(&self, caller: Hello) -> Result<Hello, Refusal> {
        let mut state = self.permitted(Request::Hello)?;
        let own = Hello { proto_hash: PROTO_HASH, worker: self.worker };
        if caller != own {
            let reason = format!("the supervisor expects {caller:?}, this is {own:?}");
            // A full queue holds an earlier order to end.
            let _ = self.orders.try_send(Order::End(reason.clone()));
            return Err(Refusal::because(reason));
        }
        state.greeted = true;
        Ok(own)
    }

    fn configure(&self, config: WorkerConfig, filter: &str) -> Result<(), Refusal> {
        let mut state = self.permitted(Request::Configure)?;
        if !state.greeted {
            return Err(Refusal::because("configure is not answered before hello"));
        }
        if config.worker() != self.worker {
            let reason = format!("a configuration for {} reached {}", config.worker(), self.worker);
            return Err(Refusal::because(reason));
        }
        self.filter.replace(filter).map_err(|error| Refusal::because(super::chain(&error)))?;
        state.config = Some(config);
        state.phase = Phase::Granted;
        Ok(())
    }

    fn order_start(&self, grants: u16) -> Result<oneshot::Receiver<Started>, Refusal> {
        let mut state = self.permitted(Request::Start)?;
        let config = state.config.take().ok_or_else(|| Refusal::because("already starting"))?;
        let (answer, started) = oneshot::channel();
        self.orders
            .try_send(Order::Start(Box::new(StartOrder { config, grants, answer })))
            .map_err(|_| Refusal::because("this worker is ending"))?;
        Ok(started)
    }

    /// Passes a change on to the worker, if it is the one that the change is for.
    fn change(&self, of: WorkerName, pass_on: impl FnOnce(&Events)) -> Result<(), Refusal> {
        let state = self.permitted(Request::Change)?;
        if self.worker != of {
            return Err(Refusal::because(format!(
                "this change is for {of}, not for {}",
                self.worker
            )));
        }
        if let Some(serving) = &state.serving {
            pass_on(&serving.events);
        }
        Ok(())
    }

    /// Asks the loop that serves for a sign of life; `None` when there is no such loop.
    fn ask_for_sign(&self) -> Option<oneshot::Receiver<()>> {
        self.state().serving.as_ref().map(|serving| serving.events.ask_for_sign())
    }

    fn drain(&self) -> Result<(), Refusal> {
        let mut state = self.permitted(Request::Drain)?;
        if state.phase == Phase::Ready {
            state.phase = Phase::Draining;
            if let Some(serving) = &state.serving {
                serving.events.drain();
            }
        }
        Ok(())
    }
}

#[derive(Clone, Debug)]
struct Server(Arc<Shared>);

impl service::Control for Server {
    async fn hello(self, _: Context, caller: Hello) -> Result<Hello, Refusal> {
        self.0.greet(caller)
    }

    async fn configure(
        self,
        _: Context,
        config: WorkerConfig,
        log: Text<128>,
    ) -> Result<(), Refusal> {
        self.0.configure(config, log.as_str())
    }

    async fn start(self, _: Context, grants: u16) -> Started {
        let started = self.0.order_start(grants)?;
        // The sender is dropped only on the way to the process's end.
        started.await.unwrap_or_else(|_| Err(Refusal::because("this worker is ending")))
    }

    async fn set_candidates(self, _: Context, candidates: Vec<SocketAddr>) -> Result<(), Refusal> {
        self.0.change(WorkerName::Rtc, |events| events.set_candidates(candidates))
    }

    async fn set_leases(self, _: Context, leases: Vec<Lease>) -> Result<(), Refusal> {
        self.0.change(WorkerName::Compositor, |events| events.set_leases(leases))
    }

    async fn set_rights(self, _: Context, rights: Vec<LeaseRights>) -> Result<(), Refusal> {
        self.0.change(WorkerName::Rtc, |events| events.set_rights(rights))
    }

    async fn status(self, _: Context) -> WorkerStatus {
        let state = self.0.state();
        WorkerStatus { phase: state.phase, summary: state.summary.clone() }
    }

    async fn metrics(self, _: Context) -> Vec<Metric> {
        let state = self.0.state();
        state.serving.as_ref().map_or_else(Vec::new, |serving| {
            serving.process.refresh();
            serving.registry.snapshot()
        })
    }

    async fn drain(self, _: Context) -> Result<(), Refusal> {
        self.0.drain()
    }

    async fn alive(self, _: Context) {
        if let Some(sign) = self.0.ask_for_sign() {
            // It fails only when the worker has stopped serving.
            let _ = sign.await;
        }
    }
}
