//! A worker stops for a while, as one does that the kernel starves or a debugger holds: its
//! neighbours give up their links to it. If it goes on in time, nothing is restarted; the links must be made
//! again. One that does not is ended, unless it is not to blame.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lumen_ipc::process::Worker;
use lumen_tests::{
    browser::Browser,
    patience::wait_until,
    picture::colour_of_key,
    process::Process,
    rig::{Rig, sees_into_workers},
    stall::Stall,
    viewer::{Handshake, Signalling, Viewer, login},
};
use nix::{
    sys::{ptrace, wait::waitpid},
    unistd::Pid,
};

/// An offer of the largest legal size: few of them fill a link that nobody reads.
fn large_offer() -> String {
    format!(r#"{{"type":"offer","sdp":"{}"}}"#, "a".repeat(32 * 1024))
}

/// Stops rtc while so many offers come that the gateway gives up its link.
fn fill_the_link_of(rig: &Rig, rtc: Process) -> Result<()> {
    let signed_in = login(rig.address(), rig.token())?.signed_in()?;
    let still = Stall::of(&[rtc])?;
    let mut browsers = Vec::new();
    for _ in 0..30 {
        let mut browser = Signalling::open(Handshake::of(rig.address()).signed_in(&signed_in))?;
        browser.send(large_offer())?;
        browsers.push(browser);
    }
    wait_until("the gateway gives up its link", || rig.said().contains("rtc does not read"))?;
    drop((browsers, still));
    Ok(())
}

#[test]
fn rtc_that_stood_still_while_offers_came_keeps_the_connections_it_had() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    let rtc = rig.ready_worker(Worker::Rtc)?;
    for (number, code) in [(30, "KeyA"), (31, "KeyS")] {
        fill_the_link_of(&rig, rtc)?;
        page.key_down(code)?;
        page.key_up(code)?;
        page.wait_for_colour((0.5, 0.5), colour_of_key(number))?;
        Viewer::join(&rig)?.wait_for_frame(0)?;
    }
    ensure!(rig.ready_worker(Worker::Rtc)? == rtc, "rtc was started anew");
    page.ensure_connected_once()
}

#[test]
fn rtc_that_stood_still_while_offers_came_lets_viewers_in_afterwards() -> Result<()> {
    let rig = Rig::start()?;
    let rtc = rig.ready_worker(Worker::Rtc)?;
    fill_the_link_of(&rig, rtc)?;
    Viewer::join(&rig)?.wait_for_frame(0)?;
    ensure!(rig.ready_worker(Worker::Rtc)? == rtc, "rtc was started anew");
    Ok(())
}

#[test]
fn media_that_stood_still_for_long_shows_pictures_afterwards() -> Result<()> {
    /// Longer than any request waits for its answer.
    const LONG: Duration = Duration::from_secs(12);
    let rig = Rig::start()?;
    let first = Viewer::join(&rig)?;
    first.wait_for_frame(0)?;
    let media = rig.ready_worker(Worker::Media)?;
    let still = Stall::of(&[media])?;
    // A viewer who joins needs a keyframe.
    let second = Viewer::join(&rig)?;
    second.wait_until_connected()?;
    // The whole machine is slow; else the supervisor would end media alone.
    let slow = Stall::of(&[rig.supervisor()])?;
    rig.wait_aside(|| pass(LONG))?;
    drop((still, slow));
    second.wait_for_frame(0)?;
    ensure!(rig.ready_worker(Worker::Media)? == media, "media was started anew");
    Ok(())
}

/// Longer than a worker may be without a sign of life, counted from any moment.
const TOO_LONG: Duration = Duration::from_secs(23);

/// Waits until so much time has passed.
fn pass(time: Duration) -> Result<()> {
    let since = Instant::now();
    wait_until("the time has passed", || since.elapsed() > time)
}

fn state(rig: &Rig, worker: Worker) -> Result<String> {
    let status = rig.status()?;
    let process = status.processes().find(|process| process.process.kind() == worker);
    Ok(process.with_context(|| format!("no {worker}"))?.state.as_str().to_owned())
}

#[test]
fn worker_that_does_not_go_on_is_shown_as_stuck_then_ended_and_the_next_serves() -> Result<()> {
    let rig = Rig::start()?;
    // In each scope others go on.
    for stopped in [
        [Worker::Compositor, Worker::Rtc, Worker::Gateway],
        [Worker::Media, Worker::Gamepad, Worker::Turn],
    ] {
        let processes = stopped.map(|worker| rig.ready_worker(worker));
        let processes = processes.into_iter().collect::<Result<Vec<_>>>()?;
        let still = Stall::of(&processes)?;
        rig.wait_aside(|| {
            for worker in stopped {
                wait_until(&format!("{worker} is shown as stuck"), || {
                    state(&rig, worker).is_ok_and(|state| state == "stuck")
                })?;
            }
            processes
                .iter()
                .try_for_each(|process| wait_until("it is ended", || !process.is_alive()))
        })?;
        for (worker, process) in stopped.into_iter().zip(processes) {
            rig.successor(worker, process)?;
            let line = format!("{worker} has given no sign of life for 10 s; ending it");
            ensure!(rig.said().contains(&line), "nobody is told of {worker}");
        }
        drop(still);
        Viewer::join(&rig)?.wait_for_frame(0)?;
    }
    Ok(())
}

#[test]
fn desktop_that_stood_still_as_a_whole_keeps_its_workers() -> Result<()> {
    let rig = Rig::start()?;
    let workers = rig.ready_workers()?;
    let still = Stall::of(&workers)?;
    rig.wait_aside(|| pass(TOO_LONG))?;
    ensure!(state(&rig, Worker::Media)? == "stuck", "{}", rig.said());
    drop(still);
    Viewer::join(&rig)?.wait_for_frame(0)?;
    // Every worker is asked again meanwhile.
    rig.wait_aside(|| pass(TOO_LONG))?;
    ensure!(rig.ready_workers()? == workers, "a worker was started anew: {}", rig.said());
    Ok(())
}

#[test]
fn worker_that_a_debugger_holds_is_left_alone() -> Result<()> {
    if !sees_into_workers() {
        return Ok(());
    }
    let rig = Rig::start()?;
    let compositor = rig.ready_worker(Worker::Compositor)?;
    let pid = Pid::from_raw(i32::try_from(compositor.0)?);
    ptrace::seize(pid, ptrace::Options::empty()).context("tracing the compositor")?;
    ptrace::interrupt(pid)?;
    waitpid(pid, None)?;
    rig.wait_aside(|| pass(TOO_LONG))?;
    ensure!(state(&rig, Worker::Compositor)? == "stuck", "{}", rig.said());
    ptrace::detach(pid, None)?;
    ensure!(rig.ready_worker(Worker::Compositor)? == compositor, "it was started anew");
    Viewer::join(&rig)?.wait_for_frame(0).map(drop)
}
