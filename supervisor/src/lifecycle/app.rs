//! The app's part of the machine: what its end means, and when it is started again.
//!
//! An app that ends with its compositor, or with a helper it needs, could not help it, and is started
//! anew. The end of any other is the desktop's, too; unless the desktop is one that stays, and the app
//! one that has worked: then it rests until somebody asks for it. Nothing but a person's wish starts it
//! then, so one that keeps failing cannot loop, and its failures make the wait between two wishes longer.

use std::time::{Duration, Instant};

use super::{
    Action, CannotStartApp, ESCALATION, Lifecycle, Mode, News, Notice, Outcome, Verdict,
    budget::{MOST_DEATHS, WINDOW},
};

/// An app that ends sooner than this after its start has not worked.
pub const APP_EARLY: Duration = Duration::from_secs(2);
/// An app that ends this long after its compositor or helper did ended because of that.
const APP_FOLLOWS: Duration = Duration::from_secs(5);
/// How long to wait after an app's end for news of its compositor's, which may come later.
pub(super) const APP_VERDICT_WAIT: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum App {
    /// No process.
    None,
    /// Waiting for its helpers.
    Preparing,
    /// Running since; without a helper it needs it is killed then.
    Running { since: Instant, doomed: Option<Instant> },
    /// Ended by itself; what to make of it is decided later.
    Ended { since: Instant, at: Instant, verdict: Verdict },
    /// Ended by itself; may be started again from then on.
    Resting { until: Instant },
}

impl App {
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Ended { at, .. } => Some(at + APP_VERDICT_WAIT),
            Self::Running { doomed, .. } => doomed,
            Self::None | Self::Preparing | Self::Resting { .. } => None,
        }
    }
}

impl Lifecycle {
    /// Starts the app again because somebody who may control the desktop asks for it.
    ///
    /// # Errors
    /// [`CannotStartApp`] when it has not ended, or too often, or nothing is started any more.
    pub fn start_app_again(&mut self, now: Instant) -> Result<(), CannotStartApp> {
        if !matches!(self.mode, Mode::Opening | Mode::Open) {
            return Err(CannotStartApp::Ending);
        }
        let App::Resting { until } = self.app else { return Err(CannotStartApp::Running) };
        if now < until {
            return Err(CannotStartApp::TooSoon(until - now));
        }
        self.start_app(now);
        self.actions.push_back(Action::Tell(News::AppRuns));
        self.advance(now);
        Ok(())
    }

    pub(super) fn start_app(&mut self, now: Instant) {
        self.app = App::Preparing;
        self.advance_helpers(now);
    }

    /// A helper that the app needs is gone: what has not noticed is told to end.
    pub(super) fn doom_app(&mut self, now: Instant) {
        if let App::Running { doomed: doomed @ None, .. } = &mut self.app {
            *doomed = Some(now + ESCALATION);
            self.actions.push_back(Action::TerminateApp);
        }
    }

    pub(super) fn app_exited(&mut self, now: Instant, verdict: Verdict) {
        self.app = match self.app {
            App::Running { .. } if self.is_stopping() => App::None,
            App::Running { since, .. } => App::Ended { since, at: now, verdict },
            App::None | App::Preparing | App::Ended { .. } | App::Resting { .. } => return,
        };
    }

    pub(super) fn advance_app(&mut self, now: Instant) {
        if let App::Running { doomed: doomed @ Some(_), .. } = &mut self.app
            && doomed.is_some_and(|deadline| deadline <= now)
        {
            *doomed = None;
            self.actions.push_back(Action::KillApp);
        }
        let App::Ended { since, at, verdict } = self.app else { return };
        if now < at + APP_VERDICT_WAIT {
            return;
        }
        let early = at.saturating_duration_since(since) < APP_EARLY;
        self.app_worked |= !early;
        let followed = |died: Option<Instant>| {
            died.is_some_and(|died| {
                died >= since && at.saturating_duration_since(died) < APP_FOLLOWS
            })
        };
        // An X server ends with the compositor, too.
        let notice = match (followed(self.compositor_died), followed(self.helper_died)) {
            (true, _) => Some(Notice::AppFollowsCompositor),
            (false, true) => Some(Notice::AppFollowsHelper),
            (false, false) => None,
        };
        if let Some(notice) = notice
            && self.app_budget.spend(now, early, MOST_DEATHS).is_some()
        {
            self.actions.push_back(Action::Say(notice));
            self.start_app(now);
        } else if self.outlives_app && self.app_worked {
            let wait = self.app_budget.spend(now, early, MOST_DEATHS).unwrap_or(WINDOW);
            self.app = App::Resting { until: now + wait };
            self.actions.push_back(Action::Tell(News::AppEnded { verdict, early }));
        } else {
            self.stop(now, Outcome::AppEnded { verdict, early });
        }
    }
}
