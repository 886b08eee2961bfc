//! The end of everything, in stages: the app goes while its compositor still serves it, then what the
//! app left behind; the pages are told; then the workers go. Each stage asks, waits for [`ESCALATION`],
//! forces, waits once more and goes on: what the kernel does not let end may not keep the desktop from
//! ending.

use std::time::{Duration, Instant};

/// Time between two steps of an end: being asked, being asked harder, being killed.
pub const ESCALATION: Duration = Duration::from_secs(2);
/// How long the pages may take to be told that the desktop ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// Who is being ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// The app and its process group.
    App(Step),
    /// Every other process that is no worker.
    Rest(Step),
    /// Nobody: the pages are being told.
    Farewell { deadline: Instant },
    /// The workers, each by its own deadlines.
    Workers,
}

/// How they are being ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// They have been asked to.
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

/// What is to be done about an end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Next {
    /// What the app left behind is asked to end: the app has ended, or does not even when killed.
    EndRest,
    /// The workers are ended: the pages have had their time.
    EndWorkers,
    /// The app is killed.
    KillApp,
    /// What it left behind is killed.
    KillRest,
    Nothing,
    /// What it left behind stays: the kernel does not let it end.
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

    /// Goes on to the next step of this stage when its time is over; says when the stage is.
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
