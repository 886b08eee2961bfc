//! The `tuning` link: what rtc wants, brought from the control thread to the event loop.
//!
//! Each demand is complete and replaces the previous one, so no queue is needed and nothing can
//! pile up, however fast rtc sends. After an rtc has gone there are no watchers; before the first
//! has sent its demand nothing is known. Each rtc counts from the beginning, so a demand is told with
//! the number of its link end.

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

/// A demand, and over which end of the link it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) demand: Demand,
    link: u64,
}

impl Told {
    /// Whether a keyframe was requested since `before`. A new link end asks for one with its first
    /// demand: its count has nothing to do with that of the end before.
    pub(super) fn asks_for_key_since(&self, before: &Self) -> bool {
        (self.link, self.demand.keyframes) != (before.link, before.demand.keyframes)
    }
}

#[derive(Debug)]
struct State {
    told: Option<Told>,
    /// The current link end: an old one that ends late must not undo what the new one said.
    link: u64,
}

impl Desk {
    /// For demands on `stream`.
    pub(super) fn new(stream: StreamId) -> io::Result<Self> {
        let state = Arc::new(Mutex::new(State { told: None, link: 0 }));
        Ok(Self { stream, state, waker: Waker::new()? })
    }

    /// Takes the demand, if rtc has sent one.
    pub(super) fn take(&self) -> Option<Told> {
        let state = self.state();
        self.waker.acknowledge();
        state.told
    }

    /// Stores a demand as if rtc had sent it.
    #[cfg(test)]
    pub(super) fn put(&self, demand: Demand) {
        let link = self.state().link;
        self.set(link, demand);
    }

    /// The next demand comes over a new end of the link.
    #[cfg(test)]
    pub(super) fn meet_another_rtc(&self) {
        self.state().link += 1;
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
            desk.left_by(link);
        });
    }

    fn set(&self, link: u64, demand: Demand) {
        let mut state = self.state();
        if link == state.link {
            state.told = Some(Told { demand, link });
            self.waker.wake();
        }
    }

    /// Nobody watches any longer through that link end. All else stays as rtc wanted it.
    fn left_by(&self, link: u64) {
        let mut state = self.state();
        if link == state.link
            && let Some(told) = &mut state.told
        {
            told.demand.watchers = 0;
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
        self.desk.set(self.link, demand);
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
        desk.set(2, watched);
        desk.set(1, NOTHING);
        desk.left_by(1);
        assert_eq!(desk.take(), Some(Told { demand: watched, link: 2 }));
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
