//! The app's part of the machine: what its end means, and when it is started again.
//!
//! An app that ends together with its compositor, or with a helper it needs, is started anew,
//! because it was not the cause. Any other end of the app ends the desktop, too, unless the desktop
//! is to stay and the app has worked: then it rests until somebody asks for it. Only a person's
//! request starts it then, so an app that keeps failing cannot loop, and each failure makes the
//! wait between two requests longer.

use std::time::{Duration, Instant};

use super::{
    budget::{Budget, MOST_DEATHS, WINDOW},
    contract::{CannotStartApp, News, Notice, Outcome},
    ending::ESCALATION,
    verdict::Verdict,
};

/// An app that ends sooner than this after its start never worked.
pub const APP_EARLY: Duration = Duration::from_secs(2);
/// An app that ends within this time after its compositor or helper ended because of that.
const APP_FOLLOWS: Duration = Duration::from_secs(5);
/// How long to wait after an app's end for news of its compositor's end. On a busy machine that arrives
/// later, because a process with several threads has ended only when all of them have.
pub(super) const APP_VERDICT_WAIT: Duration = Duration::from_millis(500);

/// What the app's state requires.
#[derive(Debug)]
pub(super) enum Next {
    /// End the desktop with this outcome.
    End(Outcome),
    /// Kill the app.
    Kill,
    Nothing,
    /// The app is over until somebody asks for it; the news for the pages.
    Rest(News),
    /// Start the app anew, for this reason.
    StartAnew(Notice),
}

/// The app of a desktop.
#[derive(Debug, Default)]
pub(super) struct AppSlot {
    state: State,
    budget: Budget,
    /// Whether it ever ran for long enough to count as working.
    worked: bool,
    /// Whether the desktop stays when it ends.
    outlived: bool,
    compositor_died: Option<Instant>,
    /// When a helper that it needs last ended.
    helper_died: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum State {
    /// No process.
    #[default]
    None,
    /// Waiting for its helpers.
    Preparing,
    /// Running since `since`; it lost a helper that it needs, and is killed at `doomed`.
    Running { since: Instant, doomed: Option<Instant> },
    /// It ended by itself; what that means is decided later.
    Ended { since: Instant, at: Instant, verdict: Verdict },
    /// It ended by itself, and may be started again from `until` on.
    Resting { until: Instant },
}

impl AppSlot {
    pub(super) fn set_outlived(&mut self, outlived: bool) {
        self.outlived = outlived;
    }

    /// The app is wanted; its helpers come first.
    pub(super) fn prepare(&mut self) {
        self.state = State::Preparing;
    }

    pub(super) fn is_preparing(&self) -> bool {
        self.state == State::Preparing
    }

    pub(super) fn started(&mut self, now: Instant) {
        self.state = State::Running { since: now, doomed: None };
    }

    /// As [`AppSlot::prepare`], if it may be started again.
    pub(super) fn prepare_again(&mut self, now: Instant) -> Result<(), CannotStartApp> {
        let State::Resting { until } = self.state else { return Err(CannotStartApp::Running) };
        if now < until {
            return Err(CannotStartApp::TooSoon(until - now));
        }
        self.prepare();
        Ok(())
    }

    pub(super) fn compositor_died(&mut self, now: Instant) {
        self.compositor_died = Some(now);
    }

    /// A helper that it needs has ended. Returns whether the app runs and must be told to end.
    pub(super) fn helper_died(&mut self, now: Instant) -> bool {
        self.helper_died = Some(now);
        match &mut self.state {
            State::Running { doomed: doomed @ None, .. } => {
                *doomed = Some(now + ESCALATION);
                true
            }
            _ => false,
        }
    }

    pub(super) fn exited(&mut self, now: Instant, verdict: Verdict, stopping: bool) {
        self.state = match self.state {
            State::Running { .. } if stopping => State::None,
            State::Running { since, .. } => State::Ended { since, at: now, verdict },
            State::None | State::Preparing | State::Ended { .. } | State::Resting { .. } => return,
        };
    }

    /// Applies a deadline that has passed.
    pub(super) fn advance(&mut self, now: Instant) -> Next {
        match &mut self.state {
            State::Running { doomed, .. } if doomed.is_some_and(|deadline| deadline <= now) => {
                *doomed = None;
                Next::Kill
            }
            State::Ended { since, at, verdict } if *at + APP_VERDICT_WAIT <= now => {
                let (since, at, verdict) = (*since, *at, *verdict);
                self.judge(now, since, at, verdict)
            }
            _ => Next::Nothing,
        }
    }

    /// Decides what its end means.
    fn judge(&mut self, now: Instant, since: Instant, at: Instant, verdict: Verdict) -> Next {
        let early = at.saturating_duration_since(since) < APP_EARLY;
        self.worked |= !early;
        let followed = |died: Option<Instant>| {
            died.is_some_and(|died| {
                died >= since && at.saturating_duration_since(died) < APP_FOLLOWS
            })
        };
        // Checked first, because an X server ends with the compositor, too.
        let notice = match (followed(self.compositor_died), followed(self.helper_died)) {
            (true, _) => Some(Notice::AppFollowsCompositor),
            (false, true) => Some(Notice::AppFollowsHelper),
            (false, false) => None,
        };
        if let Some(notice) = notice
            && self.budget.spend(now, early, MOST_DEATHS).is_some()
        {
            Next::StartAnew(notice)
        } else if self.outlived && self.worked {
            let wait = self.budget.spend(now, early, MOST_DEATHS).unwrap_or(WINDOW);
            self.state = State::Resting { until: now + wait };
            Next::Rest(News::AppEnded { verdict, early })
        } else {
            Next::End(Outcome::AppEnded { verdict, early })
        }
    }

    /// Everything is about to end. Returns whether the app runs and must be told to end.
    pub(super) fn abandon(&mut self) -> bool {
        match &mut self.state {
            State::Running { doomed, .. } => {
                *doomed = None;
                true
            }
            State::None | State::Preparing | State::Ended { .. } | State::Resting { .. } => {
                self.forget();
                false
            }
        }
    }

    /// Ignores its process from now on, even if the kernel does not let it end.
    pub(super) fn forget(&mut self) {
        self.state = State::None;
    }

    pub(super) fn is_none(&self) -> bool {
        self.state == State::None
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Ended { at, .. } => Some(at + APP_VERDICT_WAIT),
            State::Running { doomed, .. } => doomed,
            State::None | State::Preparing | State::Resting { .. } => None,
        }
    }
}
