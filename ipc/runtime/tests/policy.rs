//! The base policy, on which every worker's is built, keeps what it promises.

use std::process::ExitCode;

use lumen_ipc_runtime::{confine::Policy, policy_probe};

fn main() -> ExitCode {
    policy_probe::main_of("base", Policy::base)
}
