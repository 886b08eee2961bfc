//! `lumen-oidc`. All code is in the library, so that it can be tested.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    lumen_oidc::run(std::env::args_os().skip(1))
}
