//! What programs play, as a browser hears it.
//!
//! Needs PipeWire with its session manager, and players for PipeWire, PulseAudio and ALSA.

use anyhow::{Context, Result, ensure};
use lumen_ipc::process::Worker;
use lumen_tests::{
    browser::Browser,
    hearing::{Listener, longest_silence, playing_for_ever, tone},
    knob::knob,
    measured,
    patience::{wait_for_ok, wait_until},
    process::{Process, descendants},
    rig::{Rig, Setup, kill_hard},
};

/// A desktop on which `player` plays the tone without end, beside the test's app.
fn playing(player: &str) -> Result<Rig> {
    Setup::new().app(playing_for_ever(player)?).start()
}

#[test]
fn tone_of_each_kind_of_program_is_heard_at_its_frequency_and_without_a_gap() -> Result<()> {
    let browser = Browser::start()?;
    for player in ["pw-play", "paplay", "aplay -q -D pipewire"] {
        // Once: it ends, and the desktop with it, if there is nowhere to play to when it begins.
        let words = player.split(' ').map(str::to_owned).chain([tone()?.display().to_string()]);
        let rig = Setup::new().app(words).start()?;
        let page = Listener::open(&browser, rig.url())?;
        let blocks = page.hears_without_gap(4.0, 30.0)?;
        measured::note(&format!("longest silence of {player}, ms"), longest_silence(&blocks));
        page.0.close()?;
    }
    Ok(())
}

#[test]
fn sound_killed_pauses_for_less_than_half_a_second_and_media_killed_not_at_all() -> Result<()> {
    let browser = Browser::start()?;
    let rig = playing("pw-play")?;
    let page = Listener::open(&browser, rig.url())?;
    // On a machine that is busy with other things the browser makes up some sound all the time, and a
    // worker takes longer to start now and then.
    let usual = made_up(&page, || Ok(()))?;
    for (worker, most) in [(Worker::Sound, 500.0), (Worker::Media, 30.0)] {
        let once = || {
            made_up(&page, || {
                let killed = rig.kill(worker)?;
                rig.successor(worker, killed).map(drop)
            })
        };
        let missing = once()?.min(once()?);
        measured::note(&format!("sound made up when {worker} is killed, ms"), missing);
        ensure!(missing < most + 2.0 * usual, "{worker} costs {missing} ms, nothing {usual} ms");
    }
    Ok(())
}

/// How much sound the browser makes up, in milliseconds, while something happens and in the three
/// seconds after it.
fn made_up(page: &Listener, happens: impl FnOnce() -> Result<()>) -> Result<f64> {
    let before = page.0.heard_sound()?;
    happens()?;
    page.listen(3.0)?;
    page.hears()?;
    let after = page.0.heard_sound()?;
    ensure!(after.played - before.played > 2000.0, "it has not played: {before:?}, {after:?}");
    Ok(after.concealed - before.concealed)
}

/// How often media and rtc are killed by default; `make sound` does it twenty times.
const KILLS: usize = 2;

#[test]
fn rtc_and_media_killed_in_turns_leave_the_music_playing() -> Result<()> {
    let browser = Browser::start()?;
    let rig = playing("pw-play")?;
    let page = Listener::open(&browser, rig.url())?;
    for number in 0..knob("LUMEN_TEST_KILLS", KILLS)? {
        let (worker, most) =
            if number % 2 == 0 { (Worker::Rtc, 3000.0) } else { (Worker::Media, 500.0) };
        let before = page.heard()?.len();
        let killed = rig.kill(worker)?;
        rig.successor(worker, killed)?;
        page.listen(2.0)?;
        page.hears()?;
        let silence = longest_silence(&page.heard()?.split_off(before));
        measured::note(&format!("silence when {worker} is killed ({}), ms", number + 1), silence);
        ensure!(silence < most, "{worker} costs {silence} ms");
    }
    Ok(())
}

#[test]
fn sound_server_killed_comes_back_and_costs_no_worker() -> Result<()> {
    let browser = Browser::start()?;
    let rig = playing("pw-play")?;
    let page = Listener::open(&browser, rig.url())?;
    let sound = rig.ready_worker(Worker::Sound)?;
    let is_server = |process: &Process| {
        process.command_line().is_ok_and(|line| line.trim_end_matches('\0').ends_with("/pipewire"))
    };
    let is_player =
        |process: &Process| process.command_line().is_ok_and(|line| line.starts_with("pw-play"));
    let server = || descendants(rig.supervisor()).into_iter().find(is_server);
    let player = || descendants(rig.supervisor()).into_iter().find(is_player);
    let killed = server().context("there is no sound server")?;
    let heard = player().context("nobody plays")?;
    kill_hard(killed)?;
    wait_until("another sound server", || server().is_some_and(|other| other != killed))?;
    // Players end with the server; the browser may bridge the gap, so silence shows nothing.
    wait_until("another player", || player().is_some_and(|other| other != heard))?;
    page.listen(2.0)?;
    page.hears()?;
    ensure!(rig.ready_worker(Worker::Sound)? == sound, "the sound worker was started anew");
    Ok(())
}

#[test]
fn page_says_that_the_browser_blocks_sound_and_begins_with_a_key() -> Result<()> {
    let browser = Browser::start()?;
    let rig = playing("pw-play")?;
    let page = browser.open(rig.url())?;
    let notice = "document.querySelector('#sound-notice').textContent";
    wait_for_ok("the notice", || {
        let notice: String = page.observe(notice)?;
        ensure!(notice.contains("blocks sound"), "it says {notice:?}");
        Ok(())
    })?;
    page.key_down("KeyA")?;
    page.key_up("KeyA")?;
    wait_for_ok("no notice", || {
        let hidden: bool = page.observe("document.querySelector('#sound-notice').hidden")?;
        ensure!(hidden, "it is there");
        Ok(())
    })?;
    Ok(())
}

#[test]
fn session_without_sound_shows_no_control() -> Result<()> {
    let browser = Browser::start()?;
    let rig = Setup::new().option("--sound", "off").start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    wait_for_ok("the controls", || {
        let ready: bool = page.evaluate("document.documentElement.dataset.controls === 'ready'")?;
        ensure!(ready, "not yet");
        Ok(())
    })?;
    let hidden: bool = page.evaluate("document.querySelector('#sound-control').hidden")?;
    ensure!(hidden, "a control for sound is shown");
    Ok(())
}
