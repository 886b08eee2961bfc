//! The `tuning` link: what rtc wants, brought from the control thread to the event loop.
//!
//! Each demand is a whole one and replaces the one before, so they need no queue and cannot pile up,
//! however fast rtc asks. An rtc that is gone has no watchers.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use lumen_ipc::{
    demand::Demand,
    message::grants::LossReason,
    service::{Refusal, Tuning},
};
use lumen_ipc_runtime::{
    link_end::{GiveUp, LinkGuard},
    rpc,
    wake::Waker,
};
use tarpc::context::Context;
use tokio::runtime::Handle;
use tracing::warn;

/// Where the newest demand waits. Readable while it has not been taken.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    state: Arc<Mutex<State>>,
    waker: Waker,
}

#[derive(Debug)]
struct State {
    demand: Demand,
    /// Which link end speaks: an old one that ends late must not undo what the new one said.
    link: u64,
}

impl Desk {
    /// `demand` is what is wanted until rtc says otherwise.
    pub(super) fn new(demand: Demand) -> io::Result<Self> {
        let state = Arc::new(Mutex::new(State { demand, link: 0 }));
        Ok(Self { state, waker: Waker::new()? })
    }

    /// What is wanted.
    pub(super) fn take(&self) -> Demand {
        let state = self.state();
        self.waker.acknowledge();
        state.demand
    }

    /// Changes what is wanted, as rtc would.
    #[cfg(test)]
    pub(super) fn change(&self, change: impl FnOnce(&mut Demand)) {
        change(&mut self.state().demand);
        self.waker.wake();
    }

    /// Serves a new end of the link, on the control thread; `guard` reports when it is over.
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
                Err(error) => warn!(%error, "the tuning link cannot be served"),
            }
            desk.set(link, |demand| demand.watchers = 0);
        });
    }

    fn set(&self, link: u64, change: impl FnOnce(&mut Demand)) {
        let mut state = self.state();
        if link == state.link {
            change(&mut state.demand);
            self.waker.wake();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is one assignment, so a poisoned state is whole.
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
        let stream = self.desk.state().demand.stream;
        if demand.stream != stream {
            return Err(Refusal::because(format!("There is no stream {}.", demand.stream)));
        }
        self.desk.set(self.link, |wanted| *wanted = demand);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use lumen_ipc::units::{Kbps, StreamId};

    use super::*;

    const NOTHING: Demand = Demand {
        stream: StreamId::VIDEO,
        watchers: 0,
        format: None,
        bitrate: Kbps::MAX,
        keyframes: 0,
    };

    #[test]
    fn demand_of_an_old_link_is_ignored() {
        let desk = Desk::new(NOTHING).expect("eventfd");
        desk.state().link = 2;
        desk.set(2, |demand| demand.watchers = 1);
        desk.set(1, |demand| demand.watchers = 0);
        assert_eq!(desk.take(), Demand { watchers: 1, ..NOTHING });
    }

    #[tokio::test]
    async fn demand_of_another_stream_is_refused_and_changes_nothing() {
        let desk = Desk::new(NOTHING).expect("eventfd");
        let server = Server { desk: desk.clone(), link: 0 };
        let other = Demand { stream: StreamId::MAX, watchers: 1, ..NOTHING };
        assert!(server.demand(tarpc::context::current(), other).await.is_err());
        assert_eq!(desk.take(), NOTHING);
    }
}
