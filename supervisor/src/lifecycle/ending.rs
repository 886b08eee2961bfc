//! The end of everything, in stages: first the app, while its compositor still serves it, then the
//! processes it left behind; then the pages are told; then the workers. Each stage asks, waits for
//! [`ESCALATION`], kills, waits once more and continues: a process that the kernel does not let end
//! must not keep the desktop from ending.

use std::time::{Duration, Instant};

/// The time between two steps of an end: request, SIGTERM, SIGKILL.
pub const ESCALATION: Duration = Duration::from_secs(2);
/// The longest time for telling the pages that the desktop ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// The stage of the end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// The app and its process group.
    App(Step),
    /// Every other process that is not a worker.
    Rest(Step),
    /// No process: the pages are being told.
    Farewell { deadline: Instant },
    /// The workers, each by its own deadlines.
    Workers,
}

/// The step within a stage.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// They have been asked to end.
    Asked { deadline: Instant },
    /// They have been killed.
    Killed { deadline: Instant },
}

impl Step {
    fn asked(now: Instant) -> Self {
        Self::Asked { deadline: now + ESCALATION }
    }

    fn killed(now: Instant) -> Self {
        Self::Killed { deadline: now + ESCALATION }
    }

    fn deadline(self) -> Instant {
        let (Self::Asked { deadline } | Self::Killed { deadline }) = self;
        deadline
    }
}

/// What the end requires.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Next {
    /// Ask what the app left behind to end: the app has ended, or did not even when killed.
    EndRest,
    /// End the workers: the pages have had their time.
    EndWorkers,
    /// Kill the app.
    KillApp,
    /// Kill what the app left behind.
    KillRest,
    Nothing,
    /// Report that processes stay, because the kernel does not let them end.
    RestStays,
}

impl Stage {
    pub(super) fn app(now: Instant) -> Self {
        Self::App(Step::asked(now))
    }

    pub(super) fn rest(now: Instant) -> Self {
        Self::Rest(Step::asked(now))
    }

    pub(super) fn farewell(now: Instant) -> Self {
        Self::Farewell { deadline: now + FAREWELL }
    }

    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::App(step) | Self::Rest(step) => Some(step.deadline()),
            Self::Farewell { deadline } => Some(deadline),
            Self::Workers => None,
        }
    }

    /// Advances to the next step of this stage when its time is over, and says when the stage is
    /// over.
    pub(super) fn advance(&mut self, now: Instant, app_gone: bool) -> Next {
        let due = self.deadline().is_some_and(|deadline| deadline <= now);
        match self {
            Self::App(_) if app_gone => Next::EndRest,
            Self::App(step @ Step::Asked { .. }) if due => {
                *step = Step::killed(now);
                Next::KillApp
            }
            Self::App(Step::Killed { .. }) if due => Next::EndRest,
            Self::Rest(step @ Step::Asked { .. }) if due => {
                *step = Step::killed(now);
                Next::KillRest
            }
            Self::Rest(Step::Killed { .. }) if due => Next::RestStays,
            Self::Farewell { .. } if due => Next::EndWorkers,
            Self::App(_) | Self::Rest(_) | Self::Farewell { .. } | Self::Workers => Next::Nothing,
        }
    }
}
