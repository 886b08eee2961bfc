//! A taken-over compositor worker, for tests: see the crate `lumen-liar`.

use std::process::ExitCode;

use lumen_ipc::process::Worker;

fn main() -> ExitCode {
    lumen_liar::main(Worker::Compositor, lumen_compositor::policy::policy, lumen_compositor::run)
}
