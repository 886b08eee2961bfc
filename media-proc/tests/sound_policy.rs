//! Sound's policy grants each of its permissions and nothing else, tried in real child processes.

use lumen_ipc::process::Worker;

fn main() -> std::process::ExitCode {
    lumen_ipc_runtime::policy_probe::main(Worker::Sound, lumen_media::sound::policy::policy)
}
