//! Proves a worker's policy: a real child process under the real confinement for every claim.
//! Feature `test-support`; not in any shipped binary.
//!
//! A worker uses it with three lines in `tests/policy.rs`
//!
//! ```no_run
//! # use lumen_ipc::process::Worker;
//! # use lumen_ipc_runtime::confine::Policy;
//! # mod policy { pub fn policy() -> super::Policy { super::Policy::base() } }
//! fn main() -> std::process::ExitCode {
//!     lumen_ipc_runtime::policy_probe::main(Worker::Media, policy::policy)
//! }
//! ```
//!
//! and these in its `Cargo.toml`:
//!
//! ```toml
//! [dev-dependencies]
//! lumen-ipc-runtime = { workspace = true, features = ["test-support"] }
//!
//! [[test]]
//! name = "policy"
//! harness = false
//! ```
//!
//! What is claimed:
//! - each permission lets its call through when its conditions hold (`Claim::Rule`);
//! - a call whose conditions do not hold, and each known call in no permission, ends the process
//!   with [`ExitCode::ForbiddenSyscall`] and a line that names it (`Claim::Forbidden`);
//! - each refusal fails with its error (`Claim::Refusal`);
//! - every way out in `escape` is closed (`Claim::Escape`), except connections where these are the program's task;
//! - memory beyond the limit ends the process that asks for it, and a small part of it does not
//!   (`Claim::Memory`);
//! - a panic still ends with [`ExitCode::Panicked`] (`Claim::Panic`);
//! - the filter lets through what the program's table lists, and nothing else ([`policy_table`]).
//!
//! The program starts itself anew with a claim's number as its argument. Arguments no condition
//! speaks of have all bits set, which is an invalid pointer, descriptor, length and flag alike: the
//! kernel answers with an error and nothing happens.

mod escape;
pub mod restrained;

use std::{
    env,
    io::{self, Write},
    os::unix::process::ExitStatusExt,
    process::{Command, ExitCode as ProcessExitCode, Output},
};

use libc::c_long;
use lumen_ipc::process::{ExitCode, Worker};

use crate::{
    bootstrap,
    confine::{self, Condition, Policy, Rule, syscall_name},
    ffi, policy_table,
};
use escape::{ESCAPES, Escape};

/// Marks a child; its claim's number follows.
const CHILD: &str = "--policy-claim";

/// A child whose call came back.
const RETURNED: i32 = 0;
/// A child whose call failed with the error that was claimed.
const REFUSED: i32 = 10;

/// A child that has most of its memory.
const HAD_MOST: &str = "has most of its memory";

/// One thing a policy promises.
#[derive(Clone, Debug)]
enum Claim {
    /// The way out is closed.
    Escape(&'static Escape),
    /// This call with these arguments ends the process.
    Forbidden { syscall: c_long, arguments: [u64; 6] },
    /// The process can have most of its private memory, and ends when it wants more.
    Memory,
    /// A panic ends the process with its own code.
    Panic,
    /// This call fails with this error.
    Refusal { syscall: c_long, errno: i32 },
    /// This call comes back.
    Rule(Rule),
}

/// Checks every claim of `policy`, or is a child that checks one: the `main` of a policy test.
#[must_use]
pub fn main(worker: Worker, policy: fn() -> Policy) -> ProcessExitCode {
    main_of(worker.binary(), policy)
}

/// The same for a program that is no worker.
#[must_use]
pub fn main_of(program: &'static str, policy: fn() -> Policy) -> ProcessExitCode {
    let mut arguments = env::args().skip(1);
    if arguments.next().as_deref() == Some(CHILD) {
        let number = arguments.next().and_then(|number| number.parse().ok());
        act(program, &policy(), number.unwrap_or(usize::MAX));
    }
    let policy = policy();
    let claims = claims(&policy);
    let failures: Vec<_> = claims
        .iter()
        .enumerate()
        .filter_map(|(number, claim)| check(number, claim).err())
        .collect();
    let table = policy_table::check(program, &policy);
    report(program, claims.len(), &failures, &table);
    let holds = failures.is_empty() && table.is_ok();
    if holds { ProcessExitCode::SUCCESS } else { ProcessExitCode::FAILURE }
}

fn report(program: &str, claims: usize, failures: &[String], table: &Result<String, String>) {
    let mut out = io::stdout().lock();
    let held = claims - failures.len();
    // A closed standard output leaves the exit code to tell.
    let _ = writeln!(out, "policy of {program}: {held} of {claims} claims hold");
    for failure in failures {
        let _ = writeln!(out, "FAILED {failure}");
    }
    let _ = match table {
        Ok(counts) => writeln!(out, "table of {program}: {counts}"),
        Err(difference) => writeln!(out, "FAILED {difference}"),
    };
}

/// The same list in parent and child, so that a number says enough. Process ids in a policy may
/// differ between the two; the order does not depend on them.
fn claims(policy: &Policy) -> Vec<Claim> {
    // Returning from a handler that is not running is a crash, whatever the filter says.
    let rules = policy.rules().iter().filter(|rule| rule.syscall != libc::SYS_rt_sigreturn);
    let refused = policy.refusals().iter();
    let refused =
        refused.map(|refused| Claim::Refusal { syscall: refused.syscall, errno: refused.errno });
    let unmentioned = confine::known_syscalls()
        .filter(|syscall| !policy.mentions(*syscall))
        .map(|syscall| Claim::Forbidden { syscall, arguments: [u64::MAX; 6] });
    let escapes = ESCAPES.iter().filter(|escape| !(escape.connects && policy.is_connecting()));
    rules
        .cloned()
        .map(Claim::Rule)
        .chain(refused)
        .chain(unmentioned)
        .chain(broken_conditions(policy))
        .chain(escapes.map(Claim::Escape))
        .chain([Claim::Memory, Claim::Panic])
        .collect()
}

/// For each call that is allowed under conditions only: arguments that meet none of them.
fn broken_conditions(policy: &Policy) -> Vec<Claim> {
    let conditional = policy.rules().iter().filter(|rule| !rule.conditions.is_empty());
    let allowed = |syscall, arguments: &[u64; 6]| {
        policy.rules().iter().any(|rule| {
            rule.syscall == syscall && rule.conditions.iter().all(|one| one.holds(arguments))
        })
    };
    conditional
        .filter_map(|rule| {
            let candidates = [[u64::MAX; 6], [0; 6]];
            let syscall = rule.syscall;
            let arguments = candidates.into_iter().find(|these| !allowed(syscall, these))?;
            Some(Claim::Forbidden { syscall, arguments })
        })
        .collect()
}

/// Starts a child for the claim and judges its end.
fn check(number: usize, claim: &Claim) -> Result<(), String> {
    let program = env::current_exe().map_err(|error| format!("no program to start: {error}"))?;
    let output = Command::new(program)
        .args([CHILD, &number.to_string()])
        .env_clear()
        .output()
        .map_err(|error| format!("cannot start a child: {error}"))?;
    if claim.holds(&output) {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{claim}: the child ended with {} and said: {}", output.status, said.trim()))
}

impl Claim {
    fn holds(&self, output: &Output) -> bool {
        let code = output.status.code();
        let ended_with = |wanted: ExitCode| code == Some(i32::from(wanted.number()));
        let forbidden = |name: &str| {
            let line = String::from_utf8_lossy(&output.stderr);
            ended_with(ExitCode::ForbiddenSyscall) && line.contains(&format!("({name})"))
        };
        let said = |what| String::from_utf8_lossy(&output.stderr).contains(what);
        match self {
            Self::Escape(_) => code == Some(REFUSED) || ended_with(ExitCode::ForbiddenSyscall),
            Self::Forbidden { syscall, .. } => forbidden(name(*syscall)),
            Self::Memory => output.status.signal() == Some(libc::SIGABRT) && said(HAD_MOST),
            Self::Panic => ended_with(ExitCode::Panicked),
            Self::Refusal { .. } => code == Some(REFUSED),
            // The two calls that end a process end it with what they were given.
            Self::Rule(rule) if ends_process(rule.syscall) => code == Some(0xff),
            Self::Rule(_) => code == Some(RETURNED),
        }
    }
}

impl std::fmt::Display for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Escape(escape) => write!(f, "escape refused: {}", escape.name),
            Self::Forbidden { syscall, arguments } => {
                write!(f, "forbidden: {}({arguments:x?})", name(*syscall))
            }
            Self::Memory => f.write_str("more private memory than the limit ends the process"),
            Self::Panic => f.write_str("a panic exits with its own code"),
            Self::Refusal { syscall, errno } => {
                write!(f, "refused: {} with errno {errno}", name(*syscall))
            }
            Self::Rule(rule) => write!(f, "allowed: {} ({})", name(rule.syscall), rule.reason),
        }
    }
}

fn name(syscall: c_long) -> &'static str {
    syscall_name(syscall).unwrap_or("not in our table")
}

const fn ends_process(syscall: c_long) -> bool {
    matches!(syscall, libc::SYS_exit | libc::SYS_exit_group)
}

/// The child: confines itself, does one thing, and ends with what came of it.
fn act(program: &'static str, policy: &Policy, number: usize) -> ! {
    let Some(claim) = claims(policy).into_iter().nth(number) else {
        ffi::exit(i32::from(ExitCode::Usage.number()))
    };
    bootstrap::end_on_panic(program);
    let parent = std::os::unix::process::parent_id();
    if let Err(error) = confine::confine(policy, program) {
        crate::log::write_line(&format!("not confined: {error}"));
        ffi::exit(i32::from(ExitCode::CouldNotConfine.number()))
    }
    ffi::exit(match claim {
        Claim::Escape(escape) => outcome((escape.attempt)(parent), escape::REFUSALS),
        Claim::Forbidden { syscall, arguments } => outcome(ffi::call(syscall, arguments), &[]),
        Claim::Memory => take_too_much(policy),
        Claim::Panic => panic!("on purpose"),
        Claim::Refusal { syscall, errno } => outcome(ffi::call(syscall, [u64::MAX; 6]), &[errno]),
        Claim::Rule(rule) => outcome(ffi::call(rule.syscall, legal(&rule.conditions)), &[]),
    })
}

/// Takes three quarters of the private memory, says so, and takes the rest. Returns if it can.
fn take_too_much(policy: &Policy) -> i32 {
    let quarter = usize::try_from(policy.private_memory_limit() / 4).unwrap_or(usize::MAX);
    let most: Vec<u8> = Vec::with_capacity(3 * quarter);
    crate::log::write_line(HAD_MOST);
    let rest: Vec<u8> = Vec::with_capacity(quarter);
    std::hint::black_box((most, rest));
    RETURNED
}

fn outcome(outcome: Result<c_long, i32>, refusals: &[i32]) -> i32 {
    match outcome {
        Err(errno) if refusals.contains(&errno) => REFUSED,
        _ => RETURNED,
    }
}

/// Arguments that meet all conditions and are otherwise invalid.
fn legal(conditions: &[Condition]) -> [u64; 6] {
    let mut arguments = [u64::MAX; 6];
    for condition in conditions {
        condition.impose(&mut arguments);
    }
    arguments
}
