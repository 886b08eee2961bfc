//! Ways to end: by request, by force, and by the app.

use std::{fs, os::unix::fs::FileTypeExt};

use anyhow::{Context, Result, ensure};
use lumen_tests::{
    app::AppLog,
    app_event::AppEvent,
    patience::wait_until,
    process::{Process, descendants},
    rig::{Rig, Setup, kill_hard},
    stage::{Folder, Stage, TEST_APP},
    viewer::Viewer,
};

fn all_gone(processes: &[Process]) -> Result<()> {
    wait_until("every process is gone", || !processes.iter().any(|process| process.is_alive()))
        .with_context(|| {
            let left = processes.iter().filter(|process| process.is_alive());
            let left: Vec<_> = left.map(|process| process.command_line()).collect();
            format!("left: {left:?}")
        })
}

/// Every socket in the runtime folder. Lock files stay: a process that removed one could not know
/// whether another was about to lock it.
fn sockets(rig: &Rig) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut folders = vec![rig.runtime_folder().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if entry.file_type()?.is_socket() {
                names.push(entry.path().display().to_string());
            }
        }
    }
    Ok(names)
}

#[test]
fn supervisor_killed_takes_every_worker_with_it() -> Result<()> {
    let rig = Rig::start()?;
    let viewer = Viewer::join(&rig)?;
    viewer.wait_for_frame(0)?;
    let workers = rig.ready_workers()?;
    kill_hard(rig.supervisor())?;
    all_gone(&workers)
}

#[test]
fn interrupt_ends_every_process_and_removes_every_socket() -> Result<()> {
    let mut rig = Rig::start()?;
    rig.app_log().wait_until_drawn()?;
    let family = descendants(rig.supervisor());
    ensure!(!sockets(&rig)?.is_empty(), "no socket to remove");
    let status = rig.stop()?;
    ensure!(status.success(), "ended with {status}");
    all_gone(&family)?;
    assert_eq!(sockets(&rig)?, [""; 0]);
    Ok(())
}

#[test]
fn stop_command_ends_lumen() -> Result<()> {
    let mut rig = Rig::start()?;
    let family = descendants(rig.supervisor());
    let output = rig.lumen(&["stop"])?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let status = rig.wait_for_end()?;
    ensure!(status.success(), "ended with {status}");
    all_gone(&family)
}

#[test]
fn app_that_ends_ends_lumen() -> Result<()> {
    let mut rig = Rig::start()?;
    let family = descendants(rig.supervisor());
    kill_hard(Process(rig.app_log().pid()?))?;
    let status = rig.wait_for_end()?;
    assert_eq!(status.code(), Some(128 + 9), "as a shell says it");
    all_gone(&family)
}

#[test]
fn app_that_ignores_the_end_is_ended() -> Result<()> {
    let notes = Folder::new("notes", 0o1777)?;
    let ready = notes.path().join("ready");
    let begun = ready.display();
    let script = format!("trap '' TERM HUP INT; : >{begun}; while :; do read x; done");
    let mut rig = Setup::new().app(["sh", "-c", &script]).start()?;
    wait_until("the app ignores signals", || ready.exists())?;
    let family = descendants(rig.supervisor());
    rig.stop()?;
    all_gone(&family)
}

#[test]
fn app_that_is_asked_to_end_can_still_show_a_window() -> Result<()> {
    let stage = Stage::new()?;
    let notes = Folder::new("notes", 0o1777)?;
    let log = AppLog::at(notes.path().join("farewell.jsonl"));
    // What an app shows when it ends, such as "Save changes?", needs a compositor.
    let (app, path) = (stage.path(TEST_APP), log.path().display());
    let farewell =
        format!("{} --log {path} & while ! grep -q sized {path}; do :; done", app.display());
    let ready = notes.path().join("ready");
    let begun = ready.display();
    let script =
        format!("trap '{farewell}; exit' TERM; : >{begun}; while :; do read x; sleep 0.1; done");
    let mut rig = Setup::new().on_stage(stage).app(["sh", "-c", &script]).start()?;
    // Before that the app would end as one without a trap does.
    wait_until("the app can be asked to end", || ready.exists())?;
    let status = rig.stop()?;
    ensure!(status.success(), "ended with {status}");
    let drawn = log.events().iter().any(|event| matches!(event, AppEvent::Sized { .. }));
    ensure!(drawn, "no window came: {:?}", log.events());
    Ok(())
}

#[test]
fn second_lumen_of_the_same_name_is_refused() -> Result<()> {
    let rig = Rig::start()?;
    let output = rig.lumen(&["run", "--listen", "127.0.0.1:0", "--", "true"])?;
    ensure!(!output.status.success(), "two of one name");
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(said.contains("test"), "names it: {said}");
    // The first one is unharmed.
    rig.ready_workers().map(drop)
}
