//! The loop: one task that owns everything, takes in one event at a time, and carries out what the
//! lifecycle decides.

use std::{
    io,
    net::SocketAddr,
    process,
    time::{Duration, Instant, SystemTime},
};

use lumen_ipc::{
    link::LinkName,
    message::grants::{LossReason, ToSupervisor},
    process::{ExitCode, ProcessId, Scope, Worker},
    relay::UnixSeconds,
    service::{AppStatus, AuthMode, HostStatus, ProcessStatus, Refusal, RelayPair, SessionStatus},
    text::Text,
    units::{PeerId, SessionId},
};
use nix::sys::signal::Signal;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use super::{
    addresses, app,
    event::{AdminRequest, BrokerRequest, Event, Events, HelperEvent, QUEUE, WorkerEvent},
    family::Family,
    fence::Namespaces,
    guests::Guests,
    handshake, helpers,
    log::Log,
    news::{self, Bulletin},
    proc,
    stage::{self, HostStage, SessionStage, Stage},
    worker::{GrantError, Workers},
};
use crate::{
    broker::{Access, relay::RelayMint},
    lifecycle::{
        Action, Complaint, Helper, Input, Instance, Lifecycle, News, Notice, Outcome, Verdict, Word,
    },
};

/// Everything a running desktop consists of.
pub(super) struct Session {
    host: HostStage,
    stage: SessionStage,
    access: Access,
    mint: Option<RelayMint>,
    machine: Lifecycle,
    workers: Workers,
    guests: Guests,
    bulletin: Bulletin,
    /// Where the media socket can be reached, if that has changed since the start.
    candidates: Option<Vec<SocketAddr>>,
    log: Log,
    events: Events,
    inbox: mpsc::Receiver<Event>,
}

impl Session {
    pub(super) fn new(
        mut host: HostStage,
        stage: SessionStage,
        namespaces: Namespaces,
        access: Access,
        family: Family,
        log: Log,
    ) -> Self {
        let (events, inbox) = mpsc::channel(QUEUE);
        let plans = stage.staff().plan.iter().chain(&host.staff().plan);
        let present: Vec<Worker> = plans.map(|part| part.worker).collect();
        Self {
            workers: Workers::new(namespaces, events.clone(), log.clone()),
            mint: host.mint.take(),
            machine: Lifecycle::of(&present)
                .outliving_its_app(stage.outlives_app)
                .helped_by(&stage.helpers()),
            host,
            stage,
            access,
            guests: Guests::new(family, events.clone(), log.clone()),
            bulletin: Bulletin::new(),
            candidates: None,
            log,
            events,
            inbox,
        }
    }

    /// Where tasks report to.
    pub(super) fn events(&self) -> Events {
        self.events.clone()
    }

    /// Runs until everything has ended.
    pub(super) async fn run(mut self) -> process::ExitCode {
        tokio::spawn(addresses::watch(self.stage.addresses.clone(), self.events()));
        self.feed(Input::Begin);
        loop {
            if let Some(outcome) = self.carry_out() {
                return self.conclude(outcome);
            }
            let event = match self.machine.timeout() {
                Some(at) => tokio::time::timeout_at(at.into(), self.inbox.recv()).await,
                None => Ok(self.inbox.recv().await),
            };
            match event {
                Ok(Some(event)) => self.take_in(event),
                // `self.events` keeps the queue open, so only the deadline is left.
                Ok(None) | Err(_) => self.feed(Input::Tick),
            }
        }
    }

    fn feed(&mut self, input: Input) {
        self.machine.handle_input(Instant::now(), input);
    }

    fn take_in(&mut self, event: Event) {
        match event {
            Event::Admin(request) => self.answer_admin(request),
            Event::AppEnded(verdict) => {
                self.guests.app_ended();
                self.feed(Input::AppExited(verdict));
                self.child_ended();
            }
            Event::Broker(request) => self.answer_gateway(request),
            Event::ChildEnded => self.child_ended(),
            Event::Helper(helper, instance, event) => self.take_in_helper(helper, instance, event),
            Event::Moved(addresses) => {
                info!(count = addresses.len(), "this machine has other addresses");
                self.candidates = Some(self.stage.moved(&addresses));
                self.tell_candidates();
            }
            Event::Signal => {
                info!("asked to end");
                self.feed(Input::Stop);
            }
            Event::Worker(worker, instance, event) => self.take_in_worker(worker, instance, event),
        }
    }

    fn take_in_helper(&mut self, helper: Helper, instance: Instance, event: HelperEvent) {
        match event {
            HelperEvent::Ended(verdict) => {
                self.guests.helper_ended(helper, instance);
                self.feed(Input::HelperExited(helper, instance, verdict));
                self.child_ended();
            }
            HelperEvent::Ready(line) => {
                if let Some(launch) = self.stage.helper(helper) {
                    self.guests.helper_ready(launch, &line);
                }
                self.feed(Input::HelperReady(helper, instance));
            }
        }
    }

    fn take_in_worker(&mut self, worker: Worker, instance: Instance, event: WorkerEvent) {
        match event {
            WorkerEvent::Broke(error) => {
                warn!(%worker, %error, "it says what no worker says");
                self.feed(Input::Broke(worker, instance));
            }
            WorkerEvent::Configured => self.feed(Input::Configured(worker, instance)),
            WorkerEvent::Ended(verdict) => {
                self.workers.forget(worker, instance);
                self.feed(Input::Exited(worker, instance, verdict));
                self.child_ended();
            }
            WorkerEvent::Left(link) => {
                // Mostly because it ends.
                tracing::debug!(%worker, %link, "it closed its end");
                self.feed(Input::Left(worker, instance));
            }
            WorkerEvent::HandshakeFailed(reason) => {
                // Mostly the echo of its end, which tells more and follows.
                tracing::debug!(%worker, reason, "the handshake broke");
                self.feed(Input::HandshakeFailed(worker, instance));
            }
            WorkerEvent::Ready(report) => {
                self.workers.confined(worker, instance, report);
                self.feed(Input::Ready(worker, instance));
                if worker == Worker::Rtc {
                    self.tell_candidates();
                }
            }
            WorkerEvent::Said(said) => self.feed(Input::Said(word(worker, said))),
            WorkerEvent::WrongBuild => self.feed(Input::WrongBuild(worker, instance)),
        }
    }

    /// Tells rtc of addresses that have changed since the start. One that is starting is told when it is
    /// ready: it may have been configured before.
    fn tell_candidates(&self) {
        if let (Some(candidates), Some(rtc)) = (&self.candidates, self.workers.client(Worker::Rtc))
        {
            tokio::spawn(handshake::set_candidates(rtc, candidates.clone()));
        }
    }

    /// Does all that the machine decides; `Some` when it was the last.
    fn carry_out(&mut self) -> Option<Outcome> {
        while let Some(action) = self.machine.poll_action() {
            match action {
                Action::Announce => self.announce(),
                Action::Drain(worker) => {
                    if let Some(client) = self.workers.client(worker) {
                        tokio::spawn(handshake::drain(client));
                    }
                }
                Action::Finish(outcome) => return Some(outcome),
                Action::Kill(worker) => self.workers.signal(worker, Signal::SIGKILL),
                Action::KillApp => self.guests.signal_app(Signal::SIGKILL),
                Action::KillHelper(helper) => self.guests.kill_helper(helper),
                Action::KillRest => self.end_rest(Signal::SIGKILL),
                Action::Say(notice) => say(notice),
                Action::Spawn(worker, instance) => self.spawn(worker, instance),
                Action::Start(worker) => self.start(worker),
                Action::StartApp => self.start_app(),
                Action::StartHelper(helper, instance) => self.start_helper(helper, instance),
                Action::Tell(news) => self.tell(news),
                Action::Terminate(worker) => self.workers.signal(worker, Signal::SIGTERM),
                Action::TerminateApp => self.guests.signal_app(Signal::SIGTERM),
                Action::TerminateRest => self.end_rest(Signal::SIGTERM),
                Action::Wire { link, generation, from, to } => {
                    if let Err(error) = self.workers.wire(link, generation, from, to) {
                        error!(link = %link.name, %error, "a link cannot be made");
                    }
                }
            }
        }
        None
    }

    fn spawn(&mut self, worker: Worker, instance: Instance) {
        let absent = || io::Error::other("this desktop runs without it");
        let stage = stage_of(worker, &self.host, &self.stage);
        let part = stage::part(stage, worker).ok_or_else(absent);
        if let Err(error) = part.and_then(|part| self.workers.spawn(part, instance)) {
            error!(%worker, %error, "cannot execute");
            self.feed(Input::Exited(worker, instance, Verdict::NotSpawned));
        }
    }

    fn start(&mut self, worker: Worker) {
        let stage = stage_of(worker, &self.host, &self.stage);
        let part = stage::part(stage, worker).ok_or(GrantError::Gone);
        if let Err(error) = part.and_then(|part| self.workers.start(part)) {
            error!(%worker, %error, "cannot hand over grants");
            self.workers.signal(worker, Signal::SIGKILL);
        }
    }

    fn start_app(&mut self) {
        if self.guests.start_app(&self.stage.app).is_err() {
            self.feed(Input::AppExited(Verdict::NotSpawned));
        }
    }

    fn start_helper(&mut self, helper: Helper, instance: Instance) {
        let absent = || io::Error::other("this desktop runs without it");
        let launch = self.stage.helper(helper).ok_or_else(absent);
        let app = &self.stage.app;
        let started = launch.and_then(|launch| self.guests.start_helper(launch, instance, app));
        if let Err(error) = started {
            error!(%helper, %error, "cannot execute");
            self.feed(Input::HelperExited(helper, instance, Verdict::NotSpawned));
        }
    }

    /// Tells the pages, and whoever reads the log.
    fn tell(&mut self, news: News) {
        if let News::AppEnded { verdict, early } = news {
            self.explain_app(verdict, early, "the desktop stays");
        }
        let hint = if news.is_failure() { self.hint() } else { "" };
        self.bulletin.tell(news::state(news, hint));
    }

    fn end_rest(&mut self, signal: Signal) {
        if self.guests.end_rest(signal, |pid| self.workers.has(pid)) {
            self.feed(Input::RestGone);
        }
    }

    fn child_ended(&mut self) {
        if self.guests.child_ended(|pid| self.workers.has(pid)) {
            self.feed(Input::RestGone);
        }
    }

    fn answer_admin(&mut self, request: AdminRequest) {
        // Whoever asked may have gone; then nobody misses the answer.
        match request {
            AdminRequest::Restart(process, reply) => {
                info!(%process, "restart asked for");
                let outcome = self.machine.restart(Instant::now(), process.kind());
                let _ = reply.send(outcome.map_err(|error| Refusal::because(error.to_string())));
            }
            AdminRequest::Status(reply) => {
                let _ = reply.send((self.status(), self.workers.ready_clients(&self.machine)));
            }
            AdminRequest::Stop => {
                info!("asked to end");
                self.feed(Input::Stop);
            }
        }
    }

    fn answer_gateway(&mut self, request: BrokerRequest) {
        // A gateway that has gone asks again.
        match request {
            BrokerRequest::Begin(method, from, reply) => {
                let _ = reply.send(self.access.begin(Instant::now(), &method, from));
            }
            BrokerRequest::MintRelayCredentials(session, peer, reply) => {
                let _ = reply.send(self.mint(session, peer));
            }
            BrokerRequest::Resume(cookie, reply) => {
                let _ = reply.send(self.access.resume(Instant::now(), &cookie));
            }
            BrokerRequest::SignOut(cookie, reply) => {
                let _ = reply.send(self.access.sign_out(&cookie));
            }
            BrokerRequest::StartApp(session, reply) => {
                let _ = reply.send(self.start_app_again(session));
            }
            BrokerRequest::WatchApp(seen, reply) => {
                if self.bulletin.ask(seen, reply) {
                    self.feed(Input::PagesTold);
                }
            }
        }
    }

    fn start_app_again(&mut self, session: SessionId) -> Result<(), Refusal> {
        if session != SessionId::SOLE {
            return Err(Refusal::because("There is no such desktop."));
        }
        let started = self.machine.start_app_again(Instant::now());
        started.map_err(|error| Refusal::because(error.to_string()))
    }

    fn mint(&mut self, session: SessionId, peer: PeerId) -> Option<RelayPair> {
        // Before 1970 nothing is minted that the relay would take.
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let mint = self.mint.as_mut()?;
        let pair = mint.mint(Instant::now(), UnixSeconds(unix.as_secs()), session, peer);
        if pair.is_none() {
            warn!(%peer, "no relay credentials: another session's, or too many a minute");
        }
        pair
    }

    fn status(&self) -> HostStatus {
        HostStatus {
            listen: self.host.front_door.listen.clone(),
            auth: self.host.auth,
            supervisor_pid: process::id(),
            workers: self.workers_of(Scope::Host),
            sessions: vec![SessionStatus {
                id: SessionId::SOLE,
                name: Text::truncated(SessionId::SOLE.to_string()),
                supervisor_pid: process::id(),
                app: AppStatus {
                    command: Text::truncated(app::command_line(&self.stage.app)),
                    pid: self.guests.app_pid().map(|pid| pid.as_raw().unsigned_abs()),
                },
                workers: self.workers_of(Scope::Session),
            }],
        }
    }

    fn workers_of(&self, scope: Scope) -> Vec<ProcessStatus> {
        let now = Instant::now();
        let staff = match scope {
            Scope::Host => self.host.staff(),
            Scope::Session => self.stage.staff(),
        };
        let workers = staff.plan.iter().map(|part| {
            let report = self.machine.report(part.worker);
            let pid = self.workers.pid(part.worker);
            let usage = pid.map(proc::usage).unwrap_or_default();
            let millis = |time: Duration| time.as_millis().try_into().unwrap_or(u64::MAX);
            let since = |then: Instant| millis(now.saturating_duration_since(then));
            let until = |then: Instant| millis(then.saturating_duration_since(now));
            ProcessStatus {
                process: ProcessId::serving(SessionId::SOLE, part.worker),
                pid,
                uid: part.identity.uid,
                state: Text::truncated(report.state.to_string()),
                uptime_millis: report.ready_since.map_or(0, since),
                next_try_millis: report.next_try.map(until),
                restarts: report.restarts,
                cpu_millis: usage.cpu_millis,
                memory_bytes: usage.memory_bytes,
                confinement: self.workers.confinement(part.worker),
                summary: Text::default(),
            }
        });
        workers.collect()
    }

    /// The one place where the token is shown: standard output, once.
    fn announce(&self) {
        let page = self.host.page();
        let address = match (self.host.auth, self.access.token(SessionId::SOLE)) {
            (AuthMode::Token, Some(token)) => format!("{page}#token={token}"),
            _ => page,
        };
        let ends = match self.stage.outlives_app {
            true => "on ctrl-c and on `lumen stop`",
            false => "on ctrl-c, on `lumen stop`, or when its app exits",
        };
        let text = format!(
            "Lumen is ready: {address}\n  Open it in a browser. The desktop ends {ends}.\n  \
             `lumen status` shows how it is, `lumen logs -f` what it logs.\n"
        );
        self.log.announce(text);
    }

    /// Says why it ended, and what `lumen` ends with: the app's own status if it was the app.
    fn conclude(&self, outcome: Outcome) -> process::ExitCode {
        match outcome {
            Outcome::Stopped => ExitCode::Ok.into(),
            Outcome::AppEnded { verdict, early } => {
                self.explain_app(verdict, early, "the desktop ends with it");
                verdict.as_status().map_or_else(|| ExitCode::CouldNotStart.into(), Into::into)
            }
            Outcome::CouldNotHelp(helper) => {
                self.log.say(&format!("{helper} could not be started; its lines above say why"));
                ExitCode::CouldNotStart.into()
            }
            Outcome::CouldNotStart(worker) => {
                self.log.say(&format!("{worker} could not be started; its lines above say why"));
                ExitCode::CouldNotStart.into()
            }
        }
    }

    /// What may help an app that has ended.
    fn hint(&self) -> &'static str {
        if self.stage.helper(Helper::XServer).is_some() {
            return "";
        }
        helpers::hint(self.guests.last_lines().iter())
    }

    fn explain_app(&self, verdict: Verdict, early: bool, desktop: &str) {
        let command = app::command_line(&self.stage.app);
        let how = news::ended(verdict, early);
        let hint = if verdict.is_success() { "" } else { self.hint() };
        let stop = if hint.is_empty() { "" } else { "." };
        self.log.say(&format!("the app `{command}` {how}; {desktop}{stop}{hint}"));
        if early {
            for line in self.guests.last_lines() {
                self.log.say(&format!("  its last lines: {line}"));
            }
        }
    }
}

fn stage_of<'stage>(
    worker: Worker,
    host: &'stage HostStage,
    session: &'stage SessionStage,
) -> &'stage dyn Stage {
    match worker.scope() {
        Scope::Host => host,
        Scope::Session => session,
    }
}

fn word(by: Worker, said: ToSupervisor) -> Word {
    let (link, generation, complaint) = match said {
        ToSupervisor::LinkLost { link, generation, reason } => {
            (link, generation, Complaint::Lost(reason))
        }
        ToSupervisor::PeerViolated { link, generation } => (link, generation, Complaint::Violated),
        ToSupervisor::SignallingLost { generation, reason, .. } => {
            (LinkName::Signalling, generation, Complaint::Lost(reason))
        }
        ToSupervisor::SignallingViolated { generation, .. } => {
            (LinkName::Signalling, generation, Complaint::Violated)
        }
    };
    Word { by, link: link.row(), generation, complaint }
}

fn say(notice: Notice) {
    match notice {
        Notice::Accused(worker, word) => {
            let Word { by, link, .. } = word;
            warn!(%worker, link = %link.name, "{by} accuses its peer again; ending {worker}");
        }
        Notice::AppFollowsCompositor => warn!("the app ended with its compositor; starting anew"),
        Notice::AppFollowsHelper => {
            warn!("the app ended with a helper it cannot do without; starting both anew");
        }
        Notice::Broke(worker) => {
            error!(%worker, "{worker} broke the contract with its supervisor; ending it");
        }
        Notice::Died(worker, verdict, wait) => {
            warn!(%worker, "{worker} {verdict}; starting it anew after {} ms", wait.as_millis());
        }
        Notice::Failed(worker, verdict, reason, wait) => {
            let wait = wait.as_secs();
            error!(%worker, "{worker} {verdict}; trying again after {wait} s: {reason}");
        }
        Notice::HelperDied(helper, verdict) => {
            warn!("{helper} {verdict}; starting it anew");
        }
        Notice::HelperFailed(helper, verdict, wait) => {
            let wait = wait.as_secs();
            error!("{helper} {verdict}; it ended too often, and is tried again after {wait} s");
        }
        Notice::Stays(worker) => {
            error!(%worker, "{worker} cannot be reached any more, but does not end; ending it");
        }
        Notice::RestStays => warn!("something that the app left behind does not end; going on"),
        Notice::Rewired(Word { by, link, complaint, .. }) => match complaint {
            // Mostly the echo of a death, which is said by itself.
            Complaint::Lost(LossReason::Closed) => {
                tracing::debug!(%by, link = %link.name, "the other end is closed");
            }
            Complaint::Lost(reason) => {
                warn!(%by, link = %link.name, "a link is lost, because {reason}; making it anew");
            }
            Complaint::Violated => {
                warn!(%by, link = %link.name, "{by} accuses its peer; making the link anew");
            }
        },
        Notice::TooSlow(worker) => error!(%worker, "{worker} did not get ready in time"),
    }
}
