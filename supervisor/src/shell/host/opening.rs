//! Sessions on demand: what becomes of an account that was accepted, and the start of its desktop.
//!
//! systemd starts both programs, each for a connection: `lumen-login` became the leader of the account's
//! login session, and `lumen session` gets from here what makes it that account's: the Wayland socket, and
//! the link to the leader. From then on the host holds neither, so its own end changes nothing for either;
//! with the session's end the link closes, and the leader ends the login session.

use std::{io, path::PathBuf, time::Duration};

use lumen_ipc::{
    login::LoginRefusal,
    message::{
        login::{DisplayName, ToLeader, ToSupervisor as FromLeader},
        session::{SESSION_HASH, ToHost, ToSession},
    },
    text::Text,
    units::SessionId,
};
use lumen_ipc_runtime::AsyncChannel;
use nix::unistd::Uid;
use std::os::fd::AsFd;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{error, info, warn};

use super::{
    super::{
        event::{Accepted, ConnectionId, Event, Events},
        link,
    },
    Host,
    desk::{Queued, reach},
    stays::refusal_of,
};
use crate::broker::{
    AttemptId,
    desktops::{Course, OpeningId},
    in_use::{Candidate, InUse, Own},
    random_number,
};

/// How long a desktop may take until it has registered; the browser waits a little longer.
const WHOLE: Duration = Duration::from_secs(20);
/// How long a desktop that an earlier host had may take to come back before a sign-in gets another: it looks
/// for its host every two seconds.
const RETURN: Duration = Duration::from_secs(6);
/// The name of the Wayland socket of a user's desktop. Of one user there is one of this name at a time, because two would
/// share the user's bus and services and break each other: whoever makes the socket holds a lock of its name. One beside
/// it, which `--session-in-use new` allows, has a name and a bus of its own.
const DISPLAY: &str = "wayland-lumen";
/// Connections that this host made have numbers from here on.
const OPENED: u64 = 1 << 63;

/// What is needed to start a desktop.
struct Order {
    id: OpeningId,
    queued: Queued,
    socket: PathBuf,
    /// The name of this host.
    host: Text<32>,
    /// Whether the user has another desktop, which stays.
    beside: bool,
}

/// Why a desktop was not started.
#[derive(Debug, thiserror::Error)]
enum NotOpened {
    #[error("nobody listens at {0}, where desktops are started")]
    Absent(PathBuf),
    #[error("the login session could not be opened; `journalctl -t lumen-login` says why")]
    Login,
    #[error("the leader of the login session speaks out of turn")]
    Leader,
    #[error("a link is lost: {0}")]
    Link(String),
    #[error("it took too long")]
    TooSlow,
}

impl NotOpened {
    fn refusal(&self) -> LoginRefusal {
        match self {
            // Where nothing starts desktops, those that there are were started by hand.
            Self::Absent(_) => LoginRefusal::NoDesktop,
            _ => LoginRefusal::NotStarted,
        }
    }
}

impl Host {
    /// Brings an account that was accepted to its desktop.
    pub(super) fn admit(&mut self, id: AttemptId, accepted: Accepted) {
        let Accepted { account, uid, said, leader } = accepted;
        if !self.access.accepted(id) {
            return self.conclude(id, Err(LoginRefusal::Denied));
        }
        if let Some(running) = self.desk.running.get_mut(&id) {
            running.said = said;
        }
        let user = Uid::from_raw(uid);
        let own = self.own_desktop(user);
        // The leader ends with its link where nothing is started.
        let permitted = self.permit(user, own);
        match self.desktops.arrive(id, user, own, permitted) {
            Course::Attach(session) => self.let_in(id, session, user),
            Course::InUse => self.conclude(id, Err(LoginRefusal::InUse)),
            Course::Queue(opening) => {
                self.queued.insert(opening, Queued { account, user, leader });
                self.hurry(own);
            }
            Course::Refuse => self.conclude(id, Err(LoginRefusal::NotStarted)),
            Course::TooMany(too_many) => self.conclude(id, Err(refusal_of(too_many))),
            Course::Start(opening) => self.begin(opening, Queued { account, user, leader }),
            Course::Wait => {}
        }
    }

    /// What a sign-in gets of the desktops that its user has.
    fn own_desktop(&self, user: Uid) -> Own {
        let (policy, now) = (self.stays.limits().in_use, std::time::Instant::now());
        // Somebody is about to watch the one that is being started.
        if policy == InUse::Refuse && self.desktops.are_awaited(user) {
            return Own::InUse;
        }
        policy.choose(self.access.desktops_of(user).map(|session| Candidate {
            session,
            ends: !self.stays(session),
            watched: self.visitors.watch(session) || self.on_the_way.is_to(now, session),
        }))
    }

    /// Whether a session is here to stay. One that has not come back after a restart of the host may have ended
    /// meanwhile.
    fn stays(&self, session: SessionId) -> bool {
        self.sessions.get(session).is_some_and(|own| !own.ends)
    }

    /// Somebody waits for the end of a session. One that is only expected is given up before they do.
    fn hurry(&mut self, own: Own) {
        if let (Own::Ending(session), Some(memory)) = (own, &mut self.memory) {
            memory.hurry(session, std::time::Instant::now() + RETURN);
            self.wait_for_expected(RETURN);
        }
    }

    fn begin(&self, id: OpeningId, queued: Queued) {
        info!(account = queued.account.as_str(), "its desktop is started");
        let socket = self.stage.sign_in.session_socket.clone();
        let beside = self.access.desktops_of(queued.user).any(|session| self.stays(session));
        let order = Order { id, queued, socket, host: self.stage.name.clone(), beside };
        tokio::spawn(carry_out(order, self.events.clone()));
    }

    /// A session has ended, for which the start of another may have waited.
    pub(super) fn begin_queued(&mut self, session: SessionId) {
        if let Some(opening) = self.desktops.gone(session)
            && let Some(queued) = self.queued.remove(&opening)
        {
            self.begin(opening, queued);
        }
    }

    /// A desktop has registered: lets in those who waited for it.
    pub(super) fn let_waiting_in(&mut self, session: SessionId, user: Uid) {
        self.queued.retain(|_, queued| queued.user != user);
        for attempt in self.desktops.there(user) {
            self.let_in(attempt, session, user);
        }
    }

    /// A session has not registered, and its link has ended.
    pub(super) fn opening_lost(&mut self, connection: ConnectionId, reason: &str) {
        if let Some(number) = connection.0.checked_sub(OPENED) {
            self.not_opened(OpeningId(number), LoginRefusal::NotStarted, reason);
        }
    }

    /// A desktop could not be started.
    pub(super) fn not_opened(&mut self, id: OpeningId, refusal: LoginRefusal, reason: &str) {
        let waiting = self.desktops.failed(id);
        if !waiting.is_empty() {
            error!("a desktop was not started at a sign-in: {reason}");
        }
        for attempt in waiting {
            self.conclude(attempt, Err(refusal));
        }
    }
}

/// Starts a desktop; reports it if that fails, or if it has not registered in time.
async fn carry_out(order: Order, events: Events) {
    let (id, deadline) = (order.id, Instant::now() + WHOLE);
    let failed = match timeout_at(deadline, start(order, &events)).await {
        Ok(Err(failed)) => failed,
        Ok(Ok(())) => {
            // Nobody waits any more for one that has registered.
            sleep_until(deadline).await;
            NotOpened::TooSlow
        }
        Err(_) => NotOpened::TooSlow,
    };
    let news = Event::NotOpened(id, failed.refusal(), failed.to_string());
    // It fails only when the event loop has ended.
    let _ = events.send(news).await;
}

async fn start(order: Order, events: &Events) -> Result<(), NotOpened> {
    let Order { id, queued: Queued { account, user, leader }, socket, host, beside } = order;
    // First what can be had without opening anything.
    let session = reach::<ToHost, ToSession>(&socket).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => NotOpened::Absent(socket),
        _ => lost(error),
    })?;
    let session = AsyncChannel::new(session).map_err(lost)?;
    let display = display(beside)?;
    leader.send(&ToLeader::Open { display: display.clone() }, &[]).await.map_err(lost)?;
    let opened = leader.receive().await.map_err(lost)?;
    let runtime_dir = match opened.message {
        FromLeader::Opened { runtime_dir } => runtime_dir,
        FromLeader::NotOpened => return Err(NotOpened::Login),
        _ => return Err(NotOpened::Leader),
    };
    let wayland = opened.descriptors.first().ok_or(NotOpened::Leader)?;
    let uid = user.as_raw();
    let form = SESSION_HASH;
    let granted = ToSession::Granted { form, account, uid, display, runtime_dir, host, beside };
    let descriptors = [wayland.as_fd(), leader.channel().as_fd()];
    session.send(&granted, &descriptors).await.map_err(lost)?;
    let end = session.channel().as_fd().try_clone_to_owned().map_err(lost)?;
    link::attend_session(ConnectionId(OPENED + id.0), end, events.clone()).await;
    Ok(())
}

/// What the Wayland socket is called.
fn display(beside: bool) -> Result<DisplayName, NotOpened> {
    let name = match beside {
        true => format!("{DISPLAY}-{:x}", random_number().map_err(lost)?),
        false => DISPLAY.to_owned(),
    };
    DisplayName::new(&name).map_err(lost)
}

fn lost(error: impl std::fmt::Display) -> NotOpened {
    warn!(%error, "a desktop cannot be started");
    NotOpened::Link(error.to_string())
}
