//! What a worker can no longer do while it serves: its policy as data, and how it is enforced.
//!
//! A worker's `policy.rs` builds a [`Policy`]: [`Policy::base`] and one line per further
//! permission, each with its reason. [`confine`] then, in this order,
//!
//! 1. sets `no_new_privs` (the supervisor has done so; repeating it costs nothing),
//! 2. hides the process's memory and descriptors from every process without capabilities,
//! 3. drops every capability, from the bounding and ambient sets too,
//! 4. restricts files, TCP and signals by Landlock, as far as the kernel can (`landlock`),
//! 5. lowers the resource limits (`limits`),
//! 6. installs the handler that names a forbidden system call (`trap`),
//! 7. starts the threads that the process is to have, and waits until they run,
//! 8. filters system calls (`seccomp`), in all threads.
//!
//! The process must have no second thread before: Landlock binds only the calling thread and those it
//! starts. It gets none afterwards, unless its policy says so. So it cannot fill the table of processes,
//! for which a limit would be of no use: it would count all processes of the same user.
//!
//! A process that is not dumpable (`PR_SET_DUMPABLE`) is traced by nobody but root, and leaves no core
//! file. An ordinary user's supervisor still reads how much processor time and memory it uses
//! (`/proc/PID/stat` and `statm`), but not its descriptors.

mod base;
mod landlock;
mod limits;
mod policy;
mod restraint;
mod seccomp;
mod syscalls;
mod trap;

use lumen_ipc::{service::ConfinementReport, text::Text};
use rustix::{
    io::Errno,
    process::{DumpableBehavior, set_dumpable_behavior},
    thread,
};

use crate::clock;
pub use policy::{Argument, Condition, MIB, Policy, ReadPath, Refused, Rule};
pub use restraint::{Denied, Restraint, Use, UsedPath, keep_capabilities, renounce, restrain};
pub use syscalls::syscall_name;
#[cfg(feature = "test-support")]
pub(crate) use {base::THREAD_FLAGS, seccomp::programs, syscalls::known_syscalls};

/// The step of confinement that failed.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// `capset` or a related call failed.
    #[error("cannot drop capabilities")]
    Capabilities(#[source] Errno),
    /// The seccomp filter cannot be built from the policy.
    #[error("cannot build the seccomp filter")]
    Filter(#[source] seccompiler::BackendError),
    /// The seccomp filter cannot be applied.
    #[error("cannot apply the seccomp filter")]
    Apply(#[source] seccompiler::Error),
    /// Landlock refused the rules.
    #[error("cannot restrict files and network by Landlock")]
    Landlock(#[source] ::landlock::RulesetError),
    /// A path of the policy cannot be opened.
    #[error("cannot open {path}, which the policy lets be read")]
    Path {
        /// The path.
        path: &'static str,
        /// Why not.
        #[source]
        source: ::landlock::PathFdError,
    },
    /// A path that the process uses cannot be opened.
    #[error("cannot open {path}, which is used")]
    UsedPath {
        /// The path.
        path: std::path::PathBuf,
        /// Why not.
        #[source]
        source: ::landlock::PathFdError,
    },
    /// `setrlimit` failed.
    #[error("cannot lower the limit of {limit}")]
    Limit {
        /// The limit.
        limit: &'static str,
        /// Why not.
        #[source]
        errno: nix::errno::Errno,
    },
    /// `prctl(PR_SET_DUMPABLE)` failed.
    #[error("cannot hide this process's memory")]
    Hide(#[source] Errno),
    /// `prctl(PR_SET_NO_NEW_PRIVS)` failed.
    #[error("cannot give up gaining privileges")]
    NoNewPrivs(#[source] Errno),
    /// A thread cannot be started.
    #[error("cannot start a thread")]
    Threads(#[source] std::io::Error),
    /// `sigaction` failed.
    #[error("cannot handle SIGSYS")]
    Trap(#[source] std::io::Error),
}

/// Enforces `policy` on this process, irrevocably. `program` is what the trap handler calls it. The
/// process stays without a second thread.
///
/// # Errors
/// [`ConfineError`] names the step that failed; the process must then end.
pub fn confine(policy: &Policy, program: &'static str) -> Result<ConfinementReport, ConfineError> {
    let (report, ()) = confine_with_threads(policy, program, || Ok(()))?;
    Ok(report)
}

/// As [`confine`], with the threads that `start` starts. It returns when they run.
///
/// # Errors
/// [`ConfineError`] names the step that failed; the process must then end.
pub fn confine_with_threads<T>(
    policy: &Policy,
    program: &'static str,
    start: impl FnOnce() -> std::io::Result<T>,
) -> Result<(ConfinementReport, T), ConfineError> {
    confine_in_steps(policy, program, || Ok((start()?, policy.clone())))
}

/// As [`confine_with_threads`], with a filter that is known only once `start` has run: files and limits are
/// those of `before`, system calls those of the policy that `start` returns.
///
/// # Errors
/// [`ConfineError`] names the step that failed; the process must then end.
pub fn confine_in_steps<T>(
    before: &Policy,
    program: &'static str,
    start: impl FnOnce() -> std::io::Result<(T, Policy)>,
) -> Result<(ConfinementReport, T), ConfineError> {
    // At the first reading rustix looks for the vDSO: by a prctl that no policy allows, and on kernels
    // before 6.4 in a file of /proc that is closed to processes that are not dumpable.
    let _ = clock::now();
    thread::set_no_new_privs(true).map_err(ConfineError::NoNewPrivs)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(ConfineError::Hide)?;
    drop_capabilities().map_err(ConfineError::Capabilities)?;
    let landlock_abi = landlock::restrict(before)?;
    let unlimited = limits::lower(before)?;
    let (threads, policy) = start().map_err(ConfineError::Threads)?;
    trap::install(program, policy.is_survived()).map_err(ConfineError::Trap)?;
    let seccomp_rules = seccomp::apply(&policy)?;
    let unlimited = unlimited.into_iter().map(Text::truncated).collect();
    let report = ConfinementReport {
        landlock_abi,
        seccomp_rules,
        unlimited,
        ..ConfinementReport::default()
    };
    Ok((report, threads))
}

/// Removes all capabilities but `kept` from the bounding set.
fn lower_bounding_set(kept: thread::CapabilitySet) -> Result<(), Errno> {
    for capability in thread::CapabilitySet::all().difference(kept).iter() {
        match thread::remove_capability_from_bounding_set(capability) {
            // Without CAP_SETPCAP, or where a container refuses the call, the bounding set stays;
            // it grants nothing, because no_new_privs is set. A kernel older than rustix does not
            // know the newest capabilities.
            Ok(()) | Err(Errno::PERM | Errno::INVAL | Errno::NOSYS) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn drop_capabilities() -> Result<(), Errno> {
    lower_bounding_set(thread::CapabilitySet::empty())?;
    // The kernel removes from the ambient set whatever the sets below lose; this call only comes
    // first.
    let _ = thread::clear_ambient_capability_set();
    let none = thread::CapabilitySet::empty();
    let sets = thread::CapabilitySets { effective: none, permitted: none, inheritable: none };
    thread::set_capabilities(None, sets).or_else(|errno| {
        // A process without capabilities needs no call to drop them.
        let has = thread::capabilities(None).map_err(|_| errno)?;
        let all = has.effective | has.permitted | has.inheritable;
        if all.is_empty() { Ok(()) } else { Err(errno) }
    })
}
