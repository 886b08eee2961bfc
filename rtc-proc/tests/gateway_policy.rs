//! The gateway's policy holds in real processes: nothing else works, and all of it does.

use std::process::ExitCode;

use lumen_ipc::process::Worker;
use lumen_rtc::gateway::policy;

fn main() -> ExitCode {
    lumen_ipc_runtime::policy_probe::main(Worker::Gateway, policy::policy)
}
