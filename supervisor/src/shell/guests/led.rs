//! Guests that the leader of a login session starts: they are its children and not the supervisor's, so it
//! tells how they are.

use std::{io, os::fd::BorrowedFd};

use lumen_ipc::{
    log::LogSource,
    message::login::{AppNumber, ToSupervisor},
};
use nix::{sys::signal::Signal, unistd::Pid};
use tracing::warn;

use super::super::{
    event::{Event, Events, HelperEvent},
    leader::{self, Leader},
    log::{Log, Tail},
    spawn::AppLaunch,
};
use crate::lifecycle::{Helper, Instance, Verdict};

/// The guests of a login session.
pub(super) struct Led {
    leader: Leader,
    running: Vec<Guest>,
    log: Log,
    events: Events,
}

/// What a guest is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    App,
    Helper(Helper, Instance),
}

struct Guest {
    number: AppNumber,
    role: Role,
    /// Once it has been started.
    pid: Option<Pid>,
    tail: Tail,
}

impl Led {
    pub(super) const fn new(leader: Leader, log: Log, events: Events) -> Self {
        Self { leader, running: Vec::new(), log, events }
    }

    /// Has the leader start a guest, perhaps from its open program.
    pub(super) fn start(
        &mut self,
        (role, source): (Role, LogSource),
        launch: &AppLaunch,
        (beside, program): (&[BorrowedFd<'_>], Option<BorrowedFd<'_>>),
    ) -> io::Result<()> {
        let (number, output) = self.leader.start(launch, beside, program)?;
        let tail = self.log.follow(source, output);
        self.running.push(Guest { number, role, pid: None, tail });
        Ok(())
    }

    /// The app's process.
    pub(super) fn app_pid(&self) -> Option<Pid> {
        self.running.iter().find(|guest| guest.role == Role::App)?.pid
    }

    /// Ends guests: by a request, or at once.
    pub(super) fn end(&self, signal: Signal, is_meant: impl Fn(Role) -> bool) {
        for guest in self.running.iter().filter(|guest| is_meant(guest.role)) {
            self.leader.end(guest.number, signal == Signal::SIGKILL);
        }
    }

    /// Asks the leader to end the login session.
    pub(super) fn part(&self) {
        self.leader.part();
    }

    /// The leader says something.
    pub(super) fn said(&mut self, said: ToSupervisor) {
        match said {
            ToSupervisor::Started { app, pid } => {
                if let Some(guest) = self.running.iter_mut().find(|guest| guest.number == app) {
                    guest.pid = i32::try_from(pid).ok().map(Pid::from_raw);
                }
            }
            ToSupervisor::Ended { app, end } => {
                let ended = self.running.iter().position(|guest| guest.number == app);
                if let Some(guest) = ended.map(|at| self.running.swap_remove(at)) {
                    self.report(guest, leader::verdict(end));
                }
            }
            other => warn!(?other, "the leader speaks out of turn"),
        }
    }

    /// The login session is over, and with it every guest.
    pub(super) fn lost(&mut self) {
        for guest in std::mem::take(&mut self.running) {
            self.report(guest, Verdict::Killed(Signal::SIGKILL as i32));
        }
    }

    /// Reports a guest's end once everything that it wrote is in the log.
    fn report(&self, guest: Guest, verdict: Verdict) {
        let (events, Guest { role, tail, .. }) = (self.events.clone(), guest);
        tokio::spawn(async move {
            tail.settled().await;
            let news = match role {
                Role::App => Event::AppEnded(verdict),
                Role::Helper(helper, instance) => {
                    Event::Helper(helper, instance, HelperEvent::Ended(verdict))
                }
            };
            // The loop outlives its guests.
            let _ = events.send(news).await;
        });
    }
}
