//! Each permission of rtc's policy holds, and nothing else does, in real child processes.

use lumen_ipc::process::Worker;

fn main() -> std::process::ExitCode {
    lumen_ipc_runtime::policy_probe::main(Worker::Rtc, lumen_rtc::policy::policy)
}
