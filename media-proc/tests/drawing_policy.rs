//! The policy of a media that draws by a graphics processor grants each of its permissions and nothing else,
//! tried in real child processes.

fn main() -> std::process::ExitCode {
    lumen_ipc_runtime::policy_probe::main_of("lumen-media-drawing", lumen_media::policy::drawing)
}
