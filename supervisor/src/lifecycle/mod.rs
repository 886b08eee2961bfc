//! What is started, restarted, rewired and ended, and when: a machine without clock or processes.
//!
//! The shell tells it what happened ([`Input`], with the time) and carries out what it decides
//! ([`Action`]), in order. Trusts the shell only: an input about a process that has been replaced
//! since carries an old [`Instance`] and is ignored.
//!
//! # Invariants
//! Checked by `verify_invariants` (in `tests`) after every step of the property test.
//! - At most one process of each worker runs at a time.
//! - Whatever is not where it should be has a deadline: nothing waits for ever, except for a
//!   process that was killed to be reaped. A worker that failed is tried again, ever more slowly.
//! - Both ends of a link go to workers that take links, or the other end goes to nobody: its owner
//!   gets a new pair when it starts. So two running workers are granted ends of the same pair; what
//!   becomes of those is the business of `links`.
//! - [`Action::Finish`] comes once, last, when no process is left.

mod app;
pub mod budget;
pub mod class;
mod contract;
mod ending;
mod helper;
mod links;
mod slot;
#[cfg(test)]
mod tests;
pub mod verdict;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use lumen_ipc::{
    link::{End, Link},
    process::Worker,
};

pub use app::APP_EARLY;
use app::App;
use budget::Budget;
pub use class::START_TIMEOUT;
use class::{Class, Process};
pub use contract::{
    Action, CannotRestart, CannotStartApp, Complaint, Input, Instance, News, Notice, Outcome,
    Report, Word,
};
use ending::Stage;
pub use helper::Helper;
use helper::HelperSlot;
use links::{Judgement, Links};
pub use slot::StateName;
use slot::{Next, Slot};
pub use verdict::Verdict;

/// Time between two steps of an end: being asked, being asked harder, being killed.
pub const ESCALATION: Duration = Duration::from_secs(2);

/// The whole machine.
#[derive(Debug)]
pub struct Lifecycle {
    /// One for each worker this desktop has, in the order they are started.
    slots: Vec<(Worker, Slot)>,
    links: Links,
    /// One for each helper this desktop has, in the order they are started.
    helpers: Vec<HelperSlot>,
    /// When a helper that the app needs ended last.
    helper_died: Option<Instant>,
    app: App,
    app_budget: Budget,
    /// Whether the app has ever run for long enough to have worked.
    app_worked: bool,
    /// Whether the desktop stays when its app ends.
    outlives_app: bool,
    /// Whether there is an app at all.
    has_app: bool,
    /// Whether pages can be told anything.
    pages_reachable: bool,
    compositor_died: Option<Instant>,
    mode: Mode,
    actions: VecDeque<Action>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mode {
    /// Nothing has begun.
    Idle,
    /// Not every essential worker has been ready yet.
    Opening,
    /// In service.
    Open,
    /// Everything is being ended.
    Stopping(Outcome, Stage),
    /// Nothing is left.
    Done,
}

impl Default for Lifecycle {
    /// Of a desktop that has every worker.
    fn default() -> Self {
        Self::of(&Worker::ALL)
    }
}

impl Lifecycle {
    /// Of a desktop that has these workers.
    #[must_use]
    pub fn of(present: &[Worker]) -> Self {
        Self {
            slots: present.iter().map(|worker| (*worker, Slot::default())).collect(),
            links: Links::of(present),
            helpers: Vec::new(),
            helper_died: None,
            app: App::None,
            app_budget: Budget::default(),
            app_worked: false,
            outlives_app: false,
            has_app: true,
            pages_reachable: false,
            compositor_died: None,
            mode: Mode::Idle,
            actions: VecDeque::new(),
        }
    }

    /// Of a desktop that stays when its app ends, if it has ever worked.
    #[must_use]
    pub fn outliving_its_app(mut self, outlives: bool) -> Self {
        let app = if outlives { Process::Demo } else { Process::App };
        self.outlives_app = !Class::of(app).is_essential();
        self
    }

    /// Of a scope that has no app of its own, and so nothing but workers.
    #[must_use]
    pub fn without_app(mut self) -> Self {
        self.has_app = false;
        self
    }

    /// Says whether pages can be told anything, which they are before the workers end.
    pub fn set_pages_reachable(&mut self, reachable: bool) {
        self.pages_reachable = reachable;
    }

    /// Takes in what happened. Drain [`Lifecycle::poll_action`] afterwards.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Begin => self.begin(now),
            Input::Configured(worker, instance) => {
                if self.slot(worker).is_some_and(|slot| slot.configured(instance)) {
                    self.actions.push_back(Action::Start(worker));
                }
            }
            Input::Ready(worker, instance) => {
                if let Some(slot) = self.slot(worker) {
                    slot.ready(now, instance);
                }
            }
            Input::HandshakeFailed(worker, instance) => {
                if let Some(slot) = self.slot(worker) {
                    slot.handshake_failed(now, instance);
                }
            }
            Input::WrongBuild(worker, instance) => {
                let next = self.slot(worker).map(|slot| slot.of_another_build(instance));
                self.push(worker, next.unwrap_or(Next::Nothing));
            }
            Input::Said(word) => self.said(now, word),
            Input::Broke(worker, instance) => {
                if self.slot(worker).map(|slot| slot.broke(instance)) == Some(Next::Kill) {
                    self.kill(worker, Notice::Broke(worker));
                }
            }
            Input::Left(worker, instance) => {
                if let Some(slot) = self.slot(worker) {
                    slot.left(now, instance);
                }
            }
            Input::Exited(worker, instance, verdict) => self.exited(now, worker, instance, verdict),
            Input::AppExited(verdict) => self.app_exited(now, verdict),
            Input::HelperReady(helper, instance) => self.helper_ready(now, helper, instance),
            Input::HelperExited(helper, instance, verdict) => {
                self.helper_exited(now, helper, instance, verdict);
            }
            Input::PagesTold => self.pages_told(now),
            Input::RestGone => self.rest_gone(now),
            Input::Stop => self.stop(now, Outcome::Stopped),
            Input::Tick => {}
        }
        self.advance(now);
    }

    /// Ends a worker, if it runs, and starts it anew; revives one that failed.
    ///
    /// # Errors
    /// [`CannotRestart`] when everything is being ended, or the desktop has no such worker.
    pub fn restart(&mut self, now: Instant, worker: Worker) -> Result<(), CannotRestart> {
        if !matches!(self.mode, Mode::Opening | Mode::Open) {
            return Err(CannotRestart::Ending);
        }
        let slot = self.slot(worker).ok_or(CannotRestart::Absent(worker))?;
        let next = slot.restart(now);
        self.push(worker, next);
        self.advance(now);
        Ok(())
    }

    /// The next thing to do, if any.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to come back with [`Input::Tick`] at the latest.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        let app = self.app.deadline();
        let ending = match self.mode {
            Mode::Stopping(_, stage) => stage.deadline(),
            Mode::Idle | Mode::Opening | Mode::Open | Mode::Done => None,
        };
        let slots = self.slots.iter().filter_map(|(_, slot)| slot.deadline());
        let helpers = self.helpers.iter().filter_map(HelperSlot::deadline);
        slots.chain(helpers).chain(app).chain(ending).chain(self.links.deadline()).min()
    }

    /// A worker's state, its instance, when it got ready, and how often it was restarted.
    #[must_use]
    pub fn report(&self, worker: Worker) -> Report {
        self.present(worker).map_or(
            Report { state: StateName::Gone, ready_since: None, restarts: 0, next_try: None },
            |slot| Report {
                state: slot.name(),
                ready_since: slot.ready_since(),
                restarts: slot.restarts(),
                next_try: slot.next_try(),
            },
        )
    }

    fn present(&self, worker: Worker) -> Option<&Slot> {
        self.slots.iter().find_map(|(present, slot)| (*present == worker).then_some(slot))
    }

    fn slot(&mut self, worker: Worker) -> Option<&mut Slot> {
        self.slots.iter_mut().find_map(|(present, slot)| (*present == worker).then_some(slot))
    }

    fn workers(&self) -> Vec<Worker> {
        self.slots.iter().map(|(worker, _)| *worker).collect()
    }

    fn begin(&mut self, now: Instant) {
        if self.mode != Mode::Idle {
            return;
        }
        self.mode = Mode::Opening;
        for worker in self.workers() {
            self.spawn(now, worker);
        }
        if self.has_app {
            self.start_app(now);
        }
    }

    fn spawn(&mut self, now: Instant, worker: Worker) {
        let Some(instance) = self.slot(worker).map(|slot| slot.spawned(now)) else { return };
        self.actions.push_back(Action::Spawn(worker, instance));
        for link in self.links.of_worker(worker) {
            let (from, to) = (takes(&self.slots, link.from), takes(&self.slots, link.to));
            self.wire(now, link, from, to);
        }
    }

    fn wire(&mut self, now: Instant, link: &'static Link, from: bool, to: bool) {
        let generation = self.links.wire(now, link, from && to);
        self.actions.push_back(Action::Wire { link, generation, from, to });
    }

    /// Does what follows from a worker's word about a link.
    fn said(&mut self, now: Instant, word: Word) {
        let (ended, notice) = match self.links.weigh(now, word) {
            Judgement::Nothing => return,
            Judgement::Rewire => return self.actions.push_back(Action::Say(Notice::Rewired(word))),
            Judgement::Restart(worker) => (worker, Notice::Accused(worker, word)),
            Judgement::Lie => (word.by, Notice::Broke(word.by)),
        };
        if self.slot(ended).map(Slot::condemned) == Some(Next::Kill) {
            self.kill(ended, notice);
        }
    }

    fn kill(&mut self, worker: Worker, notice: Notice) {
        self.actions.push_back(Action::Say(notice));
        self.push(worker, Next::Kill);
    }

    /// Makes new pairs of the links that are due.
    fn rewire(&mut self, now: Instant) {
        for link in self.links.due(now, |end| takes(&self.slots, end)) {
            self.wire(now, link, true, true);
        }
    }

    /// Says that the desktop is there once every essential worker is ready and each optional one is, or
    /// has shown that it may take long.
    fn announce_when_complete(&mut self) {
        let is_there = |(worker, slot): &(Worker, Slot)| match is_essential(*worker) {
            true => slot.is_ready(),
            false => slot.is_ready() || slot.has_failed_once(),
        };
        if self.mode == Mode::Opening && self.slots.iter().all(is_there) {
            self.mode = Mode::Open;
            self.actions.push_back(Action::Announce);
        }
    }

    fn exited(&mut self, now: Instant, worker: Worker, instance: Instance, verdict: Verdict) {
        let stopping = self.is_stopping();
        let Some(slot) = self.slot(worker) else { return };
        let Some(notice) = slot.exited(now, instance, worker, verdict, stopping) else { return };
        if worker == Worker::Compositor {
            self.compositor_died = Some(now);
        }
        if let Some(notice) = notice {
            self.actions.push_back(Action::Say(notice));
            let failed = matches!(notice, Notice::Failed(..)) && is_essential(worker);
            if failed && self.mode == Mode::Opening {
                self.stop(now, Outcome::CouldNotStart(worker));
            }
        }
    }

    fn is_stopping(&self) -> bool {
        matches!(self.mode, Mode::Stopping(..))
    }

    /// Lets every deadline that has passed take effect.
    fn advance(&mut self, now: Instant) {
        for worker in self.workers() {
            match self.slot(worker).map_or(Next::Nothing, |slot| slot.advance(now)) {
                Next::Spawn => self.spawn(now, worker),
                Next::Stays => self.kill(worker, Notice::Stays(worker)),
                Next::TooSlow => self.kill(worker, Notice::TooSlow(worker)),
                next => self.push(worker, next),
            }
        }
        self.announce_when_complete();
        self.advance_app(now);
        self.advance_helpers(now);
        self.advance_ending(now);
        self.rewire(now);
        self.finish_when_empty();
    }

    fn push(&mut self, worker: Worker, next: Next) {
        match next {
            Next::Drain => self.actions.push_back(Action::Drain(worker)),
            Next::Kill | Next::Stays | Next::TooSlow => {
                self.actions.push_back(Action::Kill(worker))
            }
            Next::Terminate => self.actions.push_back(Action::Terminate(worker)),
            Next::Nothing | Next::Spawn => {}
        }
    }

    /// Panics when an invariant of this module does not hold.
    #[cfg(test)]
    pub(crate) fn verify_invariants(&self) {
        for (worker, slot) in &self.slots {
            slot.verify_invariants(*worker, matches!(self.mode, Mode::Stopping(..) | Mode::Done));
        }
        self.verify_helpers();
        self.links.verify_invariants(|end| takes(&self.slots, end));
        if self.mode == Mode::Done {
            assert_eq!(self.app, App::None);
            assert!(self.slots.iter().all(|(_, slot)| slot.is_gone()));
        }
    }
}

/// Whether the owner of an end can be handed one.
fn takes(slots: &[(Worker, Slot)], end: End) -> bool {
    match end {
        End::Supervisor => true,
        End::Worker(owner) => {
            slots.iter().any(|(worker, slot)| *worker == owner && slot.takes_links())
        }
        End::CommandLine | End::EachWorker | End::Host | End::Session => false,
    }
}

fn is_essential(worker: Worker) -> bool {
    Class::of(Process::Worker(worker)).is_essential()
}
