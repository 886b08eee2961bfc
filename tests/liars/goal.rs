//! The goals of an intruder, and what became of each: one row of the table that the suite prints.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use lumen_ipc::process::Worker;
use lumen_tests::measured;

/// What an intruder in a worker wants.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Goal {
    /// To read or write a user's file.
    File,
    /// To reach a port or a socket of the machine.
    Port,
    /// To type without a viewer, or to speak in the place of the user's microphone.
    Keys,
    /// To see or disturb another session.
    Session,
    /// To end an app.
    App,
    /// To keep its successor from working.
    Successor,
    /// To keep a supervisor busy, or from answering.
    Supervisor,
    /// To learn a token, a key or a password.
    Secret,
    /// To have a more trusted worker restarted.
    Trust,
}

impl Goal {
    pub(crate) const ALL: [Self; 9] = [
        Self::File,
        Self::Port,
        Self::Keys,
        Self::Session,
        Self::App,
        Self::Successor,
        Self::Supervisor,
        Self::Secret,
        Self::Trust,
    ];
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::File => "a user's file",
            Self::Port => "a port of the machine",
            Self::Keys => "typing without a viewer",
            Self::Session => "another session",
            Self::App => "an app's end",
            Self::Successor => "a useless successor",
            Self::Supervisor => "a busy or silent supervisor",
            Self::Secret => "a token or key",
            Self::Trust => "a more trusted worker's end",
        })
    }
}

/// What became of one goal.
#[derive(Debug, Default)]
struct Cell {
    attempts: usize,
    time: Duration,
    /// What reached the goal.
    reached: Vec<String>,
    /// What reaches it and is said in SECURITY.md.
    admitted: Option<&'static str>,
    /// What holds it on this machine, and not on every one, as SECURITY.md says.
    fenced: Option<&'static str>,
    /// Why there is nothing to try.
    pointless: Option<&'static str>,
}

impl Cell {
    /// What `SECURITY.md` says of it.
    fn word(&self) -> &'static str {
        match (self.admitted.or(self.fenced), self.pointless) {
            (Some(_), _) => "reached",
            (None, Some(_)) => "its task",
            (None, None) => "held",
        }
    }

    fn verdict(&self) -> String {
        if let [first, ..] = self.reached.as_slice() {
            return format!("NOT HELD: {first}");
        }
        match (self.admitted, self.fenced, self.pointless) {
            (Some(what), _, _) => format!("admitted: {what}"),
            (None, Some(by), _) => format!("held: {by}"),
            (None, None, Some(why)) => format!("its own task: {why}"),
            (None, None, None) => "held".to_owned(),
        }
    }
}

/// What became of all goals of one worker.
#[derive(Debug)]
pub(crate) struct Row {
    worker: Worker,
    cells: BTreeMap<Goal, Cell>,
}

impl Row {
    pub(crate) fn new(worker: Worker) -> Self {
        Self { worker, cells: Goal::ALL.map(|goal| (goal, Cell::default())).into() }
    }

    fn cell(&mut self, goal: Goal) -> &mut Cell {
        self.cells.entry(goal).or_default()
    }

    /// So many attempts were made since `begun`.
    pub(crate) fn tried(&mut self, goal: Goal, attempts: usize, begun: Instant) {
        let cell = self.cell(goal);
        cell.attempts += attempts;
        cell.time += begun.elapsed();
    }

    /// An attempt reached the goal.
    pub(crate) fn reached(&mut self, goal: Goal, how: String) {
        self.cell(goal).reached.push(how);
    }

    /// Notes that a goal was reached unless `holds`.
    pub(crate) fn expect(&mut self, goal: Goal, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.reached(goal, otherwise());
        }
    }

    /// A way to the goal that SECURITY.md names as not defended.
    pub(crate) fn admit(&mut self, goal: Goal, what: &'static str) {
        self.cell(goal).admitted = Some(what);
    }

    /// A way to the goal that this machine closes, and others do not.
    pub(crate) fn fenced(&mut self, goal: Goal, by: &'static str) {
        self.cell(goal).fenced = Some(by);
    }

    /// A goal that is this worker's task, or below it.
    pub(crate) fn pointless(&mut self, goal: Goal, why: &'static str) {
        self.cell(goal).pointless = Some(why);
    }

    /// Prints the row, and fails if a goal was reached, or if nothing was tried for one.
    pub(crate) fn judge(&self) -> Result<()> {
        let mut reached = Vec::new();
        for (goal, cell) in &self.cells {
            let (verdict, attempts, time) = (cell.verdict(), cell.attempts, cell.time);
            let seconds = time.as_secs_f64();
            let tried = format!("{attempts:>6} attempts in {seconds:>4.1} s");
            measured::note(
                &format!("{:<10} {goal:<28}", self.worker),
                format!("{tried}  {verdict}"),
            );
            reached.extend(cell.reached.iter().map(|how| format!("{goal}: {how}")));
            let idle = attempts == 0 && cell.pointless.is_none();
            if idle {
                reached.push(format!("{goal}: nothing was tried"));
            }
        }
        ensure!(reached.is_empty(), "{} reaches {reached:#?}", self.worker);
        self.compare(include_str!("../../SECURITY.md"))
    }

    /// Fails unless `document` has a row of this worker that says the same of each goal.
    fn compare(&self, document: &str) -> Result<()> {
        let words: Vec<_> = Goal::ALL.iter().map(|goal| self.cells[goal].word()).collect();
        let row = format!("| {} | {} |", self.worker, words.join(" | "));
        ensure!(document.lines().any(|line| line == row), "SECURITY.md does not have {row:?}");
        Ok(())
    }
}
