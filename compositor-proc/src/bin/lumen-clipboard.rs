//! `lumen-clipboard`: started by its supervisor, never by hand.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    lumen_compositor::bridge::run()
}
