//! What programs play, as a browser hears it.
//!
//! Needs PipeWire with its session manager, and players for PipeWire, PulseAudio and ALSA.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use lumen_ipc::process::Worker;
use lumen_tests::{
    browser::{Browser, Page},
    measured,
    patience::{wait_for_ok, wait_until},
    process::{Process, descendants},
    rig::{Rig, Setup, kill_hard},
};
use serde::Deserialize;

/// The tone that is played.
const HERTZ: f64 = 440.0;
/// Longer than any of these tests listens; players repeat it, with a pause.
const SECONDS: u32 = 60;
const RATE: u32 = 48_000;

/// Listens in the page: the loudness and the frequency of each short block since it was called. The
/// frequency is that between the first wave of a block and its last.
const LISTEN: &str = "(async () => {
  const { srcObject } = document.querySelector('#sound');
  const context = new AudioContext();
  await context.resume();
  const source = context.createMediaStreamSource(srcObject);
  const ear = context.createScriptProcessor(1024, 2, 1);
  window.heard = [];
  ear.onaudioprocess = ({ inputBuffer, playbackTime }) => {
    const left = inputBuffer.getChannelData(0);
    const loudness = left.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
    const waves = [];
    left.forEach((sample, at) => {
      const before = left[at - 1];
      if (before < 0 && sample >= 0) waves.push(at - sample / (sample - before));
    });
    const lasts = (waves.at(-1) - waves[0]) / context.sampleRate;
    const hertz = waves.length > 1 ? (waves.length - 1) / lasts : 0;
    window.heard.push({ millis: playbackTime * 1000, loudness, hertz });
  };
  source.connect(ear);
  ear.connect(context.destination);
})()";

#[derive(Clone, Copy, Debug, Deserialize)]
struct Block {
    millis: f64,
    loudness: f64,
    hertz: f64,
}

impl Block {
    /// Quieter than a hundredth of the tone.
    fn is_silent(self) -> bool {
        self.loudness < 0.005
    }
}

/// Everything heard so far.
fn heard(page: &Page) -> Result<Vec<Block>> {
    page.evaluate("window.heard")
}

/// The longest silence among `blocks`, in milliseconds.
fn longest_silence(blocks: &[Block]) -> f64 {
    let (mut longest, mut began) = (0.0_f64, None);
    for block in blocks {
        match (block.is_silent(), began) {
            (true, None) => began = Some(block.millis),
            (false, Some(since)) => {
                longest = longest.max(block.millis - since);
                began = None;
            }
            _ => {}
        }
    }
    longest
}

/// The frequency of the blocks in the middle: where the browser or the machine leaves samples out, a
/// block has another.
fn frequency(blocks: &[Block]) -> Option<f64> {
    let mut all: Vec<f64> = blocks.iter().map(|block| block.hertz).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied()
}

/// A file with the tone, readable by everybody.
fn tone() -> Result<PathBuf> {
    let samples = (0..SECONDS * RATE).flat_map(|at| {
        let angle = f64::from(at) / f64::from(RATE) * HERTZ * std::f64::consts::TAU;
        ((angle.sin() * 16_000.0) as i16).to_le_bytes().repeat(2)
    });
    let samples: Vec<u8> = samples.collect();
    let length = u32::try_from(samples.len())?;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + length).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x02\0");
    file.extend(RATE.to_le_bytes());
    file.extend((RATE * 4).to_le_bytes());
    file.extend(b"\x04\0\x10\0data");
    file.extend(length.to_le_bytes());
    file.extend(samples);
    let path = std::env::temp_dir().join(format!("lumen-tone-{}.wav", std::process::id()));
    fs::write(&path, file)?;
    Ok(path)
}

/// A desktop on which `player` plays the tone without end, beside the test's app.
fn playing(player: &str) -> Result<Rig> {
    let play = format!("while :; do {player} {}; done", tone()?.display());
    Setup::new().app(["sh", "-c", &play]).start()
}

/// A page that plays the sound, and hears the tone.
fn listener(browser: &Browser, rig: &Rig) -> Result<Page> {
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    page.key_down("ShiftLeft")?;
    page.key_up("ShiftLeft")?;
    let plays = "!document.querySelector('#sound').paused";
    wait_for_ok("the page plays sound", || {
        let plays: bool = page.evaluate(plays)?;
        ensure!(plays, "it is paused");
        Ok(())
    })?;
    page.evaluate::<()>(LISTEN)?;
    hears(&page)?;
    Ok(page)
}

/// Waits until the page hears something for half a second.
fn hears(page: &Page) -> Result<()> {
    wait_for_ok("the tone is heard", || {
        let blocks = heard(page)?;
        let begins = blocks.len().saturating_sub(25);
        let last = blocks.get(begins..).unwrap_or_default();
        ensure!(last.len() == 25 && !last.iter().any(|block| block.is_silent()), "it is silent");
        Ok(())
    })
}

/// What is heard while `seconds` pass for the page.
fn listen(page: &Page, seconds: f64) -> Result<Vec<Block>> {
    let before = heard(page)?.len();
    wait_for_ok("the page listens", || {
        let blocks = heard(page)?.split_off(before);
        let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else {
            anyhow::bail!("nothing yet")
        };
        ensure!(last.millis - first.millis >= seconds * 1000.0, "not long enough");
        Ok(blocks)
    })
}

#[test]
fn tone_of_each_kind_of_program_is_heard_at_its_frequency_and_without_a_gap() -> Result<()> {
    let browser = Browser::start()?;
    for player in ["pw-play", "paplay", "aplay -q -D pipewire"] {
        let rig = playing(player)?;
        let page = listener(&browser, &rig)?;
        let blocks = listen(&page, 5.0)?;
        let hertz = frequency(&blocks).context("nothing was heard")?;
        ensure!((hertz - HERTZ).abs() < 1.0, "{player} is heard at {hertz} Hz");
        let silence = longest_silence(&blocks);
        measured::note(&format!("longest silence of {player}, ms"), silence);
        // On a machine that is busy with other things a player misses its time, which sounds like a
        // click; a gap of Lumen's own lasts for longer.
        ensure!(silence < 100.0, "{player} pauses for {silence} ms");
        page.close()?;
    }
    Ok(())
}

#[test]
fn sound_killed_pauses_for_less_than_half_a_second_and_media_killed_not_at_all() -> Result<()> {
    let browser = Browser::start()?;
    let rig = playing("pw-play")?;
    let page = listener(&browser, &rig)?;
    for (worker, most) in [(Worker::Sound, 500.0), (Worker::Media, 30.0)] {
        let before = page.heard_sound()?;
        let killed = rig.kill(worker)?;
        rig.successor(worker, killed)?;
        listen(&page, 3.0)?;
        hears(&page)?;
        let after = page.heard_sound()?;
        ensure!(after.played - before.played > 2000.0, "it has not played: {before:?}, {after:?}");
        let missing = after.concealed - before.concealed;
        measured::note(&format!("sound made up when {worker} is killed, ms"), missing);
        ensure!(missing < most, "{worker} costs {missing} ms");
    }
    Ok(())
}

#[test]
fn sound_server_killed_comes_back_and_costs_no_worker() -> Result<()> {
    let browser = Browser::start()?;
    let rig = playing("pw-play")?;
    let page = listener(&browser, &rig)?;
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
    listen(&page, 2.0)?;
    hears(&page)?;
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
