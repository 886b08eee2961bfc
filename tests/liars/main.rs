//! A worker that was taken over, for each of the seven, and what it wants (`goal`): the suite has a liar
//! take a worker's place in a running Lumen, lets it try, and prints a table of what held.
//!
//! - `scene`: a host with two sessions and their viewers, and the liar's place in it;
//! - `puppet`: the liar (`tests/stubs/liar`), which has the worker's own policy and descriptors;
//! - `escapes`: system calls under that policy, each of which is an `aims`' and succeeds where nothing confines
//!   (`control`);
//! - `devices`: keyboards and mice that it would make;
//! - `pester`: floods of messages that break no contract;
//! - `slander`: lies and accusations on the links;
//! - `pretence`: viewers that there are not;
//! - `burden`: floods of the supervisor, and silence;
//! - `remains`: what it leaves to its successor;
//! - `secrets`: what is found in the worker's memory;
//! - `server`: what it asks of the session's sound server.
//!
//! Needs Linux with seccomp, and root, who alone can look into the memory of workers.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "the test runner shows it for tests that fail")]

mod aims;
mod burden;
mod calls;
mod control;
mod devices;
mod escapes;
mod goal;
mod pester;
mod pretence;
mod puppet;
mod remains;
mod scene;
mod secrets;
mod seeds;
mod server;
mod slander;

use anyhow::{Context, Result};
use lumen_ipc::process::Worker;
use lumen_tests::{process::Process, rig::sees_into_workers};

use crate::{
    goal::{Goal, Row},
    scene::{Bait, Scene},
};

/// A file that an intruder would make.
const NEW_FILE: &str = "/tmp/lumen-liar-was-here";

/// Plays a worker's part from its taking over to its successor, and judges it.
fn play(worker: Worker, own_tasks: &[(Goal, &'static str)]) -> Result<()> {
    if !sees_into_workers() {
        return Ok(());
    }
    let mut row = Row::new(worker);
    for (goal, why) in own_tasks {
        row.pointless(*goal, why);
    }
    let mut scene = Scene::start(worker)?;
    let bait = Bait::lay(&scene.host.at_home(""), NEW_FILE.into())?;
    remains::serves(&scene).context("before anything")?;
    let honest = scene.host.ready_worker(scene.part)?;
    if worker != Worker::Gateway {
        let known = secrets::own_path(honest)?;
        secrets::look_for(&scene, honest, ("the worker", &known), &mut row)?;
    }
    let puppet = scene.take_over()?;
    escapes::try_all(&scene, &bait, &puppet, &mut row)?;
    puppet.confine()?;
    puppet.hold(secrets::PLANTED)?;
    secrets::look_for(&scene, puppet.process()?, ("the liar", secrets::PLANTED), &mut row)?;
    burden::flood(&scene, &puppet, &mut row)?;
    let before = scene.host.status()?;
    pester::pester(&scene, &puppet, &mut row)?;
    pretence::pretend(&scene, &puppet, &mut row)?;
    server::ask(&scene, &bait, &puppet, &mut row)?;
    let (puppet, kept) = slander::lie(&scene, puppet, &before, &mut row)?;
    let puppet = burden::flood_control(&scene, puppet, &mut row)?;
    burden::silence(&scene, &puppet, &mut row)?;
    remains::fill(&puppet.borrow()?, &mut row)?;
    remains::succeed(&mut scene, puppet, &mut row)?;
    drop(kept);
    bystanders(&scene, &bait, &mut row);
    row.judge()
}

/// Whoever has nothing to do with the liar is as before.
fn bystanders(scene: &Scene, bait: &Bait, row: &mut Row) {
    let own_app = scene.own.app;
    if scene.part.kind() != Worker::Compositor {
        row.expect(Goal::App, own_app.is_alive(), || "its app has ended".to_owned());
        let typed = scene.own.typed();
        row.expect(Goal::Keys, typed == 0, || format!("{typed} keys and buttons were pressed"));
    }
    let Process(other_app) = scene.other.app;
    row.expect(Goal::App, scene.other.app.is_alive(), || format!("app {other_app} has ended"));
    let typed = scene.other.typed();
    row.expect(Goal::Keys, typed == 0, || format!("{typed} keys in the other session"));
    let pictures = scene.other.shows_pictures();
    row.expect(Goal::Session, pictures.is_ok(), || format!("no pictures there: {pictures:?}"));
    let closed = scene.other.viewer.seen().closed.clone();
    row.expect(Goal::Session, closed.is_none(), || format!("its viewer was closed: {closed:?}"));
    row.expect(Goal::File, bait.file_is_untouched().is_ok(), || "the file is changed".to_owned());
}

#[test]
fn media_that_was_taken_over_reaches_no_goal() -> Result<()> {
    play(Worker::Media, &[])
}

#[test]
fn rtc_that_was_taken_over_reaches_no_goal() -> Result<()> {
    play(Worker::Rtc, &[])
}

#[test]
fn gamepad_that_was_taken_over_reaches_no_goal() -> Result<()> {
    play(Worker::Gamepad, &[])
}

#[test]
fn turn_that_was_taken_over_reaches_no_goal() -> Result<()> {
    play(Worker::Turn, &[])
}

#[test]
fn gateway_that_was_taken_over_reaches_no_goal() -> Result<()> {
    play(Worker::Gateway, &[(Goal::Secret, "it sees what browsers send it")])
}

#[test]
fn compositor_that_was_taken_over_reaches_no_goal() -> Result<()> {
    play(
        Worker::Compositor,
        &[(Goal::Keys, "it is what gives keys to apps"), (Goal::Trust, "no worker has more trust")],
    )
}

#[test]
fn sound_that_was_taken_over_reaches_no_goal() -> Result<()> {
    play(Worker::Sound, &[])
}
