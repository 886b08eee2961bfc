//! `lumen-rtc`: started by its supervisor, never by hand.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use lumen_rtc::shell::Rtc;

fn main() -> ExitCode {
    lumen_ipc_runtime::bootstrap::run::<Rtc>()
}
