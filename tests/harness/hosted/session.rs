//! Sessions of a host.

use std::{ffi::OsString, process::ExitStatus, rc::Rc};

use anyhow::Result;
use lumen_ipc::{service::SessionStatus, units::SessionId};

use super::{
    HostRig,
    ground::{Ground, Program},
};
use crate::{
    app::{AppLog, Show},
    home::TEST_USER,
    patience::wait_for,
    process::Process,
    setup::App,
};

/// How to start a session of a host.
#[derive(Debug, Default)]
pub struct SessionSetup {
    options: Vec<OsString>,
    app: App,
    is_nameless: bool,
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

    /// The desktop of a user that exists only as long as it does, where root starts it.
    #[must_use]
    pub fn nameless(mut self) -> Self {
        self.is_nameless = true;
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
        if host.as_root && !self.is_nameless {
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
