//! What a worker is told by its supervisor, on the way from its control thread to the loop that serves.

use std::{
    collections::VecDeque,
    fmt, io,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use lumen_ipc::{
    lease::{Lease, LeaseRights},
    message::grants::ToWorker,
};
use tokio::sync::oneshot;

use super::Grant;
use crate::wake::Waker;

/// An event from the supervisor.
#[derive(Debug)]
pub enum SupervisorEvent {
    /// Finish what has begun, accept nothing new, and return from `serve`.
    Drain,
    /// A descriptor. A link end replaces the previous one of its name, whose other side is closed.
    Granted(Grant),
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

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waker.as_fd()
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

    /// What is readable while one waits.
    pub(super) fn waker(&self) -> Waker {
        self.waker.clone()
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

    /// The newest candidates, if they are others than before.
    pub(super) fn take_candidates(&self) -> Option<Vec<SocketAddr>> {
        self.take(|queue| &mut queue.candidates)
    }

    /// The newest leases, if they are others than before.
    pub(super) fn take_leases(&self) -> Option<Vec<Lease>> {
        self.take(|queue| &mut queue.leases)
    }

    /// The newest rights, if they are others than before.
    pub(super) fn take_rights(&self) -> Option<Vec<LeaseRights>> {
        self.take(|queue| &mut queue.rights)
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
    pub(super) fn grant(&self, grant: Grant) {
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

    /// The next event. Whoever waits for a sign of life has it now.
    pub(super) fn pop(&self) -> Option<SupervisorEvent> {
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

#[cfg(test)]
mod tests {
    use lumen_ipc::link::{Generation, LinkName};

    use super::*;
    use crate::{fds::readable_now, link_end::Reports};

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
        assert_eq!(events.take_candidates(), Some(candidates(2)));
        assert!(!readable_now(&events.waker).expect("poll"));
        assert_eq!(events.take_candidates(), None);
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
