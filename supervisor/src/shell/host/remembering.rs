//! How a host goes on where the one before it was ended: sessions keep their numbers, logins open what
//! they opened, the relay's credentials are worth what they were worth.
//!
//! INVARIANT: what others are told of a login or a number is kept before they are told.

use std::time::Instant;

use lumen_ipc::{message::signalling::Reason, units::SessionId};
use tracing::info;

use super::{
    super::event::Event,
    Host,
    memory::{EXPECTED, Memory, unix},
};
use crate::broker::state::State;

impl Host {
    /// Remembers what was, and keeps what is to be remembered from here on.
    pub(in super::super) fn remembering(mut self, mut memory: Memory, was: &State) -> Self {
        let now = Instant::now();
        self.sessions.restore(was.last, &was.sessions);
        for session in was.sessions.iter().filter(|session| session.present) {
            self.access.open(session.id, session.token);
            memory.expect(session.id, now);
        }
        self.access.restore(now, unix(), &was.logins);
        self.memory = Some(memory);
        self.wait_for_expected();
        self.remember(|| {});
        self
    }

    /// Keeps how all is; `then` follows when that is done.
    pub(super) fn remember(&mut self, then: impl FnOnce() + Send + 'static) {
        let Some(memory) = &mut self.memory else { return then() };
        let now = Instant::now();
        let (last, sessions) = self.sessions.kept(|session| memory.expects(session));
        let logins = self.access.kept(now, unix());
        memory.keep(now, State { last, sessions, logins, relay: None }, then);
    }

    /// Keeps when logins were used, if what is kept of that has become old.
    pub(super) fn remember_use(&mut self) {
        if self.memory.as_ref().is_some_and(|memory| memory.is_old(Instant::now())) {
            self.remember(|| {});
        }
    }

    /// Has sessions that are expected looked after in time.
    fn wait_for_expected(&self) {
        let events = self.events.clone();
        tokio::spawn(async move {
            tokio::time::sleep(EXPECTED).await;
            // A loop that has ended waits for nobody.
            let _ = events.send(Event::ExpectedDue).await;
        });
    }

    /// The link of a session is lost. Where this host itself gave it up, the session may come again.
    pub(super) fn part_with(&mut self, session: SessionId, gave_up: bool) {
        match &mut self.memory {
            Some(memory) if gave_up => {
                memory.expect(session, Instant::now());
                self.wait_for_expected();
            }
            _ => self.close(session),
        }
    }

    /// Those that were expected and have not come have ended.
    pub(super) fn end_overdue(&mut self) {
        let overdue = self.memory.as_mut().map(|memory| memory.overdue(Instant::now()));
        for session in overdue.unwrap_or_default() {
            info!(%session, "the session has not come again");
            self.close(session);
        }
    }

    fn close(&mut self, session: SessionId) {
        self.access.close(session);
        if let Some(mint) = &mut self.mint {
            mint.forget(session);
        }
        self.bulletin.end(session, Reason::truncated("The desktop has ended."));
        self.remember(|| {});
    }
}
