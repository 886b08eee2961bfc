//! Sessions that end by themselves, and those that may not begin. `broker::limits` decides; here pages are
//! warned, sessions are told to end, and both are recorded.

use std::time::Instant;

use lumen_ipc::{
    login::{LoginEvent, LoginRefusal},
    message::{
        login::{Prompt, Prompts, Style},
        session::ToSession,
        signalling::Reason,
    },
    service::{EndCause, Ends},
    text::Text,
    units::SessionId,
};
use nix::unistd::Uid;
use tracing::{info, warn};

use super::{super::event::Event, Host};
use crate::broker::{
    audit::Deed,
    in_use::Own,
    limits::{Cause, Limits, Step, TooMany},
};

/// Most users who are told at their next sign-in why their desktop has ended.
const MOST_FAREWELLS: usize = 256;

impl Host {
    /// Ends sessions by these limits.
    pub(in super::super) fn limited(mut self, limits: Limits) -> Self {
        self.stays.set_limits(limits);
        self
    }

    /// These limits count from now on.
    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.stays.set_limits(limits);
        self.keep_limits();
    }

    /// A session is there, or there again.
    pub(super) fn begin_stay(&mut self, session: SessionId) {
        self.stays.came(Instant::now(), session);
        self.note_watchers();
    }

    /// A viewer of a session acts.
    pub(super) fn note_act(&mut self, session: SessionId) {
        self.stays.acted(Instant::now(), session);
        self.keep_limits();
    }

    /// Which sessions are watched may have changed.
    pub(super) fn note_watchers(&mut self) {
        let visitors = &self.visitors;
        self.stays.watched(Instant::now(), |session| visitors.watch(session));
        self.on_the_way.arrived(|session| visitors.watch(session));
        self.keep_limits();
    }

    /// The time of a limit has come.
    pub(super) fn limit_due(&mut self) {
        self.limit_timer = None;
        self.keep_limits();
    }

    /// When a session will end by itself, for lists.
    pub(super) fn end_of(&self, session: SessionId, now: Instant) -> Option<Ends> {
        let ending = self.stays.ending(now, session)?;
        let because = match ending.cause {
            Cause::Idle(_) => EndCause::Idle,
            Cause::Unwatched(_) => EndCause::Unwatched,
        };
        Some(Ends { in_seconds: ending.after.as_secs(), because })
    }

    /// Whether a desktop of a user may be started, beside or after the one that they have.
    pub(super) fn permit(&self, user: Uid, own: Own) -> Result<(), TooMany> {
        let lasts = |session: &SessionId| {
            own.ending() != Some(*session)
                && self.sessions.get(*session).is_none_or(|record| !record.ends)
        };
        let theirs = self.access.desktops_of(user).filter(lasts).count();
        let all = self.access.desktops().filter(lasts).count() + self.desktops.starting();
        self.stays.limits().permit(theirs, all)
    }

    /// Adds to what is said at a sign-in why the user's last desktop has ended.
    pub(super) fn with_farewell(&mut self, user: Uid, said: Prompts) -> Prompts {
        let Some(text) = self.farewells.remove(&user.as_raw()) else { return said };
        let mut all = said.clone().into_vec();
        all.push(Prompt { style: Style::Info, text: Text::truncated(text) });
        // What the machine says is more important.
        Prompts::new(all).unwrap_or(said)
    }

    fn keep_limits(&mut self) {
        let now = Instant::now();
        for step in self.stays.poll(now) {
            match step {
                Step::End(session, cause) => self.end_by_limit(session, cause),
                Step::Stays(session) => {
                    info!(%session, "it is used again, and stays");
                    self.login_news.tell(LoginEvent::EndsSoon { session, seconds: None });
                }
                Step::Warn(session, time) => {
                    info!(%session, seconds = time.as_secs(), "it ends soon: nobody uses it");
                    let seconds = Some(u16::try_from(time.as_secs()).unwrap_or(u16::MAX));
                    self.login_news.tell(LoginEvent::EndsSoon { session, seconds });
                }
            }
        }
        let Some(deadline) = self.stays.deadline() else { return };
        if self.limit_timer.is_some_and(|timer| timer <= deadline) {
            return;
        }
        self.limit_timer = Some(deadline);
        let events = self.events.clone();
        tokio::spawn(async move {
            tokio::time::sleep_until(deadline.into()).await;
            // It fails only when the event loop has ended.
            let _ = events.send(Event::LimitDue).await;
        });
    }

    fn end_by_limit(&mut self, session: SessionId, cause: Cause) {
        let Some(owner) = self.sessions.get(session).map(|record| record.owner) else {
            // It has no link at the moment; the time begins anew when it comes back.
            return self.stays.left(session);
        };
        warn!(%session, "it is ended: {cause}");
        self.audit.record(&Deed::Ended { session, cause });
        let text = format!("The desktop was ended, because {cause}.");
        let why = Some(Reason::truncated(text));
        self.sessions.end(session);
        self.send(session, &ToSession::StopAsked { why });
        if self.farewells.len() < MOST_FAREWELLS {
            let text = format!("Your last desktop was ended, because {cause}.");
            self.farewells.insert(owner.as_raw(), text);
        }
    }
}

/// What somebody is told who may not have another desktop.
pub(super) fn refusal_of(too_many: TooMany) -> LoginRefusal {
    match too_many {
        TooMany::InAll(most) => LoginRefusal::TooManyInAll { most },
        TooMany::OfUser(most) => LoginRefusal::TooManyOwn { most },
    }
}
