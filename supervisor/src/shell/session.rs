//! A session's event loop: one task owns the whole session, handles one event at a time, and carries out
//! what the lifecycle decides. The host may restart; the session then asks the new one for what it needs.

mod ending;
mod host;
mod host_link;
mod leases;
mod sound;

use std::{io, net::SocketAddr, process, time::Instant};

use lumen_ipc::{
    message::{
        grants::{LossReason, ToSupervisor},
        session::SessionName,
        signalling::Reason,
    },
    process::{ExitCode, Worker},
    service::{AppState, AppStatus, SessionStatus, Shortages},
    text::Text,
    units::SessionId,
};
use nix::sys::signal::Signal;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use self::host_link::HostLink;
use super::{
    addresses, app,
    crew::Crew,
    event::{Event, Events, HelperEvent, LeaderEnd, LeaderNews, QUEUE, WorkerEvent},
    family::Family,
    fence::Namespaces,
    guests::Guests,
    handshake, helpers,
    leader::{Leader, PARTING},
    log::Log,
    news, session_group,
    sound::SinkOwner,
    sound_gate,
    stage::{SessionStage, Stage},
    worker::{Roster, Workers},
};
use crate::{
    broker::Token,
    control_group::Resource,
    leases::Leases,
    lifecycle::{Action, ECHO, Helper, Input, Instance, Lifecycle, News, Outcome, Verdict},
    search::Search,
};

/// Everything a running session consists of.
pub(super) struct Session {
    stage: SessionStage,
    crew: Crew,
    guests: Guests,
    /// Where the media socket can be reached, if that has changed since the start.
    candidates: Option<Vec<SocketAddr>>,
    token: Token,
    name: Option<SessionName>,
    host: HostLink,
    /// The link to the leader of the login session, until it is served.
    leader: Option<LeaderEnd>,
    /// Whether there is a leader.
    is_led: bool,
    /// Whether its address is printed nowhere.
    quiet: bool,
    /// What lets viewers type.
    leases: Leases,
    /// For the sound server.
    search: Search,
    sink: SinkOwner,
    app_state: AppState,
    /// Why the host ends the session, if it says so.
    farewell: Option<Reason>,
    /// When it was started.
    started: Instant,
    /// The number of the newest app state.
    serial: u32,
    /// Whether every worker has been ready.
    complete: bool,
    /// How often guests lacked what they may not have more of.
    shortages: Shortages,
    log: Log,
    events: Events,
    inbox: mpsc::Receiver<Event>,
}

/// How a session introduces itself to its host.
pub(super) struct Introduction {
    pub(super) token: Token,
    pub(super) name: Option<SessionName>,
    /// Whether the host is this process.
    pub(super) joined: bool,
    /// The leader of the login session, if the desktop was started at a sign-in.
    pub(super) leader: Option<LeaderEnd>,
}

impl Session {
    pub(super) fn new(
        stage: SessionStage,
        introduction: Introduction,
        (namespaces, roster): (Namespaces, Roster),
        family: Family,
        log: Log,
    ) -> Self {
        let (events, inbox) = mpsc::channel(QUEUE);
        let present: Vec<Worker> = stage.staff().plan.iter().map(|part| part.worker).collect();
        let machine = Lifecycle::of(&present)
            .outliving_its_app(stage.outlives_app)
            .helped_by(&stage.helpers());
        let crew = Crew {
            machine: if stage.expects_sink() { machine.expecting_sink() } else { machine },
            workers: Workers::new(namespaces, roster.clone(), events.clone(), log.clone()),
        };
        let Introduction { token, name, joined, leader } = introduction;
        Self {
            stage,
            crew,
            guests: Guests::new(family, roster, events.clone(), log.clone()),
            candidates: None,
            token,
            name,
            host: HostLink::new(joined),
            is_led: leader.is_some(),
            quiet: leader.is_some(),
            leader,
            leases: Leases::default(),
            search: Search::default(),
            sink: SinkOwner::default(),
            app_state: AppState::Running,
            farewell: None,
            started: Instant::now(),
            serial: 1,
            complete: false,
            shortages: Shortages::default(),
            log,
            events,
            inbox,
        }
    }

    /// The queue for the events of tasks.
    pub(super) fn events(&self) -> Events {
        self.events.clone()
    }

    /// Runs until everything has ended. Nothing starts before the host has welcomed the session: it may
    /// refuse.
    pub(super) async fn run(mut self) -> process::ExitCode {
        if let Some(end) = self.leader.take() {
            match Leader::attend(end, self.events()) {
                Ok(leader) => self.guests.led_by(leader),
                Err(error) => {
                    error!(%error, "the leader of the login session cannot be heard");
                    return ExitCode::CouldNotStart.into();
                }
            }
        }
        let code = self.serve().await;
        self.part_with_leader().await;
        code
    }

    async fn serve(&mut self) -> process::ExitCode {
        if let Err(code) = self.meet_host().await {
            return code;
        }
        tokio::spawn(addresses::watch(self.stage.addresses.clone(), self.events()));
        for resource in Resource::ALL {
            if let Some(file) = self.stage.shortages(resource) {
                tokio::spawn(session_group::watch_for_shortage(resource, file, self.events()));
            }
        }
        self.crew.feed(Input::Begin);
        loop {
            if let Some(outcome) = self.carry_out() {
                return self.conclude(outcome);
            }
            match self.crew.next(&mut self.inbox).await {
                Some(event) => self.take_in(event),
                None => self.crew.feed(Input::Tick),
            }
        }
    }

    /// Waits until the login session has ended, so that nothing of it is left when the host hears that the
    /// desktop has ended.
    async fn part_with_leader(&mut self) {
        if !self.is_led || !self.guests.part() {
            return;
        }
        let ended = async {
            while let Some(event) = self.inbox.recv().await {
                if matches!(event, Event::Leader(LeaderNews::Lost(_))) {
                    return;
                }
            }
        };
        if tokio::time::timeout(PARTING, ended).await.is_err() {
            warn!("the login session does not end");
        }
    }

    fn take_in_leader(&mut self, news: LeaderNews) {
        match news {
            LeaderNews::Said(said) => self.guests.leader_said(said),
            LeaderNews::Lost(reason) => {
                info!(reason, "the login session has ended");
                self.is_led = false;
                self.guests.leader_lost();
                self.crew.feed(Input::Stop);
            }
        }
    }

    fn take_in(&mut self, event: Event) {
        match event {
            Event::AppEnded(verdict) => {
                self.guests.app_ended();
                self.crew.feed(Input::AppExited(verdict));
                self.child_ended();
            }
            Event::ChildEnded => self.child_ended(),
            Event::FromHost(news) => self.take_in_host(news),
            Event::Leader(news) => self.take_in_leader(news),
            Event::GuestsShort(resource, count) => {
                session_group::note_shortage(resource, &mut self.shortages, count);
            }
            Event::Helper(helper, instance, event) => self.take_in_helper(helper, instance, event),
            Event::Moved(addresses) => {
                info!(count = addresses.len(), "this machine has other addresses");
                self.candidates = Some(self.stage.moved(&addresses));
                self.tell_candidates();
            }
            Event::SoundServerDue => {
                if self.search.due() {
                    self.look_for_sound_server();
                }
            }
            // Ignored if a newer pair has arrived.
            Event::SignallingCut(generation) => {
                if generation == self.host.generation {
                    self.want_signalling();
                }
            }
            Event::Signal => {
                info!("asked to end");
                self.crew.feed(Input::Stop);
            }
            Event::Worker(worker, instance, event) => self.take_in_worker(worker, instance, event),
            other => error!(?other, "news that is none of a session's"),
        }
    }

    fn take_in_helper(&mut self, helper: Helper, instance: Instance, event: HelperEvent) {
        match event {
            HelperEvent::Ended(verdict) => {
                self.guests.helper_ended(helper, instance);
                self.crew.feed(Input::HelperExited(helper, instance, verdict));
                self.child_ended();
            }
            HelperEvent::Ready(line) => {
                if let Some(launch) = self.stage.helper(helper) {
                    self.guests.helper_ready(launch, &line);
                }
                self.crew.feed(Input::HelperReady(helper, instance));
                if helper == Helper::SoundServer && self.search.hinted() {
                    self.look_for_sound_server();
                }
            }
        }
    }

    fn take_in_worker(&mut self, worker: Worker, instance: Instance, event: WorkerEvent) {
        if worker == Worker::Media {
            match &event {
                WorkerEvent::Ended(verdict) => self.stage.graphics.ended(Instant::now(), *verdict),
                WorkerEvent::Ready(_) => self.stage.graphics.ready(),
                _ => {}
            }
        }
        let ended = matches!(event, WorkerEvent::Ended(_));
        let ready = matches!(event, WorkerEvent::Ready(_));
        match self.crew.take_in(worker, instance, event) {
            // Usually the gateway has ended; the host then sends an end for its successor unasked.
            Some(ToSupervisor::LinkLost { generation, reason: LossReason::Closed, .. })
                if worker == Worker::Rtc =>
            {
                let events = self.events();
                tokio::spawn(async move {
                    tokio::time::sleep(ECHO).await;
                    // It fails only when the event loop has ended.
                    let _ = events.send(Event::SignallingCut(generation)).await;
                });
            }
            Some(
                ToSupervisor::LinkLost { generation, .. }
                | ToSupervisor::LinkViolated { generation, .. },
            ) if worker == Worker::Rtc && generation == self.host.generation => {
                // Also if the gateway is accused: it is the host's, which acts on no session's accusation.
                self.want_signalling();
            }
            Some(ToSupervisor::NodeJudged(judgement)) if worker == Worker::Media => {
                self.stage.graphics.judged(judgement);
            }
            Some(ToSupervisor::ViewerActs) if worker == Worker::Compositor => self.say_acts(),
            Some(ToSupervisor::SoundServerWanted) if worker == Worker::Sound => {
                if self.search.want() {
                    self.look_for_sound_server();
                }
            }
            Some(ToSupervisor::SoundSinkMade) if worker == Worker::Sound => self.sink.made(),
            Some(ToSupervisor::SoundSinkReady) if worker == Worker::Sound => {
                self.crew.feed(Input::SinkReady);
            }
            // A report about a replaced pair is ignored.
            Some(ToSupervisor::LinkLost { .. } | ToSupervisor::LinkViolated { .. }) | None => {}
            Some(other) => warn!(%worker, ?other, "a word about a link it does not have"),
        }
        match worker {
            Worker::Compositor if ready => {
                self.guests.introduce_bridge(&self.crew.workers);
                self.tell_leases();
            }
            Worker::Rtc if ready => {
                self.tell_candidates();
                self.tell_rights();
            }
            _ => {}
        }
        if ended {
            self.child_ended();
        }
    }

    /// Tells rtc the addresses that have changed since the start. An rtc that is starting is told when it
    /// is ready: it may have been configured before the change.
    fn tell_candidates(&self) {
        if let (Some(candidates), Some(rtc)) =
            (&self.candidates, self.crew.workers.client(Worker::Rtc))
        {
            tokio::spawn(handshake::set_candidates(rtc, candidates.clone()));
        }
    }

    /// Carries out the actions of the state machine; `Some` when the session has ended.
    fn carry_out(&mut self) -> Option<Outcome> {
        while let Some(action) = self.crew.machine.poll_action() {
            match action {
                Action::Spawn(Worker::Media, _) => {
                    let told = self.stage.graphics.prepare();
                    self.stage.staff.tell_node(told);
                }
                Action::Spawn(Worker::Rtc, _) => {
                    self.stage.staff.tell_rights(&self.leases.for_rtc());
                }
                _ => {}
            }
            let hands_over = action == Action::Start(Worker::Media);
            let rest = self.crew.carry_out(action, &mut self.stage);
            if hands_over {
                self.stage.graphics.handed_over();
            }
            let Some(action) = rest else { continue };
            match action {
                Action::Announce => {
                    self.complete = true;
                    self.announce();
                }
                Action::Finish(outcome) => return Some(outcome),
                Action::KillApp => self.guests.signal_app(Signal::SIGKILL),
                Action::KillHelper(helper) => self.guests.kill_helper(helper),
                Action::KillRest => self.end_rest(Signal::SIGKILL),
                Action::Spawn(Worker::Compositor, _) => self.renew_leases(),
                Action::Spawn(Worker::Rtc, _) => self.want_signalling(),
                Action::StartApp => self.start_app(),
                Action::StartHelper(helper, instance) => self.start_helper(helper, instance),
                Action::Tell(news) => self.tell(news),
                Action::TerminateApp => self.guests.signal_app(Signal::SIGTERM),
                Action::TerminateRest => self.end_rest(Signal::SIGTERM),
                // Carried out by the crew.
                Action::Ask(..)
                | Action::Drain(_)
                | Action::Examine(..)
                | Action::Kill(_)
                | Action::Say(_)
                | Action::Spawn(..)
                | Action::Start(_)
                | Action::Terminate(_)
                | Action::Wire { .. } => {}
            }
        }
        None
    }

    fn start_app(&mut self) {
        if self.guests.start_app(&self.stage.app).is_err() {
            self.crew.feed(Input::AppExited(Verdict::NotSpawned));
        }
    }

    fn start_helper(&mut self, helper: Helper, instance: Instance) {
        let absent = || io::Error::other("this desktop runs without it");
        let launch = self.stage.helper(helper).ok_or_else(absent);
        let app = &self.stage.app;
        let started = launch.and_then(|launch| self.guests.start_helper(launch, instance, app));
        self.guests.introduce_bridge(&self.crew.workers);
        if let Err(error) = started {
            error!(%helper, %error, "cannot execute");
            self.crew.feed(Input::HelperExited(helper, instance, Verdict::NotSpawned));
        }
    }

    /// Reports news of the app to the pages and the log.
    fn tell(&mut self, news: News) {
        if let News::AppEnded { verdict, early } = news {
            self.explain_app(verdict, early, "the desktop stays");
        }
        let hint = if news.is_failure() { self.hint() } else { "" };
        self.app_state = match (&self.farewell, news) {
            (Some(reason), News::Over(Outcome::Stopped)) => {
                AppState::Over { reason: reason.clone() }
            }
            _ => news::state(news, hint),
        };
        self.serial = self.serial.wrapping_add(1);
        self.say_app();
    }

    fn end_rest(&mut self, signal: Signal) {
        if self.guests.end_rest(signal) {
            self.crew.feed(Input::RestGone);
        }
    }

    fn child_ended(&mut self) {
        if self.guests.child_ended() {
            self.crew.feed(Input::RestGone);
        }
    }

    /// The session's number; the first one if the host has not given any yet.
    fn id(&self) -> SessionId {
        self.host.id.unwrap_or(SessionId::SOLE)
    }

    fn status(&self) -> SessionStatus {
        let id = self.id();
        let name =
            self.name.as_ref().map_or_else(|| id.to_string(), |name| name.as_str().to_owned());
        SessionStatus {
            id,
            name: Text::truncated(name),
            supervisor_pid: process::id(),
            app: AppStatus {
                command: Text::truncated(app::command_line(&self.stage.app)),
                pid: self.guests.app_pid().map(|pid| pid.as_raw().unsigned_abs()),
            },
            control_group: Some(self.stage.has_group()),
            shortages: self.shortages,
            graphics: Some(Box::new(self.stage.graphics.status())),
            workers: self.crew.status(&self.stage, id),
        }
    }
}
