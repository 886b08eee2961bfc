//! Input leases as the host hands them out: first to the page's session, then to the page, through the
//! gateway.

use std::{collections::BTreeSet, time::Instant};

use lumen_ipc::{
    lease::Lease, login::LoginEvent, message::session::ToSession, text::Secret, units::SessionId,
};
use tracing::warn;

use super::{Host, unclaimed::Reply};
use crate::broker::audit::Deed;

impl Host {
    /// Mints a lease for a page whose login has this key, and tells its session. The page gets it when the
    /// session has taken it.
    pub(super) fn mint_lease(&mut self, key: Option<&Secret>, reply: Reply) {
        let Some((session, lease)) = self.new_lease(key) else {
            // The gateway may have gone.
            let _ = reply.send(None);
            return;
        };
        self.unclaimed.add(session, lease, reply);
        self.send(session, &ToSession::Leased { lease });
    }

    fn new_lease(&mut self, key: Option<&Secret>) -> Option<(SessionId, Lease)> {
        let now = Instant::now();
        let login = self.access.login_of_page(now, key)?;
        self.sessions.get(login.session)?;
        let lease = self.leases.mint(now, &login);
        if lease.is_none() {
            warn!(session = %login.session, "no input lease: too many a second");
        }
        Some((login.session, lease?))
    }

    /// Tells the gateway which logins have ended, and their sessions which ones are left.
    pub(super) fn tell_ended_logins(&mut self) {
        for (session, login) in self.access.take_copied() {
            self.audit.record(&Deed::Copied { session, login });
        }
        let ended = self.access.take_ended();
        for (session, login) in &ended {
            let (session, login) = (*session, *login);
            self.login_news.tell(LoginEvent::Ended { session, login });
        }
        let sessions: BTreeSet<SessionId> = ended.into_iter().map(|(session, _)| session).collect();
        for session in sessions {
            self.tell_logins(session);
        }
    }

    /// Tells a session which logins to it there are.
    pub(super) fn tell_logins(&self, session: SessionId) {
        self.send(session, &ToSession::Logins { live: self.access.logins_of(session) });
    }
}
