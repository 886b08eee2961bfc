//! Output that nobody reads and endless output: neither stops the desktop.

use std::{
    io::{self, PipeReader, PipeWriter, Write},
    os::unix::net::UnixStream,
    process::Stdio,
};

use lumen_ipc::{log::LogSource, process::Worker};
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::{
    Child, Command, Duration, Instant, Pid, Read, Signal, Stage, fs, kill, pid_of, wait_until,
};

/// The share of a processor that the supervisor may take while something prints without end. It takes
/// a few hundredths; without a bound it takes all of one.
const MOST_OF_A_PROCESSOR: f64 = 0.4;

/// A desktop of which nobody reads what it prints.
struct Unread {
    lumen: Child,
    _outputs: [PipeReader; 2],
}

impl Unread {
    /// `is_full` says whether there is room in the pipes when it starts.
    fn start(mut command: Command, is_full: bool) -> Self {
        let (output, out) = io::pipe().expect("a pipe");
        let (errors, err) = io::pipe().expect("a pipe");
        if is_full {
            fill(&out);
            fill(&err);
        }
        let lumen = command.stdout(out).stderr(err).spawn().expect("lumen runs");
        Self { lumen, _outputs: [output, errors] }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.lumen.id().cast_signed()), signal).expect("it runs");
    }

    /// Asks for its end and checks that it comes.
    fn ends(mut self) {
        self.signal(Signal::SIGTERM);
        let start = Instant::now();
        assert_eq!(self.lumen.wait().expect("a child").code(), Some(0));
        // Each step of an end has 2 s; somebody who waits for a reader waits for ever.
        assert!(start.elapsed() < super::PATIENCE);
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.lumen.kill(); // Ended already, if the test passed.
        let _ = self.lumen.wait();
    }
}

/// Writes until nothing more goes in.
fn fill(mut pipe: &PipeWriter) {
    let flags = OFlag::from_bits_truncate(fcntl(pipe, FcntlArg::F_GETFL).expect("flags"));
    fcntl(pipe, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).expect("a pipe");
    for size in [4096, 1] {
        while pipe.write(&vec![b'.'; size]).is_ok() {}
    }
    fcntl(pipe, FcntlArg::F_SETFL(flags)).expect("a pipe");
}

fn all_ready(stage: &Stage) {
    wait_until("every worker is ready", || {
        answer(stage).is_some_and(|status| {
            let ready = status.processes().filter(|one| one.state.as_str() == "ready");
            ready.count() == Worker::ALL.len()
        })
    });
}

/// What `lumen status` says; `None` while there is no desktop.
fn answer(stage: &Stage) -> Option<super::HostStatus> {
    serde_json::from_slice(&stage.ask(&["status", "--json"]).stdout).ok()
}

/// A worker that is killed comes back.
fn restarts(stage: &Stage) {
    let media = pid_of(&stage.status(), Worker::Media).expect("it runs");
    kill(Pid::from_raw(media.cast_signed()), Signal::SIGKILL).expect("ours");
    wait_until("media serves again", || {
        let media = stage.process(Worker::Media).expect("there is one");
        media.restarts > 0 && media.state.as_str() == "ready"
    });
}

fn logged(stage: &Stage, source: LogSource) -> String {
    let output = stage.ask(&["logs", source.name()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// How many lines of a source were dropped before the oldest that is kept.
fn dropped(stage: &Stage, source: LogSource) -> u64 {
    let text = logged(stage, source);
    let first = text.lines().next().unwrap_or_default();
    let count = first.split_once(": (").and_then(|(_, rest)| rest.split(' ').next());
    count.and_then(|count| count.parse().ok()).unwrap_or_default()
}

/// Processor time of a process (proc(5): fields 14 and 15 of `stat`, in hundredths of a second).
fn processor_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let times = fields.split_whitespace().skip(11).take(2);
    times.map(|ticks| ticks.parse::<f64>().expect("a number")).sum::<f64>() / 100.0
}

#[test]
fn output_that_nobody_reads_stops_neither_status_nor_restarts_nor_the_end() {
    for is_full in [false, true] {
        let stage = Stage::new();
        let desktop = Unread::start(stage.run("yes"), is_full);
        all_ready(&stage);
        wait_until("lines are dropped", || dropped(&stage, LogSource::App) > 10_000);
        restarts(&stage);
        desktop.ends();
    }
}

#[test]
fn output_that_is_read_again_goes_on_with_how_much_is_missing() {
    let stage = Stage::new();
    let mut desktop = Unread::start(stage.run("seq 1000000; exec sleep 1000"), false);
    all_ready(&stage);
    wait_until("the app has printed all", || {
        logged(&stage, LogSource::App).ends_with("app: 1000000\n")
    });
    let [_, errors] = &mut desktop._outputs;
    let (mut said, mut block) = (Vec::new(), vec![0; 64 * 1024]);
    while !String::from_utf8_lossy(&said).ends_with("app: 1000000\n") {
        let count = errors.read(&mut block).expect("a pipe");
        said.extend_from_slice(&block[..count]);
    }
    let said = String::from_utf8_lossy(&said).into_owned();
    let own: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("app: ")).collect();
    let missing = own.iter().filter_map(|line| line.strip_prefix('(')?.split(' ').next());
    let missing: usize = missing.map(|count| count.parse::<usize>().expect("a number")).sum();
    let printed = own.iter().filter(|line| !line.starts_with('(')).count();
    assert_eq!(printed + missing, 1_000_000);
    desktop.ends();
}

#[test]
fn app_that_prints_without_end_costs_no_processor_and_hides_nobody() {
    // Lines, a line without an end, and nothing but ends.
    for app in ["yes", "tr '\\0' x </dev/zero", "yes ''"] {
        let stage = Stage::new();
        let desktop = Unread::start(stage.run(app), false);
        all_ready(&stage);
        let (start, pid) = (Instant::now(), desktop.lumen.id());
        let before = processor_seconds(pid);
        restarts(&stage);
        while start.elapsed() < Duration::from_secs(3) {
            assert!(answer(&stage).is_some(), "{app}");
        }
        let share = (processor_seconds(pid) - before) / start.elapsed().as_secs_f64();
        assert!(share < MOST_OF_A_PROCESSOR, "{app}: {share} of a processor");
        assert!(logged(&stage, LogSource::Supervisor).contains("media was ended by signal 9"));
        desktop.ends();
    }
}

#[test]
fn worker_that_logs_without_end_hides_nobody() {
    let stage = Stage::new().mode(Worker::Media, "log-flood");
    let desktop = Unread::start(stage.run("echo quiet; exec sleep 1000"), false);
    all_ready(&stage);
    wait_until("lines are dropped", || dropped(&stage, LogSource::Worker(Worker::Media)) > 10_000);
    assert_eq!(logged(&stage, LogSource::App), "app: quiet\n");
    desktop.ends();
}

#[test]
fn administrator_that_does_not_read_holds_up_nobody() {
    let stage = Stage::new();
    let plain = stage.run("seq 4000; exec sleep 1000");
    let mut few = Command::new("/bin/sh");
    few.args(["-c", "ulimit -n 256; exec \"$0\" \"$@\""]).arg(plain.get_program());
    few.args(plain.get_args()).stdin(Stdio::null());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => few.env(name, value),
            None => few.env_remove(name),
        };
    }
    let desktop = Unread::start(few, false);
    all_ready(&stage);
    let mut readers: Vec<Child> = (0..5)
        .map(|_| stage.lumen("logs").arg("--follow").stdout(Stdio::piped()).spawn().expect("runs"))
        .collect();
    let socket = stage.directory.join(format!("runtime/lumen/admin-{}.sock", stage.name));
    // More than the supervisor may have descriptors.
    let silent: Vec<UnixStream> = match UnixStream::connect(&socket) {
        Ok(first) => std::iter::once(first)
            .chain((0..300).map(|_| UnixStream::connect(&socket).expect("it listens")))
            .collect(),
        // Root's sockets are elsewhere.
        Err(_) => (0..300)
            .map(|_| UnixStream::connect(format!("/run/lumen/admin-{}.sock", stage.name)))
            .collect::<io::Result<_>>()
            .expect("it listens"),
    };
    restarts(&stage);
    desktop.ends();
    drop(silent);
    for reader in &mut readers {
        let _ = reader.kill(); // Ended with the desktop, unless its own output is full.
        let _ = reader.wait();
    }
}
