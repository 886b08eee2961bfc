//! The workers of one scope and their state machine: the part that the event loops of hosts and sessions
//! share.

use std::{
    io,
    time::{Duration, Instant},
};

use lumen_ipc::{
    link::LinkName,
    message::grants::{LossReason, ToSupervisor},
    process::{ProcessId, Worker},
    service::ProcessStatus,
    text::Text,
    units::SessionId,
};
use nix::sys::signal::Signal;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use super::{
    event::{Clients, Event, WorkerEvent},
    handshake, proc,
    stage::{self, Stage},
    worker::{GrantError, Workers},
};
use crate::lifecycle::{
    Action, Complaint, Input, Instance, Lifecycle, Notice, PATIENCE, Verdict, Word,
};

/// The workers of one scope.
pub(super) struct Crew {
    pub(super) machine: Lifecycle,
    pub(super) workers: Workers,
}

impl Crew {
    pub(super) fn feed(&mut self, input: Input) {
        self.machine.handle_input(Instant::now(), input);
    }

    /// Returns the next event, or `None` if a deadline of the machine comes first. The caller keeps the
    /// queue open.
    pub(super) async fn next(&self, inbox: &mut mpsc::Receiver<Event>) -> Option<Event> {
        match self.machine.timeout() {
            Some(at) => tokio::time::timeout_at(at.into(), inbox.recv()).await.ok().flatten(),
            None => inbox.recv().await,
        }
    }

    /// Handles an event of a worker. A report that is not about a link of this scope is returned: the
    /// machine knows only those.
    pub(super) fn take_in(
        &mut self,
        worker: Worker,
        instance: Instance,
        event: WorkerEvent,
    ) -> Option<ToSupervisor> {
        match event {
            WorkerEvent::Alive => self.feed(Input::Alive(worker, instance)),
            WorkerEvent::Broke(error) => {
                warn!(%worker, %error, "the worker sent an illegal message");
                self.feed(Input::Broke(worker, instance));
            }
            WorkerEvent::Configured => self.feed(Input::Configured(worker, instance)),
            WorkerEvent::Ended(verdict) => {
                self.workers.forget(worker, instance);
                self.feed(Input::Exited(worker, instance, verdict));
            }
            WorkerEvent::Left(link) => {
                // Usually the worker is ending.
                tracing::debug!(%worker, %link, "the worker closed its end");
                self.feed(Input::Left(worker, instance));
            }
            WorkerEvent::Haunted(haunted) => self.workers.haunted(worker, haunted),
            WorkerEvent::HandshakeFailed(reason) => {
                // Usually the worker has ended; that event follows and tells more.
                tracing::debug!(%worker, reason, "the handshake broke");
                self.feed(Input::HandshakeFailed(worker, instance));
            }
            WorkerEvent::Ready(report) => {
                self.workers.confined(worker, instance, report);
                self.feed(Input::Ready(worker, instance));
            }
            WorkerEvent::Said(said) => match word(worker, &said) {
                Some(word) => self.feed(Input::Said(word)),
                None => return Some(said),
            },
            WorkerEvent::WrongBuild => self.feed(Input::WrongBuild(worker, instance)),
        }
        None
    }

    /// Carries out what concerns workers; returns the action if the caller has to act on it, too.
    pub(super) fn carry_out(&mut self, action: Action, stage: &mut dyn Stage) -> Option<Action> {
        match action {
            Action::Ask(worker, instance) => self.workers.ask(worker, instance),
            Action::Examine(worker, instance) => {
                let is_traced = self.workers.pid(worker).is_some_and(proc::is_traced);
                self.feed(Input::Examined(worker, instance, is_traced));
            }
            Action::Drain(worker) => {
                if let Some(client) = self.workers.client(worker) {
                    tokio::spawn(handshake::drain(client));
                }
            }
            Action::Kill(worker) => self.workers.signal(worker, Signal::SIGKILL),
            Action::Say(notice) => say(notice),
            Action::Spawn(worker, instance) => {
                self.spawn(worker, instance, stage);
                return Some(action);
            }
            Action::Start(worker) => {
                stage::renew(stage, worker);
                self.start(worker, stage);
            }
            Action::Terminate(worker) => self.workers.signal(worker, Signal::SIGTERM),
            Action::Wire { link, generation, from, to } => {
                if let Err(error) = self.workers.wire(link, generation, from, to) {
                    error!(link = %link.name, %error, "cannot make a link");
                }
            }
            other => return Some(other),
        }
        None
    }

    fn spawn(&mut self, worker: Worker, instance: Instance, stage: &dyn Stage) {
        let absent = || io::Error::other("this desktop runs without it");
        let part = stage::part(stage, worker).ok_or_else(absent);
        if let Err(error) = part.and_then(|part| self.workers.spawn(part, instance)) {
            error!(%worker, %error, "cannot execute");
            self.feed(Input::Exited(worker, instance, Verdict::NotSpawned));
        }
    }

    fn start(&mut self, worker: Worker, stage: &dyn Stage) {
        let part = stage::part(stage, worker).ok_or(GrantError::Gone);
        if let Err(error) = part.and_then(|part| self.workers.start(part)) {
            error!(%worker, %error, "cannot hand over grants");
            self.workers.signal(worker, Signal::SIGKILL);
        }
    }

    /// The status of each worker. Those that are not the host's are named as workers of `session`.
    pub(super) fn status(&self, stage: &dyn Stage, session: SessionId) -> Vec<ProcessStatus> {
        let now = Instant::now();
        let status = |part: &crate::plan::WorkerPlan| {
            let report = self.machine.report(part.worker);
            let pid = self.workers.pid(part.worker);
            let usage = pid.map(proc::usage).unwrap_or_default();
            let millis = |time: Duration| time.as_millis().try_into().unwrap_or(u64::MAX);
            let since = |then: Instant| millis(now.saturating_duration_since(then));
            let until = |then: Instant| millis(then.saturating_duration_since(now));
            ProcessStatus {
                process: ProcessId::serving(session, part.worker),
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
        };
        stage.staff().plan.iter().map(status).collect()
    }

    /// The clients of the ready workers, named as in [`Self::status`].
    pub(super) fn clients(&self, session: SessionId) -> Clients {
        self.workers.ready_clients(&self.machine, session)
    }
}

/// A worker's report about a link of its own scope; `None` if it is about anything else.
fn word(by: Worker, said: &ToSupervisor) -> Option<Word> {
    let (link, generation, complaint) = match *said {
        ToSupervisor::LinkLost { link: LinkName::Signalling, .. }
        | ToSupervisor::LinkViolated { link: LinkName::Signalling, .. }
        | ToSupervisor::NodeJudged(_)
        | ToSupervisor::SignallingLost { .. }
        | ToSupervisor::SignallingViolated { .. }
        | ToSupervisor::SoundServerWanted
        | ToSupervisor::SoundSinkMade
        | ToSupervisor::SoundSinkReady
        | ToSupervisor::ViewerActs => return None,
        ToSupervisor::LinkLost { link, generation, reason } => {
            (link, generation, Complaint::Lost(reason))
        }
        ToSupervisor::LinkViolated { link, generation } => (link, generation, Complaint::Violated),
    };
    Some(Word { by, link: link.row(), generation, complaint })
}

fn say(notice: Notice) {
    match notice {
        Notice::Accused(worker, word) => {
            let Word { by, link, .. } = word;
            warn!(%worker, link = %link.name, "{by} accuses the other side again; ending {worker}");
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
        Notice::Hangs(worker) => {
            let time = PATIENCE.as_secs();
            error!(%worker, "{worker} has given no sign of life for {time} s; ending it");
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
        Notice::Responds(worker) => info!(%worker, "{worker} gives signs of life again"),
        Notice::Rewired(Word { by, link, complaint, .. }) => match complaint {
            // Usually a process has died, which is logged separately.
            Complaint::Lost(LossReason::Closed) => {
                tracing::debug!(%by, link = %link.name, "the other end is closed");
            }
            Complaint::Lost(reason) => {
                warn!(%by, link = %link.name, "a link is lost, because {reason}; making it anew");
            }
            Complaint::Violated => {
                warn!(%by, link = %link.name, "{by} accuses the other side; making the link anew");
            }
        },
        Notice::Stuck(worker) => warn!(%worker, "{worker} gives no sign of life"),
        Notice::TooSlow(worker) => error!(%worker, "{worker} did not get ready in time"),
    }
}
