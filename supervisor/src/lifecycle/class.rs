//! Which processes a desktop cannot do without, and how each shows that it is ready: one table.
//!
//! An *essential* process that cannot be brought up ends the start of the desktop. An *optional* one
//! never ends anything: the desktop opens without it, and goes on when it is lost. Either is tried
//! again, ever more slowly, for as long as the desktop is there.

use std::time::Duration;

use lumen_ipc::process::Worker;

use super::contract::Helper;

/// A process of a desktop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Process {
    /// What the user asked to run. Its end is the desktop's.
    App,
    /// What is run because nobody named an app.
    Demo,
    /// A helper.
    Helper(Helper),
    /// A worker.
    Worker(Worker),
}

/// What a desktop is without a process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Need {
    /// None.
    Essential,
    /// Well enough.
    Optional,
}

/// What shows that a process is ready.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Readiness {
    /// A line on its descriptor 3, within this time.
    Announcement(Duration),
    /// That it runs: nobody asks somebody else's app for more.
    Execution,
    /// Its answer to `start`, within this time.
    Handshake(Duration),
}

/// What a process is to its desktop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Class {
    /// What the desktop is without it.
    pub need: Need,
    /// What shows that it is ready.
    pub readiness: Readiness,
}

/// A worker that is not ready after so long is killed.
pub const START_TIMEOUT: Duration = Duration::from_secs(15);
/// The same for a helper.
pub const HELPER_TIMEOUT: Duration = Duration::from_secs(10);

const HANDSHAKE: Readiness = Readiness::Handshake(START_TIMEOUT);
const ANNOUNCEMENT: Readiness = Readiness::Announcement(HELPER_TIMEOUT);

/// The class of every process.
pub const TABLE: [(Process, Need, Readiness); 10] = [
    (Process::App, Need::Essential, Readiness::Execution),
    (Process::Demo, Need::Optional, Readiness::Execution),
    (Process::Helper(Helper::Bus), Need::Optional, ANNOUNCEMENT),
    // Whoever asks for it by `--x11` has an app that cannot do without it.
    (Process::Helper(Helper::XServer), Need::Essential, ANNOUNCEMENT),
    (Process::Worker(Worker::Compositor), Need::Essential, HANDSHAKE),
    (Process::Worker(Worker::Gamepad), Need::Optional, HANDSHAKE),
    (Process::Worker(Worker::Gateway), Need::Essential, HANDSHAKE),
    (Process::Worker(Worker::Media), Need::Essential, HANDSHAKE),
    (Process::Worker(Worker::Rtc), Need::Essential, HANDSHAKE),
    // Viewers whom the network lets through have no use for it.
    (Process::Worker(Worker::Turn), Need::Optional, HANDSHAKE),
];

impl Class {
    /// Of a process.
    ///
    /// # Panics
    /// Never: a test proves that every process has a row.
    #[must_use]
    pub fn of(process: Process) -> Self {
        let row = TABLE.iter().find(|(of, ..)| *of == process);
        let (_, need, readiness) = *row.expect("every process has a row");
        Self { need, readiness }
    }

    /// Whether a desktop is nothing without it.
    #[must_use]
    pub fn is_essential(self) -> bool {
        self.need == Need::Essential
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_has_one_row_for_each_process() {
        let workers = Worker::ALL.map(Process::Worker);
        let helpers = [Helper::Bus, Helper::XServer].map(Process::Helper);
        let all = workers.into_iter().chain(helpers).chain([Process::App, Process::Demo]);
        let count = |process| TABLE.iter().filter(|(of, ..)| *of == process).count();
        assert!(all.clone().all(|process| count(process) == 1));
        assert_eq!(all.count(), TABLE.len());
    }

    #[test]
    fn every_worker_without_which_there_is_a_picture_and_input_is_optional() {
        let optional = |worker: &Worker| !Class::of(Process::Worker(*worker)).is_essential();
        let found: Vec<Worker> = Worker::ALL.into_iter().filter(optional).collect();
        assert_eq!(found, [Worker::Gamepad, Worker::Turn]);
    }
}
