//! The end of everything, in stages: the app goes while its compositor still serves it, then what the
//! app left behind; the pages are told; then the workers go. Each stage asks, waits for [`ESCALATION`],
//! forces, waits once more and goes on: what the kernel does not let end may not keep the desktop from
//! ending.

use std::time::{Duration, Instant};

use super::{
    Action, App, ESCALATION, Lifecycle, Mode, News, Next, Notice, Outcome, helper::HelperSlot,
};

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

impl Stage {
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::App(step) | Self::Rest(step) => Some(step.deadline()),
            Self::Farewell { deadline } => Some(deadline),
            Self::Workers => None,
        }
    }
}

impl Lifecycle {
    /// Begins the end, once.
    pub(super) fn stop(&mut self, now: Instant, outcome: Outcome) {
        if matches!(self.mode, Mode::Stopping(..) | Mode::Done) {
            return;
        }
        self.mode = Mode::Stopping(outcome, Stage::App(Step::asked(now)));
        for worker in self.workers() {
            if let Some(slot) = self.slot(worker) {
                slot.abandon();
            }
        }
        self.helpers.iter_mut().for_each(HelperSlot::abandon);
        match &mut self.app {
            App::Running { doomed, .. } => {
                *doomed = None;
                self.actions.push_back(Action::TerminateApp);
            }
            App::Preparing | App::Ended { .. } | App::Resting { .. } => self.app = App::None,
            App::None => {}
        }
    }

    /// Nothing is left of what the app left behind.
    pub(super) fn rest_gone(&mut self, now: Instant) {
        if let Mode::Stopping(outcome, Stage::Rest(_)) = self.mode {
            self.say_farewell(now, outcome);
        }
    }

    /// Every page knows the newest news.
    pub(super) fn pages_told(&mut self, now: Instant) {
        if let Mode::Stopping(outcome, Stage::Farewell { .. }) = self.mode {
            self.end_workers(now, outcome);
        }
    }

    /// Goes on to the next step when the present one is done, or its time is over.
    pub(super) fn advance_ending(&mut self, now: Instant) {
        let Mode::Stopping(outcome, stage) = self.mode else { return };
        let due = stage.deadline().is_some_and(|deadline| deadline <= now);
        match stage {
            Stage::App(_) if self.app == App::None => self.end_rest(now, outcome),
            Stage::App(Step::Asked { .. }) if due => {
                self.mode = Mode::Stopping(outcome, Stage::App(Step::killed(now)));
                self.actions.push_back(Action::KillApp);
            }
            Stage::App(Step::Killed { .. }) if due => {
                self.app = App::None;
                self.end_rest(now, outcome);
            }
            Stage::Rest(Step::Asked { .. }) if due => {
                self.mode = Mode::Stopping(outcome, Stage::Rest(Step::killed(now)));
                self.actions.push_back(Action::KillRest);
            }
            Stage::Rest(Step::Killed { .. }) if due => {
                self.actions.push_back(Action::Say(Notice::RestStays));
                self.say_farewell(now, outcome);
            }
            Stage::Farewell { .. } if due => self.end_workers(now, outcome),
            Stage::App(_) | Stage::Rest(_) | Stage::Farewell { .. } | Stage::Workers => {}
        }
    }

    fn end_rest(&mut self, now: Instant, outcome: Outcome) {
        self.mode = Mode::Stopping(outcome, Stage::Rest(Step::asked(now)));
        self.actions.push_back(Action::TerminateRest);
    }

    /// Without a way to the pages there is nobody to say that they have been told.
    fn say_farewell(&mut self, now: Instant, outcome: Outcome) {
        if self.pages_reachable {
            self.mode = Mode::Stopping(outcome, Stage::Farewell { deadline: now + FAREWELL });
            self.actions.push_back(Action::Tell(News::Over(outcome)));
        } else {
            self.end_workers(now, outcome);
        }
    }

    fn end_workers(&mut self, now: Instant, outcome: Outcome) {
        self.mode = Mode::Stopping(outcome, Stage::Workers);
        for worker in self.workers() {
            let next = self.slot(worker).map(|slot| slot.stop(now));
            self.push(worker, next.unwrap_or(Next::Nothing));
        }
    }

    pub(super) fn finish_when_empty(&mut self) {
        let Mode::Stopping(outcome, Stage::Workers) = self.mode else { return };
        if self.slots.iter().all(|(_, slot)| slot.is_gone()) {
            self.mode = Mode::Done;
            self.actions.push_back(Action::Finish(outcome));
        }
    }
}
