//! A sound server that the user runs, whose default sink is Lumen's only while a session lasts.
//!
//! Needs PipeWire with its session manager and its tools.

use anyhow::Result;
use lumen_ipc::process::Worker;
use lumen_tests::{
    rig::kill_hard,
    user_server::{EAR, OWN, UserServer},
};
use nix::sys::signal::Signal;

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
