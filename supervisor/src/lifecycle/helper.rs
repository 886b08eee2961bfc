//! Helpers: programs other than workers that a session needs. All but the clipboard's bridge are other
//! projects'.
//!
//! They start before the app, one after the other, because a later one may use an earlier one. An
//! *optional* one that ends is started anew by itself; the app continues without it, and an
//! optional one that never becomes ready does not delay the app. An *essential* one takes the app
//! with it, and both are started anew, as after the compositor's death. A helper that keeps ending
//! is tried ever more slowly; an essential one that has never been ready ends the start instead.
//!
//! What the first app plays must have somewhere to go: many players give up where there is no sink. So
//! the app waits for it, for a moment; without sound the desktop starts all the same.

use std::time::{Duration, Instant};

use super::{
    budget::{Budget, MOST_DEATHS, MOST_DEATHS_BEFORE_FIRST_SUCCESS, WINDOW, slow_retry},
    class::{Class, HELPER_TIMEOUT, Need, Process},
    contract::{Action, Helper, Instance, Notice},
    verdict::Verdict,
};

/// A helper that ends sooner than this after becoming ready ended early.
const EARLY: Duration = Duration::from_secs(10);

/// The app waits for the sink no longer than this. A sound server and its session manager take less
/// than half a second on an idle machine.
pub(super) const SINK_PATIENCE: Duration = Duration::from_secs(3);

/// What is known of the sink.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Sink {
    /// It is there, or nobody waits for it.
    #[default]
    Settled,
    /// There will be one, and no app is to be started yet.
    Expected,
    /// The app waits for it.
    Awaited { until: Instant },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// No process; it is started before the next app.
    Gone,
    /// No process; it is started at `until`.
    Waiting { until: Instant },
    /// Its program runs but is not ready.
    Starting { deadline: Instant },
    /// It serves.
    Ready { since: Instant },
    /// Killed because it was not ready in time.
    Killed,
    /// No process after too many ends; it is tried again at `until`.
    Failed { until: Instant },
}

/// Progress of the helpers for the next app.
#[derive(Debug)]
pub(super) enum Preparation {
    /// Each is ready or had its chance.
    Done,
    /// This one cannot be started, and an app needs it.
    Hopeless(Helper),
    /// The next one is to be started.
    Start(Action),
    /// One is being waited for.
    Waiting,
}

/// All helpers of a desktop, in the order of their start.
#[derive(Debug, Default)]
pub(super) struct Helpers {
    slots: Vec<HelperSlot>,
    sink: Sink,
}

#[derive(Debug)]
struct HelperSlot {
    helper: Helper,
    need: Need,
    state: State,
    instance: Instance,
    budget: Budget,
    ever_ready: bool,
    /// How often it failed since it last served for a while.
    failures: u32,
}

impl HelperSlot {
    fn new(helper: Helper) -> Self {
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

    fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Failed { until: at }
            | State::Waiting { until: at }
            | State::Starting { deadline: at } => Some(at),
            State::Gone | State::Ready { .. } | State::Killed => None,
        }
    }

    fn abandon(&mut self) {
        self.state = match self.state {
            // It ends with the others and needs no deadline of its own.
            State::Starting { .. } => State::Killed,
            state if self.has_process() => state,
            _ => State::Gone,
        };
    }

    /// Its process ended. Returns what to report.
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
        // After a failure it must serve for a while before it is started again at once.
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

impl Helpers {
    pub(super) fn of(helpers: &[Helper]) -> Self {
        let mut slots: Vec<HelperSlot> = helpers.iter().copied().map(HelperSlot::new).collect();
        slots.sort_by_key(|slot| slot.helper);
        Self { slots, sink: Sink::default() }
    }

    /// There will be a sink.
    pub(super) const fn expect_sink(&mut self) {
        self.sink = Sink::Expected;
    }

    /// The sink is there, or there will be none.
    pub(super) const fn settle_sink(&mut self) {
        self.sink = Sink::Settled;
    }

    fn slot(&mut self, helper: Helper, instance: Instance) -> Option<&mut HelperSlot> {
        self.slots.iter_mut().find(|slot| slot.helper == helper && slot.instance == instance)
    }

    pub(super) fn ready(&mut self, now: Instant, helper: Helper, instance: Instance) {
        if let Some(slot) = self.slot(helper, instance)
            && matches!(slot.state, State::Starting { .. })
        {
            slot.state = State::Ready { since: now };
            slot.ever_ready = true;
        }
    }

    /// A process ended. Returns what to report, and whether the app has lost a helper it needs;
    /// `None` when the process is an old one, or nothing is started any more.
    pub(super) fn exited(
        &mut self,
        now: Instant,
        (helper, instance): (Helper, Instance),
        verdict: Verdict,
        stopping: bool,
    ) -> Option<(Notice, bool)> {
        let slot = self.slot(helper, instance).filter(|slot| slot.has_process())?;
        let makes_sinks = matches!(helper, Helper::SoundManager | Helper::SoundServer);
        if stopping {
            slot.state = State::Gone;
            return None;
        }
        let served = matches!(slot.state, State::Ready { .. });
        let missed = served && slot.need == Need::Essential;
        let notice = slot.exited(now, verdict);
        if makes_sinks {
            self.settle_sink();
        }
        Some((notice, missed))
    }

    /// Applies every deadline that has passed.
    pub(super) fn advance(&mut self, now: Instant) -> Vec<Action> {
        if matches!(self.sink, Sink::Awaited { until } if until <= now) {
            self.settle_sink();
        }
        let due = self.slots.iter_mut().filter_map(|slot| match slot.state {
            State::Failed { until } | State::Waiting { until } if until <= now => {
                Some(slot.start(now))
            }
            State::Starting { deadline } if deadline <= now => {
                slot.state = State::Killed;
                Some(Action::KillHelper(slot.helper))
            }
            _ => None,
        });
        due.collect()
    }

    /// Takes the next step towards starting the app.
    pub(super) fn prepare(&mut self, now: Instant) -> Preparation {
        for slot in &mut self.slots {
            match (slot.state, slot.need) {
                (State::Ready { .. }, _) => {}
                // It had its chance; a later app may find it ready.
                (State::Waiting { .. } | State::Killed | State::Failed { .. }, Need::Optional) => {}
                (State::Gone, _) => return Preparation::Start(slot.start(now)),
                (State::Failed { .. }, Need::Essential) if !slot.ever_ready => {
                    return Preparation::Hopeless(slot.helper);
                }
                (
                    State::Failed { .. }
                    | State::Waiting { .. }
                    | State::Starting { .. }
                    | State::Killed,
                    _,
                ) => return Preparation::Waiting,
            }
        }
        if self.sink == Sink::Expected {
            self.sink = Sink::Awaited { until: now + SINK_PATIENCE };
        }
        match self.sink {
            Sink::Awaited { .. } => Preparation::Waiting,
            Sink::Expected | Sink::Settled => Preparation::Done,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let sink = match self.sink {
            Sink::Awaited { until } => Some(until),
            Sink::Expected | Sink::Settled => None,
        };
        self.slots.iter().filter_map(HelperSlot::deadline).chain(sink).min()
    }

    /// Everything is about to end: helpers without a process are not started any more.
    pub(super) fn abandon(&mut self) {
        self.settle_sink();
        self.slots.iter_mut().for_each(HelperSlot::abandon);
    }

    #[cfg(test)]
    pub(super) fn verify_invariants(&self, stopping: bool) {
        for slot in &self.slots {
            let rests = matches!(slot.state, State::Gone | State::Ready { .. } | State::Killed);
            assert!(rests || slot.deadline().is_some(), "{slot:?}");
            assert!(!stopping || slot.deadline().is_none(), "{slot:?}");
        }
    }
}
