//! What a host tells of its sessions, of who signed in to them and who watches; and ending both.

use std::{net::IpAddr, time::Instant};

use lumen_ipc::{
    login::{Login, LoginEvent, LoginId, LoginRefusal, Revocation, SignIn, SignInMethod, Visitor},
    message::{login::AccountName, session::ToSession},
    service::{HostStatus, Refusal, SessionSummary},
    text::Secret,
    units::SessionId,
};
use tokio::sync::oneshot;
use tracing::info;

use super::{super::event::Event, Host};
use crate::{
    admin::rights::Asker,
    broker::{
        audit::{By, Deed, MethodName},
        visitors::Visit,
    },
};

impl Host {
    pub(super) fn status(&self) -> HostStatus {
        HostStatus {
            listen: self.stage.front_door.listen.clone(),
            auth: self.stage.auth,
            tls: self.stage.certificate.tls(),
            fingerprint: self.stage.certificate.fingerprint().cloned(),
            supervisor_pid: std::process::id(),
            restraint: self.restraint.clone(),
            waiting: self.waiting(),
            workers: self.crew.status(&self.stage, SessionId::SOLE),
            sessions: self.sessions.summaries(),
        }
    }

    pub(super) fn stop(&mut self, session: SessionId) -> Result<(), Refusal> {
        if self.sessions.get(session).is_none() {
            return Err(Refusal::because(format!("session {session} has ended")));
        }
        info!(%session, "its end is asked for");
        self.sessions.end(session);
        self.send(session, &ToSession::StopAsked { why: None });
        Ok(())
    }

    /// All sessions, and who watches them.
    pub(super) fn listed(&self) -> Vec<SessionSummary> {
        let now = Instant::now();
        let mut all = self.sessions.listed(now);
        for session in &mut all {
            session.watchers = self.visitors.of(session.id, now);
            session.ends = self.end_of(session.id, now);
        }
        all
    }

    /// All logins, and how many pages each has.
    pub(super) fn sign_ins(&mut self) -> Vec<SignIn> {
        let mut all = self.access.sign_ins(Instant::now());
        self.count_pages(&mut all);
        all
    }

    /// The logins to the session of a page's login, and which of them is its own.
    pub(super) fn sign_ins_for_page(&mut self, key: &Secret) -> Option<(LoginId, Vec<SignIn>)> {
        let (own, mut all) = self.access.own_sign_ins(Instant::now(), key)?;
        self.count_pages(&mut all);
        Some((own, all))
    }

    fn count_pages(&self, all: &mut [SignIn]) {
        for sign_in in all {
            sign_in.pages = self.visitors.pages(sign_in.id);
        }
    }

    /// Ends logins to sessions for which the asker may do that. Their pages are told at once, and the answer
    /// is given when no later host would let them in either.
    pub(super) fn revoke(&mut self, asker: Asker, which: Revocation, reply: oneshot::Sender<u32>) {
        let ended = self.access.revoke(which, |user| asker.may(user.as_raw()));
        for (session, login) in &ended {
            let (session, login, by) = (*session, *login, By::Uid(asker.uid));
            self.audit.record(&Deed::Revoked { session, login, by });
        }
        self.tell_ended_logins();
        let count = u32::try_from(ended.len()).unwrap_or(u32::MAX);
        // The asker may have gone, here and below.
        let answer = move || {
            let _ = reply.send(count);
        };
        match ended.is_empty() {
            true => answer(),
            false => self.remember(answer),
        }
    }

    /// Ends another login to the session of a page's login.
    pub(super) fn revoke_for_page(
        &mut self,
        key: &Secret,
        login: LoginId,
        reply: oneshot::Sender<bool>,
    ) {
        let own = self.access.revoke_own(Instant::now(), key, login);
        let Some(own) = own else {
            let _ = reply.send(false);
            return;
        };
        let (session, by) = (own.session, By::Page(own.id));
        self.audit.record(&Deed::Revoked { session, login, by });
        self.remember(move || {
            let _ = reply.send(true);
        });
    }

    /// Takes in which pages are connected. Those of sessions that do not exist are not.
    pub(super) fn take_in_visitors(&mut self, visitors: &[Visitor]) {
        let known = |visitor: &&Visitor| self.sessions.get(visitor.session).is_some();
        let known: Vec<Visitor> = visitors.iter().filter(known).copied().collect();
        let visits = self.visitors.report(Instant::now(), &known);
        self.record_visits(visits);
    }

    /// Notices who has left.
    pub(super) fn end_visits(&mut self) {
        self.awaits_visitors = false;
        let visits = self.visitors.poll(Instant::now());
        self.record_visits(visits);
    }

    fn record_visits(&mut self, visits: Vec<Visit>) {
        self.note_watchers();
        for visit in visits {
            self.audit.record(&match visit {
                Visit::Began(visitor) => Deed::Watches(visitor),
                Visit::Ended(visitor, after) => Deed::Left(visitor, after),
            });
        }
        let Some(deadline) = self.visitors.deadline().filter(|_| !self.awaits_visitors) else {
            return;
        };
        self.awaits_visitors = true;
        let events = self.events.clone();
        tokio::spawn(async move {
            tokio::time::sleep_until(deadline.into()).await;
            // It fails only when the event loop has ended.
            let _ = events.send(Event::VisitDue).await;
        });
    }

    /// Records a sign-in, and tells the pages of other logins.
    pub(super) fn record_sign_in(
        &mut self,
        login: Login,
        (method, account): (SignInMethod, Option<AccountName>),
        from: IpAddr,
    ) {
        let (session, login, from) = (login.session, login.id, from.to_canonical());
        let by = method.name();
        self.audit.record(&Deed::SignedIn { session, login, method: by, account, from });
        self.login_news.tell(LoginEvent::Given { session, login, method, from });
    }

    /// Records that a browser was refused.
    pub(super) fn record_refusal(
        &self,
        (method, account): (MethodName, Option<AccountName>),
        from: IpAddr,
        refusal: LoginRefusal,
    ) {
        let from = from.to_canonical();
        self.audit.record(&Deed::Refused { method, account, from, refusal });
    }
}
