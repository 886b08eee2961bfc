//! `lumen-login`. All code is in the library, so that it can be tested.

fn main() -> std::process::ExitCode {
    lumen_login::run(std::env::args_os().skip(1))
}
