//! Which of the workers that serve are stuck: alive, and not turning their loop.
//!
//! At intervals every worker is asked for a sign of life, all in one round, so that a still desktop
//! wakes seldom. The loop that serves answers, not the thread that serves `control`. Who has not
//! answered after [`STUCK`] is shown as stuck; after [`PATIENCE`] it is to be ended.
//!
//! # Stalls of the machine
//! A machine that swaps, a container that is frozen, a session that was suspended must cost no worker.
//! Two things tell that from a stuck worker. Time counts only while this process was on time itself: if
//! it looks later than it meant to, the time since its last look does not count. And where there are
//! other workers, one of them must have answered a later round: if nobody answers, it is not one
//! worker's fault.
//!
//! # Debuggers
//! Before a worker is to be ended, the shell is asked whether a debugger holds it; if so, it has
//! [`PATIENCE`] again.

use std::time::{Duration, Instant};

use lumen_ipc::process::Worker;

use super::contract::{Action, Instance, Notice};

/// Time between two rounds of questions. A round wakes each worker two or three times, and nothing else
/// does while a desktop is still.
const INTERVAL: Duration = Duration::from_secs(10);
/// A worker that has not answered for so long is shown as stuck.
pub(super) const STUCK: Duration = Duration::from_secs(5);
/// A worker that has not answered for so long is to be ended.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How often time is counted while somebody has not answered.
const STEP: Duration = Duration::from_secs(1);
/// A look that is later than this shows that this process itself stood still.
const LATE: Duration = Duration::from_millis(500);

/// One worker's process.
#[derive(Debug)]
struct Beat {
    worker: Worker,
    instance: Instance,
    /// The last round in which it was asked.
    round: u64,
    /// How long it has not answered that question; `None` once it has.
    waited: Option<Duration>,
    is_stuck: bool,
    /// Another worker has answered a later round.
    others_answer: bool,
    /// The shell has been asked whether a debugger holds it.
    examined: bool,
}

/// The pulses of a scope's workers.
#[derive(Debug, Default)]
pub(super) struct Pulses {
    beats: Vec<Beat>,
    round: u64,
    next_round: Option<Instant>,
    /// When time was counted last.
    looked: Option<Instant>,
}

impl Pulses {
    /// Watches these processes from now on, which serve, and no others; returns what is due.
    pub(super) fn advance(&mut self, now: Instant, serving: &[(Worker, Instance)]) -> Vec<Action> {
        self.beats.retain(|beat| serving.contains(&(beat.worker, beat.instance)));
        for (worker, instance) in serving {
            if !self.beats.iter().any(|beat| beat.worker == *worker) {
                self.beats.push(Beat::new(*worker, *instance));
            }
        }
        self.count(now);
        let mut due = Vec::new();
        self.ask(now, &mut due);
        let alone = self.beats.len() == 1;
        due.extend(self.beats.iter_mut().filter_map(|beat| beat.due(alone)));
        self.looked = self.is_waiting().then_some(now);
        due
    }

    /// A process has answered; returns whether it was stuck.
    pub(super) fn answered(&mut self, worker: Worker, instance: Instance) -> bool {
        let Some(beat) = self.beat(worker, instance) else { return false };
        let (round, was_stuck) = (beat.round, beat.is_stuck);
        (beat.waited, beat.is_stuck, beat.others_answer) = (None, false, false);
        beat.examined = false;
        for other in &mut self.beats {
            other.others_answer |= other.waited.is_some() && other.round < round;
        }
        was_stuck
    }

    /// The answer to [`Action::Examine`]: whether the process is to be ended.
    pub(super) fn examined(&mut self, worker: Worker, instance: Instance, is_traced: bool) -> bool {
        let Some(beat) = self.beat(worker, instance) else { return false };
        if !beat.examined || !is_traced {
            return beat.examined;
        }
        (beat.waited, beat.others_answer, beat.examined) = (Some(Duration::ZERO), false, false);
        false
    }

    /// Whether a process is shown as stuck.
    pub(super) fn is_stuck(&self, worker: Worker, instance: Instance) -> bool {
        let is = |beat: &Beat| beat.worker == worker && beat.instance == instance;
        self.beats.iter().any(|beat| is(beat) && beat.is_stuck)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let step = self.looked.map(|looked| looked + STEP);
        self.next_round.into_iter().chain(step).min()
    }

    fn beat(&mut self, worker: Worker, instance: Instance) -> Option<&mut Beat> {
        self.beats.iter_mut().find(|beat| beat.worker == worker && beat.instance == instance)
    }

    fn is_waiting(&self) -> bool {
        self.beats.iter().any(|beat| beat.waited.is_some())
    }

    /// Adds the time since the last look to whoever has not answered, if this look is on time.
    fn count(&mut self, now: Instant) {
        let passed = self.looked.map(|looked| now.saturating_duration_since(looked));
        let Some(passed) = passed.filter(|passed| *passed <= STEP + LATE) else { return };
        for waited in self.beats.iter_mut().filter_map(|beat| beat.waited.as_mut()) {
            *waited += passed;
        }
    }

    /// Begins a round, if it is due, with those who owe no answer.
    fn ask(&mut self, now: Instant, due: &mut Vec<Action>) {
        if self.beats.is_empty() {
            self.next_round = None;
            return;
        }
        let at = *self.next_round.get_or_insert(now + INTERVAL);
        if at > now {
            return;
        }
        self.next_round = Some(now + INTERVAL);
        self.round += 1;
        for beat in self.beats.iter_mut().filter(|beat| beat.waited.is_none()) {
            (beat.round, beat.waited) = (self.round, Some(Duration::ZERO));
            due.push(Action::Ask(beat.worker, beat.instance));
        }
    }
}

impl Beat {
    fn new(worker: Worker, instance: Instance) -> Self {
        Self {
            worker,
            instance,
            round: 0,
            waited: None,
            is_stuck: false,
            others_answer: false,
            examined: false,
        }
    }

    fn due(&mut self, alone: bool) -> Option<Action> {
        let waited = self.waited?;
        if waited >= PATIENCE && (alone || self.others_answer) && !self.examined {
            self.examined = true;
            return Some(Action::Examine(self.worker, self.instance));
        }
        if waited >= STUCK && !self.is_stuck {
            self.is_stuck = true;
            return Some(Action::Say(Notice::Stuck(self.worker)));
        }
        None
    }
}
