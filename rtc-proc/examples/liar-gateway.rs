//! A taken-over gateway worker, for tests: see the crate `lumen-liar`.

use std::process::ExitCode;

use lumen_ipc::process::Worker;

fn main() -> ExitCode {
    lumen_liar::main(
        Worker::Gateway,
        lumen_rtc::gateway::policy::policy,
        lumen_ipc_runtime::bootstrap::run::<lumen_rtc::gateway::Gateway>,
    )
}
