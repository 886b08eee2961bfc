//! What a host says once browsers can connect, and to sessions that come.

use lumen_ipc::{message::session::ToSession, service::AuthMode, text::Text, units::SessionId};
use tracing::info;

use super::{
    super::{certificate, event::ConnectionId},
    Host,
};

impl Host {
    pub(super) fn announce(&self) {
        let Some(log) = &self.announces else { return };
        log.announce(format!(
            "Lumen's host is ready: {}\n{}  `lumen session` starts a desktop here and prints the \
             address that opens it.\n  The host ends on ctrl-c, and its desktops go on.\n",
            self.stage.page(),
            certificate::line(self.stage.certificate.fingerprint())
        ));
    }

    /// Tells a session its number, which has been stored before.
    pub(super) fn welcome(&mut self, connection: ConnectionId) {
        let Some(session) = self.sessions.of(connection) else { return };
        let Some(record) = self.sessions.get(session) else { return };
        if let Some(memory) = &mut self.memory {
            memory.met(session);
        }
        info!(%session, name = record.name(session), "a session is there");
        self.access.open(session, record.token);
        self.access.belongs_to(session, record.owner);
        let relay = self.stage.relay_near;
        let audience = self.stage.audience;
        self.send(session, &ToSession::Welcomed { session, relay, audience });
        self.begin_stay(session);
        self.tell_logins(session);
        if self.open {
            self.say_open(session);
        }
        if let Some(owner) = self.sessions.get(session).map(|record| record.owner) {
            self.let_waiting_in(session, owner);
        }
        self.tell_condition();
    }

    pub(super) fn say_open(&self, session: SessionId) {
        let page = Text::truncated(self.stage.page());
        let with_token = self.stage.auth != AuthMode::None;
        let fingerprint = self.stage.certificate.fingerprint().cloned();
        self.send(session, &ToSession::Opened { page, with_token, fingerprint });
    }
}
