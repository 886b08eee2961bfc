//! What a serving worker sees of its supervisor: later grants and the wish to drain, as events on
//! a descriptor its event loop can poll; and the control thread that brings them.

use std::{
    collections::VecDeque,
    fmt, io,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use lumen_ipc::{
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
    signalling,
};
use crate::{
    AsyncChannel, channel::ReceiveError, ffi, link_end::Reports, metrics::Registry, wake::Waker,
};

/// A worker's view of its supervisor. Its descriptor is readable while [`Supervision::next`] has
/// something.
#[derive(Debug)]
pub struct Supervision {
    events: Events,
    shared: Arc<Shared>,
    handle: Handle,
}

/// What a supervisor tells a serving worker.
#[derive(Debug)]
pub enum SupervisorEvent {
    /// Finish what is begun, take nothing new, and return from `serve`.
    Drain,
    /// A descriptor. A link end replaces the one of its name, whose other side is gone.
    Granted(Grant),
}

impl Supervision {
    /// The next event, if there is one.
    #[must_use]
    pub fn next(&self) -> Option<SupervisorEvent> {
        self.events.pop()
    }

    /// Where the media socket can be reached, if that has changed since this was last asked; only rtc is
    /// told. It must ask whenever its descriptor was readable.
    #[must_use]
    pub fn new_candidates(&self) -> Option<Vec<SocketAddr>> {
        self.events.take_candidates()
    }

    /// Sets what `lumen status` shows for this worker; cut at 256 bytes.
    pub fn set_summary(&self, text: impl Into<String>) {
        self.shared.summarise(Text::truncated(text));
    }

    /// The same for a main thread that runs on tokio; call it inside its runtime.
    ///
    /// # Errors
    /// What epoll says.
    pub fn into_async(self) -> io::Result<AsyncSupervision> {
        let wakes = ffi::watch_waker(self.events.waker.clone())?;
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
        self.events.waker.as_fd()
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

/// Events on their way from the control thread to the main thread.
///
/// INVARIANT: the waker is readable exactly while the queue is not empty: both change under the
/// queue's lock.
#[derive(Clone)]
pub(super) struct Events {
    queue: Arc<Mutex<Queue>>,
    waker: Waker,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<SupervisorEvent>,
    /// The newest only: older ones mean nothing any more.
    candidates: Option<Vec<SocketAddr>>,
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.candidates.is_none()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("waiting", &self.queue().waiting.len()).finish()
    }
}

impl Events {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { queue: Arc::default(), waker: Waker::new()? })
    }

    /// Asks the worker to drain. Never refused: it comes once.
    pub(super) fn drain(&self) {
        let mut queue = self.queue();
        queue.waiting.push_back(SupervisorEvent::Drain);
        self.waker.wake();
    }

    /// Replaces candidates that the worker has not asked for yet.
    pub(super) fn set_candidates(&self, candidates: Vec<SocketAddr>) {
        let mut queue = self.queue();
        queue.candidates = Some(candidates);
        self.waker.wake();
    }

    fn take_candidates(&self) -> Option<Vec<SocketAddr>> {
        let mut queue = self.queue();
        let candidates = queue.candidates.take()?;
        if queue.is_empty() {
            self.waker.acknowledge();
        }
        Some(candidates)
    }

    /// Adds a grant, in place of one of the same kind that still waits: so no more wait than there
    /// are kinds, however late the worker looks, and it takes the newest of each.
    fn grant(&self, grant: Grant) {
        let mut queue = self.queue();
        queue.waiting.retain(|event| {
            !matches!(event, SupervisorEvent::Granted(older) if replaces(grant.what, older.what))
        });
        queue.waiting.push_back(SupervisorEvent::Granted(grant));
        self.waker.wake();
    }

    fn pop(&self) -> Option<SupervisorEvent> {
        let mut queue = self.queue();
        let event = queue.waiting.pop_front();
        if queue.is_empty() {
            self.waker.acknowledge();
        }
        event
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a grant makes an older one worthless.
fn replaces(newer: ToWorker, older: ToWorker) -> bool {
    match (newer, older) {
        (ToWorker::LinkEnd { link, .. }, ToWorker::LinkEnd { link: other, .. }) => link == other,
        (
            ToWorker::SignallingEnd { session, .. },
            ToWorker::SignallingEnd { session: other, .. },
        ) => session == other,
        (newer, older) => newer == older,
    }
}

/// The thread that serves `control` and takes grants while the main thread serves peers. Stopped
/// and joined on drop.
#[derive(Debug)]
pub(super) struct ControlThread {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ControlThread {
    /// Starts it; the worker is ready from here on.
    pub(super) fn start(
        control: Control,
        grants: GrantsChannel,
        (reports, made): (Reports, mpsc::UnboundedReceiver<ToSupervisor>),
        registry: Registry,
    ) -> io::Result<(Self, Supervision)> {
        let events = Events::new()?;
        let grants = Arc::new(grants);
        signalling::open(reports.clone());
        let shared = control.shared();
        shared.serve(registry, events.clone());
        let handle = control.runtime().handle().clone();
        let supervision = Supervision { events: events.clone(), shared, handle };
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name("control".to_owned()).spawn(move || {
            control.runtime().block_on(async {
                tokio::spawn(serve_grants(grants, events, reports, made));
                // A dropped sender stops it like a used one.
                let _ = stopped.await;
                flush().await;
            });
        })?;
        Ok((Self { stop: Some(stop), thread: Some(thread) }, supervision))
    }

    /// Lets it finish the replies it has begun, and waits for it.
    pub(super) fn stop(self) {
        drop(self);
    }
}

impl Drop for ControlThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic on it has ended the process already.
            let _ = thread.join();
        }
    }
}

/// Takes grants and sends reports until the supervisor's end closes.
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
        // The supervisor itself broke the contract, or the kernel did: nothing to go on with.
        error!("no more grants can be taken: {}", super::chain(&error));
        ffi::exit_now(ExitCode::PeerViolation)
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
            // The control link ends with it, and ends the process.
            Err(ReceiveError::PeerGone) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Waits while the supervisor is behind: a report that is lost is a link that stays lost.
async fn send_reports(grants: &AsyncGrants, mut made: mpsc::UnboundedReceiver<ToSupervisor>) {
    while let Some(report) = made.recv().await {
        if let Err(error) = grants.send(&report, &[]).await {
            // A supervisor that is gone ends the process by its control link.
            debug!(%error, "a link cannot be reported");
        }
    }
}

#[cfg(test)]
mod tests {
    use lumen_ipc::link::{Generation, LinkName};

    use super::*;
    use crate::fds::readable_now;

    #[test]
    fn events_are_readable_exactly_while_some_wait() {
        let events = Events::new().expect("eventfd");
        events.drain();
        events.drain();
        assert!(matches!(events.pop(), Some(SupervisorEvent::Drain)));
        assert!(readable_now(&events.waker).expect("poll"));
        assert!(events.pop().is_some());
        assert!(!readable_now(&events.waker).expect("poll"));
        assert!(events.pop().is_none());
    }

    fn waiting(events: &Events) -> Vec<ToWorker> {
        let granted = std::iter::from_fn(|| events.pop());
        let what = granted.filter_map(|event| match event {
            SupervisorEvent::Granted(grant) => Some(grant.what),
            SupervisorEvent::Drain => None,
        });
        what.collect()
    }

    fn end(link: LinkName, generation: u32) -> ToWorker {
        ToWorker::LinkEnd { link, generation: Generation(generation) }
    }

    #[test]
    fn candidates_are_the_newest_and_readable_until_they_are_taken() {
        let events = Events::new().expect("eventfd");
        let candidates = |port| vec![SocketAddr::from(([192, 0, 2, 1], port))];
        events.set_candidates(candidates(1));
        events.set_candidates(candidates(2));
        assert!(readable_now(&events.waker).expect("poll") && events.pop().is_none());
        assert!(readable_now(&events.waker).expect("poll"), "still to be taken");
        assert_eq!(events.take_candidates(), Some(candidates(2)));
        assert!(!readable_now(&events.waker).expect("poll"));
        assert_eq!(events.take_candidates(), None);
    }

    #[test]
    fn grants_of_a_worker_that_does_not_look_are_replaced_by_the_newest_of_each_link() {
        let events = Events::new().expect("eventfd");
        let (reports, _) = Reports::new();
        for generation in 1..=1000 {
            for link in [LinkName::Frames, LinkName::Tuning] {
                let descriptor = events.waker.as_fd().try_clone_to_owned().expect("dup");
                let what = end(link, generation);
                events.grant(Grant { what, descriptor, reports: reports.clone() });
            }
        }
        assert_eq!(waiting(&events), [end(LinkName::Frames, 1000), end(LinkName::Tuning, 1000)]);
    }
}
