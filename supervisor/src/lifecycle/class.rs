//! One table: which processes a desktop needs, and how each shows that it is ready.
//!
//! An *essential* process that cannot be started ends the start of the desktop. An *optional* one
//! never ends anything: the desktop opens without it, and continues when it is lost. Both are tried
//! again, ever more slowly, for as long as the desktop exists.

use std::time::Duration;

use lumen_ipc::process::Worker;

use super::contract::Helper;

/// A process of a desktop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Process {
    /// The program that the user asked for. Its end is the desktop's.
    App,
    /// The program that runs when no app was named.
    Demo,
    /// A helper.
    Helper(Helper),
    /// A worker.
    Worker(Worker),
}

/// What the loss of a process means for its desktop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Need {
    /// The desktop is useless without it.
    Essential,
    /// The desktop works without it.
    Optional,
}

/// The event that shows that a process is ready.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Readiness {
    /// A line on its descriptor 3, within this time.
    Announcement(Duration),
    /// Its execution: another program's app cannot be asked for more.
    Execution,
    /// Its answer to `start`, within this time.
    Handshake(Duration),
    /// A socket of its own to which one can connect, within this time.
    Listening(Duration),
}

/// The requirements for a process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Class {
    /// What its loss means for the desktop.
    pub need: Need,
    /// What shows that it is ready.
    pub readiness: Readiness,
}

/// A worker that is not ready after this time is killed, if it is not media.
pub const START_TIMEOUT: Duration = Duration::from_secs(15);
/// Media may load drivers of a graphics processor, try them, and compare what encodes better. It ends itself where a
/// driver does not come back.
pub const LONGEST_START: Duration = Duration::from_secs(60);
/// A helper that is not ready after this time is killed.
pub const HELPER_TIMEOUT: Duration = Duration::from_secs(10);

const HANDSHAKE: Readiness = Readiness::Handshake(START_TIMEOUT);
const LISTENING: Readiness = Readiness::Listening(HELPER_TIMEOUT);
const ANNOUNCEMENT: Readiness = Readiness::Announcement(HELPER_TIMEOUT);

/// The class of every process.
pub const TABLE: [(Process, Need, Readiness); 15] = [
    (Process::App, Need::Essential, Readiness::Execution),
    (Process::Demo, Need::Optional, Readiness::Execution),
    (Process::Helper(Helper::Bridge), Need::Optional, ANNOUNCEMENT),
    (Process::Helper(Helper::Bus), Need::Optional, ANNOUNCEMENT),
    // Without them there is no sound.
    (Process::Helper(Helper::SoundManager), Need::Optional, Readiness::Execution),
    (Process::Helper(Helper::SoundPulse), Need::Optional, LISTENING),
    (Process::Helper(Helper::SoundServer), Need::Optional, LISTENING),
    // `--x11` is given for an app that needs the X server.
    (Process::Helper(Helper::XServer), Need::Essential, ANNOUNCEMENT),
    (Process::Worker(Worker::Compositor), Need::Essential, HANDSHAKE),
    (Process::Worker(Worker::Gamepad), Need::Optional, HANDSHAKE),
    (Process::Worker(Worker::Gateway), Need::Essential, HANDSHAKE),
    (Process::Worker(Worker::Media), Need::Essential, Readiness::Handshake(LONGEST_START)),
    (Process::Worker(Worker::Rtc), Need::Essential, HANDSHAKE),
    (Process::Worker(Worker::Sound), Need::Optional, HANDSHAKE),
    // Viewers with a direct path do not need it.
    (Process::Worker(Worker::Turn), Need::Optional, HANDSHAKE),
];

impl Class {
    /// The class of `process`.
    ///
    /// # Panics
    /// Never: a test checks that every process has a row.
    #[must_use]
    pub fn of(process: Process) -> Self {
        let row = TABLE.iter().find(|(of, ..)| *of == process);
        let (_, need, readiness) = *row.expect("every process has a row");
        Self { need, readiness }
    }

    /// How long it may take until it is ready. Programs that are not ours are ready once they are executed.
    #[must_use]
    pub const fn start_timeout(self) -> Duration {
        match self.readiness {
            Readiness::Announcement(within)
            | Readiness::Handshake(within)
            | Readiness::Listening(within) => within,
            Readiness::Execution => Duration::ZERO,
        }
    }

    /// Whether the desktop is useless without it.
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
        let helpers = [
            Helper::Bridge,
            Helper::Bus,
            Helper::SoundManager,
            Helper::SoundPulse,
            Helper::SoundServer,
            Helper::XServer,
        ]
        .map(Process::Helper);
        let all = workers.into_iter().chain(helpers).chain([Process::App, Process::Demo]);
        let count = |process| TABLE.iter().filter(|(of, ..)| *of == process).count();
        assert!(all.clone().all(|process| count(process) == 1));
        assert_eq!(all.count(), TABLE.len());
    }

    #[test]
    fn every_worker_without_which_there_is_a_picture_and_input_is_optional() {
        let optional = |worker: &Worker| !Class::of(Process::Worker(*worker)).is_essential();
        let found: Vec<Worker> = Worker::ALL.into_iter().filter(optional).collect();
        assert_eq!(found, [Worker::Sound, Worker::Gamepad, Worker::Turn]);
    }
}
