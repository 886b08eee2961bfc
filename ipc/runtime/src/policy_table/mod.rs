//! What a policy's compiled filter decides about every call with every value of the arguments that
//! matter: the tables in `tests/privsep/table`. Feature `test-support`; not in any shipped binary.
//!
//! A table is made from the programs that the kernel gets, not from the rules they were made from,
//! so that it shows what a rule really opens. It lists what is let through; whatever no line names
//! ends the worker. Making a table fails if an argument decides that is not tried, so that no rule
//! can hide from it. `tests/privsep` tries the tables on the running workers.
//!
//! Tables are those of x86-64. On other architectures numbers and flags differ; the claims of
//! `policy_probe` are tried there, and no table is compared.

mod axes;
mod checked_in;
mod filter;
mod names;
#[cfg(test)]
mod tests;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use libc::c_long;
use seccompiler::BackendError;

use self::{
    axes::{Axis, axes},
    filter::{Call, Filter},
};
pub use self::{
    checked_in::{check, read},
    filter::{StrangeInstruction, Verdict},
    text::ParseError,
};
use crate::confine::{self, Policy};

/// All numbers of calls that are tried; the kernel's highest is below 500.
const NUMBERS: c_long = 1024;

/// What is let through.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Table {
    /// What is tried of each call that is not tried once only.
    axes: BTreeMap<c_long, Vec<Axis>>,
    calls: BTreeMap<c_long, Vec<Line>>,
    counts: Counts,
}

/// How much a worker may do.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Permissions: lines of its policy and of the base policy.
    pub rules: usize,
    /// Calls that are let through, whatever their arguments or with some.
    pub calls: usize,
    /// Those of them that are let through with some arguments only.
    pub by_argument: usize,
    /// Combinations of arguments that are let through, of calls whose arguments are tried.
    pub combinations: usize,
    /// Combinations of arguments that were tried.
    pub tried: usize,
}

/// Values of each axis of a call (all values if none), and what becomes of calls with these.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Line {
    values: Vec<Option<BTreeSet<u64>>>,
    verdict: Verdict,
}

/// One call that is tried.
#[derive(Clone, Copy, Debug)]
pub struct Try {
    /// `libc::SYS_*`, or a number without a name.
    pub syscall: c_long,
    /// Its arguments. Those that decide nothing have all bits set, which is an invalid pointer,
    /// descriptor and length alike.
    pub arguments: [u64; 6],
    /// What becomes of it.
    pub verdict: Verdict,
    /// Whether all values have names: what the kernel knows.
    pub is_named: bool,
}

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The filter cannot be built.
    #[error("the policy makes no filter")]
    Filter(#[from] BackendError),
    /// The filter is not understood.
    #[error(transparent)]
    Strange(#[from] StrangeInstruction),
    /// A condition is about an argument that is not tried.
    #[error("{call} depends on argument {argument}, which axes.rs does not try")]
    Untried {
        /// The call.
        call: String,
        /// Which argument.
        argument: u8,
    },
    /// The verdict depends on something that is not tried.
    #[error("{call} with {arguments:x?} depends on more than what axes.rs tries")]
    Unsteady {
        /// The call.
        call: String,
        /// Its arguments.
        arguments: [u64; 6],
    },
    /// A call of another architecture gets through.
    #[error("call {number:#x} of architecture {architecture:#x} is let through")]
    Foreign {
        /// Its number.
        number: u32,
        /// Its architecture.
        architecture: u32,
    },
}

/// Architectures of calls (`linux/audit.h`), and the bit of the numbers of x32's calls.
#[cfg(target_arch = "x86_64")]
const NATIVE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const NATIVE: u32 = 0xc000_00b7;
const I386: u32 = 0x4000_0003;
const X32: u32 = 0x4000_0000;

impl Table {
    /// Tries the filter that `policy` becomes.
    ///
    /// # Errors
    /// [`TableError`], above all if a rule is about something that is not tried.
    pub fn of(policy: &Policy) -> Result<Self, TableError> {
        let filter = Filter(confine::programs(policy)?);
        let mut table = Self::empty(std::process::id());
        for syscall in 0..NUMBERS {
            let axes = table.axes(syscall);
            check_cover(policy, syscall, axes)?;
            let lines =
                lines(axes, &mut Vec::new(), &mut |values| judge(&filter, syscall, axes, values))?;
            if !lines.is_empty() {
                table.calls.insert(syscall, lines);
            }
        }
        refuse_foreign(&filter)?;
        table.counts = table.count(policy.rules().len());
        Ok(table)
    }

    fn empty(own: u32) -> Self {
        let all = (0..NUMBERS).map(|syscall| (syscall, axes(syscall, own)));
        let axes = all.filter(|(_, axes)| !axes.is_empty()).collect();
        Self { axes, calls: BTreeMap::new(), counts: Counts::default() }
    }

    fn axes(&self, syscall: c_long) -> &[Axis] {
        self.axes.get(&syscall).map_or(&[], Vec::as_slice)
    }

    fn lines(&self, syscall: c_long) -> &[Line] {
        self.calls.get(&syscall).map_or(&[], Vec::as_slice)
    }

    fn count(&self, rules: usize) -> Counts {
        let is_let_through = |line: &&Line| line.verdict == Verdict::Allowed;
        let through = |lines: &&Vec<Line>| lines.iter().any(|line| is_let_through(&line));
        let calls: Vec<_> = self.calls.values().filter(through).collect();
        let size = |(syscall, axes): (&c_long, &Vec<Axis>)| -> usize {
            let allowed = self.lines(*syscall).iter().filter(is_let_through);
            allowed.map(|line| line.size(axes)).sum()
        };
        Counts {
            rules,
            calls: calls.len(),
            by_argument: calls.iter().filter(|lines| !lines.iter().all(Line::is_whole)).count(),
            combinations: self.axes.iter().map(size).sum(),
            tried: self.axes.values().map(|axes| product(axes)).sum(),
        }
    }

    /// How much it lets through.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Every call that the table is about, with all values of the arguments that are tried.
    pub fn tries(&self) -> impl Iterator<Item = Try> {
        (0..NUMBERS).flat_map(|syscall| self.tries_of(syscall))
    }

    /// Those of one call.
    #[must_use]
    pub fn tries_of(&self, syscall: c_long) -> Vec<Try> {
        let (axes, known) = (self.axes(syscall), self.lines(syscall));
        let mut tries = Vec::new();
        let judge = &mut |values: &[u64]| {
            let found = known.iter().find(|line| line.is_about(values));
            let verdict = found.map_or(Verdict::Ends, |line| line.verdict);
            let is_named = axes.iter().zip(values).all(|(axis, value)| axis.is_named(*value));
            let arguments = passed(axes, values, u64::MAX, 0);
            tries.push(Try { syscall, arguments, verdict, is_named });
            Ok(Verdict::Ends)
        };
        // What is made of the verdicts is of no use here, and nothing fails.
        let _ = lines(axes, &mut Vec::new(), judge);
        tries
    }
}

impl Line {
    fn is_whole(&self) -> bool {
        self.values.iter().all(Option::is_none)
    }

    fn is_about(&self, values: &[u64]) -> bool {
        let mut pairs = self.values.iter().zip(values);
        pairs.all(|(some, value)| some.as_ref().is_none_or(|some| some.contains(value)))
    }

    fn size(&self, axes: &[Axis]) -> usize {
        let sizes = self.values.iter().zip(axes);
        sizes.map(|(some, axis)| some.as_ref().unwrap_or(&axis.values).len()).product()
    }
}

fn product(axes: &[Axis]) -> usize {
    axes.iter().map(|axis| axis.values.len()).product()
}

/// Every argument that a condition is about has to be tried, with a value that satisfies it.
fn check_cover(policy: &Policy, syscall: c_long, axes: &[Axis]) -> Result<(), TableError> {
    for rule in policy.rules().iter().filter(|rule| rule.syscall == syscall) {
        let covers = |axis: &Axis| axis.covers(&rule.conditions);
        let is_tried = |one| axes.iter().any(|axis| axis.has(one) && covers(axis));
        if let Some(untried) = rule.conditions.iter().find(|one| !is_tried(one)) {
            let call = text::call(syscall);
            return Err(TableError::Untried { call, argument: untried.index });
        }
    }
    Ok(())
}

/// The arguments with `values`, and `rest` for those that are not tried.
fn passed(axes: &[Axis], values: &[u64], rest: u64, above: u64) -> [u64; 6] {
    let mut arguments = [rest; 6];
    for (axis, value) in axes.iter().zip(values) {
        axis.pass(*value, above, &mut arguments);
    }
    arguments
}

/// The verdict, which has to be the same whatever the other arguments are, and whatever is above
/// the bits of an `int`, of which the kernel takes no notice.
fn judge(
    filter: &Filter,
    syscall: c_long,
    axes: &[Axis],
    values: &[u64],
) -> Result<Verdict, TableError> {
    let number = syscall as u32;
    let verdict = |rest, above| {
        let arguments = passed(axes, values, rest, above);
        filter.judge(&Call { number, architecture: NATIVE, arguments })
    };
    let clean = verdict(0, 0)?;
    if clean != verdict(u64::MAX, 0xdead_beef)? {
        let arguments = passed(axes, values, 0, 0);
        return Err(TableError::Unsteady { call: text::call(syscall), arguments });
    }
    Ok(clean)
}

/// No call gets through as one of another architecture.
fn refuse_foreign(filter: &Filter) -> Result<(), TableError> {
    for call in 0..NUMBERS as u32 {
        for (number, architecture) in [(call, I386), (call | X32, NATIVE)] {
            let verdict = filter.judge(&Call { number, architecture, arguments: [0; 6] })?;
            if !matches!(verdict, Verdict::Ends | Verdict::Killed) {
                return Err(TableError::Foreign { number, architecture });
            }
        }
    }
    Ok(())
}

/// The lines for what `judge` lets through. `chosen` are the values of the axes before `axes`.
/// Values with the same lines below them share those.
fn lines(
    axes: &[Axis],
    chosen: &mut Vec<u64>,
    judge: &mut dyn FnMut(&[u64]) -> Result<Verdict, TableError>,
) -> Result<Vec<Line>, TableError> {
    let Some((axis, rest)) = axes.split_first() else {
        return Ok(match judge(chosen)? {
            Verdict::Ends => Vec::new(),
            verdict => vec![Line { values: Vec::new(), verdict }],
        });
    };
    let mut groups: BTreeMap<Vec<Line>, BTreeSet<u64>> = BTreeMap::new();
    for value in &axis.values {
        chosen.push(*value);
        let below = lines(rest, chosen, judge)?;
        chosen.pop();
        groups.entry(below).or_default().insert(*value);
    }
    let mut all = Vec::new();
    for (below, values) in groups {
        let values = (values.len() < axis.values.len()).then_some(values);
        all.extend(below.into_iter().map(|line| {
            let values = [values.clone()].into_iter().chain(line.values).collect();
            Line { values, verdict: line.verdict }
        }));
    }
    all.sort();
    Ok(all)
}
