//! How a test starts Lumen: with which app and options, as which user, and where.

use std::{
    cell::RefCell,
    ffi::OsString,
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    rc::Rc,
};

use anyhow::{Context, Result, bail};
use nix::{
    fcntl::{Flock, FlockArg},
    unistd::geteuid,
};

use crate::{
    app::{AppLog, Show},
    home::{Home, Starter, TEST_USER},
    insight::check_proc,
    network::{Host, spawn_on},
    patience::wait_for,
    rig::{Launched, Rig},
    stage::{BEEPER, LUMEN, SANDBOX, Stage, TEST_APP},
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
    turn: Option<Turn>,
}

/// A turn on the machine, on which one test at a time starts Lumen.
#[derive(Debug)]
pub struct Turn(RefCell<Option<Flock<File>>>);

impl Turn {
    /// Waits for the turn, for a test that prepares the machine for a start.
    ///
    /// # Errors
    /// When the lock cannot be used.
    pub fn take() -> Result<Self> {
        check_proc()?;
        lock().map(|lock| Self(RefCell::new(Some(lock))))
    }

    /// Lets other tests have the machine while this one does `wait`, and waits for the turn again.
    pub(crate) fn lend<T>(&self, wait: impl FnOnce() -> Result<T>) -> Result<T> {
        drop(self.0.take());
        let waited = wait();
        self.0.replace(Some(lock()?));
        waited
    }
}

/// Ways to start Lumen that differ from a shell's.
#[derive(Debug, Default)]
pub(crate) struct Caller {
    executor: Vec<OsString>,
    sandbox: Option<Vec<String>>,
    environment: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
}

/// What is started inside a desktop.
#[derive(Debug)]
pub(crate) enum App {
    Beeper,
    Command(Vec<String>),
    None,
    /// The test app, and what is started beside it.
    Test {
        show: Show,
        fps: u32,
        format: &'static str,
        beside: Option<String>,
    },
}

impl Default for App {
    fn default() -> Self {
        Self::test(Show::default(), 60)
    }
}

impl App {
    /// The test app with an opaque window.
    pub(crate) fn test(show: Show, fps: u32) -> Self {
        Self::Test { show, fps, format: "xrgb", beside: None }
    }

    /// Appends it to the command line of a desktop.
    pub(crate) fn add_to(&self, command: &mut Command, stage: &Stage, log: &AppLog) {
        match self {
            Self::None => {}
            Self::Beeper => {
                command.arg("--").arg(stage.path(BEEPER)).arg(stage.path(TEST_APP));
                command.arg("--log").arg(log.path()).args(["--picture", Show::Flash.name()]);
            }
            Self::Command(words) => {
                command.arg("--").args(words);
            }
            Self::Test { show, fps, format, beside } => {
                command.arg("--");
                if let Some(beside) = beside {
                    command.args(["sh", "-c", &format!("{beside} & exec \"$@\""), "sh"]);
                }
                command.arg(stage.path(TEST_APP)).arg("--log").arg(log.path());
                command.args(["--picture", show.name(), "--fps", &fps.to_string()]);
                command.args(["--format", format]);
            }
        }
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            starter: Starter::Ordinary,
            options: Vec::new(),
            app: App::default(),
            stage: None,
            tells: true,
            listen: "127.0.0.1:0".to_owned(),
            host: None,
            launcher: Vec::new(),
            caller: Caller::default(),
            turn: None,
        }
    }
}

impl Setup {
    /// An ordinary user starts Lumen with the test app.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What the test app shows, and at most how often a second.
    #[must_use]
    pub fn show(mut self, show: Show, fps: u32) -> Self {
        self.app = App::test(show, fps);
        self
    }

    /// As [`Self::show`], in a window that is not opaque, so that the compositor has to draw it.
    #[must_use]
    pub fn show_drawn(mut self, show: Show, fps: u32) -> Self {
        self.app = App::Test { show, fps, format: "argb", beside: None };
        self
    }

    /// A shell command that runs beside the test app.
    ///
    /// # Panics
    /// When another app was chosen.
    #[must_use]
    pub fn beside(mut self, command: String) -> Self {
        let App::Test { beside, .. } = &mut self.app else { panic!("it is not the test app") };
        *beside = Some(command);
        self
    }

    /// The test app flashes, and a beep belongs to each flash ([`crate::step`]).
    #[must_use]
    pub fn flash_and_beep(mut self) -> Self {
        self.app = App::Beeper;
        self
    }

    /// Another app than the test app.
    #[must_use]
    pub fn app<S: Into<String>>(mut self, command: impl IntoIterator<Item = S>) -> Self {
        self.app = App::Command(command.into_iter().map(Into::into).collect());
        self
    }

    /// Names no app.
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

    /// Root starts Lumen, for a temporary user.
    #[must_use]
    pub fn as_root_for_nobody(mut self) -> Self {
        self.starter = Starter::Root;
        self
    }

    /// A user whom no database names starts Lumen, as in many containers.
    #[must_use]
    pub fn as_nameless(mut self, uid: u32) -> Self {
        self.starter = Starter::Nameless(uid);
        self
    }

    /// Starts Lumen through a command that gets Lumen's command line as its last arguments and
    /// executes it.
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

    /// In a turn that was taken before.
    #[must_use]
    pub fn in_turn(mut self, turn: Turn) -> Self {
        self.turn = Some(turn);
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

    /// Uses other binaries than those that were built.
    #[must_use]
    pub fn on_stage(mut self, stage: Stage) -> Self {
        self.stage = Some(stage);
        self
    }

    /// Browsers connect at `listen`.
    #[must_use]
    pub fn listen(mut self, listen: &str) -> Self {
        listen.clone_into(&mut self.listen);
        self
    }

    /// On a test host, where browsers connect at `listen`.
    #[must_use]
    pub fn on_host(mut self, host: &Rc<Host>, listen: &str) -> Self {
        self.host = Some(Rc::clone(host));
        // What is tested there is the way of pictures, by clients without TLS.
        self.listen(listen).option("--tls", "off")
    }

    /// Another program, with these arguments, starts Lumen as its only child.
    #[must_use]
    pub fn through<S: Into<String>>(mut self, launcher: impl IntoIterator<Item = S>) -> Self {
        self.launcher = launcher.into_iter().map(Into::into).collect();
        self
    }

    /// Does not print Lumen's output at the end: for benchmarks, whose output is a table.
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
        let mut launched = self.launch()?;
        let url = wait_for("lumen run prints its address or ends", || {
            let ended = launched.lumen.try_wait().ok().flatten();
            match (printed_after(&launched.said(), "Lumen is ready: "), ended) {
                (Some(url), _) => Some(Ok(url)),
                (None, Some(status)) => Some(Err(status)),
                (None, None) => None,
            }
        })?;
        match url {
            Ok(url) => Rig::new(launched, url),
            Err(status) => bail!("lumen run ended with {status}"),
        }
    }

    /// Starts Lumen, which is expected to end by itself, and waits for that.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn run_to_end(self) -> Result<Ended> {
        let mut launched = self.launch()?;
        let status = wait_for("lumen run ends by itself", || launched.lumen.try_wait().ok()?)?;
        Ok(Ended { status, said: launched.said() })
    }

    fn launch(self) -> Result<Launched> {
        let turn = self.turn.map_or_else(Turn::take, Ok)?;
        let stage = self.stage.map_or_else(Stage::new, Ok)?;
        let home = Home::new(self.starter)?;
        let log = AppLog::at(home.path("app.jsonl"));
        let mut command = self.caller.command(&self.launcher, &home, &stage);
        command.args(["run", "--listen", &self.listen]).args(&self.options);
        self.app.add_to(&mut command, &stage, &log);
        let output = OpenOptions::new().create(true).append(true).open(home.path("output.txt"))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let lumen = spawn_on(self.host.as_deref(), &mut command)?;
        let (tells, launches) = (self.tells, !self.launcher.is_empty());
        let caller = self.caller;
        Ok(Launched { lumen, launches, caller, home, stage, log, tells, _host: self.host, turn })
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

    /// `lumen`, started beside the caller: in the same place, but not in the same way.
    pub(crate) fn asking(&self, home: &Home, stage: &Stage) -> Command {
        let of_place = |(name, _): &&(OsString, OsString)| name == "XDG_RUNTIME_DIR";
        let environment = self.environment.iter().filter(of_place).cloned().collect();
        let asking = Self { sandbox: self.sandbox.clone(), environment, ..Self::default() };
        asking.command(&[], home, stage)
    }

    /// The words before those of a command that runs in the sandbox.
    fn sandboxed(&self, stage: &Stage) -> Vec<OsString> {
        let Some(options) = &self.sandbox else { return Vec::new() };
        let options = options.iter().map(OsString::from);
        [stage.path(SANDBOX).into()].into_iter().chain(options).chain(["--".into()]).collect()
    }
}

/// The result of a Lumen that ended by itself.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// Its output.
    pub said: String,
}

/// The word that follows `words` in what was printed; after the address an app's lines may have others.
pub(crate) fn printed_after(said: &str, words: &str) -> Option<String> {
    let (_, rest) = said.split_once(words)?;
    rest.split_whitespace().next().map(str::to_owned)
}

fn lock() -> Result<Flock<File>> {
    Flock::lock(lock_file()?, FlockArg::LockExclusive)
        .map_err(|(_, error)| anyhow::Error::from(error).context("waiting for other rigs"))
}

fn lock_file() -> Result<File> {
    let path = std::env::temp_dir().join(format!("lumen-tests-{}.lock", geteuid()));
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    file.with_context(|| format!("opening {}", path.display()))
}
