//! The real `lumen` with stubs in every worker's place: start, stop, death and bad input. Runs as
//! whoever runs the tests, root or not; needs loopback and `/bin/sh`.

#[path = "desktop/activation.rs"]
mod activation;
#[path = "desktop/commands.rs"]
mod commands;
#[path = "desktop/config_file.rs"]
mod config_file;
#[path = "desktop/managed.rs"]
mod managed;
#[path = "desktop/namespaces.rs"]
mod namespaces;
#[path = "desktop/output.rs"]
mod output;
#[path = "desktop/rights.rs"]
mod rights;
#[path = "desktop/stuck.rs"]
mod stuck;

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::PathBuf,
    process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use lumen_ipc::{
    process::Worker,
    service::{HostStatus, ProcessStatus},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Longest wait for anything; long, because machines that run tests are busy.
const PATIENCE: Duration = Duration::from_secs(60);
const LUMEN: &str = env!("CARGO_BIN_EXE_lumen");

/// A directory of stubs and a unique name, so that tests can run in parallel.
struct Stage {
    directory: PathBuf,
    name: String,
}

impl Stage {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("t{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(format!("lumen-test-{name}"));
        fs::create_dir_all(directory.join("runtime")).expect("a directory");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(directory.join("runtime"), mode).expect("permissions");
        let tests = std::env::current_exe().expect("a path");
        let stub = tests.ancestors().nth(2).expect("target directory").join("examples/stub-worker");
        for worker in Worker::ALL {
            fs::copy(&stub, directory.join(worker.binary())).expect("cargo builds examples");
        }
        Self { directory, name }
    }

    fn mode(self, worker: Worker, mode: &str) -> Self {
        fs::write(self.directory.join(format!("{worker}.mode")), mode).expect("writable");
        self
    }

    fn lumen(&self, command: &str) -> Command {
        let mut lumen = Command::new(LUMEN);
        lumen.arg(command).env("LUMEN_NAME", &self.name).env_remove("SUDO_USER");
        lumen.env("XDG_RUNTIME_DIR", self.directory.join("runtime"));
        lumen.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        lumen
    }

    fn run(&self, app: &str) -> Command {
        let mut lumen = self.lumen("run");
        lumen.args(["--listen", "127.0.0.1:0", "--app", app, "--workers-dir"]).arg(&self.directory);
        lumen
    }

    fn ask(&self, arguments: &[&str]) -> Output {
        let (command, rest) = arguments.split_first().expect("a command");
        self.lumen(command).args(rest).output().expect("lumen runs")
    }

    fn status(&self) -> HostStatus {
        let answer = self.ask(&["status", "--json"]);
        serde_json::from_slice(&answer.stdout).expect("status is JSON")
    }

    /// The status once the app runs, which waits for the session's helpers.
    fn status_with_app(&self) -> HostStatus {
        wait_until("the app runs", || app_pid(&self.status()).is_some());
        self.status()
    }

    /// The status of one worker.
    fn process(&self, worker: Worker) -> Option<ProcessStatus> {
        self.status().processes().find(|one| one.process.kind() == worker).cloned()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A running desktop.
struct Desktop {
    lumen: Child,
    stdout: BufReader<ChildStdout>,
    said: Option<JoinHandle<String>>,
}

impl Desktop {
    fn start(mut command: Command) -> Self {
        let mut lumen = command.spawn().expect("lumen runs");
        let stdout = BufReader::new(lumen.stdout.take().expect("a pipe"));
        let mut stderr = lumen.stderr.take().expect("a pipe");
        let said = std::thread::spawn(move || {
            let mut said = String::new();
            let _ = stderr.read_to_string(&mut said); // What came before an error counts.
            said
        });
        Self { lumen, stdout, said: Some(said) }
    }

    /// The first line it prints.
    fn address(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("readable");
        line
    }

    fn ready(mut self) -> Self {
        let address = self.address();
        assert!(address.starts_with("Lumen is ready: http://127.0.0.1:"), "{address}");
        self
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.lumen.id().cast_signed()), signal).expect("it runs");
    }

    fn end(mut self) -> (ExitStatus, String) {
        let status = self.lumen.wait().expect("a child");
        (status, self.said.take().expect("once").join().expect("no panic"))
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        let _ = self.lumen.kill(); // Ended already, if the test passed.
        let _ = self.lumen.wait();
    }
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_running(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status"));
    status.is_ok_and(|status| !status.contains("\nState:\tZ"))
}

fn pids(status: &HostStatus) -> Vec<u32> {
    status.processes().filter_map(|worker| worker.pid).collect()
}

fn app_pid(status: &HostStatus) -> Option<u32> {
    status.sole_session()?.app.pid
}

fn pid_of(status: &HostStatus, worker: Worker) -> Option<u32> {
    status.processes().find(|process| process.process.kind() == worker)?.pid
}

#[test]
fn stop_ends_every_process_and_exits_with_success() {
    let stage = Stage::new();
    let desktop = Desktop::start(stage.run("sleep 1000")).ready();
    let status = stage.status_with_app();
    assert_eq!(pids(&status).len(), Worker::ALL.len());
    assert!(stage.ask(&["stop"]).status.success());
    let (code, said) = desktop.end();
    assert_eq!(code.code(), Some(0), "{said}");
    let left: Vec<u32> =
        pids(&status).into_iter().chain(app_pid(&status)).filter(|pid| is_running(*pid)).collect();
    assert_eq!(left, Vec::<u32>::new());
    assert!(!stage.ask(&["status"]).status.success());
}

#[test]
fn token_is_printed_once_and_not_logged() {
    let stage = Stage::new();
    let mut desktop = Desktop::start(stage.run("sleep 1000"));
    let address = desktop.address();
    let token = address.trim().split_once("#token=").expect("a token").1.to_owned();
    desktop.signal(Signal::SIGINT);
    let (code, said) = desktop.end();
    assert_eq!(code.code(), Some(0));
    assert!(token.len() >= 32 && !said.contains(&token), "{said}");
}

#[test]
fn killed_worker_comes_back_while_the_app_and_the_others_stay() {
    let stage = Stage::new();
    let desktop = Desktop::start(stage.run("sleep 1000")).ready();
    let before = stage.status_with_app();
    let media = pid_of(&before, Worker::Media).expect("it runs");
    kill(Pid::from_raw(media.cast_signed()), Signal::SIGKILL).expect("ours");
    wait_until("media serves again", || {
        stage
            .process(Worker::Media)
            .is_some_and(|media| media.restarts == 1 && media.state.as_str() == "ready")
    });
    let after = stage.status();
    assert_eq!(app_pid(&after), app_pid(&before));
    for worker in [Worker::Compositor, Worker::Rtc, Worker::Gateway] {
        assert_eq!(pid_of(&after, worker), pid_of(&before, worker), "{worker}");
    }
    drop(desktop);
}

#[test]
fn accusations_end_the_less_trusted_side_and_never_the_compositor() {
    let stage = Stage::new();
    let desktop = Desktop::start(stage.run("sleep 1000")).ready();
    let before = stage.status_with_app();
    let stage = stage.mode(Worker::Media, "accuse");
    assert!(stage.ask(&["restart", "media"]).status.success());
    wait_until("media is started again unasked", || {
        stage.process(Worker::Media).is_some_and(|media| media.restarts > 2)
    });
    let after = stage.status();
    for worker in [Worker::Compositor, Worker::Rtc, Worker::Gateway] {
        assert_eq!(pid_of(&after, worker), pid_of(&before, worker), "{worker}");
    }
    assert_eq!(app_pid(&after), app_pid(&before));
    desktop.signal(Signal::SIGINT);
    let (_, said) = desktop.end();
    assert!(said.contains("media accuses the other side; making the link anew"), "{said}");
    assert!(said.contains("media accuses the other side again; ending media"), "{said}");
}

#[test]
fn worker_that_breaks_or_closes_its_links_to_the_supervisor_is_ended_and_nobody_else() {
    for (mode, words) in [
        ("garbage", "broke the contract with its supervisor"),
        ("oversize", "broke the contract with its supervisor"),
        ("fd-flood", "broke the contract with its supervisor"),
        ("control-garbage", "broke the contract with its supervisor"),
        ("close-control", "cannot be reached any more, but does not end"),
        ("shut-grants", "cannot be reached any more, but does not end"),
    ] {
        let stage = Stage::new();
        let desktop = Desktop::start(stage.run("sleep 1000")).ready();
        let before = stage.status_with_app();
        let stage = stage.mode(Worker::Media, mode);
        assert!(stage.ask(&["restart", "media"]).status.success());
        wait_until("media is started again unasked", || {
            stage.process(Worker::Media).is_some_and(|media| media.restarts > 1)
        });
        let after = stage.status();
        assert_eq!(app_pid(&after), app_pid(&before), "{mode}");
        for worker in [Worker::Compositor, Worker::Rtc, Worker::Gateway] {
            assert_eq!(pid_of(&after, worker), pid_of(&before, worker), "{mode}: {worker}");
        }
        desktop.signal(Signal::SIGINT);
        let (_, said) = desktop.end();
        assert!(said.contains(words), "{mode}: {said}");
    }
}

#[test]
fn workers_end_when_the_supervisor_is_killed() {
    let stage = Stage::new();
    let desktop = Desktop::start(stage.run("sleep 1000")).ready();
    let pids = pids(&stage.status());
    desktop.signal(Signal::SIGKILL);
    desktop.end();
    wait_until("all workers are gone", || !pids.iter().any(|pid| is_running(*pid)));
}

#[test]
fn worker_that_does_not_drain_is_ended_by_force() {
    let stage = Stage::new().mode(Worker::Media, "slow-drain");
    let desktop = Desktop::start(stage.run("sleep 1000")).ready();
    desktop.signal(Signal::SIGTERM);
    assert_eq!(desktop.end().0.code(), Some(0));
}

#[test]
fn worker_of_another_build_ends_the_start_with_the_reason() {
    let stage = Stage::new().mode(Worker::Rtc, "wrong-build");
    let (code, said) = Desktop::start(stage.run("sleep 1000")).end();
    assert_eq!(code.code(), Some(112), "{said}");
    assert!(said.contains("another build"), "{said}");
}

#[test]
fn worker_that_cannot_start_is_given_up_after_three_attempts() {
    let stage = Stage::new().mode(Worker::Media, "cannot-start");
    let (code, said) = Desktop::start(stage.run("sleep 1000")).end();
    assert_eq!(code.code(), Some(112), "{said}");
    assert_eq!(said.matches("told not to start").count(), 3, "{said}");
}

#[test]
fn forbidden_syscall_is_named_and_its_worker_left_alone_until_it_is_well() {
    let mut stage = Stage::new();
    let desktop = Desktop::start(stage.run("sleep 1000")).ready();
    stage = stage.mode(Worker::Media, "forbidden-syscall");
    assert!(stage.ask(&["restart", "media"]).status.success());
    wait_until("media is left alone", || {
        stage.process(Worker::Media).is_some_and(|media| media.state.as_str() == "failed")
    });
    let status = String::from_utf8(stage.ask(&["status"]).stdout).expect("text");
    assert!(status.contains("failed, next try in "), "{status}");
    let stage = stage.mode(Worker::Media, "ok");
    wait_until("media is well and comes back by itself", || {
        stage.process(Worker::Media).is_some_and(|media| media.state.as_str() == "ready")
    });
    desktop.signal(Signal::SIGINT);
    let (_, said) = desktop.end();
    assert!(said.contains("forbidden system call") && said.contains("openat"), "{said}");
}

#[test]
fn app_that_exits_at_once_is_shown_with_its_last_lines() {
    let stage = Stage::new();
    let (code, said) = Desktop::start(stage.run("echo cannot find the thing >&2; exit 3")).end();
    assert_eq!(code.code(), Some(3), "{said}");
    assert!(said.contains("ended at once with exit code 3"), "{said}");
    assert!(said.contains("its last lines: cannot find the thing"), "{said}");
}

#[test]
fn app_that_exits_by_itself_ends_the_desktop_with_its_own_status() {
    for (app, status) in [
        ("sleep 3", 0),
        ("sleep 3; exit 42", 42),
        ("sleep 3; kill -SEGV $$", 128 + 11),
        ("exit 0", 0),
        ("kill -TERM $$", 128 + 15),
        // A real-time signal, which has no name.
        ("kill -42 $$", 128 + 42),
    ] {
        let stage = Stage::new();
        let (code, said) = Desktop::start(stage.run(app)).end();
        assert_eq!(code.code(), Some(status), "{app}: {said}");
        assert!(said.contains("the desktop ends with it"), "{app}: {said}");
    }
}

#[test]
fn desktop_that_is_stopped_ends_with_success_whatever_its_app_says() {
    let stage = Stage::new();
    let desktop = Desktop::start(stage.run("trap 'exit 7' TERM; sleep 1000 & wait")).ready();
    desktop.signal(Signal::SIGTERM);
    let (code, said) = desktop.end();
    assert_eq!(code.code(), Some(0), "{said}");
}

#[test]
fn app_gets_a_clean_environment() {
    let stage = Stage::new();
    let (_, said) = Desktop::start(stage.run("env; ls /proc/self/fd; exit 1")).end();
    let names: Vec<&str> = said
        .lines()
        .filter_map(|line| line.strip_prefix("app: ")?.split_once('='))
        .map(|(name, _)| name)
        .filter(|name| !["PWD", "OLDPWD", "PROMPT_COMMAND", "SHLVL", "_"].contains(name))
        // Only where dbus-daemon and PipeWire are installed.
        .filter(|name| {
            !["DBUS_SESSION_BUS_ADDRESS", "PIPEWIRE_RUNTIME_DIR", "PULSE_SERVER"].contains(name)
        })
        .collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    let expected = [
        "HOME",
        "LANG",
        "LOGNAME",
        "PATH",
        "SHELL",
        "USER",
        "WAYLAND_DISPLAY",
        "XDG_RUNTIME_DIR",
        "XDG_SESSION_TYPE",
    ];
    assert_eq!(sorted, expected, "{said}");
}

#[test]
fn layout_reaches_the_app_by_the_variables_that_keymaps_are_made_from() {
    let stage = Stage::new();
    let mut command = stage.run("env; exit 1");
    command.args(["--layout", "de,fr", "--layout-variant", "nodeadkeys,"]);
    let (_, said) = Desktop::start(command).end();
    for expected in ["XKB_DEFAULT_LAYOUT=de,fr", "XKB_DEFAULT_VARIANT=nodeadkeys,"] {
        assert!(said.contains(&format!("app: {expected}\n")), "{said}");
    }
    assert!(!said.contains("XKB_DEFAULT_OPTIONS"), "{said}");
}

#[test]
fn taken_port_is_named_with_what_to_do() {
    let stage = Stage::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let mut command = stage.run("sleep 1000");
    command.args(["--listen", &address]);
    let (code, said) = Desktop::start(command).end();
    assert_eq!(code.code(), Some(112));
    assert!(said.contains(&format!("{address} is already in use")), "{said}");
    assert!(said.contains("--listen"), "{said}");
}

#[test]
fn missing_worker_is_named_with_where_it_was_looked_for() {
    for worker in Worker::ALL {
        let stage = Stage::new();
        fs::remove_file(stage.directory.join(worker.binary())).expect("there");
        let (code, said) = Desktop::start(stage.run("sleep 1000")).end();
        assert_eq!(code.code(), Some(112));
        assert!(said.contains(worker.binary()), "{said}");
        assert!(said.contains(&stage.directory.display().to_string()), "{said}");
    }
}

#[test]
fn missing_program_is_named_with_where_it_was_looked_for() {
    let stage = Stage::new();
    let mut command = stage.lumen("run");
    command.args(["--listen", "127.0.0.1:0", "--workers-dir"]).arg(&stage.directory);
    command.args(["--", "no-such-program"]);
    let (code, said) = Desktop::start(command).end();
    assert_eq!(code.code(), Some(112));
    assert!(said.contains("there is no program no-such-program in /"), "{said}");
}

#[test]
fn second_desktop_of_the_same_name_is_refused() {
    let stage = Stage::new();
    let _first = Desktop::start(stage.run("sleep 1000")).ready();
    let (code, said) = Desktop::start(stage.run("sleep 1000")).end();
    assert_eq!(code.code(), Some(112));
    assert!(said.contains("--name"), "{said}");
}

#[test]
fn optional_workers_that_cannot_start_end_nothing() {
    let stage = Stage::new().mode(Worker::Gamepad, "cannot-start");
    fs::remove_file(stage.directory.join(Worker::Turn.binary())).expect("there");
    fs::copy("/bin/false", stage.directory.join(Worker::Turn.binary())).expect("coreutils");
    let desktop = Desktop::start(stage.run("sleep 1000")).ready();
    wait_until("both are given up for a while", || {
        let failed =
            |worker| stage.process(worker).is_some_and(|one| one.state.as_str() == "failed");
        failed(Worker::Gamepad) && failed(Worker::Turn)
    });
    let status = stage.status_with_app();
    for worker in [Worker::Compositor, Worker::Media, Worker::Rtc, Worker::Gateway] {
        assert!(pid_of(&status, worker).is_some(), "{worker}");
    }
    desktop.signal(Signal::SIGINT);
    assert_eq!(desktop.end().0.code(), Some(0));
}
