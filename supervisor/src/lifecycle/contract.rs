//! The interface between the machine and the shell: events in, decisions out.

use std::{
    fmt,
    time::{Duration, Instant},
};

use lumen_ipc::{
    link::{Generation, Link},
    message::grants::LossReason,
    process::Worker,
};

use super::verdict::Verdict;

/// Numbers the successive processes of one worker, so that late news of an old one can be
/// recognised.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Instance(pub u32);

/// A program other than a worker that a session needs.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Helper {
    /// The X server that shows X apps on the desktop.
    XServer,
    /// The session bus, where none exists.
    Bus,
    /// The sound server, where the user runs none.
    SoundServer,
    /// What connects programs to its devices.
    SoundManager,
    /// What speaks to it for programs of PulseAudio.
    SoundPulse,
    /// What carries text between the clipboard and those of desktops inside this one.
    Bridge,
}

impl fmt::Display for Helper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bridge => "the clipboard's bridge",
            Self::Bus => "the session bus",
            Self::SoundManager => "the sound server's session manager",
            Self::SoundPulse => "the sound server for PulseAudio",
            Self::SoundServer => "the sound server",
            Self::XServer => "the X server",
        })
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Input {
    /// Everything is prepared; start.
    Begin,
    /// A worker has its configuration and waits for its grants.
    Configured(Worker, Instance),
    /// A worker serves.
    Ready(Worker, Instance),
    /// A worker answered wrongly or not at all before it was ready.
    HandshakeFailed(Worker, Instance),
    /// A worker is of another build.
    WrongBuild(Worker, Instance),
    /// A worker reports something about one of its links.
    Said(Word),
    /// A worker broke the contract with its supervisor.
    Broke(Worker, Instance),
    /// A worker closed its end of `control` or of `grants`, as it does when it ends.
    Left(Worker, Instance),
    /// The loop in which a worker serves has answered [`Action::Ask`].
    Alive(Worker, Instance),
    /// The answer to [`Action::Examine`]: whether a debugger holds the worker.
    Examined(Worker, Instance, bool),
    /// A worker ended.
    Exited(Worker, Instance, Verdict),
    /// The app ended.
    AppExited(Verdict),
    /// A helper serves.
    HelperReady(Helper, Instance),
    /// A helper ended, or could not be executed.
    HelperExited(Helper, Instance, Verdict),
    /// Every page has been told the newest news.
    PagesTold,
    /// What programs play goes to the session's sink.
    SinkReady,
    /// None of the processes that [`Action::TerminateRest`] targeted is left.
    RestGone,
    /// Everything is to end.
    Stop,
    /// Time has passed.
    Tick,
}

/// A worker's report about one of its links.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Word {
    /// The reporting worker.
    pub by: Worker,
    /// The link.
    pub link: &'static Link,
    /// The pair.
    pub generation: Generation,
    /// The complaint.
    pub complaint: Complaint,
}

/// What is wrong with a link.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Complaint {
    /// The end is closed, but the other side is not accused.
    Lost(LossReason),
    /// The end is closed, because the other side broke the contract.
    Violated,
}

/// A decision for the shell to carry out.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Tell the user that the desktop has opened: every worker is ready for the first time.
    Announce,
    /// Ask a worker for a sign of life, and report [`Input::Alive`].
    Ask(Worker, Instance),
    /// Ask a worker to finish.
    Drain(Worker),
    /// Find out whether a debugger holds a worker, and report [`Input::Examined`].
    Examine(Worker, Instance),
    /// Leave: everything has ended.
    Finish(Outcome),
    /// Send SIGKILL to a worker.
    Kill(Worker),
    /// Send SIGKILL to the app and its process group.
    KillApp,
    /// Send SIGKILL to a helper.
    KillHelper(Helper),
    /// Send SIGKILL to every descendant of this process that is not a worker.
    KillRest,
    /// Write to the log.
    Say(Notice),
    /// Execute a worker's program.
    Spawn(Worker, Instance),
    /// Hand a worker its grants and ask it to serve.
    Start(Worker),
    /// Execute the app.
    StartApp,
    /// Execute a helper's program.
    StartHelper(Helper, Instance),
    /// Tell the pages.
    Tell(News),
    /// Send SIGTERM to a worker.
    Terminate(Worker),
    /// Send SIGTERM to the app and its process group.
    TerminateApp,
    /// Send SIGTERM to every descendant of this process that is not a worker, and report
    /// [`Input::RestGone`] when none is left.
    TerminateRest,
    /// Make a new pair for a link and pass its ends to their owners.
    Wire {
        /// The link.
        link: &'static Link,
        /// The generation of the pair.
        generation: Generation,
        /// Whether the owner of the calling end receives its end; if not, it is closed.
        from: bool,
        /// The same for the other end.
        to: bool,
    },
}

/// Something the administrator should know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Notice {
    /// A worker is killed because its link was complained about repeatedly.
    Accused(Worker, Word),
    /// A worker broke the contract with its supervisor, and is killed.
    Broke(Worker),
    /// The app ended with its compositor and is started anew.
    AppFollowsCompositor,
    /// The app ended with its helper and is started anew.
    AppFollowsHelper,
    /// A worker ended and is started anew after a while.
    Died(Worker, Verdict, Duration),
    /// A worker is given up for a while: the reason, and for how long.
    Failed(Worker, Verdict, &'static str, Duration),
    /// A helper ended and is started anew.
    HelperDied(Helper, Verdict),
    /// A helper ended too often and is tried again only after this while.
    HelperFailed(Helper, Verdict, Duration),
    /// A worker has given no sign of life for [`PATIENCE`](super::PATIENCE), and is killed.
    Hangs(Worker),
    /// A worker that was stuck goes on.
    Responds(Worker),
    /// A link is made anew because of this report.
    Rewired(Word),
    /// A process that the app left behind did not even end when killed.
    RestStays,
    /// A worker closed its links to the supervisor but did not exit, and is killed.
    Stays(Worker),
    /// A worker gives no sign of life.
    Stuck(Worker),
    /// A worker was not ready in time.
    TooSlow(Worker),
}

/// News for the pages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum News {
    /// The app ended; the desktop stays.
    AppEnded {
        /// How.
        verdict: Verdict,
        /// Whether it ended too soon to have worked.
        early: bool,
    },
    /// The app has been started again.
    AppRuns,
    /// The desktop ends.
    Over(Outcome),
}

impl News {
    /// Whether an app failed.
    #[must_use]
    pub fn is_failure(self) -> bool {
        match self {
            Self::AppEnded { verdict, .. } | Self::Over(Outcome::AppEnded { verdict, .. }) => {
                !verdict.is_success()
            }
            Self::AppRuns | Self::Over(_) => false,
        }
    }
}

/// How the desktop ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The app ended.
    AppEnded {
        /// How.
        verdict: Verdict,
        /// Whether it ended too soon to have worked.
        early: bool,
    },
    /// A helper that the app needs could not be started.
    CouldNotHelp(Helper),
    /// A worker could not be started.
    CouldNotStart(Worker),
    /// It was asked to stop.
    Stopped,
}

/// Why a worker cannot be restarted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CannotRestart {
    /// The desktop has no such worker.
    #[error("this desktop runs without {0}; an option of `lumen run` turned it off")]
    Absent(Worker),
    /// The desktop is ending, so nothing is started.
    #[error("the desktop is ending")]
    Ending,
}

/// Why the app is not started.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CannotStartApp {
    /// The desktop is ending.
    #[error("The desktop is ending.")]
    Ending,
    /// The app has not ended.
    #[error("The app is running.")]
    Running,
    /// It ended too soon and too often to be started again at once.
    #[error("The app has ended too often. Try again in {} s.", .0.as_secs() + 1)]
    TooSoon(Duration),
}

/// The name of a worker's state, as `lumen status` prints it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StateName {
    /// Being ended.
    Ending,
    /// Given up for a while.
    Failed,
    /// Not started, or ended.
    Gone,
    /// Serving.
    Ready,
    /// In the handshake.
    Starting,
    /// Alive, without a sign of life.
    Stuck,
    /// Waiting for its next start.
    Waiting,
}

impl fmt::Display for StateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ending => "ending",
            Self::Failed => "failed",
            Self::Gone => "gone",
            Self::Ready => "ready",
            Self::Starting => "starting",
            Self::Stuck => "stuck",
            Self::Waiting => "waiting",
        })
    }
}

/// The machine's state of one worker.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Report {
    /// Its state.
    pub state: StateName,
    /// When it became ready.
    pub ready_since: Option<Instant>,
    /// How often it was started again.
    pub restarts: u32,
    /// When it will be started, if it has no process but should have one.
    pub next_try: Option<Instant>,
}
