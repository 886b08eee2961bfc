//! The bridge's policy allows what it says and nothing else, proven in real child processes.

use std::process::ExitCode;

use lumen_compositor::bridge::{PROGRAM, policy};
use lumen_ipc_runtime::policy_probe;

fn main() -> ExitCode {
    policy_probe::main_of(PROGRAM, policy::policy)
}
