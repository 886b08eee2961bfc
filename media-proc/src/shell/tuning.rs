//! The `tuning` link: what rtc wants, brought from the control thread to the event loop.
//!
//! Each demand is complete and replaces the previous one, so no queue is needed and nothing can
//! pile up, however fast rtc sends. After an rtc has gone there are no watchers; before the first
//! has sent its demand nothing is known.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use lumen_ipc::{
    demand::Demand,
    message::grants::LossReason,
    service::{Refusal, Tuning},
    units::StreamId,
};
use lumen_ipc_runtime::{
    link_end::{GiveUp, LinkGuard},
    rpc,
    wake::Waker,
};
use tarpc::context::Context;
use tokio::runtime::Handle;
use tracing::warn;

/// Holds the newest demand. Readable until it is taken.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    stream: StreamId,
    state: Arc<Mutex<State>>,
    waker: Waker,
}

#[derive(Debug)]
struct State {
    demand: Option<Demand>,
    /// The current link end: an old one that ends late must not undo what the new one said.
    link: u64,
}

impl Desk {
    /// For demands on `stream`.
    pub(super) fn new(stream: StreamId) -> io::Result<Self> {
        let state = Arc::new(Mutex::new(State { demand: None, link: 0 }));
        Ok(Self { stream, state, waker: Waker::new()? })
    }

    /// Takes the demand, if rtc has sent one.
    pub(super) fn take(&self) -> Option<Demand> {
        let state = self.state();
        self.waker.acknowledge();
        state.demand
    }

    /// Stores a demand as if rtc had sent it.
    #[cfg(test)]
    pub(super) fn put(&self, demand: Demand) {
        let link = self.state().link;
        self.set(link, |wanted| *wanted = Some(demand));
    }

    /// Serves a new end of the link on the control thread; `guard` reports its end.
    pub(super) fn serve(&self, descriptor: OwnedFd, guard: LinkGuard, control: &Handle) {
        let link = {
            let mut state = self.state();
            state.link += 1;
            state.link
        };
        let server = Server { desk: self.clone(), link };
        control.spawn(async move {
            let desk = server.desk.clone();
            match rpc::answer(descriptor, server.serve()).await {
                Ok(()) => guard.give_up(GiveUp::Lost(LossReason::Closed)),
                Err(error) => warn!(%error, "cannot serve the tuning link"),
            }
            desk.set(link, |wanted| {
                *wanted = wanted.map(|demand| Demand { watchers: 0, ..demand });
            });
        });
    }

    fn set(&self, link: u64, change: impl FnOnce(&mut Option<Demand>)) {
        let mut state = self.state();
        if link == state.link {
            change(&mut state.demand);
            self.waker.wake();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is a single assignment, so a poisoned state is consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Desk {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waker.as_fd()
    }
}

/// One link end.
#[derive(Clone, Debug)]
struct Server {
    desk: Desk,
    link: u64,
}

impl Tuning for Server {
    async fn demand(self, _: Context, demand: Demand) -> Result<(), Refusal> {
        if demand.stream != self.desk.stream {
            return Err(Refusal::because(format!("There is no stream {}.", demand.stream)));
        }
        self.desk.set(self.link, |wanted| *wanted = Some(demand));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use lumen_ipc::units::Kbps;

    use super::*;

    const NOTHING: Demand = Demand {
        stream: StreamId::VIDEO,
        watchers: 0,
        size: None,
        format: None,
        bitrate: Kbps::MAX,
        keyframes: 0,
    };

    #[test]
    fn demand_of_an_old_link_is_ignored() {
        let desk = Desk::new(StreamId::VIDEO).expect("eventfd");
        desk.state().link = 2;
        let watched = Demand { watchers: 1, ..NOTHING };
        desk.set(2, |wanted| *wanted = Some(watched));
        desk.set(1, |wanted| *wanted = Some(NOTHING));
        assert_eq!(desk.take(), Some(watched));
    }

    #[tokio::test]
    async fn demand_of_another_stream_is_refused_and_changes_nothing() {
        let desk = Desk::new(StreamId::VIDEO).expect("eventfd");
        let server = Server { desk: desk.clone(), link: 0 };
        let other = Demand { stream: StreamId::MAX, watchers: 1, ..NOTHING };
        assert!(server.demand(tarpc::context::current(), other).await.is_err());
        assert_eq!(desk.take(), None);
    }
}
