//! What the machine is told and what it decides: the words between it and the shell.

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

/// Numbers the processes of one worker, so that late news of an old one can be told apart.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Instance(pub u32);

/// A program that a session needs and that is not ours.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Helper {
    /// The X server that shows X apps on the desktop.
    XServer,
    /// The session bus, where there is none.
    Bus,
}

impl fmt::Display for Helper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bus => "the session bus",
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
    /// A worker says something about one of its links.
    Said(Word),
    /// A worker broke the contract with its supervisor.
    Broke(Worker, Instance),
    /// A worker closed its end of `control` or of `grants`, as it does when it ends.
    Left(Worker, Instance),
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
    /// Of the processes that [`Action::TerminateRest`] meant none is left.
    RestGone,
    /// Everything shall end.
    Stop,
    /// Time has passed.
    Tick,
}

/// What a worker says about one of its links.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Word {
    /// Who says it.
    pub by: Worker,
    /// About which link.
    pub link: &'static Link,
    /// About which pair.
    pub generation: Generation,
    /// What.
    pub complaint: Complaint,
}

/// What is wrong with a link.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Complaint {
    /// The end is closed, and nobody broke the contract.
    Lost(LossReason),
    /// The end is closed, because the other side broke the contract.
    Violated,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Tell the user that the desktop is there: every worker is ready for the first time.
    Announce,
    /// Ask a worker to finish.
    Drain(Worker),
    /// Everything has ended; leave.
    Finish(Outcome),
    /// Send SIGKILL to a worker.
    Kill(Worker),
    /// Send SIGKILL to the app and its process group.
    KillApp,
    /// Send SIGKILL to a helper.
    KillHelper(Helper),
    /// Send SIGKILL to every process that descends from this one and is no worker.
    KillRest,
    /// Tell the log.
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
    /// Send SIGTERM to every process that descends from this one and is no worker, and say
    /// [`Input::RestGone`] when none is left.
    TerminateRest,
    /// Make a new pair for a link and hand its ends to these.
    Wire {
        /// The link.
        link: &'static Link,
        /// Which pair of it this is.
        generation: Generation,
        /// Whether the owner of the calling end takes its end; if not, it is closed.
        from: bool,
        /// The same for the other end.
        to: bool,
    },
}

/// Something the administrator should know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Notice {
    /// A worker is killed because of what was said about a link, repeatedly.
    Accused(Worker, Word),
    /// A worker broke the contract with its supervisor, and is killed.
    Broke(Worker),
    /// The app ended with its compositor and is started anew.
    AppFollowsCompositor,
    /// The app ended with its helper and is started anew.
    AppFollowsHelper,
    /// A worker ended and is started anew after a while.
    Died(Worker, Verdict, Duration),
    /// A worker is left alone for a while; why, and for how long.
    Failed(Worker, Verdict, &'static str, Duration),
    /// A helper ended and is started anew.
    HelperDied(Helper, Verdict),
    /// A helper ended too often and is tried again only after this while.
    HelperFailed(Helper, Verdict, Duration),
    /// A link is made anew because of this.
    Rewired(Word),
    /// Something the app left behind could not even be killed.
    RestStays,
    /// A worker that cannot be reached any more did not end by itself, and is killed.
    Stays(Worker),
    /// A worker did not get ready in time.
    TooSlow(Worker),
}

/// What the pages are to know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum News {
    /// The app ended, so; the desktop stays.
    AppEnded {
        /// How.
        verdict: Verdict,
        /// Too soon to have worked.
        early: bool,
    },
    /// The app has been started again.
    AppRuns,
    /// The desktop ends, so.
    Over(Outcome),
}

impl News {
    /// Whether they are of an app that failed.
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

/// How it all ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The app ended.
    AppEnded {
        /// How.
        verdict: Verdict,
        /// Too soon to have worked.
        early: bool,
    },
    /// A helper that the app needs could not be brought up.
    CouldNotHelp(Helper),
    /// A worker could not be brought up.
    CouldNotStart(Worker),
    /// Somebody asked for it.
    Stopped,
}

/// Why a worker cannot be restarted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CannotRestart {
    /// There is none to restart.
    #[error("this desktop runs without {0}; an option of `lumen run` turned it off")]
    Absent(Worker),
    /// Nothing is started any more.
    #[error("the desktop is ending")]
    Ending,
}

/// Why the app is not started.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CannotStartApp {
    /// Everything is being ended.
    #[error("The desktop is ending.")]
    Ending,
    /// It has not ended.
    #[error("The app is running.")]
    Running,
    /// It ended too soon, and too often, to be started again at once.
    #[error("The app has ended too often. Try again in {} s.", .0.as_secs() + 1)]
    TooSoon(Duration),
}

/// A worker's state by name, as `lumen status` prints it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StateName {
    /// Being ended.
    Ending,
    /// Given up for a while.
    Failed,
    /// Not started, or over.
    Gone,
    /// Serving.
    Ready,
    /// In the handshake.
    Starting,
    /// Waiting to be started anew.
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
            Self::Waiting => "waiting",
        })
    }
}

/// What the machine knows of one worker.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Report {
    /// Its state.
    pub state: StateName,
    /// When it got ready.
    pub ready_since: Option<Instant>,
    /// How often it was started again.
    pub restarts: u32,
    /// When it is started, if it has no process and is to have one.
    pub next_try: Option<Instant>,
}
