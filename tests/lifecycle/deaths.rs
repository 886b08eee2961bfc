//! One worker dies while a browser watches: the app and its window stay, the picture comes back by
//! itself, and no held key stays down.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use lumen_ipc::process::Worker;
use lumen_tests::{
    browser::{Browser, Page},
    measured::note_time,
    patience::wait_until,
    picture::{QUADRANTS, colour_of_key},
    process::Process,
    relay,
    rig::{Rig, kill_hard},
    viewer::get,
};

/// `KEY_A` and its place in `KeyboardEvent.code`.
const KEY_A: (u32, &str) = (30, "KeyA");
/// `KEY_S`.
const KEY_S: (u32, &str) = (31, "KeyS");

/// A browser that watches the app after a key press has changed its window: so the picture shows
/// the app's state, and not what every start shows.
struct Watched {
    rig: Rig,
    page: Page,
    app: Process,
    _browser: Browser,
}

impl Watched {
    fn start() -> Result<Self> {
        let rig = Rig::start()?;
        let browser = Browser::start()?;
        let page = browser.open(rig.url())?;
        page.wait_for_colour((0.25, 0.25), QUADRANTS[0])?;
        page.key_down(KEY_A.1)?;
        page.key_up(KEY_A.1)?;
        let watched = Self { app: Process(rig.app_log().pid()?), rig, page, _browser: browser };
        watched.shows(KEY_A)?;
        // A frame that improves the still picture would be taken for the successor's first.
        watched.page.wait_until_quiet()?;
        Ok(watched)
    }

    fn shows(&self, key: (u32, &str)) -> Result<()> {
        self.page.wait_for_colour((0.5, 0.5), colour_of_key(key.0))
    }

    /// Kills `worker`; returns its process and the time.
    fn kill(&self, worker: Worker) -> Result<(Process, SystemTime)> {
        let process = self.rig.ready_worker(worker)?;
        let at = SystemTime::now();
        kill_hard(process)?;
        Ok((process, at))
    }

    /// Kills `worker` and waits for its successor.
    fn replace(&self, worker: Worker) -> Result<()> {
        let (killed, _) = self.kill(worker)?;
        self.rig.successor(worker, killed).map(drop)
    }

    /// Kills `worker`, waits for a new frame, and returns how long that took. Meanwhile it does
    /// nothing else: asking for the worker's state would slow its successor's start.
    fn time_to_next_frame(&self, worker: Worker) -> Result<Duration> {
        let (killed, at) = self.kill(worker)?;
        let time = self.page.wait_for_frame_after(at)?;
        self.rig.successor(worker, killed)?;
        Ok(time)
    }

    /// The app lives, shows what it showed, and reacts.
    fn goes_on(&self) -> Result<()> {
        ensure!(self.app.is_alive(), "the app has died");
        ensure!(self.rig.app_log().pid()? == self.app.0, "another app was started");
        self.shows(KEY_A)?;
        self.page.key_down(KEY_S.1)?;
        self.page.key_up(KEY_S.1)?;
        self.shows(KEY_S)?;
        self.rig.app_log().wait_until_nothing_held()
    }
}

#[test]
fn media_killed_brings_the_picture_back_to_the_same_app() -> Result<()> {
    let watched = Watched::start()?;
    let time = watched.time_to_next_frame(Worker::Media)?;
    note_time("media killed, first new frame in the browser (aim 500 ms)", time);
    watched.goes_on()
}

#[test]
fn media_killed_leaves_the_connection_alone() -> Result<()> {
    let watched = Watched::start()?;
    watched.time_to_next_frame(Worker::Media)?;
    watched.page.ensure_connected_once()
}

#[test]
fn rtc_killed_reconnects_the_page_by_itself() -> Result<()> {
    let watched = Watched::start()?;
    let time = watched.time_to_next_frame(Worker::Rtc)?;
    note_time("rtc killed, first new frame in the browser (aim 2000 ms)", time);
    watched.page.wait_until_connected_anew(1)?;
    watched.goes_on()
}

#[test]
fn rtc_killed_releases_what_was_held() -> Result<()> {
    let watched = Watched::start()?;
    watched.page.key_down(KEY_S.1)?;
    watched.shows(KEY_S)?;
    assert_eq!(watched.rig.app_log().held(), [KEY_S.0]);
    watched.replace(Worker::Rtc)?;
    watched.rig.app_log().wait_until_nothing_held()
}

#[test]
fn turn_killed_disturbs_no_direct_viewer_and_answers_where_it_was() -> Result<()> {
    let watched = Watched::start()?;
    let relay = relay::address_of(&watched.rig.status()?)?;
    ensure!(relay::answers_datagram(relay)?, "before");
    watched.replace(Worker::Turn)?;
    ensure!(relay::answers_datagram(relay)?, "after");
    watched.goes_on()
}

#[test]
fn gateway_killed_disturbs_nobody_and_serves_the_next_page() -> Result<()> {
    let watched = Watched::start()?;
    // Rtc may have started before the first gateway's end was there, and then been given it as a grant, too.
    let ends = |said: &str| said.matches("LinkEnd { link: Signalling").count();
    let before = ends(&watched.rig.said());
    watched.replace(Worker::Gateway)?;
    watched.goes_on()?;
    assert_eq!(get(watched.rig.address(), "/", &[])?.status, 200);
    // The earlier login still counts: logins are the supervisor's.
    watched.page.reload()?;
    watched.shows(KEY_S)?;
    // Rtc was given one link end, to the new gateway: none was made for the dead one.
    let said = watched.rig.said();
    ensure!(ends(&said) == before + 1, "{before} before\n{said}");
    Ok(())
}

#[test]
fn gateway_killed_refuses_no_connection_meanwhile() -> Result<()> {
    let rig = Rig::start()?;
    let killed = rig.kill(Worker::Gateway)?;
    // The listening socket is the supervisor's: a new connection waits, and is served.
    let reply = get(rig.address(), "/healthz", &[]);
    rig.successor(Worker::Gateway, killed)?;
    assert_eq!(reply.context("connecting while there is no gateway")?.status, 200);
    Ok(())
}

#[test]
fn compositor_killed_keeps_the_page_and_starts_the_app_anew() -> Result<()> {
    let watched = Watched::start()?;
    watched.replace(Worker::Compositor)?;
    // The app cannot live without its compositor; it is started again.
    wait_until("the app is gone", || !watched.app.is_alive())?;
    watched.page.wait_for_colour((0.25, 0.25), QUADRANTS[0])?;
    watched.page.ensure_connected_once()
}

#[test]
fn worker_restarted_by_command_is_another_process() -> Result<()> {
    let watched = Watched::start()?;
    let before = watched.rig.ready_worker(Worker::Media)?;
    let output = watched.rig.lumen(&["restart", "media"])?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    watched.rig.successor(Worker::Media, before)?;
    watched.goes_on()
}
