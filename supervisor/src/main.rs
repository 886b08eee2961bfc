//! `lumen`. All code is in the library, so that it can be tested.

use std::process::ExitCode;

fn main() -> ExitCode {
    lumen_supervisor::cli::main(std::env::args_os().skip(1))
}
