//! The links' part of the machine: the current pair of each link, and when the next one is made.
//!
//! A link is *wired* while both owners hold ends of the current pair, *wiring* when a new pair is
//! to be made at some instant, and *lost* while an owner cannot receive link ends: then the owner's
//! next start makes the pair. Each pair has its own generation.
//!
//! A worker's report about a link is evidence, not a verdict, because a compromised worker reports
//! what it likes. So a report first costs both sides a new pair. Only a second accusation on the
//! link within [`WINDOW`] costs a process, namely the less trusted of the two, whoever accuses
//! whom. What the supervisor sees itself (a broken `control` or `grants`) is a verdict, and is
//! handled elsewhere.
//! # Invariants
//! Checked by `verify_invariants` and by the tests in `tests/links.rs`.
//! - The generation grows with every pair. A report about any other than the current one has no
//!   effect.
//! - A link whose owners both can receive link ends is wired, or is wiring and has a deadline: so
//!   every link ends wired once its workers are quiet.
//! - A report never ends a worker that is more trusted than the reporter, nor the supervisor; of
//!   two equally trusted workers it ends the accuser.
//! - Pairs that follow reports about young pairs come ever more slowly, at last every ten seconds:
//!   two workers cannot keep the supervisor busy with a link.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use lumen_ipc::{
    link::{End, Generation, Link, TABLE},
    message::grants::LossReason,
    process::Worker,
};

use super::{
    budget::{Budget, WINDOW},
    contract::{Complaint, Word},
};

/// A pair that is lost sooner than this was lost early.
const EARLY: Duration = Duration::from_secs(10);
/// How long to wait after a worker reports that the other end is closed: usually the other process
/// has died, the supervisor is about to learn of it, and its successor's start makes a new pair
/// anyway.
pub const ECHO: Duration = Duration::from_millis(500);
/// The number of accusations within [`WINDOW`] that costs a process.
pub(super) const MOST_ACCUSATIONS: usize = 2;

/// All links of one scope.
#[derive(Debug)]
pub(super) struct Links {
    rows: Vec<Row>,
}

/// The consequence of a report.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Judgement {
    /// The reporter has no end of this link: it breaks its contract with the supervisor.
    Lie,
    /// No consequence.
    Nothing,
    /// End this worker; its successor's start makes a new pair.
    Restart(Worker),
    /// Make a new pair, at once or later.
    Rewire,
}

#[derive(Debug)]
struct Row {
    link: &'static Link,
    /// Generation of the current pair, or of the last one.
    generation: Generation,
    /// When that pair was made.
    made: Option<Instant>,
    /// Whether a violation was already reported on that pair.
    accused: bool,
    state: State,
    /// Pairs that were lost and replaced.
    losses: Budget,
    /// The accusations on this link within [`WINDOW`].
    accusations: VecDeque<Instant>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// An owner cannot receive link ends.
    Lost,
    /// Both owners hold an end of the current pair.
    Wired,
    /// A new pair is made at `at`. `counted` says whether the row's losses include this one.
    Wiring { at: Instant, counted: bool },
}

impl Links {
    /// The links whose owners are all among the supervisor and the workers `present`.
    pub(super) fn of(present: &[Worker]) -> Self {
        let is_here = |end| match end {
            End::Supervisor => true,
            End::Worker(worker) => present.contains(&worker),
            End::CommandLine | End::EachWorker | End::Host | End::Leader | End::Session => false,
        };
        let rows = TABLE.iter().filter(|link| is_here(link.from) && is_here(link.to));
        Self { rows: rows.map(Row::new).collect() }
    }

    /// The links with an end at `worker`.
    pub(super) fn of_worker(&self, worker: Worker) -> Vec<&'static Link> {
        let links = self.rows.iter().map(|row| row.link);
        links.filter(|link| link.is_granted_to(worker)).collect()
    }

    /// Records a new pair, of which one or both owners receive an end, and returns its generation.
    pub(super) fn wire(&mut self, now: Instant, link: &Link, complete: bool) -> Generation {
        let Some(row) = self.rows.iter_mut().find(|row| row.link.name == link.name) else {
            return Generation::default();
        };
        row.generation = row.generation.next();
        row.made = Some(now);
        row.accused = false;
        row.state = if complete { State::Wired } else { State::Lost };
        row.generation
    }

    /// Decides the consequence of a worker's report.
    pub(super) fn weigh(&mut self, now: Instant, word: Word) -> Judgement {
        if !word.link.is_granted_to(word.by) {
            return Judgement::Lie;
        }
        let row = self.rows.iter_mut().find(|row| row.link.name == word.link.name);
        let Some(row) = row.filter(|row| row.generation == word.generation) else {
            return Judgement::Nothing;
        };
        match word.complaint {
            Complaint::Lost(reason) => row.lost(now, reason),
            Complaint::Violated => row.violated(now, word.by),
        }
    }

    /// The links of which a new pair is due, given which owners can receive link ends.
    pub(super) fn due(&mut self, now: Instant, takes: impl Fn(End) -> bool) -> Vec<&'static Link> {
        let takes = |link: &Link| takes(link.from) && takes(link.to);
        let due =
            self.rows.iter_mut().filter_map(|row| row.is_due(now, &takes).then_some(row.link));
        due.collect()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let deadlines = self.rows.iter().filter_map(|row| match row.state {
            State::Wiring { at, .. } => Some(at),
            State::Lost | State::Wired => None,
        });
        deadlines.min()
    }

    #[cfg(test)]
    pub(super) fn verify_invariants(&self, takes: impl Fn(End) -> bool) {
        for row in &self.rows {
            let complete = takes(row.link.from) && takes(row.link.to);
            assert_eq!(complete, row.state != State::Lost, "{row:?}");
            assert!(row.accusations.len() < MOST_ACCUSATIONS, "{row:?}");
        }
    }

    /// Whether both owners of a link hold ends of the current pair.
    #[cfg(test)]
    pub(super) fn is_wired(&self, link: &Link) -> bool {
        self.rows.iter().any(|row| row.link.name == link.name && row.state == State::Wired)
    }
}

impl Row {
    fn new(link: &'static Link) -> Self {
        Self {
            link,
            generation: Generation::default(),
            made: None,
            accused: false,
            state: State::Lost,
            losses: Budget::default(),
            accusations: VecDeque::new(),
        }
    }

    fn lost(&mut self, now: Instant, reason: LossReason) -> Judgement {
        if self.state != State::Wired {
            return Judgement::Nothing;
        }
        self.state = match reason {
            LossReason::Closed => State::Wiring { at: now + ECHO, counted: false },
            LossReason::Failed | LossReason::Full | LossReason::TimedOut | LossReason::Unusable => {
                State::Wiring { at: now + self.count(now), counted: true }
            }
        };
        Judgement::Rewire
    }

    /// The other side may have reported the loss before this accusation arrives.
    fn violated(&mut self, now: Instant, by: Worker) -> Judgement {
        if self.state == State::Lost || std::mem::replace(&mut self.accused, true) {
            return Judgement::Nothing;
        }
        self.accusations.retain(|at| now.saturating_duration_since(*at) < WINDOW);
        self.accusations.push_back(now);
        if self.accusations.len() >= MOST_ACCUSATIONS {
            self.accusations.pop_front();
            return Judgement::Restart(self.link.answers_for(by));
        }
        if !matches!(self.state, State::Wiring { counted: true, .. }) {
            self.state = State::Wiring { at: now + self.count(now), counted: true };
        }
        Judgement::Rewire
    }

    /// Counts a loss, and returns how long the next pair must wait.
    fn count(&mut self, now: Instant) -> Duration {
        let early = self.made.is_none_or(|made| now.saturating_duration_since(made) < EARLY);
        self.losses.spend(now, early, usize::MAX).unwrap_or_default()
    }

    fn is_due(&mut self, now: Instant, takes: &impl Fn(&Link) -> bool) -> bool {
        if !takes(self.link) {
            self.state = State::Lost;
            return false;
        }
        match self.state {
            State::Wiring { at, counted } if at <= now => {
                let wait = if counted { Duration::ZERO } else { self.count(now) };
                self.state = State::Wiring { at: now + wait, counted: true };
                wait.is_zero()
            }
            State::Lost | State::Wired | State::Wiring { .. } => false,
        }
    }
}
