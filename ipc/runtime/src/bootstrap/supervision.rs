//! A serving worker's view of its supervisor: later grants and the order to drain, as events on a
//! descriptor that its event loop polls; and the control thread that receives them.

use std::{
    collections::VecDeque,
    fmt, io,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc as std_mpsc},
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

/// An event from the supervisor.
#[derive(Debug)]
pub enum SupervisorEvent {
    /// Finish what has begun, accept nothing new, and return from `serve`.
    Drain,
    /// A descriptor. A link end replaces the previous one of its name, whose other side is closed.
    Granted(Grant),
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
        self.events.take(|queue| &mut queue.candidates)
    }

    /// All leases of the session, if they changed since the last call; only the compositor receives
    /// them, and it must call this whenever the descriptor was readable.
    #[must_use]
    pub fn new_leases(&self) -> Option<Vec<Lease>> {
        self.events.take(|queue| &mut queue.leases)
    }

    /// The rights of all leases of the session, if they changed since the last call; only rtc receives
    /// them, and it must call this whenever the descriptor was readable.
    #[must_use]
    pub fn new_rights(&self) -> Option<Vec<LeaseRights>> {
        self.events.take(|queue| &mut queue.rights)
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

/// Most granted connections that wait until the worker looks.
const MOST_CONNECTIONS: usize = 64;

#[derive(Default)]
struct Queue {
    waiting: VecDeque<SupervisorEvent>,
    /// Only the newest ones; older ones are obsolete. So are older leases and rights.
    candidates: Option<Vec<SocketAddr>>,
    /// Who waits for a sign of life.
    signs: Vec<oneshot::Sender<()>>,
    leases: Option<Vec<Lease>>,
    rights: Option<Vec<LeaseRights>>,
}

impl Queue {
    fn is_empty(&self) -> bool {
        let changes = self.candidates.is_some() || self.leases.is_some() || self.rights.is_some();
        self.waiting.is_empty() && !changes && self.signs.is_empty()
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

    /// Asks the worker to drain. Never refused, because it happens once.
    pub(super) fn drain(&self) {
        let mut queue = self.queue();
        queue.waiting.push_back(SupervisorEvent::Drain);
        self.waker.wake();
    }

    /// Replaces candidates that the worker has not taken yet.
    pub(super) fn set_candidates(&self, candidates: Vec<SocketAddr>) {
        let mut queue = self.queue();
        queue.candidates = Some(candidates);
        self.waker.wake();
    }

    /// Asks the main thread for a sign of life, which it gives when it next looks for events.
    pub(super) fn ask_for_sign(&self) -> oneshot::Receiver<()> {
        let (sign, given) = oneshot::channel();
        let mut queue = self.queue();
        // The supervisor asks again when it has given up waiting.
        queue.signs.retain(|sign| !sign.is_closed());
        queue.signs.push(sign);
        self.waker.wake();
        given
    }

    /// Replaces leases that the worker has not taken yet.
    pub(super) fn set_leases(&self, leases: Vec<Lease>) {
        let mut queue = self.queue();
        queue.leases = Some(leases);
        self.waker.wake();
    }

    /// Replaces rights that the worker has not taken yet.
    pub(super) fn set_rights(&self, rights: Vec<LeaseRights>) {
        let mut queue = self.queue();
        queue.rights = Some(rights);
        self.waker.wake();
    }

    /// Takes a change.
    fn take<Change>(
        &self,
        which: impl FnOnce(&mut Queue) -> &mut Option<Change>,
    ) -> Option<Change> {
        let mut queue = self.queue();
        let change = which(&mut queue).take()?;
        if queue.is_empty() {
            self.waker.acknowledge();
        }
        Some(change)
    }

    /// Queues a grant and drops a waiting one of the same kind. So at most one of each kind waits,
    /// however late the worker looks, and the worker gets the newest. Only connections all count, so of those a
    /// few wait, and more are closed.
    fn grant(&self, grant: Grant) {
        let mut queue = self.queue();
        if is_connection(&grant.what) {
            let connections = queue.waiting.iter().filter(|event| {
                matches!(event, SupervisorEvent::Granted(waiting) if is_connection(&waiting.what))
            });
            if connections.count() >= MOST_CONNECTIONS {
                return;
            }
        }
        queue.waiting.retain(|event| {
            !matches!(event, SupervisorEvent::Granted(older) if replaces(grant.what, older.what))
        });
        queue.waiting.push_back(SupervisorEvent::Granted(grant));
        self.waker.wake();
    }

    fn pop(&self) -> Option<SupervisorEvent> {
        let mut queue = self.queue();
        for sign in queue.signs.drain(..) {
            // Nobody waits for it any more.
            let _ = sign.send(());
        }
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

/// Whether it is one of many that are granted one by one.
fn is_connection(what: &ToWorker) -> bool {
    matches!(what, ToWorker::ProxyConnection { .. })
}

/// Whether `newer` makes `older` useless.
fn replaces(newer: ToWorker, older: ToWorker) -> bool {
    match (newer, older) {
        (ToWorker::ProxyConnection { .. }, _) => false,
        (ToWorker::LinkEnd { link, .. }, ToWorker::LinkEnd { link: other, .. }) => link == other,
        (
            ToWorker::SignallingEnd { session, .. },
            ToWorker::SignallingEnd { session: other, .. },
        ) => session == other,
        (newer, older) => newer == older,
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

    #[test]
    fn sign_of_life_is_given_when_events_are_looked_for_and_not_before() {
        let events = Events::new().expect("eventfd");
        let (mut first, mut second) = (events.ask_for_sign(), events.ask_for_sign());
        assert!(readable_now(&events.waker).expect("poll"), "the loop is to wake");
        assert!(first.try_recv().is_err());
        assert!(events.pop().is_none());
        assert_eq!((first.try_recv(), second.try_recv()), (Ok(()), Ok(())));
        assert!(!readable_now(&events.waker).expect("poll"));
        drop(events.ask_for_sign());
        drop(events.ask_for_sign());
        assert_eq!(events.queue().signs.len(), 1, "who has given up waiting is forgotten");
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
        assert_eq!(events.take(|queue| &mut queue.candidates), Some(candidates(2)));
        assert!(!readable_now(&events.waker).expect("poll"));
        assert_eq!(events.take(|queue| &mut queue.candidates), None);
    }

    #[test]
    fn connections_of_a_worker_that_does_not_look_wait_all_up_to_a_limit() {
        let events = Events::new().expect("eventfd");
        let (reports, _) = Reports::new();
        for number in 0..2 * MOST_CONNECTIONS {
            let descriptor = events.waker.as_fd().try_clone_to_owned().expect("dup");
            let what = ToWorker::ProxyConnection { vouches: number == 0 };
            events.grant(Grant { what, descriptor, reports: reports.clone() });
        }
        let waiting = waiting(&events);
        assert_eq!(waiting.len(), MOST_CONNECTIONS);
        assert_eq!(waiting.first(), Some(&ToWorker::ProxyConnection { vouches: true }));
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
