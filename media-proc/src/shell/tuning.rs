//! The `tuning` link: what rtc asks, brought from the control thread to the event loop.
//!
//! Wishes of one kind replace each other, so they need no queue and cannot pile up, however fast
//! rtc asks. An rtc that is gone has no watchers.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use lumen_ipc::{
    service::{EncoderState, Tuning},
    units::Kbps,
};
use lumen_ipc_runtime::{rpc, wake::Waker};
use tarpc::context::Context;
use tokio::runtime::Handle;
use tracing::warn;

/// What was asked since the loop last looked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Wishes {
    /// A key picture.
    pub(super) key: bool,
    /// A bit rate.
    pub(super) target: Option<Kbps>,
    /// A number of watchers.
    pub(super) watchers: Option<u16>,
}

/// Where wishes wait. Readable while there are some.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    shared: Arc<Shared>,
    waker: Waker,
}

#[derive(Debug)]
struct Shared {
    ceiling: Kbps,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    wishes: Wishes,
    target: Kbps,
    /// Which link end speaks: an old one that ends late must not undo what the new one said.
    link: u64,
}

impl Desk {
    pub(super) fn new(ceiling: Kbps) -> io::Result<Self> {
        let state = State { wishes: Wishes::default(), target: ceiling, link: 0 };
        let shared = Arc::new(Shared { ceiling, state: Mutex::new(state) });
        Ok(Self { shared, waker: Waker::new()? })
    }

    /// Takes everything that was asked.
    pub(super) fn take(&self) -> Wishes {
        let mut state = self.state();
        self.waker.acknowledge();
        std::mem::take(&mut state.wishes)
    }

    /// Leaves `wishes` as rtc would.
    #[cfg(test)]
    pub(super) fn put(&self, wishes: Wishes) {
        self.state().wishes = wishes;
        self.waker.wake();
    }

    /// Serves a new end of the link, on the control thread.
    pub(super) fn serve(&self, descriptor: OwnedFd, control: &Handle) {
        let link = {
            let mut state = self.state();
            state.link += 1;
            state.link
        };
        let server = Server { desk: self.clone(), link };
        control.spawn(async move {
            let desk = server.desk.clone();
            if let Err(error) = rpc::answer(descriptor, server.serve()).await {
                warn!(%error, "the tuning link cannot be served");
            }
            desk.wish(link, |state| state.wishes.watchers = Some(0));
        });
    }

    fn wish(&self, link: u64, change: impl FnOnce(&mut State)) -> EncoderState {
        let mut state = self.state();
        if link == state.link {
            change(&mut state);
            self.waker.wake();
        }
        EncoderState { target: state.target }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is one assignment, so a poisoned state is whole.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
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
    async fn request_keyframe(self, _: Context) -> EncoderState {
        self.desk.wish(self.link, |state| state.wishes.key = true)
    }

    async fn set_target_bitrate(self, _: Context, target: Kbps) -> EncoderState {
        let target = target.min(self.desk.shared.ceiling);
        self.desk.wish(self.link, |state| {
            state.target = target;
            state.wishes.target = Some(target);
        })
    }

    async fn set_watchers(self, _: Context, count: u16) -> EncoderState {
        self.desk.wish(self.link, |state| state.wishes.watchers = Some(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wish_of_an_old_link_is_ignored() {
        let desk = Desk::new(Kbps::clamped(8000)).expect("eventfd");
        desk.state().link = 2;
        desk.wish(2, |state| state.wishes.watchers = Some(1));
        desk.wish(1, |state| state.wishes.watchers = Some(0));
        assert_eq!(desk.take(), Wishes { watchers: Some(1), ..Wishes::default() });
        assert_eq!(desk.take(), Wishes::default());
    }
}
