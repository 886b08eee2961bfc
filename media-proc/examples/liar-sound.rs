//! A taken-over sound worker, for tests: see the crate `lumen-liar`.

use std::process::ExitCode;

use lumen_ipc::process::Worker;

fn main() -> ExitCode {
    lumen_liar::main(Worker::Sound, lumen_media::sound::policy::policy, lumen_media::sound::run)
}
