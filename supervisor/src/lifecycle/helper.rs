//! Helpers: somebody else's programs that a session needs, supervised but not ours.
//!
//! They are there before the app, one after the other, because a later one may use an earlier one.
//! An *optional* one that ends is started anew by itself; an app does without it meanwhile, and one
//! that never gets ready does not keep the app waiting. An *essential* one takes the app with it, and
//! both are started anew, as after the compositor's death. One that keeps ending is tried ever more
//! slowly; an essential one that has never been ready ends the start instead.

use std::{
    fmt,
    time::{Duration, Instant},
};

use super::{
    Action, App, Instance, Lifecycle, Notice, Outcome, Verdict,
    budget::{Budget, MOST_DEATHS, MOST_DEATHS_BEFORE_FIRST_SUCCESS, WINDOW, slow_retry},
    class::{Class, HELPER_TIMEOUT, Need, Process},
};

/// A helper that ends sooner than this after getting ready ended early.
const EARLY: Duration = Duration::from_secs(10);

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

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// No process; started before the next app.
    Gone,
    /// No process; started then.
    Waiting { until: Instant },
    /// Its program runs and is not ready.
    Starting { deadline: Instant },
    /// It serves.
    Ready { since: Instant },
    /// Killed because it did not get ready.
    Killed,
    /// No process after too many ends; tried again then.
    Failed { until: Instant },
}

#[derive(Debug)]
pub(super) struct HelperSlot {
    helper: Helper,
    need: Need,
    state: State,
    instance: Instance,
    budget: Budget,
    ever_ready: bool,
    /// How often it failed since it last served for a good while.
    failures: u32,
}

impl HelperSlot {
    pub(super) fn new(helper: Helper) -> Self {
        Self {
            helper,
            need: Class::of(Process::Helper(helper)).need,
            state: State::Gone,
            instance: Instance::default(),
            budget: Budget::default(),
            ever_ready: false,
            failures: 0,
        }
    }

    fn start(&mut self, now: Instant) -> Action {
        self.instance = Instance(self.instance.0.wrapping_add(1));
        self.state = State::Starting { deadline: now + HELPER_TIMEOUT };
        Action::StartHelper(self.helper, self.instance)
    }

    fn has_process(&self) -> bool {
        matches!(self.state, State::Starting { .. } | State::Ready { .. } | State::Killed)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Failed { until: at }
            | State::Waiting { until: at }
            | State::Starting { deadline: at } => Some(at),
            State::Gone | State::Ready { .. } | State::Killed => None,
        }
    }

    /// Everything is about to end: what has no process gets none any more.
    pub(super) fn abandon(&mut self) {
        self.state = match self.state {
            // Ended with the rest, without a deadline of its own.
            State::Starting { .. } => State::Killed,
            state if self.has_process() => state,
            _ => State::Gone,
        };
    }

    /// Its process is gone: what is there to say.
    fn exited(&mut self, now: Instant, verdict: Verdict) -> Notice {
        let served = match self.state {
            State::Ready { since } => now.saturating_duration_since(since),
            _ => Duration::ZERO,
        };
        if served >= WINDOW {
            self.failures = 0;
        }
        let early = served < EARLY;
        let most = if self.ever_ready { MOST_DEATHS } else { MOST_DEATHS_BEFORE_FIRST_SUCCESS };
        let spent = self.budget.spend(now, early, most);
        // One that failed has to serve for a while before it is started at once again.
        let Some(wait) = spent.filter(|_| self.failures == 0) else {
            let wait = slow_retry(self.failures);
            self.failures = self.failures.saturating_add(1);
            self.state = State::Failed { until: now + wait };
            return Notice::HelperFailed(self.helper, verdict, wait);
        };
        self.state = State::Waiting { until: now + wait };
        Notice::HelperDied(self.helper, verdict)
    }
}

impl Lifecycle {
    /// Of a desktop that has these helpers.
    #[must_use]
    pub fn helped_by(mut self, helpers: &[Helper]) -> Self {
        self.helpers = helpers.iter().copied().map(HelperSlot::new).collect();
        self.helpers.sort_by_key(|slot| slot.helper);
        self
    }

    fn helper(&mut self, helper: Helper, instance: Instance) -> Option<&mut HelperSlot> {
        self.helpers.iter_mut().find(|slot| slot.helper == helper && slot.instance == instance)
    }

    pub(super) fn helper_ready(&mut self, now: Instant, helper: Helper, instance: Instance) {
        if let Some(slot) = self.helper(helper, instance)
            && matches!(slot.state, State::Starting { .. })
        {
            slot.state = State::Ready { since: now };
            slot.ever_ready = true;
        }
    }

    pub(super) fn helper_exited(
        &mut self,
        now: Instant,
        helper: Helper,
        instance: Instance,
        verdict: Verdict,
    ) {
        let stopping = self.is_stopping();
        let Some(slot) = self.helper(helper, instance).filter(|slot| slot.has_process()) else {
            return;
        };
        if stopping {
            slot.state = State::Gone;
            return;
        }
        let (served, need) = (matches!(slot.state, State::Ready { .. }), slot.need);
        let notice = slot.exited(now, verdict);
        self.actions.push_back(Action::Say(notice));
        if served && need == Need::Essential {
            self.helper_died = Some(now);
            self.doom_app(now);
        }
    }

    /// Lets every deadline of a helper that has passed take effect.
    pub(super) fn advance_helpers(&mut self, now: Instant) {
        if self.is_stopping() {
            return;
        }
        for slot in &mut self.helpers {
            match slot.state {
                State::Failed { until } | State::Waiting { until } if until <= now => {
                    let start = slot.start(now);
                    self.actions.push_back(start);
                }
                State::Starting { deadline } if deadline <= now => {
                    slot.state = State::Killed;
                    self.actions.push_back(Action::KillHelper(slot.helper));
                }
                _ => {}
            }
        }
        self.prepare_app(now);
    }

    /// Starts the app when its helpers are there, else the next helper.
    fn prepare_app(&mut self, now: Instant) {
        if self.app != App::Preparing {
            return;
        }
        for slot in &mut self.helpers {
            match (slot.state, slot.need) {
                (State::Ready { .. }, _) => {}
                // It had its chance; a later app may find it.
                (State::Waiting { .. } | State::Killed | State::Failed { .. }, Need::Optional) => {}
                (State::Gone, _) => {
                    let start = slot.start(now);
                    self.actions.push_back(start);
                    return;
                }
                (State::Failed { .. }, Need::Essential) if !slot.ever_ready => {
                    let helper = slot.helper;
                    return self.stop(now, Outcome::CouldNotHelp(helper));
                }
                (
                    State::Failed { .. }
                    | State::Waiting { .. }
                    | State::Starting { .. }
                    | State::Killed,
                    _,
                ) => return,
            }
        }
        self.app = App::Running { since: now, doomed: None };
        self.actions.push_back(Action::StartApp);
    }

    #[cfg(test)]
    pub(super) fn verify_helpers(&self) {
        let stopping = self.is_stopping();
        for slot in &self.helpers {
            let rests = matches!(slot.state, State::Gone | State::Ready { .. } | State::Killed);
            assert!(rests || slot.deadline().is_some(), "{slot:?}");
            assert!(!stopping || slot.deadline().is_none(), "{slot:?}");
        }
    }
}
