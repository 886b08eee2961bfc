//! What is started, restarted, rewired and ended, and when: a state machine without clock or
//! processes.
//!
//! The shell reports events ([`Input`], with the time) and carries out the decisions ([`Action`])
//! in order. Trusts only the shell. An input about a replaced process carries an old [`Instance`]
//! and is ignored.
//!
//! # Invariants
//! Checked by `verify_invariants` (in `tests`) after every step of the property test.
//! - At most one process of each worker runs at a time.
//! - Any process that is not in its intended state has a deadline: nothing waits for ever, except
//!   for a killed process to be reaped. A failed worker is tried again, ever more slowly.
//! - Both ends of a link go to workers that can receive link ends; if one cannot, its end goes to
//!   nobody, and its owner gets a new pair when it starts. So two running workers are granted ends
//!   of the same pair; `links` decides what becomes of them.
//! - [`Action::Finish`] comes once, last, when no process is left.

mod app;
pub mod budget;
pub mod class;
mod contract;
mod ending;
mod helper;
mod links;
mod pulse;
mod slot;
mod slots;
#[cfg(test)]
mod tests;
pub mod verdict;

use std::{collections::VecDeque, time::Instant};

use lumen_ipc::{link::Link, process::Worker};

pub use app::APP_EARLY;
use app::AppSlot;
use class::{Class, Process};
pub use class::{LONGEST_START, START_TIMEOUT};
pub use contract::{
    Action, CannotRestart, CannotStartApp, Complaint, Helper, Input, Instance, News, Notice,
    Outcome, Report, StateName, Word,
};
pub use ending::ESCALATION;
use ending::Stage;
use helper::{Helpers, Preparation};
pub use links::ECHO;
use links::{Judgement, Links};
pub use pulse::PATIENCE;
use pulse::Pulses;
use slot::{Next, Slot};
use slots::{Slots, is_essential};
pub use verdict::Verdict;

/// The whole machine.
#[derive(Debug)]
pub struct Lifecycle {
    slots: Slots,
    links: Links,
    pulses: Pulses,
    helpers: Helpers,
    app: AppSlot,
    /// Whether the scope has an app.
    has_app: bool,
    /// Whether there is a gateway to tell the pages.
    pages_reachable: bool,
    mode: Mode,
    actions: VecDeque<Action>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mode {
    /// Nothing has begun.
    Idle,
    /// Some essential worker has not been ready yet.
    Opening,
    /// In service.
    Open,
    /// Everything is being ended.
    Stopping(Outcome, Stage),
    /// Nothing is left.
    Done,
}

impl Default for Lifecycle {
    /// A desktop with every worker.
    fn default() -> Self {
        Self::of(&Worker::ALL)
    }
}

impl Lifecycle {
    /// A desktop with these workers.
    #[must_use]
    pub fn of(present: &[Worker]) -> Self {
        Self {
            slots: Slots::of(present),
            links: Links::of(present),
            pulses: Pulses::default(),
            helpers: Helpers::default(),
            app: AppSlot::default(),
            has_app: true,
            pages_reachable: false,
            mode: Mode::Idle,
            actions: VecDeque::new(),
        }
    }

    /// Lets the desktop stay when its app ends, if the app has ever worked.
    #[must_use]
    pub fn outliving_its_app(mut self, outlives: bool) -> Self {
        let app = if outlives { Process::Demo } else { Process::App };
        self.app.set_outlived(!Class::of(app).is_essential());
        self
    }

    /// Gives the desktop these helpers.
    #[must_use]
    pub fn helped_by(mut self, helpers: &[Helper]) -> Self {
        self.helpers = Helpers::of(helpers);
        self
    }

    /// Lets the first app wait for the session's sink.
    #[must_use]
    pub const fn expecting_sink(mut self) -> Self {
        self.helpers.expect_sink();
        self
    }

    /// A scope without an app, which has only workers.
    #[must_use]
    pub fn without_app(mut self) -> Self {
        self.has_app = false;
        self
    }

    /// Sets whether the pages can be told, which happens before the workers end.
    pub fn set_pages_reachable(&mut self, reachable: bool) {
        self.pages_reachable = reachable;
    }

    /// Processes an event. Drain [`Lifecycle::poll_action`] afterwards.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Begin => self.begin(now),
            Input::Configured(worker, instance) => {
                if self.slots.get_mut(worker).is_some_and(|slot| slot.configured(instance)) {
                    self.actions.push_back(Action::Start(worker));
                }
            }
            Input::Ready(worker, instance) => {
                self.slots.get_mut(worker).map(|slot| slot.ready(now, instance));
            }
            Input::HandshakeFailed(worker, instance) => {
                self.slots
                    .get_mut(worker)
                    .iter_mut()
                    .for_each(|slot| slot.handshake_failed(now, instance));
            }
            Input::WrongBuild(worker, instance) => {
                let next = self.slots.get_mut(worker).map(|slot| slot.of_another_build(instance));
                self.push(worker, next.unwrap_or(Next::Nothing));
            }
            Input::Said(word) => self.said(now, word),
            Input::Broke(worker, instance) => {
                if self.slots.get_mut(worker).map(|slot| slot.broke(instance)) == Some(Next::Kill) {
                    self.kill(worker, Notice::Broke(worker));
                }
            }
            Input::Left(worker, instance) => {
                self.slots.get_mut(worker).iter_mut().for_each(|slot| slot.left(now, instance));
            }
            Input::Alive(worker, instance) => {
                if self.pulses.answered(worker, instance) {
                    self.actions.push_back(Action::Say(Notice::Responds(worker)));
                }
            }
            Input::Examined(worker, instance, is_traced) => {
                if self.pulses.examined(worker, instance, is_traced) {
                    self.condemn(worker, Notice::Hangs(worker));
                }
            }
            Input::Exited(worker, instance, verdict) => self.exited(now, worker, instance, verdict),
            Input::AppExited(verdict) => self.app.exited(now, verdict, self.is_stopping()),
            Input::HelperReady(helper, instance) => self.helpers.ready(now, helper, instance),
            Input::HelperExited(helper, instance, verdict) => {
                self.helper_exited(now, helper, instance, verdict);
            }
            Input::PagesTold => self.pages_told(now),
            Input::SinkReady => self.helpers.settle_sink(),
            Input::RestGone => self.rest_gone(now),
            Input::Stop => self.stop(now, Outcome::Stopped),
            Input::Tick => {}
        }
        self.advance(now);
    }

    /// Restarts a worker, or revives one that failed.
    ///
    /// # Errors
    /// [`CannotRestart`] when the desktop is ending or has no such worker.
    pub fn restart(&mut self, now: Instant, worker: Worker) -> Result<(), CannotRestart> {
        if !matches!(self.mode, Mode::Opening | Mode::Open) {
            return Err(CannotRestart::Ending);
        }
        let slot = self.slots.get_mut(worker).ok_or(CannotRestart::Absent(worker))?;
        let next = slot.restart(now);
        self.push(worker, next);
        self.advance(now);
        Ok(())
    }

    /// Starts the app again, on behalf of a viewer with control.
    ///
    /// # Errors
    /// [`CannotStartApp`] when it has not ended, ended too often, or the desktop is ending.
    pub fn start_app_again(&mut self, now: Instant) -> Result<(), CannotStartApp> {
        if !matches!(self.mode, Mode::Opening | Mode::Open) {
            return Err(CannotStartApp::Ending);
        }
        self.app.prepare_again(now)?;
        self.advance_helpers(now);
        self.actions.push_back(Action::Tell(News::AppRuns));
        self.advance(now);
        Ok(())
    }

    /// The next decision, if there is one.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call with [`Input::Tick`] at the latest.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        let app = self.app.deadline();
        let ending = match self.mode {
            Mode::Stopping(_, stage) => stage.deadline(),
            Mode::Idle | Mode::Opening | Mode::Open | Mode::Done => None,
        };
        let slots = self.slots.iter().filter_map(|(_, slot)| slot.deadline());
        slots
            .chain(self.helpers.deadline())
            .chain(app)
            .chain(ending)
            .chain(self.links.deadline())
            .chain(self.pulses.deadline())
            .min()
    }

    /// A worker's state, when it became ready, and how often it was restarted.
    #[must_use]
    pub fn report(&self, worker: Worker) -> Report {
        let report = self.slots.report(worker);
        let instance = self.slots.get(worker).map(Slot::instance).unwrap_or_default();
        match report.state == StateName::Ready && self.pulses.is_stuck(worker, instance) {
            true => Report { state: StateName::Stuck, ..report },
            false => report,
        }
    }

    fn begin(&mut self, now: Instant) {
        if self.mode != Mode::Idle {
            return;
        }
        self.mode = Mode::Opening;
        for worker in self.slots.workers() {
            self.spawn(now, worker);
        }
        if self.has_app {
            self.start_app(now);
        }
    }

    fn spawn(&mut self, now: Instant, worker: Worker) {
        let deadline = now + Class::of(Process::Worker(worker)).start_timeout();
        let Some(instance) = self.slots.get_mut(worker).map(|slot| slot.spawned(deadline)) else {
            return;
        };
        self.actions.push_back(Action::Spawn(worker, instance));
        for link in self.links.of_worker(worker) {
            let (from, to) = (self.slots.take(link.from), self.slots.take(link.to));
            self.wire(now, link, from, to);
        }
    }

    fn wire(&mut self, now: Instant, link: &'static Link, from: bool, to: bool) {
        let generation = self.links.wire(now, link, from && to);
        self.actions.push_back(Action::Wire { link, generation, from, to });
    }

    /// Acts on a worker's report about a link.
    fn said(&mut self, now: Instant, word: Word) {
        let (ended, notice) = match self.links.weigh(now, word) {
            Judgement::Nothing => return,
            Judgement::Rewire => return self.actions.push_back(Action::Say(Notice::Rewired(word))),
            Judgement::Restart(worker) => (worker, Notice::Accused(worker, word)),
            Judgement::Lie => (word.by, Notice::Broke(word.by)),
        };
        self.condemn(ended, notice);
    }

    fn condemn(&mut self, worker: Worker, notice: Notice) {
        if self.slots.get_mut(worker).map(Slot::condemned) == Some(Next::Kill) {
            self.kill(worker, notice);
        }
    }

    fn kill(&mut self, worker: Worker, notice: Notice) {
        self.actions.push_back(Action::Say(notice));
        self.push(worker, Next::Kill);
    }

    /// Makes new pairs of the links that are due.
    fn rewire(&mut self, now: Instant) {
        for link in self.links.due(now, |end| self.slots.take(end)) {
            self.wire(now, link, true, true);
        }
    }

    /// Announces the desktop once every essential worker is ready, and each optional one is ready
    /// or has failed once and may take long.
    fn announce_when_complete(&mut self) {
        if self.mode == Mode::Opening && self.slots.are_complete() {
            self.mode = Mode::Open;
            self.actions.push_back(Action::Announce);
        }
    }

    fn exited(&mut self, now: Instant, worker: Worker, instance: Instance, verdict: Verdict) {
        let stopping = self.is_stopping();
        let Some(slot) = self.slots.get_mut(worker) else { return };
        let Some(notice) = slot.exited(now, instance, worker, verdict, stopping) else { return };
        match worker {
            Worker::Compositor => self.app.compositor_died(now),
            Worker::Sound => self.helpers.settle_sink(),
            _ => {}
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

    fn helper_exited(
        &mut self,
        now: Instant,
        helper: Helper,
        instance: Instance,
        verdict: Verdict,
    ) {
        let stopping = self.is_stopping();
        let news = self.helpers.exited(now, (helper, instance), verdict, stopping);
        let Some((notice, missed)) = news else { return };
        self.actions.push_back(Action::Say(notice));
        if missed && self.app.helper_died(now) {
            self.actions.push_back(Action::TerminateApp);
        }
    }

    fn start_app(&mut self, now: Instant) {
        self.app.prepare();
        self.advance_helpers(now);
    }

    /// Starts the helpers, and the app once they are ready.
    fn advance_helpers(&mut self, now: Instant) {
        if self.is_stopping() {
            return;
        }
        self.actions.extend(self.helpers.advance(now));
        if !self.app.is_preparing() {
            return;
        }
        match self.helpers.prepare(now) {
            Preparation::Waiting => {}
            Preparation::Start(start) => self.actions.push_back(start),
            Preparation::Hopeless(helper) => self.stop(now, Outcome::CouldNotHelp(helper)),
            Preparation::Done => {
                self.app.started(now);
                self.actions.push_back(Action::StartApp);
            }
        }
    }

    fn advance_app(&mut self, now: Instant) {
        match self.app.advance(now) {
            app::Next::Nothing => {}
            app::Next::Kill => self.actions.push_back(Action::KillApp),
            app::Next::Rest(news) => self.actions.push_back(Action::Tell(news)),
            app::Next::End(outcome) => self.stop(now, outcome),
            app::Next::StartAnew(notice) => {
                self.actions.push_back(Action::Say(notice));
                self.start_app(now);
            }
        }
    }

    /// Begins the end, once.
    fn stop(&mut self, now: Instant, outcome: Outcome) {
        if matches!(self.mode, Mode::Stopping(..) | Mode::Done) {
            return;
        }
        self.mode = Mode::Stopping(outcome, Stage::app(now));
        self.slots.abandon();
        self.helpers.abandon();
        if self.app.abandon() {
            self.actions.push_back(Action::TerminateApp);
        }
    }

    /// All processes that the app left behind have ended.
    fn rest_gone(&mut self, now: Instant) {
        if let Mode::Stopping(outcome, Stage::Rest(_)) = self.mode {
            self.say_farewell(now, outcome);
        }
    }

    /// Every page has the newest news.
    fn pages_told(&mut self, now: Instant) {
        if let Mode::Stopping(outcome, Stage::Farewell { .. }) = self.mode {
            self.end_workers(now, outcome);
        }
    }

    /// Advances to the next step of the end when the current one is done or its time is over.
    fn advance_ending(&mut self, now: Instant) {
        let Mode::Stopping(outcome, stage) = &mut self.mode else { return };
        let (outcome, next) = (*outcome, stage.advance(now, self.app.is_none()));
        match next {
            ending::Next::Nothing => {}
            ending::Next::KillApp => self.actions.push_back(Action::KillApp),
            ending::Next::KillRest => self.actions.push_back(Action::KillRest),
            ending::Next::EndRest => {
                self.app.forget();
                self.mode = Mode::Stopping(outcome, Stage::rest(now));
                self.actions.push_back(Action::TerminateRest);
            }
            ending::Next::RestStays => {
                self.actions.push_back(Action::Say(Notice::RestStays));
                self.say_farewell(now, outcome);
            }
            ending::Next::EndWorkers => self.end_workers(now, outcome),
        }
    }

    /// Without a gateway there is nobody to tell the pages.
    fn say_farewell(&mut self, now: Instant, outcome: Outcome) {
        if self.pages_reachable {
            self.mode = Mode::Stopping(outcome, Stage::farewell(now));
            self.actions.push_back(Action::Tell(News::Over(outcome)));
        } else {
            self.end_workers(now, outcome);
        }
    }

    fn end_workers(&mut self, now: Instant, outcome: Outcome) {
        self.mode = Mode::Stopping(outcome, Stage::Workers);
        for worker in self.slots.workers() {
            let next = self.slots.get_mut(worker).map(|slot| slot.stop(now));
            self.push(worker, next.unwrap_or(Next::Nothing));
        }
    }

    fn finish_when_empty(&mut self) {
        let Mode::Stopping(outcome, Stage::Workers) = self.mode else { return };
        if self.slots.are_gone() {
            self.mode = Mode::Done;
            self.actions.push_back(Action::Finish(outcome));
        }
    }

    /// Applies every deadline that has passed.
    fn advance(&mut self, now: Instant) {
        for worker in self.slots.workers() {
            match self.slots.get_mut(worker).map_or(Next::Nothing, |slot| slot.advance(now)) {
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
        self.actions.extend(self.pulses.advance(now, &self.slots.serving()));
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
}
