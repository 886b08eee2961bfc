//! A sound server that the user runs.

use std::{
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::{Pid, User, chown},
};

use crate::{
    patience::{wait_for_ok, wait_until},
    rig::{Rig, Setup, TEST_USER, runs_as_root},
    stage::Folder,
};

/// The sink that the user chose.
const CHOSEN: &str = "chosen_by_user";
/// Lumen's.
pub const OWN: &str = "lumen_capture";
/// What listens to Lumen's while there is a sound worker.
pub const EAR: &str = "lumen_ear";

/// A sound server and its session manager, in a runtime directory of their own.
#[derive(Debug)]
pub struct UserServer {
    /// Dropped first, and so ended.
    manager: Option<Program>,
    server: Option<Program>,
    user: Option<User>,
    folder: Folder,
}

/// A program and what it has started.
#[derive(Debug)]
struct Program(Child);

impl Program {
    fn end(&mut self, signal: Signal) {
        // The number of one that was waited for may be another's.
        if !matches!(self.0.try_wait(), Ok(None)) {
            return;
        }
        let group = i32::try_from(self.0.id()).map(Pid::from_raw);
        // What has ended already is not there to be signalled.
        let _ = group.map(|group| killpg(group, signal));
        let _ = self.0.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end(Signal::SIGTERM);
    }
}

impl UserServer {
    /// Neither program runs yet.
    ///
    /// # Errors
    /// When there is no place for them.
    pub fn absent() -> Result<Self> {
        let folder = Folder::new("sound", 0o700)?;
        let user = match runs_as_root() {
            true => Some(User::from_name(TEST_USER)?.context("the tests' user is missing")?),
            false => None,
        };
        if let Some(user) = &user {
            chown(folder.path(), Some(user.uid), Some(user.gid))?;
        }
        Ok(Self { manager: None, server: None, user, folder })
    }

    /// Both run, and the user has chosen a sink.
    ///
    /// # Errors
    /// When a program cannot be started or does not do its part.
    pub fn start() -> Result<Self> {
        let mut server = Self::absent()?;
        server.start_server()?;
        server.start_manager()?;
        let sink = format!(
            "{{ factory.name=support.null-audio-sink node.name={CHOSEN} \
             media.class=Audio/Sink object.linger=true audio.position=FL,FR }}"
        );
        server.ask(&["pw-cli", "create-node", "adapter", &sink])?;
        let value = format!("{{ \"name\": \"{CHOSEN}\" }}");
        let key = "default.configured.audio.sink";
        server.ask(&["pw-metadata", "-n", "default", "0", key, &value, "Spa:String:JSON"])?;
        server.wait_for_default(CHOSEN)?;
        Ok(server)
    }

    /// Starts the server, and waits until it answers.
    ///
    /// # Errors
    /// When it does not.
    pub fn start_server(&mut self) -> Result<()> {
        self.server = Some(self.launch(&["pipewire"])?);
        wait_for_ok("a sound server", || self.ask(&["pw-cli", "info", "0"]))?;
        Ok(())
    }

    /// Starts the session manager, and waits until it serves.
    ///
    /// # Errors
    /// When it does not.
    pub fn start_manager(&mut self) -> Result<()> {
        self.manager = Some(self.launch(&["dbus-run-session", "--", "wireplumber"])?);
        wait_until("its session manager", || self.is_managed().unwrap_or(false))
    }

    /// Kills the server. What depends on it ends by itself.
    pub fn kill_server(&mut self) {
        self.server.take().iter_mut().for_each(|program| program.end(Signal::SIGKILL));
    }

    /// Kills the session manager, and waits until its settings have gone with it.
    ///
    /// # Errors
    /// When they do not.
    pub fn kill_manager(&mut self) -> Result<()> {
        self.manager.take().iter_mut().for_each(|program| program.end(Signal::SIGKILL));
        wait_until("no session manager", || self.is_managed().is_ok_and(|is_managed| !is_managed))
    }

    fn launch(&self, words: &[&str]) -> Result<Program> {
        let child = self.command(words).process_group(0).spawn();
        Ok(Program(child.with_context(|| format!("starting {words:?}"))?))
    }

    fn command(&self, words: &[&str]) -> Command {
        let (program, arguments) = words.split_first().unwrap_or((&"true", &[]));
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("XDG_RUNTIME_DIR", self.folder.path())
            .env("HOME", self.folder.path())
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        if let Some(user) = &self.user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }

    /// What a tool of the server prints. A tool whose question meets the end of what it asks about waits
    /// for ever; that is as good as no answer.
    fn ask(&self, words: &[&str]) -> Result<String> {
        let words = [&["timeout", "--signal=KILL", "5"], words].concat();
        let output = self.command(&words).stdout(Stdio::piped()).output()?;
        ensure!(output.status.success(), "{words:?} ended with {}", output.status);
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Whether there are a session manager's settings.
    fn is_managed(&self) -> Result<bool> {
        let said = self.ask(&["pw-cli", "ls", "Metadata"])?;
        Ok(said.lines().any(|line| line.trim() == "metadata.name = \"default\""))
    }

    /// The settings.
    fn metadata(&self) -> Result<String> {
        self.ask(&["pw-metadata", "-n", "default"])
    }

    /// Waits until this sink is chosen, and the one to which programs play.
    ///
    /// # Errors
    /// When it is not.
    pub fn wait_for_default(&self, name: &str) -> Result<()> {
        wait_for_ok("the default sink", || {
            let said = self.metadata()?;
            let is_it = |key: &str| {
                let key = format!("key:'{key}'");
                said.lines().any(|line| line.contains(&key) && line.contains(name))
            };
            let all = ["default.configured.audio.sink", "default.audio.sink"];
            ensure!(all.iter().all(|key| is_it(key)), "it is not {name}: {said}");
            Ok(())
        })
    }

    /// The numbers of all nodes of this name, which are never given to others.
    fn nodes(&self, name: &str) -> Result<Vec<String>> {
        let said = self.ask(&["pw-cli", "ls", "Node"])?;
        let value = |line: &str, key: &str| {
            let rest = line.trim().strip_prefix(key)?.trim().strip_prefix("= \"")?;
            rest.strip_suffix('"').map(str::to_owned)
        };
        let (mut nodes, mut serial) = (Vec::new(), None);
        for line in said.lines() {
            serial = value(line, "object.serial").or(serial);
            if value(line, "node.name").is_some_and(|it| it == name) {
                nodes.extend(serial.take());
            }
        }
        Ok(nodes)
    }

    /// Waits until there are so many nodes of this name.
    ///
    /// # Errors
    /// When there are not.
    pub fn wait_for_nodes(&self, name: &str, count: usize) -> Result<()> {
        wait_for_ok("nodes of Lumen's", || {
            let nodes = self.nodes(name)?;
            ensure!(nodes.len() == count, "{name} is there as {nodes:?}");
            Ok(())
        })
    }

    /// Waits until another than `before` listens to the one sink of Lumen's, which is chosen. Returns what
    /// listens.
    ///
    /// # Errors
    /// When none does.
    pub fn is_lumens(&self, before: Option<&str>) -> Result<String> {
        let ear = wait_for_ok("what listens", || {
            let ears = self.nodes(EAR)?;
            let other = ears.into_iter().find(|ear| Some(ear.as_str()) != before);
            other.context("nothing listens")
        })?;
        self.wait_for_nodes(OWN, 1)?;
        self.wait_for_default(OWN)?;
        Ok(ear)
    }

    /// What a desktop of this user's is started with.
    #[must_use]
    pub fn setup(&self) -> Setup {
        Setup::new().variable("XDG_RUNTIME_DIR", PathBuf::from(self.folder.path()))
    }

    /// A desktop of this user's, and what listens there.
    ///
    /// # Errors
    /// When nothing does.
    pub fn desktop(&self) -> Result<(Rig, String)> {
        let rig = self.setup().app(["sleep", "1000"]).start()?;
        let ear = self.is_lumens(None)?;
        Ok((rig, ear))
    }

    /// Waits until nothing shows that there was a desktop.
    ///
    /// # Errors
    /// When something does.
    pub fn is_as_before(&self) -> Result<()> {
        self.wait_for_default(CHOSEN)?;
        self.wait_for_nodes(OWN, 0)?;
        let said = self.metadata()?;
        ensure!(!said.contains("lumen"), "something is left: {said}");
        Ok(())
    }
}
