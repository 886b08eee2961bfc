//! How a host continues where its predecessor ended: sessions keep their numbers, logins remain
//! valid, and so do the relay's credentials.
//!
//! INVARIANT: a login or a number is stored before anybody is told about it.

use std::time::{Duration, Instant};

use lumen_ipc::{message::signalling::Reason, units::SessionId};
use nix::unistd::Uid;
use tracing::info;

use super::{
    super::event::Event,
    Host,
    memory::{EXPECTED, Memory, unix},
};
use crate::broker::state::State;

impl Host {
    /// Restores the stored state, and stores changes from now on.
    pub(in super::super) fn remembering(mut self, mut memory: Memory, was: &State) -> Self {
        let now = Instant::now();
        self.sessions.restore(was.last, &was.sessions);
        for session in was.sessions.iter().filter(|session| session.present) {
            self.access.open(session.id, session.token);
            self.access.belongs_to(session.id, Uid::from_raw(session.owner));
            memory.expect(session.id, now);
        }
        self.access.restore(now, unix(), &was.logins);
        self.memory = Some(memory);
        self.wait_for_expected(EXPECTED);
        self.remember(|| {});
        self
    }

    /// Stores the current state; `then` is called when that is done.
    pub(super) fn remember(&mut self, then: impl FnOnce() + Send + 'static) {
        let Some(memory) = &mut self.memory else { return then() };
        let now = Instant::now();
        let (last, sessions) = self.sessions.kept(|session| memory.expects(session));
        let logins = self.access.kept(now, unix());
        memory.keep(now, State { last, sessions, logins, relay: None }, then);
    }

    /// Stores when logins were used, if the stored times have become old.
    pub(super) fn remember_use(&mut self) {
        if self.memory.as_ref().is_some_and(|memory| memory.is_old(Instant::now())) {
            self.remember(|| {});
        }
    }

    /// Makes sure that expected sessions are checked in time.
    pub(super) fn wait_for_expected(&self, time: Duration) {
        let events = self.events.clone();
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            // It fails only when the event loop has ended.
            let _ = events.send(Event::ExpectedDue).await;
        });
    }

    /// Handles the loss of a session's link. If this host itself gave it up, the session may come
    /// back.
    pub(super) fn part_with(&mut self, session: SessionId, gave_up: bool) {
        let memory = self.memory.as_mut();
        match memory.is_some_and(|memory| memory.may_return(session, gave_up, Instant::now())) {
            true => self.wait_for_expected(EXPECTED),
            false => self.close(session),
        }
    }

    /// Ends the expected sessions that have not come back in time.
    pub(super) fn end_overdue(&mut self) {
        let overdue = self.memory.as_mut().map(|memory| memory.overdue(Instant::now()));
        for session in overdue.unwrap_or_default() {
            info!(%session, "the session has not come again");
            self.bulletin.expect(session);
            self.close(session);
        }
    }

    fn close(&mut self, session: SessionId) {
        self.access.close(session);
        self.leases.forget(session);
        self.stays.left(session);
        if let Some(mint) = &mut self.mint {
            mint.forget(session);
        }
        self.bulletin.end(session, Reason::truncated("The desktop has ended."));
        self.remember(|| {});
        self.begin_queued(session);
    }
}
