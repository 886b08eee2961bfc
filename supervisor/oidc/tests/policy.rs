//! The policy in real processes: all that it allows works, and nothing else does.

use std::process::ExitCode;

fn main() -> ExitCode {
    lumen_ipc_runtime::policy_probe::main_of("lumen-oidc", lumen_oidc::policy::policy)
}
