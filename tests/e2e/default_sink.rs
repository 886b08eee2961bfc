//! A sound server that the user runs, whose default sink is Lumen's only while a session lasts.
//!
//! Needs PipeWire with its session manager and its tools.

use std::{
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use lumen_ipc::process::Worker;
use lumen_tests::{
    patience::{wait_for_ok, wait_until},
    rig::{Rig, Setup, TEST_USER, kill_hard, runs_as_root},
    stage::Folder,
};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::{Pid, User, chown},
};

/// The sink that the user chose.
const CHOSEN: &str = "chosen_by_user";
/// Lumen's.
const OWN: &str = "lumen_capture";
/// What listens to Lumen's while there is a sound worker.
const EAR: &str = "lumen_ear";

/// A sound server and its session manager, in a runtime directory of their own.
#[derive(Debug)]
struct UserServer {
    programs: Vec<Child>,
    user: Option<User>,
    folder: Folder,
}

impl UserServer {
    /// Starts one in which the user has chosen a sink.
    fn start() -> Result<Self> {
        let folder = Folder::new("sound", 0o700)?;
        let user = match runs_as_root() {
            true => Some(User::from_name(TEST_USER)?.context("the tests' user is missing")?),
            false => None,
        };
        if let Some(user) = &user {
            chown(folder.path(), Some(user.uid), Some(user.gid))?;
        }
        let mut server = Self { programs: Vec::new(), user, folder };
        server.launch(&["pipewire"])?;
        wait_for_ok("a sound server", || server.ask(&["pw-cli", "info", "0"]))?;
        server.launch(&["dbus-run-session", "--", "wireplumber"])?;
        wait_until("its session manager", || {
            server.metadata().is_ok_and(|said| said.contains("Found"))
        })?;
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

    fn launch(&mut self, words: &[&str]) -> Result<()> {
        let child = self.command(words).process_group(0).spawn();
        self.programs.push(child.with_context(|| format!("starting {words:?}"))?);
        Ok(())
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

    /// What a tool of the server prints.
    fn ask(&self, words: &[&str]) -> Result<String> {
        let output = self.command(words).stdout(Stdio::piped()).output()?;
        ensure!(output.status.success(), "{words:?} ended with {}", output.status);
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn metadata(&self) -> Result<String> {
        self.ask(&["pw-metadata", "-n", "default"])
    }

    /// Waits until this sink is chosen, and the one to which programs play.
    fn wait_for_default(&self, name: &str) -> Result<()> {
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

    fn wait_for_nodes(&self, name: &str, count: usize) -> Result<()> {
        wait_for_ok("nodes of Lumen's", || {
            let nodes = self.nodes(name)?;
            ensure!(nodes.len() == count, "{name} is there as {nodes:?}");
            Ok(())
        })
    }

    /// Waits until another than `before` listens to the one sink of Lumen's, which is chosen.
    fn is_lumens(&self, before: Option<&str>) -> Result<String> {
        let ear = wait_for_ok("what listens", || {
            let ears = self.nodes(EAR)?;
            let other = ears.into_iter().find(|ear| Some(ear.as_str()) != before);
            other.context("nothing listens")
        })?;
        self.wait_for_nodes(OWN, 1)?;
        self.wait_for_default(OWN)?;
        Ok(ear)
    }

    /// A desktop of this user's, and what listens there.
    fn desktop(&self) -> Result<(Rig, String)> {
        let folder = PathBuf::from(self.folder.path());
        let rig =
            Setup::new().variable("XDG_RUNTIME_DIR", folder).app(["sleep", "1000"]).start()?;
        let ear = self.is_lumens(None)?;
        Ok((rig, ear))
    }

    /// Waits until nothing shows that there was a desktop.
    fn is_as_before(&self) -> Result<()> {
        self.wait_for_default(CHOSEN)?;
        self.wait_for_nodes(OWN, 0)?;
        let said = self.metadata()?;
        ensure!(!said.contains("lumen"), "something is left: {said}");
        Ok(())
    }
}

impl Drop for UserServer {
    fn drop(&mut self) {
        for program in self.programs.iter_mut().rev() {
            let group = i32::try_from(program.id()).map(Pid::from_raw);
            // Whatever has ended already is not there to be signalled.
            let _ = group.map(|group| killpg(group, Signal::SIGTERM));
            let _ = program.wait();
        }
    }
}

#[test]
fn default_sink_that_the_user_chose_is_back_after_deaths_of_sound_and_the_end() -> Result<()> {
    let server = UserServer::start()?;
    let (mut rig, mut ear) = server.desktop()?;
    for _ in 0..2 {
        let killed = rig.kill(Worker::Sound)?;
        rig.successor(Worker::Sound, killed)?;
        ear = server.is_lumens(Some(&ear))?;
    }
    rig.stop()?;
    server.is_as_before()
}

#[test]
fn sink_of_a_desktop_that_was_killed_ends_with_it_and_the_next_one_has_its_own() -> Result<()> {
    let server = UserServer::start()?;
    let (mut killed, _) = server.desktop()?;
    let sound = killed.ready_worker(Worker::Sound)?;
    killed.send(Signal::SIGSTOP)?;
    kill_hard(sound)?;
    killed.send(Signal::SIGKILL)?;
    killed.wait_for_end()?;
    server.wait_for_nodes(EAR, 0)?;
    server.wait_for_nodes(OWN, 0)?;
    drop(killed);
    let (mut next, _) = server.desktop()?;
    next.stop()?;
    server.is_as_before()
}
