//! The system call filter: a policy compiled to two BPF programs.
//!
//! The kernel runs both and applies the stricter verdict. The first allows everything but the calls
//! that the policy refuses with an error; the second allows what the policy allows (and what the
//! first refuses) and traps everything else. There are two, because a filter of `seccompiler` has
//! only one verdict besides its default.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter_all_threads,
};

use super::{Condition, ConfineError, Denied, Policy};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Filters all threads of the process; returns the number of permissions in force.
pub(super) fn apply(policy: &Policy) -> Result<u16, ConfineError> {
    let filters = programs(policy).map_err(ConfineError::Filter)?;
    filters
        .iter()
        .try_for_each(|filter| apply_filter_all_threads(filter))
        .map_err(ConfineError::Apply)?;
    Ok(u16::try_from(policy.rules().len()).unwrap_or(u16::MAX))
}

/// What the kernel is to run.
pub(crate) fn programs(policy: &Policy) -> Result<Vec<BpfProgram>, BackendError> {
    let mut filters = refusing(policy)?;
    filters.push(allowing(policy)?);
    Ok(filters)
}

/// Makes the calls on a list fail in all threads, and lets all others through; returns the length of the
/// list.
pub(super) fn deny(denied: &[Denied]) -> Result<u16, ConfineError> {
    let mut by_errno: BTreeMap<u32, Rules> = BTreeMap::new();
    for one in denied {
        let rules = by_errno.entry(one.errno.unsigned_abs()).or_default();
        add(rules, one.syscall, &one.conditions).map_err(ConfineError::Filter)?;
    }
    for (errno, rules) in by_errno {
        let filter = compile(rules, SeccompAction::Allow, SeccompAction::Errno(errno))
            .map_err(ConfineError::Filter)?;
        apply_filter_all_threads(&filter).map_err(ConfineError::Apply)?;
    }
    Ok(u16::try_from(denied.len()).unwrap_or(u16::MAX))
}

/// One filter per refused call and errno; they are few, and two instructions long.
fn refusing(policy: &Policy) -> Result<Vec<BpfProgram>, BackendError> {
    let mut by_errno: BTreeMap<u32, Rules> = BTreeMap::new();
    for refused in policy.refusals() {
        by_errno
            .entry(refused.errno.unsigned_abs())
            .or_default()
            .insert(refused.syscall, Vec::new());
    }
    by_errno
        .into_iter()
        .map(|(errno, rules)| compile(rules, SeccompAction::Allow, SeccompAction::Errno(errno)))
        .collect()
}

fn allowing(policy: &Policy) -> Result<BpfProgram, BackendError> {
    let mut rules = Rules::new();
    for refused in policy.refusals() {
        rules.insert(refused.syscall, Vec::new());
    }
    for rule in policy.rules() {
        add(&mut rules, rule.syscall, &rule.conditions)?;
    }
    compile(rules, SeccompAction::Trap, SeccompAction::Allow)
}

/// Adds an alternative for a call.
fn add(rules: &mut Rules, syscall: i64, conditions: &[Condition]) -> Result<(), BackendError> {
    // A call without conditions is an empty list for `seccompiler`; another condition must not narrow
    // it again.
    if rules.get(&syscall).is_some_and(Vec::is_empty) {
        return Ok(());
    }
    let alternatives = rules.entry(syscall).or_default();
    if conditions.is_empty() {
        alternatives.clear();
    } else {
        let conditions = conditions.iter().map(condition).collect::<Result<_, _>>()?;
        alternatives.push(SeccompRule::new(conditions)?);
    }
    Ok(())
}

fn compile(
    rules: Rules,
    otherwise: SeccompAction,
    listed: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, otherwise, listed, architecture)?.try_into()
}

fn condition(condition: &Condition) -> Result<SeccompCondition, BackendError> {
    let int = condition.mask <= u64::from(u32::MAX);
    let length = if int { SeccompCmpArgLen::Dword } else { SeccompCmpArgLen::Qword };
    let operator = SeccompCmpOp::MaskedEq(condition.mask);
    SeccompCondition::new(condition.index, length, operator, condition.value)
}
