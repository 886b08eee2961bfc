//! The clipboard of a desktop that runs inside Lumen's, which keeps its own: the bridge between the two.

use anyhow::{Context, Result};
use lumen_ipc::process::Worker;
use lumen_tests::{
    patience::{wait_for, wait_until},
    process::{Process, descendants},
    rig::kill_hard,
    stage::BRIDGE,
};

use super::{Desk, Place};

impl Desk {
    /// A process that descends from Lumen, by the name that it was started by.
    fn process(&self, name: &str) -> Option<Process> {
        let is_it = |process: &Process| {
            let line = process.command_line().unwrap_or_default();
            line.split(' ').next().is_some_and(|first| first == name)
        };
        descendants(self.rig.supervisor()).into_iter().find(is_it)
    }
}

#[test]
fn text_passes_both_ways_between_the_browser_and_an_app_in_a_desktop_inside() -> Result<()> {
    let desk = Desk::start(Place::InSway, &[])?;
    for mark in ["first", "again", "at last"] {
        desk.passes_both_ways(mark)?;
    }
    Ok(())
}

#[test]
fn text_passes_again_after_the_death_of_the_bridge_of_the_desktop_inside_and_of_ours() -> Result<()>
{
    let desk = Desk::start(Place::InSway, &[])?;
    desk.passes_both_ways("before")?;

    let bridge = desk.process(BRIDGE).context("there is no bridge")?;
    kill_hard(bridge)?;
    wait_for("another bridge", || desk.process(BRIDGE).filter(|other| *other != bridge))?;
    desk.passes_both_ways("after the bridge")?;

    std::fs::remove_file(&desk.pasted)?;
    kill_hard(desk.process("sway").context("there is no sway")?)?;
    wait_until("the app is there again", || desk.pasted.exists())?;
    desk.passes_both_ways("after the desktop inside")?;

    std::fs::remove_file(&desk.pasted)?;
    let killed = desk.rig.kill(Worker::Compositor)?;
    desk.rig.successor(Worker::Compositor, killed)?;
    wait_until("the app is there again", || desk.pasted.exists())?;
    desk.passes_both_ways("after the compositor")
}

#[test]
fn bridge_runs_only_where_the_clipboard_is_shared() -> Result<()> {
    let desk = Desk::start(Place::Alone, &[("--clipboard", "off")])?;
    assert_eq!(desk.process(BRIDGE), None);
    Ok(())
}
