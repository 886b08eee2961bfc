//! One host and any number of sessions, each a process of its own, started with `lumen serve` and
//! `lumen session`.
//!
//! Host and sessions may be ended and started in any order. The host keeps its port when it is
//! restarted. As with [`crate::rig`], only one test at a time uses this machine.

mod ground;
mod session;

use std::{
    cell::Cell,
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Output,
    rc::Rc,
};

use anyhow::{Context, Result, ensure};
use lumen_ipc::{
    process::ProcessId,
    service::{HostStatus, ProcessStatus, SessionStatus},
};

use self::ground::{Ground, Program};
pub use self::session::{SessionRig, SessionSetup};
use crate::{
    home::{Home, Starter},
    patience::{wait_for, wait_until},
    process::Process,
    rig::kill_hard,
    setup::Turn,
    stage::Stage,
};

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

    /// Root starts the host and its sessions, which are [`TEST_USER`](crate::rig::TEST_USER)'s.
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
