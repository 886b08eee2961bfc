//! A host's event loop: it runs the gateway and the relay, decides who may see which session, and keeps
//! the links to the sessions.
//!
//! One task owns all of this and handles one event at a time. A session is trusted only about itself:
//! its messages concern no other session and are bounded. One that breaks the contract or does not read
//! loses its link.

mod answering;
mod attempts;
mod away;
mod certificate;
mod configuration;
mod desk;
mod errands;
mod leases;
mod managed;
mod memory;
mod opening;
mod proxied;
mod remembering;
mod roster;
mod sessions;
mod stays;
mod unclaimed;
mod welcoming;

use std::{
    collections::{BTreeMap, VecDeque},
    os::fd::{AsFd, OwnedFd},
    time::Instant,
};

use lumen_ipc::{
    message::{
        grants::{LossReason, ToSupervisor},
        session::{Question, SESSION_HASH, ToHost, ToSession},
        signalling::{Reason, ToGateway, ToRtc},
    },
    process::Worker,
    service::{ConfinementReport, Refusal},
    units::SessionId,
};
use lumen_ipc_runtime::channel::Channel;
use nix::unistd::{Gid, Uid};
use tokio::{runtime::Handle, sync::mpsc};
use tracing::{error, info, warn};

use self::{
    away::Away,
    desk::{Desk, Queued},
    sessions::{Pending, Record, Sessions, hang_up},
    unclaimed::Unclaimed,
};
pub(super) use self::{configuration::Managed, memory::Memory};
use super::{
    audit::Audit,
    crew::Crew,
    event::{AdminRequest, ConnectionId, Event, Events, FromSession, HostEnd, QUEUE, WorkerEvent},
    fence::Namespaces,
    log::Log,
    login_news::LoginBulletin,
    news::Bulletin,
    proxy_door::Arrival,
    stage::{HostStage, Stage},
    worker::{Roster, Workers},
};
use crate::{
    broker::{
        Access, ErrandId,
        desktops::{Desktops, OpeningId},
        in_use::OnTheWay,
        leases::LeaseMint,
        limits::{Limits, Stays},
        relay::RelayMint,
        visitors::Visitors,
    },
    lifecycle::{Action, Input, Instance, Lifecycle, Outcome},
};

/// Everything a running host consists of.
pub(super) struct Host {
    stage: HostStage,
    access: Access,
    desk: Desk,
    /// Browsers that are away at an identity provider.
    away: BTreeMap<ErrandId, Away>,
    /// The desktops that are being started,
    desktops: Desktops,
    /// those of them that wait for the end of another,
    queued: BTreeMap<OpeningId, Queued>,
    /// and the desktops to which somebody has just signed in.
    on_the_way: OnTheWay,
    leases: LeaseMint,
    unclaimed: Unclaimed,
    mint: Option<RelayMint>,
    crew: Crew,
    sessions: Sessions,
    /// Connections of a proxy that wait for a gateway.
    proxied: VecDeque<Arrival>,
    bulletin: Bulletin,
    login_news: LoginBulletin,
    visitors: Visitors,
    /// When sessions end by themselves,
    stays: Stays,
    /// when the timer for that fires,
    limit_timer: Option<Instant>,
    /// and what their users are told at the next sign-in.
    farewells: BTreeMap<u32, String>,
    /// Whether a timer for visitors who may have left is running.
    awaits_visitors: bool,
    audit: Audit,
    /// The log for the page's address, once browsers can connect; `None` where a session in the same
    /// process logs it.
    announces: Option<Log>,
    /// What is stored for the next process; `None` if the host ends with its only session.
    memory: Option<Memory>,
    /// What this process has given up.
    restraint: ConfinementReport,
    /// The service manager, where one may have started it.
    managed: Option<Managed>,
    /// Whether browsers can connect.
    open: bool,
    inbox: mpsc::Receiver<Event>,
    events: Events,
}

impl Host {
    pub(super) fn new(
        mut stage: HostStage,
        access: Access,
        (namespaces, roster): (Namespaces, Roster),
        log: Log,
    ) -> Self {
        let (events, inbox) = mpsc::channel(QUEUE);
        let present: Vec<Worker> = stage.staff().plan.iter().map(|part| part.worker).collect();
        let crew = Crew {
            machine: Lifecycle::of(&present).without_app(),
            workers: Workers::new(namespaces, roster, events.clone(), log),
        };
        Self {
            mint: stage.mint.take(),
            stage,
            access,
            desk: Desk::default(),
            away: BTreeMap::new(),
            desktops: Desktops::default(),
            queued: BTreeMap::new(),
            on_the_way: OnTheWay::default(),
            leases: LeaseMint::default(),
            unclaimed: Unclaimed::default(),
            crew,
            sessions: Sessions::default(),
            proxied: VecDeque::new(),
            bulletin: Bulletin::default(),
            login_news: LoginBulletin::default(),
            visitors: Visitors::default(),
            stays: Stays::new(Limits::NONE),
            limit_timer: None,
            farewells: BTreeMap::new(),
            awaits_visitors: false,
            audit: Audit::default(),
            announces: None,
            memory: None,
            restraint: ConfinementReport::default(),
            managed: None,
            open: false,
            inbox,
            events,
        }
    }

    /// Logs the page's address once browsers can connect.
    pub(super) fn announced_on(self, log: Log) -> Self {
        Self { announces: Some(log), ..self }
    }

    /// Records what people do.
    pub(super) fn audited(self, audit: Audit) -> Self {
        Self { audit, ..self }
    }

    /// Reports what its process has given up.
    pub(super) fn restrained(self, restraint: ConfinementReport) -> Self {
        Self { restraint, ..self }
    }

    /// The group of its administrators.
    pub(super) fn admins(&self) -> Option<Gid> {
        self.stage.admins
    }

    /// The queue for the events of tasks.
    pub(super) fn events(&self) -> Events {
        self.events.clone()
    }

    /// Runs until everything has ended; returns how it ended.
    pub(super) async fn run(mut self) -> Outcome {
        self.watch_certificate();
        self.attend_proxy();
        self.crew.feed(Input::Begin);
        loop {
            if let Some(outcome) = self.carry_out() {
                return outcome;
            }
            match self.crew.next(&mut self.inbox).await {
                Some(event) => self.take_in(event),
                None => self.crew.feed(Input::Tick),
            }
        }
    }

    fn take_in(&mut self, event: Event) {
        match event {
            Event::Admin(request) => self.answer_admin(request),
            Event::Attempt(attempt, news) => self.take_in_attempt(attempt, news),
            Event::Errand(errand, news) => self.take_in_errand(errand, news),
            Event::Broker(request) => {
                self.answer_gateway(request);
                self.tell_ended_logins();
            }
            Event::FromSession(connection, news) => self.take_in_session(connection, news),
            Event::ExpectedDue => self.end_overdue(),
            Event::LimitDue => self.limit_due(),
            Event::NotOpened(id, refusal, reason) => self.not_opened(id, refusal, &reason),
            Event::Remembered(connection) => self.welcome(connection),
            Event::VisitDue => self.end_visits(),
            Event::WiringDue => self.wire_sessions(),
            Event::ProxyConnected(connection, peer) => self.proxy_connected(connection, peer),
            Event::Reload => self.reload(),
            Event::SignDue => self.tell_alive(),
            Event::CertificateRead(read) => self.renew_certificate(read),
            Event::Signal => {
                info!("the host ends");
                self.tell_end();
                self.crew.feed(Input::Stop);
            }
            Event::Worker(worker, instance, event) => self.take_in_worker(worker, instance, event),
            other => error!(?other, "news that is none of a host's"),
        }
    }

    fn take_in_worker(&mut self, worker: Worker, instance: Instance, event: WorkerEvent) {
        match self.crew.take_in(worker, instance, event) {
            Some(ToSupervisor::SignallingLost { session, generation, reason })
                if self.sessions.is_present(session, generation) =>
            {
                tracing::debug!(%session, %reason, "the signalling link is lost");
                self.sessions.cut(session);
                // Usually rtc has ended; then its session asks for the next link.
                if reason != LossReason::Closed {
                    self.sessions.want(session);
                }
            }
            Some(ToSupervisor::SignallingViolated { session, generation })
                if self.sessions.is_present(session, generation) =>
            {
                warn!(%session, "its rtc broke the contract with the gateway");
                self.sessions.cut(session);
                match self.sessions.forgive(session, Instant::now()) {
                    true => self.sessions.want(session),
                    false => self.send(session, &ToSession::RtcViolated),
                }
            }
            // A report about a replaced pair is ignored.
            Some(ToSupervisor::SignallingLost { .. } | ToSupervisor::SignallingViolated { .. })
            | None => {}
            Some(other) => warn!(%worker, ?other, "a word about a link it does not have"),
        }
        self.wire_sessions();
        self.hand_proxied_over();
    }

    /// Carries out the actions of the state machine; `Some` when the host has ended.
    fn carry_out(&mut self) -> Option<Outcome> {
        while let Some(action) = self.crew.machine.poll_action() {
            match self.crew.carry_out(action, &mut self.stage) {
                Some(Action::Announce) => {
                    self.open = true;
                    self.stage.certificate.served();
                    self.announce();
                    self.tell_ready();
                    for session in self.sessions.all() {
                        self.say_open(session);
                    }
                }
                Some(Action::Spawn(Worker::Gateway, _)) => {
                    for session in self.sessions.all() {
                        self.sessions.want(session);
                    }
                    self.wire_sessions();
                }
                Some(Action::Finish(outcome)) => return Some(outcome),
                // A host has no descendants but its workers.
                Some(Action::TerminateRest) => self.crew.feed(Input::RestGone),
                Some(_) | None => {}
            }
        }
        None
    }

    fn take_in_session(&mut self, connection: ConnectionId, news: FromSession) {
        match news {
            FromSession::Came(channel) => self.sessions.came(connection, channel),
            FromSession::Said(ToHost::Registered {
                form,
                was,
                name,
                token,
                supervisor_pid,
                owner,
                age_seconds,
            }) => {
                let Some(channel) = self.sessions.newcomer(connection) else {
                    return self.give_up(connection, "it registered twice");
                };
                if form != SESSION_HASH {
                    let reason = "the host is of another build; restart the desktop to use it";
                    return refuse(&channel, reason);
                }
                let record = Record::new(channel.clone(), connection, name, supervisor_pid, token)
                    .owned_by(Uid::from_raw(owner))
                    .aged(age_seconds);
                // The session reconnects before the end of its last link is known.
                if let Some(session) = self.sessions.given_up(token) {
                    self.sessions.remove(session);
                    self.part_with(session, true);
                }
                let memory = self.memory.as_ref();
                let expected = |session| memory.is_some_and(|memory| memory.expects(session));
                let room = self.sessions.room_for(&record, self.stays.limits(), expected);
                let registered = room.and_then(|()| self.sessions.register(record, was, expected));
                if let Err(reason) = registered {
                    return refuse(&channel, reason);
                }
                let (events, runtime) = (self.events.clone(), Handle::current());
                self.remember(move || {
                    runtime.spawn(async move {
                        // It fails only when the event loop has ended.
                        let _ = events.send(Event::Remembered(connection)).await;
                    });
                });
            }
            FromSession::Said(said) => match self.sessions.of(connection) {
                Some(session) => self.take_in_word(session, said),
                None => self.give_up(connection, "it has not registered"),
            },
            FromSession::Lost(reason) => {
                let Some(session) = self.sessions.of(connection) else {
                    drop(self.sessions.newcomer(connection));
                    return self.opening_lost(connection, &reason);
                };
                info!(%session, reason, "the session is gone");
                let gave_up = self.sessions.remove(session);
                self.part_with(session, gave_up);
                self.tell_condition();
            }
        }
    }

    fn take_in_word(&mut self, session: SessionId, said: ToHost) {
        match said {
            // Handled by `take_in_session`.
            ToHost::Registered { .. } => {}
            ToHost::Acts => self.note_act(session),
            ToHost::AppChanged { serial, state } => self.bulletin.tell(session, serial, state),
            ToHost::SignallingWanted => {
                self.sessions.want(session);
                self.wire_sessions();
            }
            ToHost::Answered { number, answer } => self.sessions.answered(session, number, answer),
            ToHost::LeaseTaken { lease } => self.unclaimed.claim(session, lease),
        }
    }

    /// Makes the requested signalling links that the rate limit permits now.
    fn wire_sessions(&mut self) {
        // Requested links wait until there is a gateway again.
        if self.crew.workers.client(Worker::Gateway).is_none() {
            return;
        }
        for session in self.sessions.due(Instant::now()) {
            let (near, far) = match Channel::<ToGateway, ToRtc>::pair() {
                Ok(pair) => pair,
                Err(error) => {
                    error!(%session, %error, "a signalling link cannot be made");
                    self.sessions.postpone(session, Instant::now());
                    continue;
                }
            };
            let Some(generation) = self.sessions.wired(session, Instant::now()) else { continue };
            let far = far.into_descriptor();
            self.crew.workers.deliver_signalling(session, generation, near.into_descriptor());
            self.send_end(session, far);
        }
        let events = self.events.clone();
        if let Some(wait) = self.sessions.timer(Instant::now()) {
            tokio::spawn(async move {
                tokio::time::sleep(wait).await;
                // It fails only when the event loop has ended.
                let _ = events.send(Event::WiringDue).await;
            });
        }
    }

    fn answer_admin(&mut self, request: AdminRequest) {
        // Sending fails only if the caller has gone.
        match request {
            AdminRequest::Ask(session, question, reply) => {
                self.ask(session, question, Pending::Answer(reply));
            }
            AdminRequest::Revoke(asker, which, reply) => self.revoke(asker, which, reply),
            AdminRequest::Sessions(reply) => drop(reply.send(self.listed())),
            AdminRequest::SignIns(reply) => drop(reply.send(self.sign_ins())),
            AdminRequest::Restart(worker, reply) => {
                info!(%worker, "restart asked for");
                let outcome = self.crew.machine.restart(Instant::now(), worker);
                let _ = reply.send(outcome.map_err(|error| Refusal::because(error.to_string())));
            }
            AdminRequest::Status(reply) => {
                let _ = reply.send((self.status(), self.crew.clients(SessionId::SOLE)));
            }
            AdminRequest::Stop(session, reply) => {
                let _ = reply.send(self.stop(session));
            }
        }
    }

    fn ask(&mut self, session: SessionId, question: Question, pending: Pending) {
        match self.sessions.asked(session, pending) {
            Ok(number) => self.send(session, &ToSession::Asked { number, question }),
            Err(pending) => pending.refuse("the desktop does not answer"),
        }
    }

    /// Sends a message. If the session does not read, closes its link; the session may reconnect.
    fn send(&self, session: SessionId, message: &ToSession) {
        let Some(record) = self.sessions.get(session) else { return };
        if let Err(error) = record.channel.send(message, &[]) {
            self.lose(session, &error.to_string());
        }
    }

    fn send_end(&self, session: SessionId, end: OwnedFd) {
        let Some(record) = self.sessions.get(session) else { return };
        if let Err(error) = record.channel.send(&ToSession::SignallingEnd, &[end.as_fd()]) {
            self.lose(session, &error.to_string());
        }
    }

    fn lose(&self, session: SessionId, reason: &str) {
        if let Some(record) = self.sessions.get(session) {
            warn!(%session, reason, "its link is given up");
            record.given_up.set(true);
            hang_up(&record.channel);
        }
    }

    fn give_up(&mut self, connection: ConnectionId, reason: &str) {
        warn!(?connection, reason, "a session breaks the contract; its link is given up");
        if let Some(record) = self.sessions.of(connection).and_then(|id| self.sessions.get(id)) {
            hang_up(&record.channel);
        }
        if let Some(channel) = self.sessions.newcomer(connection) {
            hang_up(&channel);
        }
    }
}

/// Sends the reason and closes the link; the session can still read what was sent before.
fn refuse(channel: &HostEnd, reason: &str) {
    warn!(reason, "a session is refused");
    let refused = ToSession::Refused { reason: Reason::truncated(reason) };
    // It fails if the session does not read; then it does not learn the reason.
    let _ = channel.send(&refused, &[]);
    hang_up(channel);
}
