//! Each permission of gamepad's policy holds, and nothing else does, in real child processes.

use lumen_ipc::process::Worker;

fn main() -> std::process::ExitCode {
    lumen_ipc_runtime::policy_probe::main(Worker::Gamepad, lumen_gamepad::policy::policy)
}
