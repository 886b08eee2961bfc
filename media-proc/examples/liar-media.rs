//! A taken-over media worker, for tests: see the crate `lumen-liar`.

use std::process::ExitCode;

use lumen_ipc::process::Worker;

fn main() -> ExitCode {
    lumen_liar::main(Worker::Media, lumen_media::policy::policy, lumen_media::run)
}
