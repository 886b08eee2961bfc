//! A serving worker's view of its supervisor: later grants and the order to drain, as events on a
//! descriptor that its event loop polls; and the control thread that receives them.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd},
    sync::{Arc, mpsc as std_mpsc},
    thread::{self, JoinHandle},
};

use lumen_ipc::{
    lease::{Lease, LeaseRights},
    message::grants::{ToSupervisor, ToWorker},
    process::ExitCode,
    text::Text,
};
use tokio::{
    io::unix::AsyncFd,
    runtime::Handle,
    sync::{mpsc, oneshot},
};
use tracing::{debug, error};

use super::{
    Grant, GrantsChannel,
    control::{Control, Shared, flush},
    events::{Events, SupervisorEvent},
};
use crate::{
    AsyncChannel, channel::ReceiveError, ffi, link_end::Reports, metrics::Registry, wake::Waker,
};

/// A worker's view of its supervisor. Its descriptor is readable while [`Supervision::next`]
/// returns something.
#[derive(Debug)]
pub struct Supervision {
    events: Events,
    shared: Arc<Shared>,
    handle: Handle,
    reports: Reports,
}

impl Supervision {
    /// The next event, if one is waiting. Calling this is the sign of life that the supervisor asks for:
    /// only the loop that serves may, and it must whenever the descriptor is readable.
    #[must_use]
    pub fn next(&self) -> Option<SupervisorEvent> {
        self.events.pop()
    }

    /// The addresses at which the media socket can be reached, if they changed since the last call;
    /// only rtc receives them, and it must call this whenever the descriptor was readable.
    #[must_use]
    pub fn new_candidates(&self) -> Option<Vec<SocketAddr>> {
        self.events.take_candidates()
    }

    /// All leases of the session, if they changed since the last call; only the compositor receives
    /// them, and it must call this whenever the descriptor was readable.
    #[must_use]
    pub fn new_leases(&self) -> Option<Vec<Lease>> {
        self.events.take_leases()
    }

    /// The rights of all leases of the session, if they changed since the last call; only rtc receives
    /// them, and it must call this whenever the descriptor was readable.
    #[must_use]
    pub fn new_rights(&self) -> Option<Vec<LeaseRights>> {
        self.events.take_rights()
    }

    /// Sets the summary that `lumen status` shows for this worker; cut at 256 bytes.
    pub fn set_summary(&self, text: impl Into<String>) {
        self.shared.summarise(Text::truncated(text));
    }

    /// Says that a viewer acts, whose input counts.
    pub fn tell_viewer_acts(&self) {
        self.reports.send(ToSupervisor::ViewerActs);
    }

    /// Asks for the connection to the sound server that this worker does not have.
    pub fn want_sound_server(&self) {
        self.reports.send(ToSupervisor::SoundServerWanted);
    }

    /// Says that this worker has made the sink.
    pub fn tell_sink_made(&self) {
        self.reports.send(ToSupervisor::SoundSinkMade);
    }

    /// Says that what programs play goes to the sink.
    pub fn tell_sink_ready(&self) {
        self.reports.send(ToSupervisor::SoundSinkReady);
    }

    /// Converts it for a main thread that runs on tokio; call it inside that runtime.
    ///
    /// # Errors
    /// The error of epoll.
    pub fn into_async(self) -> io::Result<AsyncSupervision> {
        let wakes = ffi::watch_waker(self.events.waker())?;
        Ok(AsyncSupervision { supervision: self, wakes })
    }

    /// The control thread's runtime, for the RPC links of this worker. It has one thread, which
    /// must not block.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl AsFd for Supervision {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

/// A [`Supervision`] whose events are awaited.
#[derive(Debug)]
pub struct AsyncSupervision {
    supervision: Supervision,
    wakes: AsyncFd<Waker>,
}

impl AsyncSupervision {
    /// Waits for the next event. Dropping the future loses none.
    ///
    /// # Errors
    /// When the runtime is shutting down.
    pub async fn next(&self) -> io::Result<SupervisorEvent> {
        loop {
            let mut ready = self.wakes.readable().await?;
            match self.supervision.next() {
                Some(event) => return Ok(event),
                None => ready.clear_ready(),
            }
        }
    }

    /// As [`Supervision::set_summary`].
    pub fn set_summary(&self, text: impl Into<String>) {
        self.supervision.set_summary(text);
    }
}

/// What a thread is to do.
type Task = Box<dyn FnOnce() + Send>;

/// The thread that will serve `control`. It is started before the filter, which lets no thread be
/// started, and waits for its task; without one it ends.
#[derive(Debug)]
pub(super) struct WaitingThread {
    task: std_mpsc::Sender<Task>,
    thread: JoinHandle<()>,
}

impl WaitingThread {
    /// Starts the thread; returns when it runs, because its first calls are forbidden later.
    pub(super) fn start() -> io::Result<Self> {
        let (task, tasks) = std_mpsc::channel::<Task>();
        let (says, runs) = std_mpsc::channel();
        let thread = thread::Builder::new().name("control".to_owned()).spawn(move || {
            // A starter that does not wait has failed.
            let _ = says.send(());
            if let Ok(task) = tasks.recv() {
                task();
            }
        })?;
        runs.recv().map_err(io::Error::other)?;
        Ok(Self { task, thread })
    }

    /// Gives the thread its task; from here on the worker is ready.
    pub(super) fn serve(
        self,
        control: Control,
        grants: GrantsChannel,
        (reports, made): (Reports, mpsc::UnboundedReceiver<ToSupervisor>),
        registry: Registry,
    ) -> io::Result<(ControlThread, Supervision)> {
        let events = Events::new()?;
        let grants = Arc::new(grants);
        let shared = control.shared();
        shared.serve(registry, events.clone());
        let handle = control.runtime().handle().clone();
        let supervision =
            Supervision { events: events.clone(), shared, handle, reports: reports.clone() };
        let (stop, stopped) = oneshot::channel::<()>();
        let task: Task = Box::new(move || {
            control.runtime().block_on(async {
                tokio::spawn(serve_grants(grants, events, reports, made));
                // A dropped sender stops the thread like a used one.
                let _ = stopped.await;
                flush().await;
            });
        });
        self.task.send(task).map_err(|_| io::Error::other("the thread of control has ended"))?;
        Ok((ControlThread { stop: Some(stop), thread: Some(self.thread) }, supervision))
    }
}

/// The thread that serves `control` and receives grants while the main thread serves other links.
/// Stopped and joined on drop.
#[derive(Debug)]
pub(super) struct ControlThread {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ControlThread {
    /// Lets the thread finish the replies it has begun, and joins it.
    pub(super) fn stop(self) {
        drop(self);
    }
}

impl Drop for ControlThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic on it has already ended the process.
            let _ = thread.join();
        }
    }
}

/// Receives grants and sends reports until the supervisor closes its end.
async fn serve_grants(
    grants: Arc<GrantsChannel>,
    events: Events,
    reports: Reports,
    made: mpsc::UnboundedReceiver<ToSupervisor>,
) {
    let served = async {
        let grants = AsyncChannel::new(grants).map_err(ReceiveError::Io)?;
        tokio::select! {
            ended = forward_grants(&grants, &events, &reports) => ended,
            () = send_reports(&grants, made) => Ok(()),
        }
    };
    if let Err(error) = served.await {
        // The supervisor broke the contract, or the kernel failed: the worker cannot continue.
        error!("cannot receive grants any more: {}", super::chain(&error));
        ffi::exit_now(ExitCode::LinkViolation)
    }
}

type AsyncGrants = AsyncChannel<ToWorker, ToSupervisor>;

async fn forward_grants(
    grants: &AsyncGrants,
    events: &Events,
    reports: &Reports,
) -> Result<(), ReceiveError> {
    loop {
        match grants.receive().await {
            Ok(received) => {
                if let Some(grant) = Grant::received(received, reports) {
                    events.grant(grant);
                }
            }
            // The control link closes at the same time, and that ends the process.
            Err(ReceiveError::Closed) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Waits while the supervisor is behind, because a lost report would leave a link closed for good.
async fn send_reports(grants: &AsyncGrants, mut made: mpsc::UnboundedReceiver<ToSupervisor>) {
    while let Some(report) = made.recv().await {
        if let Err(error) = grants.send(&report, &[]).await {
            // If the supervisor is gone, the control link ends the process.
            debug!(%error, "cannot report a closed link");
        }
    }
}
