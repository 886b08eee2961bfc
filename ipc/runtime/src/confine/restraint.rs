//! What a process gives up that starts workers and cannot be confined like one: the calls that it never
//! makes, and all files but those that it uses. What it starts has that in common with it, so nothing may
//! be denied that a worker needs before it confines itself.
//!
//! The calls are a list of what is denied, not of what is allowed: the process makes many different ones,
//! and a call that was forgotten must not end it, because all workers end with it.

use std::{io, path::PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus,
    PathBeneath, PathFd, PathFdError, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    Scope,
};
use libc::c_long;
use lumen_ipc::service::ConfinementReport;
use rustix::{
    io::Errno,
    thread::{self, CapabilitySet, CapabilitySets},
};

use super::{Condition, ConfineError, landlock::is_refused_to_everybody, seccomp};

/// The newest ABI whose rights are handled.
const NEWEST: ABI = ABI::V7;

/// A call that is never made.
#[derive(Clone, Debug)]
pub struct Denied {
    /// `libc::SYS_*`.
    pub syscall: c_long,
    /// It is denied when all hold; none means always.
    pub conditions: Vec<Condition>,
    /// The error that it fails with (`libc::E*`).
    pub errno: i32,
    /// Why it is denied.
    pub reason: &'static str,
}

/// How the files below a path are used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Use {
    /// Executed.
    Execute,
    /// Read, and directories listed.
    Read,
    /// Read and written where they exist.
    Write,
    /// Also made and removed: files and sockets.
    Keep,
    /// Directories in it are removed.
    RemoveFolders,
}

impl Use {
    fn rights(self) -> BitFlags<AccessFs> {
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let write = read | AccessFs::WriteFile | AccessFs::Truncate;
        match self {
            Self::RemoveFolders => AccessFs::RemoveDir.into(),
            Self::Execute => AccessFs::Execute | AccessFs::ReadFile,
            Self::Read => read,
            Self::Write => write,
            Self::Keep => write | AccessFs::MakeReg | AccessFs::MakeSock | AccessFs::RemoveFile,
        }
    }
}

/// A path that is used. One that does not exist is left out.
#[derive(Clone, Debug)]
pub struct UsedPath {
    /// A file or directory.
    pub path: PathBuf,
    /// How.
    pub way: Use,
    /// What for.
    pub reason: &'static str,
}

/// What a process gives up.
#[derive(Clone, Debug, Default)]
pub struct Restraint {
    /// The calls that it never makes.
    pub denied: Vec<Denied>,
    /// The paths that it uses, and no others.
    pub paths: Vec<UsedPath>,
}

/// Gives up everything that `restraint` names, for good, and with it gaining privileges. Files and
/// connections by TCP and to abstract sockets are given up by the calling thread and those that it will
/// start; calls by all threads.
///
/// # Errors
/// [`ConfineError`] names the step that failed; the process must then end.
pub fn restrain(restraint: &Restraint) -> Result<ConfinementReport, ConfineError> {
    thread::set_no_new_privs(true).map_err(ConfineError::NoNewPrivs)?;
    // Not signals: whoever starts workers ends what is left of earlier ones, which it did not start.
    let landlock_abi = restrict(&restraint.paths, Scope::AbstractUnixSocket.into())?;
    let seccomp_rules = seccomp::deny(&restraint.denied)?;
    Ok(ConfinementReport { landlock_abi, seccomp_rules, ..ConfinementReport::default() })
}

/// Takes files, the gaining of privileges and connections from the calling thread, as far as the kernel
/// can: for a thread that only uses descriptors which it has. Capabilities stay: the C library changes
/// the user of all threads together, and aborts if one of them may not.
pub fn renounce() {
    // Whatever fails here is a second barrier: the thread runs no foreign code.
    let _ = thread::set_no_new_privs(true);
    let _ = restrict(&[], Scope::from_all(NEWEST));
}

/// Gives up all capabilities but `kept`, as far as the process has those. With `for_good` no program
/// that it starts can have others, whoever it belongs to. For a process with one thread.
///
/// # Errors
/// When the kernel refuses.
pub fn keep_capabilities(kept: CapabilitySet, for_good: bool) -> io::Result<()> {
    if for_good {
        super::lower_bounding_set(kept)?;
        let _ = thread::clear_ambient_capability_set();
    }
    let has = thread::capabilities(None)?;
    let inheritable = if for_good { CapabilitySet::empty() } else { has.inheritable };
    let sets = CapabilitySets {
        effective: has.effective & kept,
        permitted: has.permitted & kept,
        inheritable,
    };
    match thread::set_capabilities(None, sets) {
        // A container may refuse the call to a process that has nothing to give up.
        Err(Errno::PERM) if has.permitted.difference(kept).is_empty() => Ok(()),
        outcome => Ok(outcome?),
    }
}

fn restrict(paths: &[UsedPath], scopes: BitFlags<Scope>) -> Result<u8, ConfineError> {
    let mut rules = Vec::new();
    for used in paths {
        match PathFd::new(&used.path) {
            Ok(parent) => rules.push(PathBeneath::new(parent, used.way.rights())),
            Err(PathFdError::OpenCall { source, .. })
                if source.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(ConfineError::UsedPath { path: used.path.clone(), source });
            }
        }
    }
    let restricted =
        deny_all(scopes).and_then(|ruleset| ruleset.add_rules(rules.into_iter().map(Ok)));
    let restricted = restricted.and_then(|ruleset| ruleset.restrict_self());
    match restricted.map(|status| status.landlock) {
        Ok(LandlockStatus::Available { effective_abi, .. }) => Ok(effective_abi as u8),
        Ok(LandlockStatus::NotEnabled | LandlockStatus::NotImplemented) => Ok(0),
        Err(error) if is_refused_to_everybody(&error) => Ok(0),
        Err(error) => Err(ConfineError::Landlock(error)),
    }
}

fn deny_all(scopes: BitFlags<Scope>) -> Result<landlock::RulesetCreated, RulesetError> {
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::ConnectTcp)?
        .scope(scopes)?
        .create()
}
