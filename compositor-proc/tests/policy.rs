//! The compositor's policy allows what it states and nothing else, tried in real child processes.

use std::process::ExitCode;

use lumen_compositor::policy;
use lumen_ipc::process::Worker;
use lumen_ipc_runtime::policy_probe;

fn main() -> ExitCode {
    policy_probe::main(Worker::Compositor, policy::policy)
}
