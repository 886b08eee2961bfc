//! A sound server that the user runs, whose default sink is Lumen's only while a session lasts.
//!
//! Needs PipeWire with its session manager and its tools.

use anyhow::{Result, ensure};
use lumen_ipc::process::Worker;
use lumen_tests::{
    browser::Browser,
    hearing::{Listener, playing_for_ever},
    process::{Process, descendants},
    rig::{Rig, kill_hard},
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

/// Ends the player, so that the app starts another: the session manager links none that its predecessor
/// had linked.
fn begin_anew(rig: &Rig) -> Result<()> {
    let is_player =
        |process: &Process| process.command_line().is_ok_and(|line| line.starts_with("pw-play"));
    descendants(rig.supervisor()).into_iter().filter(is_player).try_for_each(kill_hard)
}

/// The app begins to play long before anything can be heard. Whatever comes late or comes again, it is
/// heard then.
#[test]
fn sound_server_and_session_manager_that_come_late_and_again_are_heard_each_time() -> Result<()> {
    let mut server = UserServer::absent()?;
    server.start_server()?;
    let rig = server.setup().app(playing_for_ever("pw-play")?).start()?;
    server.start_manager()?;
    let browser = Browser::start()?;
    let page = Listener::open(&browser, rig.url())?;
    let sound = rig.ready_worker(Worker::Sound)?;
    server.is_lumens(None)?;

    server.kill_manager()?;
    page.hears_nothing()?;
    server.start_manager()?;
    begin_anew(&rig)?;
    page.hears()?;
    let ear = server.is_lumens(None)?;

    server.kill_manager()?;
    let killed = rig.kill(Worker::Sound)?;
    let successor = rig.successor(Worker::Sound, killed)?;
    page.hears_nothing()?;
    server.start_manager()?;
    begin_anew(&rig)?;
    page.hears()?;
    let ear = server.is_lumens(Some(&ear))?;

    server.kill_server();
    page.hears_nothing()?;
    server.start_server()?;
    server.start_manager()?;
    page.hears()?;
    server.is_lumens(Some(&ear))?;
    ensure!(killed == sound, "a sound worker was started anew");
    ensure!(rig.ready_worker(Worker::Sound)? == successor, "a sound worker was started anew");
    Ok(())
}
