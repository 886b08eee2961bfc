//! `lumen-gamepad`: started by the supervisor, never by hand.

fn main() -> std::process::ExitCode {
    lumen_gamepad::run()
}
