//! One host and any number of sessions, each a process of its own, started with `lumen serve` and
//! `lumen session`.
//!
//! Host and sessions may be ended and started in any order. The host keeps its port when it is
//! restarted. As with [`crate::rig`], only one test at a time uses this machine.

use std::{
    cell::Cell,
    ffi::OsString,
    fs::{self, OpenOptions},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    rc::Rc,
};

use anyhow::{Context, Result, bail, ensure};
use lumen_ipc::{
    process::ProcessId,
    service::{HostStatus, ProcessStatus, SessionStatus},
    units::SessionId,
};

use crate::{
    app::{AppLog, Show},
    home::{Home, Starter, TEST_USER},
    patience::{wait_for, wait_until},
    process::{Process, descendants},
    rig::{end, kill_hard},
    setup::{App, Turn, printed_after},
    stage::{LUMEN, Stage},
};

/// What the host and the sessions of one test share.
#[derive(Debug)]
struct Ground {
    home: Home,
    stage: Stage,
    programs: Cell<u32>,
    _turn: Turn,
}

impl Ground {
    /// `lumen` with these arguments, run as the user who starts everything here.
    fn lumen(&self, words: &[&str]) -> Command {
        let mut command = self.home.command(&self.stage.path(LUMEN));
        command.args(words).stdin(Stdio::null());
        command
    }

    fn start(&self, mut command: Command) -> Result<Program> {
        let number = self.programs.get();
        self.programs.set(number + 1);
        let output = self.home.path(&format!("output-{number}.txt"));
        let file = OpenOptions::new().create(true).append(true).open(&output)?;
        command.stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().context("starting lumen")?;
        Ok(Program { child, output, left: Vec::new() })
    }
}

/// A running `lumen`. Dropping it ends it and all its descendants.
#[derive(Debug)]
struct Program {
    child: Child,
    output: PathBuf,
    /// Its descendants when it was killed.
    left: Vec<Process>,
}

impl Program {
    fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap_or_default()).into_owned()
    }

    fn process(&self) -> Process {
        Process(self.child.id())
    }

    /// Waits for the word after `words` in its output.
    fn printed_after(&mut self, words: &str) -> Result<String> {
        let printed = wait_for(&format!("lumen prints `{words}` or ends"), || {
            let ended = self.child.try_wait().ok().flatten();
            match (printed_after(&self.said(), words), ended) {
                (Some(word), _) => Some(Ok(word)),
                (None, Some(status)) => Some(Err(status)),
                (None, None) => None,
            }
        })?;
        printed.or_else(|status| bail!("lumen ended with {status}: {}", self.said()))
    }

    fn wait_for_end(&mut self) -> Result<ExitStatus> {
        wait_for("lumen ends", || self.child.try_wait().ok()?)
    }

    /// Kills it with SIGKILL, and waits until it is gone.
    fn kill(&mut self) -> Result<()> {
        self.left = descendants(self.process());
        kill_hard(self.process())?;
        self.wait_for_end().map(drop)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        end(&mut self.child);
        for process in self.left.iter().filter(|process| process.is_alive()) {
            // The process may have ended meanwhile.
            let _ = kill_hard(*process);
        }
        let name = self.output.file_name().unwrap_or_default().display();
        // The test runner shows this only for a test that fails.
        println!("--- what lumen printed ({name}) ---\n{}--- end ---", self.said());
    }
}

/// How to start a host.
#[derive(Debug)]
pub struct HostSetup {
    starter: Starter,
    options: Vec<OsString>,
    stage: Option<Stage>,
}

impl Default for HostSetup {
    fn default() -> Self {
        Self { starter: Starter::Ordinary, options: Vec::new(), stage: None }
    }
}

impl HostSetup {
    /// An ordinary user starts the host and its sessions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Root starts the host and its sessions, which are [`TEST_USER`]'s.
    #[must_use]
    pub fn as_root(mut self) -> Self {
        self.starter = Starter::Root;
        self
    }

    /// An option of `lumen serve` with its value.
    #[must_use]
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.options.extend([name.into(), value.into()]);
        self
    }

    /// Uses other binaries than those that were built, for the host and its sessions.
    #[must_use]
    pub fn on_stage(mut self, stage: Stage) -> Self {
        self.stage = Some(stage);
        self
    }

    /// Prepares everything, without starting a host.
    ///
    /// # Errors
    /// When the folders cannot be made.
    pub fn prepare(self) -> Result<HostRig> {
        let turn = Turn::take()?;
        let (home, stage) = (Home::new(self.starter)?, self.stage.map_or_else(Stage::new, Ok)?);
        // A free port. No other test takes one meanwhile.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        Ok(HostRig {
            serve: None,
            ground: Rc::new(Ground { home, stage, programs: Cell::new(0), _turn: turn }),
            address,
            options: self.options,
            as_root: self.starter == Starter::Root,
        })
    }

    /// Starts the host, and waits until browsers can connect.
    ///
    /// # Errors
    /// When it ends instead. The error has its output.
    pub fn start(self) -> Result<HostRig> {
        let mut rig = self.prepare()?;
        rig.serve()?;
        Ok(rig)
    }
}

/// A host; at most one process of it runs at a time.
#[derive(Debug)]
pub struct HostRig {
    /// Dropped before the folders that it uses.
    serve: Option<Program>,
    ground: Rc<Ground>,
    address: SocketAddr,
    options: Vec<OsString>,
    as_root: bool,
}

impl HostRig {
    /// A host of an ordinary user, without options.
    ///
    /// # Errors
    /// As [`HostSetup::start`].
    pub fn start() -> Result<Self> {
        HostSetup::new().start()
    }

    /// Starts the host's process, for the first time or again, and waits until browsers can
    /// connect.
    ///
    /// # Errors
    /// When it ends instead. The error has its output.
    pub fn serve(&mut self) -> Result<()> {
        let listen = self.address.to_string();
        let mut command = self.ground.lumen(&["serve", "--listen", &listen]);
        command.args(&self.options);
        let mut serve = self.ground.start(command)?;
        serve.printed_after("Lumen's host is ready: ")?;
        self.serve = Some(serve);
        Ok(())
    }

    /// Has the next process of the host listen at another port.
    ///
    /// # Errors
    /// When no port is free.
    pub fn move_elsewhere(&mut self) -> Result<()> {
        self.address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        Ok(())
    }

    /// Replaces the options of the host's next process.
    pub fn set_options(&mut self, options: &[&str]) {
        self.options = options.iter().map(Into::into).collect();
    }

    /// Kills the host's process as `kill -9` does.
    ///
    /// # Errors
    /// When there is none.
    pub fn kill(&mut self) -> Result<()> {
        self.serve.take().context("no host runs")?.kill()
    }

    /// Ends the host's process as Ctrl-C does.
    pub fn stop(&mut self) {
        self.serve = None;
    }

    /// The host's process.
    ///
    /// # Errors
    /// When there is none.
    pub fn process(&self) -> Result<Process> {
        self.serve.as_ref().map(Program::process).context("no host runs")
    }

    /// The output of the running host's process.
    #[must_use]
    pub fn said(&self) -> String {
        self.serve.as_ref().map(Program::said).unwrap_or_default()
    }

    /// Where browsers connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The folder for the sockets of host and sessions.
    #[must_use]
    pub fn runtime_folder(&self) -> &Path {
        &self.ground.home.runtime
    }

    /// A file beside the binaries.
    #[must_use]
    pub fn staged(&self, name: &str) -> PathBuf {
        self.ground.stage.path(name)
    }

    /// A file in the home of the sessions' user.
    #[must_use]
    pub fn at_home(&self, name: &str) -> PathBuf {
        self.ground.home.path(name)
    }

    /// The folder in which the host has its socket for sessions and its state.
    #[must_use]
    pub fn run_folder(&self) -> PathBuf {
        match self.as_root {
            true => PathBuf::from("/run/lumen"),
            false => self.ground.home.runtime.join("lumen"),
        }
    }

    /// Runs another command of `lumen`, as the user who started the host.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn lumen(&self, words: &[&str]) -> Result<Output> {
        self.ground.lumen(words).output().context("running lumen")
    }

    /// Runs another command of `lumen` as a user with one group only. For root, who alone can be others.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn lumen_as(&self, uid: u32, gid: u32, words: &[&str]) -> Result<Output> {
        let mut command = self.ground.lumen(words);
        command.env_remove("XDG_RUNTIME_DIR").current_dir("/").uid(uid).gid(gid);
        command.output().context("running lumen as another user")
    }

    /// The output of `lumen status --json`.
    ///
    /// # Errors
    /// When the command fails or prints something else.
    pub fn status(&self) -> Result<HostStatus> {
        let output = self.lumen(&["status", "--json"])?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "lumen status: {} {said}", output.status);
        serde_json::from_slice(&output.stdout).context("what lumen status --json printed")
    }

    /// Waits until the host has this many sessions with complete information, and returns its status.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn wait_for_sessions(&self, count: usize) -> Result<HostStatus> {
        wait_for(&format!("the host has {count} sessions"), || {
            let status = self.status().ok()?;
            let known = |session: &SessionStatus| session.app.pid.is_some();
            let complete = status.sessions.iter().all(known);
            (status.sessions.len() == count && complete).then_some(status)
        })
    }

    /// The status of a worker of a session or of the host, if it exists.
    ///
    /// # Errors
    /// As [`HostRig::status`].
    pub fn worker(&self, worker: ProcessId) -> Result<Option<ProcessStatus>> {
        let status = self.status()?;
        Ok(status.processes().find(|process| process.process == worker).cloned())
    }

    /// Waits until a worker is ready, and returns its process.
    ///
    /// # Errors
    /// When it is not ready in time.
    pub fn ready_worker(&self, worker: ProcessId) -> Result<Process> {
        wait_for(&format!("{} is ready", worker.kind()), || {
            let process = self.worker(worker).ok()??;
            (process.state.as_str() == "ready").then_some(process.pid).flatten().map(Process)
        })
    }

    /// Kills a worker, and waits until another serves in its place.
    ///
    /// # Errors
    /// When that does not happen in time.
    pub fn replace(&self, worker: ProcessId) -> Result<Process> {
        let killed = self.ready_worker(worker)?;
        kill_hard(killed)?;
        wait_until(&format!("{} {} is gone", worker.kind(), killed.0), || !killed.is_alive())?;
        wait_for(&format!("{} is ready again", worker.kind()), || {
            self.ready_worker(worker).ok().filter(|process| *process != killed)
        })
    }
}

/// How to start a session of a host.
#[derive(Debug, Default)]
pub struct SessionSetup {
    options: Vec<OsString>,
    app: App,
}

impl SessionSetup {
    /// A session with the test app's quadrants.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what the test app shows, and its most pictures per second.
    #[must_use]
    pub fn show(mut self, show: Show, fps: u32) -> Self {
        self.app = App::test(show, fps);
        self
    }

    /// Another app than the test app.
    #[must_use]
    pub fn app<S: Into<String>>(mut self, command: impl IntoIterator<Item = S>) -> Self {
        self.app = App::Command(command.into_iter().map(Into::into).collect());
        self
    }

    /// An option of `lumen session` with its value.
    #[must_use]
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.options.extend([name.into(), value.into()]);
        self
    }

    /// Sets the session's display name.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        self.option("--name", name)
    }

    /// Starts the session's process, whether its host runs or not.
    ///
    /// # Errors
    /// When it cannot be executed.
    pub fn launch(self, host: &HostRig) -> Result<SessionRig> {
        let ground = Rc::clone(&host.ground);
        let number = ground.programs.get();
        let log = AppLog::at(ground.home.path(&format!("app-{number}.jsonl")));
        let mut command = ground.lumen(&["session"]);
        if host.as_root {
            command.args(["--user", TEST_USER]);
        }
        command.args(&self.options);
        self.app.add_to(&mut command, &ground.stage, &log);
        let program = ground.start(command)?;
        Ok(SessionRig { program, url: String::new(), log, _ground: ground })
    }

    /// Starts the session, and waits until it has printed its address.
    ///
    /// # Errors
    /// When it ends instead. The error has its output.
    pub fn start(self, host: &HostRig) -> Result<SessionRig> {
        let mut session = self.launch(host)?;
        session.wait_until_open()?;
        Ok(session)
    }
}

/// A session. Dropping it ends it and all that belongs to it.
#[derive(Debug)]
pub struct SessionRig {
    program: Program,
    url: String,
    log: AppLog,
    _ground: Rc<Ground>,
}

impl SessionRig {
    /// Waits until it has printed its address.
    ///
    /// # Errors
    /// When it ends instead. The error has its output.
    pub fn wait_until_open(&mut self) -> Result<()> {
        self.url = self.program.printed_after("Lumen is ready: ")?;
        Ok(())
    }

    /// The address that was printed, with the token.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The token in the printed address.
    #[must_use]
    pub fn token(&self) -> &str {
        self.url.split_once("token=").map_or("", |(_, token)| token)
    }

    /// The log of the test app.
    #[must_use]
    pub fn app_log(&self) -> &AppLog {
        &self.log
    }

    /// The output of the session and its workers.
    #[must_use]
    pub fn said(&self) -> String {
        self.program.said()
    }

    /// The session's supervisor.
    #[must_use]
    pub fn supervisor(&self) -> Process {
        self.program.process()
    }

    /// The number that the host assigned.
    ///
    /// # Errors
    /// When the host does not register it in time.
    pub fn number(&self, host: &HostRig) -> Result<SessionId> {
        wait_for("the host has the session", || {
            let sessions = host.status().ok()?.sessions;
            let own = |session: &&SessionStatus| session.supervisor_pid == self.supervisor().0;
            sessions.iter().find(own).map(|session| session.id)
        })
    }

    /// Kills its supervisor as `kill -9` does.
    ///
    /// # Errors
    /// When it has ended.
    pub fn kill(&mut self) -> Result<()> {
        self.program.kill()
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn wait_for_end(&mut self) -> Result<ExitStatus> {
        self.program.wait_for_end()
    }
}
