//! The relay's policy in real processes: all that it allows works, and nothing else does.

use std::process::ExitCode;

use lumen_ipc::process::Worker;
use lumen_turn::policy;

fn main() -> ExitCode {
    lumen_ipc_runtime::policy_probe::main(Worker::Turn, policy::policy)
}
