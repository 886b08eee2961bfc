//! Processes that outlive the app's own: reaped when they end, and ended with the desktop.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use lumen_tests::{
    patience::{wait_for, wait_until},
    process::{Process, descendants, zombies_of},
    rig::{Setup, kill_hard, runs_as_root},
    stage::Folder,
};

/// How many orphans there were in the bug report about zombies.
const ORPHANS: usize = 20;

/// A folder that the desktop's user may write to.
struct Notes {
    folder: Folder,
}

impl Notes {
    fn new() -> Result<Self> {
        Ok(Self { folder: Folder::new("notes", 0o1777)? })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The process whose id was written down.
    fn process(&self, name: &str) -> Result<Process> {
        let number = wait_for(&format!("{name} is written"), || self.lines(name).pop())?;
        Ok(Process(number.parse().context("a process id")?))
    }
}

/// An app that leaves orphans behind, each of which writes a line when it ends, and stays. The
/// first ends earlier, by a real-time signal, which has no name.
fn leaves_orphans(notes: &Notes) -> [String; 3] {
    let ended = notes.path("ended");
    let ended = ended.display();
    let orphan = format!("(sh -c 'sleep 0.1; echo ended >>{ended}' &)");
    let killed = "(sh -c 'kill -42 $$' &)";
    let orphans = vec![orphan; ORPHANS].join("; ");
    ["sh".into(), "-c".into(), format!("{killed}; {orphans}; exec sleep 1000")]
}

fn reaps_orphans(notes: &Notes, setup: Setup) -> Result<()> {
    let rig = setup.app(leaves_orphans(notes)).start()?;
    wait_until("every orphan ends", || notes.lines("ended").len() == ORPHANS)?;
    let supervisor = rig.supervisor();
    wait_until("no zombie is left", || zombies_of(supervisor).is_empty())
        .with_context(|| format!("left: {}", zombies_of(supervisor).len()))
}

/// Lumen as process 1 of a pid namespace, as in a container.
fn as_first_process(more: &[&str]) -> Setup {
    let launcher = ["unshare", "--pid", "--fork", "--kill-child"].iter().chain(more);
    if runs_as_root() {
        Setup::new().as_root().through(launcher.copied())
    } else {
        Setup::new().through(launcher.copied().chain(["--user", "--map-current-user"]))
    }
}

#[test]
fn orphans_of_an_ordinary_process_are_reaped() -> Result<()> {
    reaps_orphans(&Notes::new()?, Setup::new())
}

#[test]
fn orphans_of_process_one_are_reaped() -> Result<()> {
    reaps_orphans(&Notes::new()?, as_first_process(&["--mount-proc"]))
}

#[test]
fn orphans_in_a_namespace_with_anothers_proc_are_reaped() -> Result<()> {
    reaps_orphans(&Notes::new()?, as_first_process(&[]))
}

/// The beginning of a daemon that ends only by SIGKILL.
const STUBBORN: &str = "trap \"\" TERM HUP";

/// An app, `sh`, that leaves a daemon behind in a session of its own, and then does `app`.
fn leaves_daemon(notes: &Notes, begins: &str, app: &str) -> [String; 3] {
    let pid = notes.path("daemon");
    let daemon = format!("{begins}; echo $$ >{}; exec sleep 1000", pid.display());
    ["sh".into(), "-c".into(), format!("(setsid sh -c '{daemon}' &); {app}")]
}

fn ends_with_the_desktop(begins: &str, setup: Setup) -> Result<()> {
    let notes = Notes::new()?;
    let mut rig = setup.app(leaves_daemon(&notes, begins, "exec sleep 1000")).start()?;
    let daemon = notes.process("daemon")?;
    ensure!(daemon.is_alive(), "the daemon ended before the desktop");
    let family = descendants(rig.supervisor());
    rig.stop()?;
    let left = family.iter().filter(|process| process.is_alive());
    let left: Vec<_> = left.map(|process| process.command_line()).collect();
    ensure!(left.is_empty(), "outlives the desktop: {left:?}");
    Ok(())
}

#[test]
fn daemon_of_the_app_ends_with_the_desktop() -> Result<()> {
    ends_with_the_desktop(":", Setup::new())
}

#[test]
fn daemon_that_ignores_the_end_is_ended() -> Result<()> {
    ends_with_the_desktop(STUBBORN, Setup::new())
}

#[test]
fn daemon_where_pidfds_are_refused_is_ended() -> Result<()> {
    if !runs_as_root() {
        println!("not root: nothing to test");
        return Ok(());
    }
    // What it starts becomes a child of the supervisor only after it has ended itself.
    let begins = format!("{STUBBORN}; sleep 1000 & :");
    ends_with_the_desktop(&begins, Setup::new().in_sandbox(&["--older-docker"]))
}

#[test]
fn daemon_in_a_namespace_with_anothers_proc_ends_with_the_desktop() -> Result<()> {
    let notes = Notes::new()?;
    let app = leaves_daemon(&notes, STUBBORN, "exec sleep 1000");
    let mut rig = as_first_process(&[]).app(app).start()?;
    wait_until("the daemon runs", || !notes.lines("daemon").is_empty())?;
    // The process ids that it sees itself are different ones here.
    let sleeps = |process: &Process| process.command_line().is_ok_and(|line| line == "sleep 1000");
    let sleepers = || descendants(rig.supervisor()).into_iter().filter(sleeps);
    wait_until("the app and its daemon sleep", || sleepers().count() == 2)?;
    let sleepers: Vec<_> = sleepers().collect();
    rig.stop()?;
    ensure!(!sleepers.iter().any(|process| process.is_alive()), "one outlives the desktop");
    Ok(())
}

#[test]
fn daemon_ends_with_an_app_that_ends_by_itself() -> Result<()> {
    let notes = Notes::new()?;
    let app = leaves_daemon(&notes, STUBBORN, "exec sleep 3");
    let ended = Setup::new().app(app).run_to_end()?;
    let daemon = notes.process("daemon")?;
    ensure!(ended.status.success() && !daemon.is_alive(), "{}: {}", ended.status, ended.said);
    Ok(())
}

#[test]
fn process_that_was_there_before_lumen_outlives_the_desktop() -> Result<()> {
    let notes = Notes::new()?;
    let began = format!(
        "sh -c 'sleep 1000 & echo $! >{}; wait' & echo $! >{}; exec \"$@\"",
        notes.path("its-child").display(),
        notes.path("stranger").display(),
    );
    let mut rig = Setup::new().executed_by(["/bin/sh", "-c", &began, "sh"]).start()?;
    let strangers = [notes.process("stranger")?, notes.process("its-child")?];
    rig.stop()?;
    let alive = strangers.map(Process::is_alive);
    for stranger in strangers {
        kill_hard(stranger)?;
    }
    assert_eq!(alive, [true; 2]);
    Ok(())
}
