//! Helpers that a session starts: a bus where there is none, an X server where it is asked for.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use lumen_tests::{
    browser::Browser,
    patience::{wait_for, wait_until},
    picture::Colour,
    process::{Process, descendants},
    rig::{Rig, Setup, kill_hard},
    stage::Folder,
};
use nix::{sys::stat::Mode, unistd::mkfifo};

/// The colour of the X app.
const FILLED: Colour = Colour { red: 192, green: 32, blue: 64 };
/// A place of the picture where that app's window has no text.
const EMPTY: (f64, f64) = (0.2, 0.3);

/// An app, `sh`, that runs a command each time it is asked, and the folder for its output.
struct Asked {
    notes: Folder,
}

impl Asked {
    fn new() -> Result<Self> {
        let asked = Self { notes: Folder::new("notes", 0o777)? };
        let questions = asked.path("questions");
        mkfifo(&questions, Mode::from_bits_truncate(0o666))?;
        // The umask of the test runner removed some of these permissions.
        fs::set_permissions(questions, std::os::unix::fs::PermissionsExt::from_mode(0o666))?;
        Ok(asked)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.notes.path().join(name)
    }

    fn app(&self, command: &str) -> [String; 3] {
        let (questions, answers) = (self.path("questions"), self.path("answers"));
        let (questions, answers) = (questions.display(), answers.display());
        let answer = format!("({command}) >{answers}.new 2>&1; mv {answers}.new {answers}");
        let script = format!("while :; do read line <{questions} && {{ {answer}; }}; done");
        ["sh".into(), "-c".into(), script]
    }

    fn ask(&self) -> Result<String> {
        let answers = self.path("answers");
        if answers.exists() {
            fs::remove_file(&answers)?;
        }
        fs::write(self.path("questions"), "?\n")?;
        wait_for("the app answers", || fs::read_to_string(&answers).ok())
    }
}

/// Asks the session bus for its id.
const ASK_BUS: &str = "dbus-send --session --print-reply --dest=org.freedesktop.DBus \
                       /org/freedesktop/DBus org.freedesktop.DBus.GetId";

/// A program that the supervisor has started, by its file name.
fn running(rig: &Rig, program: &str) -> Option<Process> {
    let runs = |process: &Process| {
        let line = process.command_line().unwrap_or_default();
        line.split(' ').next().is_some_and(|first| first.ends_with(&format!("/{program}")))
    };
    descendants(rig.supervisor()).into_iter().find(runs)
}

#[test]
fn session_without_a_bus_gets_one_that_ends_with_it() -> Result<()> {
    let asked = Asked::new()?;
    let mut rig = Setup::new().app(asked.app(ASK_BUS)).start()?;
    let answer = asked.ask()?;
    ensure!(answer.contains("method return"), "{answer}");
    let bus = running(&rig, "dbus-daemon").context("a bus")?;
    rig.stop()?;
    ensure!(!bus.is_alive(), "the bus outlives the desktop");
    Ok(())
}

#[test]
fn bus_that_dies_comes_back_where_it_was_and_the_app_stays() -> Result<()> {
    let asked = Asked::new()?;
    let rig = Setup::new().app(asked.app(ASK_BUS)).start()?;
    // The app's answer comes first: Lumen is ready before its app has been started.
    let first = asked.ask()?;
    let app = rig.app_pid()?.context("the app that answered")?;
    kill_hard(running(&rig, "dbus-daemon").context("a bus")?)?;
    let another = |answer: String| answer.contains("method return") && answer != first;
    wait_until("another bus answers", || asked.ask().is_ok_and(another))?;
    assert_eq!(rig.app_pid()?, Some(app));
    Ok(())
}

fn x_app() -> [&'static str; 6] {
    ["xclock", "-digital", "-bg", "#c02040", "-geometry", "600x600+0+0"]
}

#[test]
fn x_app_is_shown_by_an_x_server_of_its_own() -> Result<()> {
    let rig = Setup::new().switch("--x11").app(x_app()).start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_colour(EMPTY, FILLED)
}

#[test]
fn x_app_without_an_x_server_ends_with_a_hint() -> Result<()> {
    let ended = Setup::new().app(x_app()).run_to_end()?;
    assert_eq!(ended.status.code(), Some(1), "xclock's own: {}", ended.said);
    ensure!(ended.said.contains("lumen run --x11"), "{}", ended.said);
    Ok(())
}

#[test]
fn x_server_that_dies_comes_back_with_the_app() -> Result<()> {
    let rig = Setup::new().switch("--x11").app(x_app()).start()?;
    let app = || rig.app_pid().ok()?;
    let before = wait_for("the app runs", app)?;
    kill_hard(running(&rig, "Xwayland").context("an X server")?)?;
    wait_until("another app runs", || app().is_some_and(|pid| pid != before))?;
    ensure!(rig.said().contains("the X server was ended by signal 9"), "{}", rig.said());
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_colour(EMPTY, FILLED)
}

#[test]
fn x_server_listens_on_the_sockets_of_its_display_and_not_on_the_network() -> Result<()> {
    let rig = Setup::new().switch("--x11").app(x_app()).start()?;
    let server = wait_for("an X server", || running(&rig, "Xwayland"))?;
    let names = wait_for("it listens", || {
        Some(unix_names(server).ok()?).filter(|names| !names.is_empty())
    })?;
    let of_display = |name: &String| name.trim_start_matches('@').starts_with("/tmp/.X11-unix/X");
    ensure!(names.iter().all(of_display), "{names:?}");
    for table in ["tcp", "tcp6"] {
        let own = inodes(server)?;
        // proc(5): the tenth field is the inode.
        let of_server = |line: &str| {
            line.split_whitespace().nth(9).is_some_and(|inode| own.iter().any(|own| own == inode))
        };
        let sockets = fs::read_to_string(format!("/proc/{}/net/{table}", server.0))?;
        ensure!(!sockets.lines().any(of_server), "{table}: {sockets}");
    }
    Ok(())
}

/// The inodes of a process's sockets.
fn inodes(process: Process) -> Result<Vec<String>> {
    let inode =
        |target: &String| Some(target.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned());
    Ok(process.descriptors()?.values().filter_map(inode).collect())
}

/// The names of a process's Unix sockets.
fn unix_names(process: Process) -> Result<Vec<String>> {
    let own = inodes(process)?;
    let table = fs::read_to_string(format!("/proc/{}/net/unix", process.0))?;
    let named = |line: &str| {
        // proc(5): the seventh field is the inode, the eighth the name.
        let mut fields = line.split_whitespace().skip(6);
        let (inode, name) = (fields.next()?, fields.next()?);
        own.iter().any(|own| own == inode).then(|| name.to_owned())
    };
    Ok(table.lines().filter_map(named).collect())
}
