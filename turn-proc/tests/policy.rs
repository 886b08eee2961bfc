//! The relay's policy holds in real processes: nothing else works, and all of it does.

use std::process::ExitCode;

use lumen_ipc::process::Worker;
use lumen_turn::policy;

fn main() -> ExitCode {
    lumen_ipc_runtime::policy_probe::main(Worker::Turn, policy::policy)
}
