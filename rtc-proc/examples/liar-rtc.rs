//! A taken-over rtc worker, for tests: see the crate `lumen-liar`.

use std::process::ExitCode;

use lumen_ipc::process::Worker;

fn main() -> ExitCode {
    lumen_liar::main(
        Worker::Rtc,
        lumen_rtc::policy::policy,
        lumen_ipc_runtime::bootstrap::run::<lumen_rtc::shell::Rtc>,
    )
}
