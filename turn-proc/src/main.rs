//! `lumen-turn`: started by its supervisor, never by hand.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use lumen_turn::worker::Turn;

fn main() -> ExitCode {
    lumen_ipc_runtime::bootstrap::run::<Turn>()
}
