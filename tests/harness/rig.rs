//! One running Lumen, started for one test and ended with it.
//!
//! INVARIANT: at most one rig runs on this machine at a time (a file lock sees to it, whatever
//! runs the tests), because each brings an encoder and often a browser, and a test that measures
//! or waits must not compete with another.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    rc::Rc,
};

use anyhow::{Context, Result, bail, ensure};
use lumen_ipc::{process::Worker, service::HostStatus};
use nix::{
    fcntl::{Flock, FlockArg},
    sys::signal::{Signal, kill},
    unistd::{Pid, geteuid},
};

pub use crate::home::{TEST_USER, runs_as_root};
use crate::{
    app::{AppLog, Show},
    home::{Home, Starter},
    network::{Host, spawn_on},
    patience::{wait_for, wait_until},
    process::{Process, descendants},
    stage::{LUMEN, SANDBOX, Stage, TEST_APP},
};

/// How to start Lumen.
#[derive(Debug)]
pub struct Setup {
    starter: Starter,
    options: Vec<OsString>,
    app: App,
    stage: Option<Stage>,
    tells: bool,
    listen: String,
    host: Option<Rc<Host>>,
    launcher: Vec<String>,
    caller: Caller,
}

/// What starts Lumen in another way than a shell would.
#[derive(Debug, Default)]
struct Caller {
    executor: Vec<OsString>,
    sandbox: Option<Vec<String>>,
    environment: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
}

#[derive(Debug)]
enum App {
    Command(Vec<String>),
    None,
    Test { show: Show, fps: u32, format: &'static str },
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            starter: Starter::Ordinary,
            options: Vec::new(),
            app: App::Test { show: Show::default(), fps: 60, format: "xrgb" },
            stage: None,
            tells: true,
            listen: "127.0.0.1:0".to_owned(),
            host: None,
            launcher: Vec::new(),
            caller: Caller::default(),
        }
    }
}

impl Setup {
    /// An ordinary user starts Lumen with the test app.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What the test app shows, at most so often a second.
    #[must_use]
    pub fn show(mut self, show: Show, fps: u32) -> Self {
        self.app = App::Test { show, fps, format: "xrgb" };
        self
    }

    /// As [`Self::show`], in a window that the compositor has to draw: something behind it might be
    /// seen.
    #[must_use]
    pub fn show_drawn(mut self, show: Show, fps: u32) -> Self {
        self.app = App::Test { show, fps, format: "argb" };
        self
    }

    /// Another app than the test app.
    #[must_use]
    pub fn app<S: Into<String>>(mut self, command: impl IntoIterator<Item = S>) -> Self {
        self.app = App::Command(command.into_iter().map(Into::into).collect());
        self
    }

    /// No app is named.
    #[must_use]
    pub fn no_app(mut self) -> Self {
        self.app = App::None;
        self
    }

    /// An option of `lumen run` with its value.
    #[must_use]
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.options.extend([name.into(), value.into()]);
        self
    }

    /// An option of `lumen run` that has no value.
    #[must_use]
    pub fn switch(mut self, name: &str) -> Self {
        self.options.push(name.into());
        self
    }

    /// Root starts Lumen, for the desktop of [`TEST_USER`].
    #[must_use]
    pub fn as_root(mut self) -> Self {
        self.starter = Starter::Root;
        self.option("--user", TEST_USER)
    }

    /// Root starts Lumen, for a user that exists only meanwhile.
    #[must_use]
    pub fn as_root_for_nobody(mut self) -> Self {
        self.starter = Starter::Root;
        self
    }

    /// An ordinary user whom no database names starts Lumen, as in many containers.
    #[must_use]
    pub fn as_nameless(mut self, uid: u32) -> Self {
        self.starter = Starter::Nameless(uid);
        self
    }

    /// A command that is given Lumen's command line as its own last words and executes it.
    #[must_use]
    pub fn executed_by<S: Into<OsString>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.caller.executor = words.into_iter().map(Into::into).collect();
        self
    }

    /// Root starts Lumen, and every other command of it, in a sandbox with these options
    /// (`tests/stubs/sandbox`).
    #[must_use]
    pub fn in_sandbox(mut self, options: &[&str]) -> Self {
        self.starter = Starter::Root;
        self.caller.sandbox = Some(options.iter().map(|option| (*option).to_owned()).collect());
        self
    }

    /// A variable in the environment that Lumen is started with.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.caller.environment.push((name.into(), value.into()));
        self
    }

    /// The folder that Lumen is started in.
    #[must_use]
    pub fn in_folder(mut self, folder: &Path) -> Self {
        self.caller.folder = Some(folder.to_owned());
        self
    }

    /// Other binaries than those that were built.
    #[must_use]
    pub fn on_stage(mut self, stage: Stage) -> Self {
        self.stage = Some(stage);
        self
    }

    /// Browsers find it at `listen`.
    #[must_use]
    pub fn listen(mut self, listen: &str) -> Self {
        listen.clone_into(&mut self.listen);
        self
    }

    /// On a host of its own, where browsers find it at `listen`.
    #[must_use]
    pub fn on_host(mut self, host: &Rc<Host>, listen: &str) -> Self {
        self.host = Some(Rc::clone(host));
        self.listen(listen)
    }

    /// Another program starts Lumen as its only child: this one, with these arguments.
    #[must_use]
    pub fn through<S: Into<String>>(mut self, launcher: impl IntoIterator<Item = S>) -> Self {
        self.launcher = launcher.into_iter().map(Into::into).collect();
        self
    }

    /// Does not show at the end what Lumen printed: for benchmarks, whose output is a table.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.tells = false;
        self
    }

    /// Starts Lumen and waits until it has printed its address.
    ///
    /// # Errors
    /// When it ends instead, with what it said.
    pub fn start(self) -> Result<Rig> {
        let launches = !self.launcher.is_empty();
        let mut launched = self.launch()?;
        let url = wait_for("lumen run prints its address or ends", || {
            let ended = launched.lumen.try_wait().ok().flatten();
            match (printed_url(&launched.said()), ended) {
                (Some(url), _) => Some(Ok(url)),
                (None, Some(status)) => Some(Err(status)),
                (None, None) => None,
            }
        })?;
        match url {
            Ok(url) => Rig::new(launched, url, launches),
            Err(status) => bail!("lumen run ended with {status}"),
        }
    }

    /// Starts Lumen where it is expected to end by itself, and waits for that.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn run_to_end(self) -> Result<Ended> {
        let mut launched = self.launch()?;
        let status = wait_for("lumen run ends by itself", || launched.lumen.try_wait().ok()?)?;
        Ok(Ended { status, said: launched.said() })
    }

    fn launch(self) -> Result<Launched> {
        let lock = Flock::lock(lock_file()?, FlockArg::LockExclusive)
            .map_err(|(_, error)| anyhow::Error::from(error).context("waiting for other rigs"))?;
        let stage = self.stage.map_or_else(Stage::new, Ok)?;
        let home = Home::new(self.starter)?;
        let log = AppLog::at(home.path("app.jsonl"));
        let mut command = self.caller.command(&self.launcher, &home, &stage);
        command.args(["run", "--listen", &self.listen]).args(&self.options);
        match &self.app {
            App::None => {}
            App::Command(words) => {
                command.arg("--").args(words);
            }
            App::Test { show, fps, format } => {
                command.arg("--").arg(stage.path(TEST_APP)).arg("--log").arg(log.path());
                command.args(["--picture", show.name(), "--fps", &fps.to_string()]);
                command.args(["--format", format]);
            }
        }
        let output = OpenOptions::new().create(true).append(true).open(home.path("output.txt"))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let lumen = spawn_on(self.host.as_deref(), &mut command)?;
        let tells = self.tells;
        let caller = self.caller;
        Ok(Launched { lumen, caller, home, stage, log, tells, _host: self.host, _lock: lock })
    }
}

impl Caller {
    /// `lumen`, as the caller starts it.
    fn command(&self, launcher: &[String], home: &Home, stage: &Stage) -> Command {
        let mut words: Vec<OsString> = launcher.iter().map(OsString::from).collect();
        words.extend(self.executor.iter().cloned());
        words.extend(self.sandboxed(stage));
        let lumen = stage.path(LUMEN);
        words.push(lumen.clone().into());
        let mut command = home.command(words.first().map_or(lumen.as_path(), Path::new));
        command.args(words.iter().skip(1));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command
    }

    /// The words before those of a command that is to run in the sandbox.
    fn sandboxed(&self, stage: &Stage) -> Vec<OsString> {
        let Some(options) = &self.sandbox else { return Vec::new() };
        let options = options.iter().map(OsString::from);
        [stage.path(SANDBOX).into()].into_iter().chain(options).chain(["--".into()]).collect()
    }
}

/// What remains of a Lumen that ended by itself.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub status: ExitStatus,
    /// All that it printed.
    pub said: String,
}

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
    /// `launches` says that the process started was not Lumen itself but its parent.
    fn new(launched: Launched, url: String, launches: bool) -> Result<Self> {
        let address = url.strip_prefix("http://").map(|rest| {
            let host = rest.split('/').next().unwrap_or_default();
            host.parse::<SocketAddr>().with_context(|| format!("{host} in the printed address"))
        });
        let address = address.transpose()?;
        let started = Process(launched.lumen.id());
        let mut children = descendants(started).into_iter();
        let child = children.find(|child| child.parent().is_ok_and(|parent| parent == started));
        let supervisor = if launches { child.context("Lumen's process")? } else { started };
        Ok(Self { launched, supervisor, url, address })
    }

    /// Starts Lumen with the test app's quadrants, and nothing else special.
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

    /// The address to open from another host, under which `host` is this one.
    #[must_use]
    pub fn url_from(&self, host: &str) -> String {
        format!("http://{host}:{}/#token={}", self.address().port(), self.token())
    }

    /// Where the gateway listens.
    ///
    /// # Panics
    /// On one that listens on a Unix socket, which a test chooses itself.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address.expect("this Lumen listens on a port")
    }

    /// The token in the printed address.
    #[must_use]
    pub fn token(&self) -> &str {
        self.url.split_once("token=").map_or("", |(_, token)| token)
    }

    /// What the test app wrote down.
    #[must_use]
    pub fn app_log(&self) -> &AppLog {
        &self.launched.log
    }

    /// All that Lumen and its workers printed so far.
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
        let asked = Caller { sandbox: caller.sandbox.clone(), ..Caller::default() };
        let mut command = asked.command(&[], home, stage);
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

    /// The process of a worker, if it has one.
    ///
    /// # Errors
    /// As [`Rig::status`].
    pub fn worker(&self, worker: Worker) -> Result<Option<Process>> {
        let status = self.status()?;
        let process = status.workers.iter().find(|process| process.worker == worker);
        Ok(process.and_then(|process| process.pid).map(Process))
    }

    /// Waits until a worker is ready, and returns its process.
    ///
    /// # Errors
    /// When it is not in time.
    pub fn ready_worker(&self, worker: Worker) -> Result<Process> {
        wait_for(&format!("{worker} is ready"), || {
            let status = self.status().ok()?;
            let process = status.workers.iter().find(|process| process.worker == worker)?;
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

    /// Kills a worker as hard as it goes.
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

/// The address in what `lumen run` printed. An app's lines may have others before it.
fn printed_url(said: &str) -> Option<String> {
    let (_, url) = said.split_once("Lumen is ready: ")?;
    url.split_whitespace().next().map(str::to_owned)
}

fn lock_file() -> Result<File> {
    let path = std::env::temp_dir().join(format!("lumen-tests-{}.lock", geteuid()));
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    file.with_context(|| format!("opening {}", path.display()))
}

/// A started supervisor with all that belongs to it.
#[derive(Debug)]
struct Launched {
    lumen: Child,
    caller: Caller,
    home: Home,
    stage: Stage,
    log: AppLog,
    tells: bool,
    /// Gone only after what runs on it.
    _host: Option<Rc<Host>>,
    _lock: Flock<File>,
}

impl Launched {
    fn said(&self) -> String {
        let bytes = fs::read(self.home.path("output.txt")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        let supervisor = Process(self.lumen.id());
        let family = descendants(supervisor);
        // It may have ended already; then there is nobody to ask.
        let _ = signal(supervisor, Signal::SIGTERM);
        let ended = wait_until("lumen ends", || !matches!(self.lumen.try_wait(), Ok(None)));
        if ended.is_err() {
            println!("lumen did not end on SIGTERM and is killed");
            let _ = self.lumen.kill();
            let _ = self.lumen.wait();
        }
        for process in family.into_iter().filter(|process| process.is_alive()) {
            // Left by a supervisor that was killed. Gone meanwhile is fine, too.
            let _ = kill_hard(process);
        }
        if self.tells {
            // The test runner shows this only for a test that fails.
            println!("--- what lumen printed ---\n{}--- end ---", self.said());
        }
    }
}
