//! The compositor's process.

use std::process::ExitCode;

fn main() -> ExitCode {
    lumen_compositor::run()
}
