//! A taken-over turn worker, for tests: see the crate `lumen-liar`.

use std::process::ExitCode;

use lumen_ipc::process::Worker;

fn main() -> ExitCode {
    lumen_liar::main(
        Worker::Turn,
        lumen_turn::policy::policy,
        lumen_ipc_runtime::bootstrap::run::<lumen_turn::worker::Turn>,
    )
}
