//! Makes the calls that a test orders, as whoever runs it and confined by nothing: the control that an
//! attempt would succeed if nothing held. Its argument is the test's entrance.

use std::process::ExitCode;

fn main() -> ExitCode {
    lumen_liar::unconfined()
}
