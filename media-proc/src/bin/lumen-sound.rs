//! `lumen-sound`: started by the supervisor, never by hand.

fn main() -> std::process::ExitCode {
    lumen_media::sound::run()
}
