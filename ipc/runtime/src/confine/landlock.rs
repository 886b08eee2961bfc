//! Landlock: no file, no TCP port, no abstract socket and no signal outside, but for the paths the
//! policy keeps readable.
//!
//! Best effort: every access right a kernel knows is taken away, and what it does not know is left
//! to seccomp. The report names the ABI in force, so that `lumen status` shows a weak kernel.

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, Scope,
};

use super::{ConfineError, Policy};

/// The newest ABI whose rights are handled.
const NEWEST: ABI = ABI::V7;

/// Restricts this thread, and every thread it starts; returns the ABI in force.
pub(super) fn restrict(policy: &Policy) -> Result<u8, ConfineError> {
    let mut ruleset = deny_all().map_err(ConfineError::Landlock)?;
    for readable in policy.paths() {
        let path = readable.path;
        let parent = PathFd::new(path).map_err(|source| ConfineError::Path { path, source })?;
        ruleset = ruleset
            .add_rule(PathBeneath::new(parent, AccessFs::from_read(NEWEST)))
            .map_err(ConfineError::Landlock)?;
    }
    let status = ruleset.restrict_self().map_err(ConfineError::Landlock)?;
    Ok(match status.landlock {
        // ABIs are small numbers counted by the kernel.
        LandlockStatus::Available { effective_abi, .. } => effective_abi as u8,
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => 0,
    })
}

fn deny_all() -> Result<landlock::RulesetCreated, RulesetError> {
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()
}
