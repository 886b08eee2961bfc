//! Landlock denies access to files, TCP ports, abstract sockets and signals to other processes,
//! except for the paths that the policy keeps readable, and for connections by TCP where these are its task.
//!
//! Best effort: every access right that the kernel knows is taken away, the others are left to
//! seccomp. The report contains the ABI in force, so that `lumen status` reveals a weak kernel.

use std::{error::Error, io};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, Scope,
};

use super::{ConfineError, Policy};

/// The newest ABI whose rights are handled.
const NEWEST: ABI = ABI::V7;

/// Restricts this thread and every thread it starts; returns the ABI in force, zero for none.
pub(super) fn restrict(policy: &Policy) -> Result<u8, ConfineError> {
    let mut readable = Vec::new();
    for path in policy.paths().iter().map(|readable| readable.path) {
        readable.push(PathFd::new(path).map_err(|source| ConfineError::Path { path, source })?);
    }
    let restricted = deny_all(policy.is_connecting()).and_then(|mut ruleset| {
        for parent in readable {
            let rule = PathBeneath::new(parent, AccessFs::from_read(NEWEST));
            ruleset = ruleset.add_rule(rule)?;
        }
        ruleset.restrict_self()
    });
    match restricted {
        Ok(status) => Ok(match status.landlock {
            // The kernel counts ABIs by small numbers.
            LandlockStatus::Available { effective_abi, .. } => effective_abi as u8,
            LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => 0,
        }),
        Err(error) if is_refused_to_everybody(&error) => Ok(0),
        Err(error) => Err(ConfineError::Landlock(error)),
    }
}

/// Whether a container refused the call because it does not know Landlock, or only part of it. This
/// machine is then like one without Landlock, and seccomp alone keeps the worker from files and
/// sockets.
pub(super) fn is_refused_to_everybody(error: &RulesetError) -> bool {
    let mut cause: &dyn Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let errno = cause.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
    matches!(errno, Some(libc::EPERM | libc::ENOSYS))
}

fn deny_all(connects: bool) -> Result<landlock::RulesetCreated, RulesetError> {
    let network = match connects {
        true => AccessNet::BindTcp.into(),
        false => AccessNet::from_all(NEWEST),
    };
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(network)?
        .scope(Scope::from_all(NEWEST))?
        .create()
}
