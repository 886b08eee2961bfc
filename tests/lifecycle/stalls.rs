//! A worker stops for a while, as one does that the kernel starves or a debugger holds: its
//! neighbours give up their links to it. It lives, so nothing is restarted; the links must be made
//! again.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lumen_ipc::process::Worker;
use lumen_tests::{
    browser::Browser,
    patience::wait_until,
    picture::colour_of_key,
    process::Process,
    rig::Rig,
    stall::Stall,
    viewer::{Handshake, Signalling, Viewer, login},
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
    let since = Instant::now();
    wait_until("every request has been given up", || since.elapsed() > LONG)?;
    drop(still);
    second.wait_for_frame(0)?;
    ensure!(rig.ready_worker(Worker::Media)? == media, "media was started anew");
    Ok(())
}
