//! One running Lumen, started for one test and ended with it.
//!
//! INVARIANT: at most one rig runs on this machine at a time (a file lock ensures it, whatever runs
//! the tests), because each brings an encoder and often a browser, and a test that measures or
//! waits must not compete with another. Only where a test waits for time to pass, it lets others have the
//! machine ([`Rig::wait_aside`]), and its rig does nothing meanwhile.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Child, ExitStatus, Output, Stdio},
    rc::Rc,
};

use anyhow::{Context, Result, bail, ensure};
use lumen_ipc::{
    process::{ProcessId, Worker},
    service::HostStatus,
    status::{Metric, MetricValue},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    app::AppLog,
    home::Home,
    network::Host,
    patience::{wait_for, wait_until},
    process::{Process, descendants},
    setup::Caller,
    stage::Stage,
};
pub use crate::{
    home::{TEST_USER, runs_as_root},
    insight::sees_into_workers,
    setup::{Ended, Setup, Turn},
};

/// A running Lumen. Dropping it ends every process it started.
#[derive(Debug)]
pub struct Rig {
    launched: Launched,
    supervisor: Process,
    url: String,
    /// `None` when it listens on a Unix socket.
    address: Option<SocketAddr>,
}

impl Rig {
    pub(crate) fn new(launched: Launched, url: String) -> Result<Self> {
        let rest = url.split_once("://").map(|(_, rest)| rest);
        // Behind a proxy only its administrator knows the address.
        let rest = rest.filter(|rest| !rest.starts_with("YOUR-PROXY"));
        let address = rest.map(|rest| {
            let host = rest.split('/').next().unwrap_or_default();
            host.parse::<SocketAddr>().with_context(|| format!("{host} in the printed address"))
        });
        let address = address.transpose()?;
        let supervisor = launched.supervisor().context("Lumen's process")?;
        Ok(Self { launched, supervisor, url, address })
    }

    /// Starts Lumen with the test app's quadrants, without options.
    ///
    /// # Errors
    /// As [`Setup::start`].
    pub fn start() -> Result<Self> {
        Setup::new().start()
    }

    /// The address that was printed, with the token.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URL to open on another host, where this one is called `host`.
    #[must_use]
    pub fn url_from(&self, host: &str) -> String {
        format!("http://{host}:{}/#token={}", self.address().port(), self.token())
    }

    /// Where the gateway listens.
    ///
    /// # Panics
    /// If it listens on a Unix socket, whose path the test chose itself.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address.expect("this Lumen listens on a port")
    }

    /// The origin of its page for browsers on this machine.
    #[must_use]
    pub fn origin(&self) -> String {
        let scheme = self.url.split("://").next().unwrap_or_default();
        format!("{scheme}://{}", self.address())
    }

    /// The token in the printed address.
    #[must_use]
    pub fn token(&self) -> &str {
        self.url.split_once("token=").map_or("", |(_, token)| token)
    }

    /// The log of the test app.
    #[must_use]
    pub fn app_log(&self) -> &AppLog {
        &self.launched.log
    }

    /// The output of Lumen and its workers so far.
    #[must_use]
    pub fn said(&self) -> String {
        self.launched.said()
    }

    /// The folder for this Lumen's sockets.
    #[must_use]
    pub fn runtime_folder(&self) -> &Path {
        &self.launched.home.runtime
    }

    /// The supervisor.
    #[must_use]
    pub fn supervisor(&self) -> Process {
        self.supervisor
    }

    /// Runs another command of `lumen` on this desktop.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn lumen(&self, arguments: &[&str]) -> Result<Output> {
        let Launched { caller, home, stage, .. } = &self.launched;
        let mut command = caller.asking(home, stage);
        command.args(arguments).stdin(Stdio::null()).output().context("running lumen")
    }

    /// What `lumen status --json` says.
    ///
    /// # Errors
    /// When the command fails or prints something else.
    pub fn status(&self) -> Result<HostStatus> {
        let output = self.lumen(&["status", "--json"])?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "lumen status: {} {said}", output.status);
        serde_json::from_slice(&output.stdout).context("what lumen status --json printed")
    }

    /// The value of a counter or gauge of a worker, as `lumen metrics` prints it.
    ///
    /// # Errors
    /// When the command fails, or the worker has no such metric.
    pub fn metric(&self, worker: Worker, name: &str) -> Result<i64> {
        let output = self.lumen(&["metrics", "--json"])?;
        let all: Vec<(ProcessId, Vec<Metric>)> = serde_json::from_slice(&output.stdout)?;
        let of_worker = all.into_iter().filter(|(process, _)| process.kind() == worker);
        let mut metrics = of_worker.flat_map(|(_, metrics)| metrics);
        let found = metrics.find(|metric| metric.name.as_str() == name);
        match found.with_context(|| format!("{worker} has no metric {name}"))?.value {
            MetricValue::Counter(count) => Ok(i64::try_from(count)?),
            MetricValue::Gauge(value) => Ok(value),
            MetricValue::Histogram(_) => bail!("{name} is a histogram"),
        }
    }

    /// The process id of the only session's app, if it runs.
    ///
    /// # Errors
    /// As [`Rig::status`].
    pub fn app_pid(&self) -> Result<Option<u32>> {
        Ok(self.status()?.sole_session().and_then(|session| session.app.pid))
    }

    /// The process of a worker, if it has one.
    ///
    /// # Errors
    /// As [`Rig::status`].
    pub fn worker(&self, worker: Worker) -> Result<Option<Process>> {
        let status = self.status()?;
        let process = status.processes().find(|process| process.process.kind() == worker);
        Ok(process.and_then(|process| process.pid).map(Process))
    }

    /// Waits until a worker is ready, and returns its process.
    ///
    /// # Errors
    /// When it is not in time.
    pub fn ready_worker(&self, worker: Worker) -> Result<Process> {
        wait_for(&format!("{worker} is ready"), || {
            let status = self.status().ok()?;
            let process = status.processes().find(|process| process.process.kind() == worker)?;
            (process.state.as_str() == "ready").then_some(process.pid).flatten().map(Process)
        })
    }

    /// Waits until all workers are ready, and returns their processes in the order of
    /// [`Worker::ALL`].
    ///
    /// # Errors
    /// When one is not in time.
    pub fn ready_workers(&self) -> Result<[Process; Worker::ALL.len()]> {
        let mut processes = [Process(0); Worker::ALL.len()];
        for (process, worker) in processes.iter_mut().zip(Worker::ALL) {
            *process = self.ready_worker(worker)?;
        }
        Ok(processes)
    }

    /// Kills a worker with SIGKILL.
    ///
    /// # Errors
    /// When it has no process.
    pub fn kill(&self, worker: Worker) -> Result<Process> {
        let process = self.ready_worker(worker)?;
        kill_hard(process)?;
        Ok(process)
    }

    /// Waits until a killed worker's successor is ready, and returns that.
    ///
    /// # Errors
    /// When there is none in time.
    pub fn successor(&self, worker: Worker, killed: Process) -> Result<Process> {
        wait_until(&format!("{worker} {} is gone", killed.0), || !killed.is_alive())?;
        wait_for(&format!("{worker} is ready again"), || {
            self.ready_worker(worker).ok().filter(|process| *process != killed)
        })
    }

    /// Sends Lumen a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub fn send(&self, sent: Signal) -> Result<()> {
        signal(self.supervisor(), sent)
    }

    /// Asks Lumen to end as ctrl-c does and waits for it.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        signal(self.supervisor(), Signal::SIGINT)?;
        self.wait_for_end()
    }

    /// Waits for something that only takes its time, such as until a worker that stands still is ended.
    /// Meanwhile other tests have the machine, and this one goes on when it is its turn again: so `wait` must
    /// not care how busy the machine is, nor what follows how late it is.
    ///
    /// # Errors
    /// As `wait`, and when the lock cannot be used.
    pub fn wait_aside<T>(&self, wait: impl FnOnce() -> Result<T>) -> Result<T> {
        self.launched.turn.lend(wait)
    }

    /// Waits until Lumen has ended by itself.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn wait_for_end(&mut self) -> Result<ExitStatus> {
        wait_for("lumen run ends", || self.launched.lumen.try_wait().ok()?)
    }
}

/// Kills a process with SIGKILL.
///
/// # Errors
/// When there is none.
pub fn kill_hard(process: Process) -> Result<()> {
    signal(process, Signal::SIGKILL)
}

fn signal(process: Process, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(i32::try_from(process.0)?);
    kill(pid, signal).with_context(|| format!("sending {signal} to {}", process.0))
}

/// Ends a `lumen` and all its descendants.
pub(crate) fn end(lumen: &mut Child) {
    let supervisor = Process(lumen.id());
    let family = descendants(supervisor);
    // It may have ended already; then the signal fails.
    let _ = signal(supervisor, Signal::SIGTERM);
    let ended = wait_until("lumen ends", || !matches!(lumen.try_wait(), Ok(None)));
    if ended.is_err() {
        println!("lumen did not end on SIGTERM and is killed");
        let _ = lumen.kill();
        let _ = lumen.wait();
    }
    for process in family.into_iter().filter(|process| process.is_alive()) {
        // Left by a supervisor that was killed; it may have ended meanwhile.
        let _ = kill_hard(process);
    }
}

/// A started supervisor and what belongs to it.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) lumen: Child,
    /// The started process is not Lumen itself but its parent.
    pub(crate) launches: bool,
    pub(crate) caller: Caller,
    pub(crate) home: Home,
    pub(crate) stage: Stage,
    pub(crate) log: AppLog,
    pub(crate) tells: bool,
    /// Dropped after everything that runs on it.
    pub(crate) _host: Option<Rc<Host>>,
    pub(crate) turn: Turn,
}

impl Launched {
    /// Lumen's own process; none when a launcher has not started it.
    fn supervisor(&self) -> Option<Process> {
        let started = Process(self.lumen.id());
        if !self.launches {
            return Some(started);
        }
        let mut children = descendants(started).into_iter();
        children.find(|child| child.parent().is_ok_and(|parent| parent == started))
    }

    pub(crate) fn said(&self) -> String {
        let bytes = fs::read(self.home.path("output.txt")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        // A launcher may not pass signals on: unshare(1) blocks them until its child has ended.
        if self.launches
            && let Some(supervisor) = self.supervisor()
        {
            // It may have ended already; then the signal fails.
            let _ = signal(supervisor, Signal::SIGTERM);
        }
        end(&mut self.lumen);
        if self.tells {
            // The test runner shows this only for a test that fails.
            println!("--- what lumen printed ---\n{}--- end ---", self.said());
        }
    }
}
