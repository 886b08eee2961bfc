//! The workers that may be killed, and how often.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use anyhow::Result;
use lumen_ipc::process::{ProcessId, Worker};
use lumen_tests::{
    process::{Process, descendants},
    rig::kill_hard,
    watched::Trio,
};

/// The most deaths of a worker within `WINDOW`.
const MOST_DEATHS: usize = 6;
/// The period for `MOST_DEATHS`. The last of six early deaths makes the restart wait 1.6 s.
const WINDOW: Duration = Duration::from_secs(60);
/// The workers of each session that may be killed.
const OF_SESSION: [Worker; 4] = [Worker::Media, Worker::Sound, Worker::Rtc, Worker::Gamepad];
/// The workers of the host that may be killed.
const OF_HOST: [Worker; 2] = [Worker::Gateway, Worker::Turn];

/// One worker.
pub(crate) struct Mortal {
    pub(crate) worker: ProcessId,
    /// How often it was killed.
    pub(crate) killed: u32,
    supervisor: Process,
    /// The process that was killed last. It may not have ended yet.
    last: Option<Process>,
    /// The times of its recent deaths.
    deaths: VecDeque<Instant>,
}

impl Mortal {
    /// A worker whose parent is `supervisor`.
    pub(crate) fn of(worker: ProcessId, supervisor: Process) -> Self {
        Self { worker, killed: 0, supervisor, last: None, deaths: VecDeque::new() }
    }

    /// All workers that may be killed.
    pub(crate) fn all(trio: &Trio) -> Result<Vec<Self>> {
        let host = trio.host.process()?;
        let mut all = Vec::new();
        for worker in OF_HOST {
            all.push(Self::of(ProcessId::new(None, worker)?, host));
        }
        for session in &trio.sessions {
            let supervisor = session.session.supervisor();
            all.extend(OF_SESSION.map(|worker| Self::of(session.worker(worker), supervisor)));
        }
        Ok(all)
    }

    /// Whether it has not died too often recently.
    pub(crate) fn may_die(&mut self) -> bool {
        let now = Instant::now();
        self.deaths.retain(|death| now.duration_since(*death) < WINDOW);
        self.deaths.len() < MOST_DEATHS
    }

    /// Kills its process unless it has died too often recently. Returns whether it did.
    pub(crate) fn kill(&mut self) -> bool {
        self.may_die() && self.kill_regardless()
    }

    /// Kills its process. Returns whether there was one that had not been killed before.
    pub(crate) fn kill_regardless(&mut self) -> bool {
        let process = self.process().filter(|process| Some(*process) != self.last);
        let killed = process.filter(|process| kill_hard(*process).is_ok());
        if killed.is_some() {
            self.last = killed;
            self.deaths.push_back(Instant::now());
            self.killed += 1;
        }
        killed.is_some()
    }

    /// Its process, from the kernel: asking the supervisor would disturb the supervisor's work.
    fn process(&self) -> Option<Process> {
        let own = |process: &Process| {
            let command = process.command_line().unwrap_or_default();
            command == self.worker.kind().binary()
                && process.parent().is_ok_and(|parent| parent == self.supervisor)
        };
        descendants(self.supervisor).into_iter().find(own)
    }
}
