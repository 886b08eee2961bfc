//! A taken-over gamepad worker, for tests: see the crate `lumen-liar`.

use std::process::ExitCode;

use lumen_ipc::process::Worker;

fn main() -> ExitCode {
    lumen_liar::main(Worker::Gamepad, lumen_gamepad::policy::policy, lumen_gamepad::run)
}
