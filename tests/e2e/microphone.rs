//! What a viewer says, as a program of the desktop records it.
//!
//! Needs PipeWire with its session manager, and `parec`.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt,
};

use anyhow::{Context, Result, ensure};
use lumen_ipc::process::Worker;
use lumen_tests::{
    browser::{Browser, Page},
    hearing::{NOTES, melody, notes_of},
    patience::wait_for_ok,
    rig::{Rig, Setup},
    stage::Folder,
};

/// Samples in a second.
const SECOND: usize = 48_000;

/// A desktop whose app records the microphone as soon as there is one, and again when it was gone.
struct Recorder {
    rig: Rig,
    folder: Folder,
}

/// Where it records, in a folder of its own.
const FILE: &str = "recorded";

impl Recorder {
    fn start() -> Result<Self> {
        let folder = Folder::new(FILE, 0o755)?;
        let file = folder.path().join(FILE);
        File::create(&file)?;
        fs::set_permissions(&file, Permissions::from_mode(0o666))?;
        let record = "parec -d lumen_microphone --format=float32le --channels=1 --rate=48000";
        let words = format!("while :; do {record} >> {} 2>&-; sleep 0.1; done", file.display());
        let rig = Setup::new().app(["sh".into(), "-c".into(), words]).start()?;
        Ok(Self { rig, folder })
    }

    /// What was recorded after the first so many samples.
    fn recorded(&self, since: usize) -> Result<Vec<f32>> {
        let bytes = fs::read(self.folder.path().join(FILE))?;
        let samples = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        Ok(samples.skip(since).collect())
    }

    /// How many samples were recorded.
    fn length(&self) -> Result<usize> {
        Ok(self.recorded(0)?.len())
    }

    /// Waits until all notes of the melody were recorded after the first so many samples. Where a machine is busy the
    /// browser leaves some out, so each has its turns.
    fn hears_melody(&self, since: usize) -> Result<()> {
        wait_for_ok("the melody is recorded", || {
            let samples = self.recorded(since)?;
            let notes = notes_of(&samples);
            let are_all = NOTES.iter().all(|note| notes.contains(note));
            ensure!(are_all, "{} samples with the notes {notes:?}", samples.len());
            Ok(())
        })
    }

    /// Waits until a second of nothing was recorded, which the melody does not have, and then as much again without
    /// anything in between.
    fn hears_nothing(&self) -> Result<()> {
        let begun = self.length()?;
        let mut silent = 0;
        wait_for_ok("a second of silence is recorded", || {
            let samples = self.recorded(begun)?;
            let sounds = samples.iter().rposition(|sample| *sample != 0.0).map_or(0, |at| at + 1);
            ensure!(
                samples.len() >= sounds + SECOND,
                "{} samples, {sounds} with sound",
                samples.len()
            );
            silent = begun + sounds;
            Ok(())
        })?;
        wait_for_ok("another second is recorded", || {
            let length = self.length()?;
            ensure!(length >= silent + 2 * SECOND, "{length} samples, silent since {silent}");
            Ok(())
        })?;
        let heard = self.recorded(silent)?.into_iter().filter(|sample| *sample != 0.0).count();
        ensure!(heard == 0, "{heard} samples of sound after the microphone was switched off");
        Ok(())
    }
}

/// A browser whose microphone hears the melody without end.
fn browser() -> Result<Browser> {
    let file = format!("--use-file-for-fake-audio-capture={}", melody()?.display());
    let flags = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", &file];
    Browser::start_on(None, &flags)
}

fn open(browser: &Browser, rig: &Rig) -> Result<Page> {
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    Ok(page)
}

/// What the page says where nobody else speaks.
const HEARD: &str = "Apps on the desktop can hear you";
const ANOTHER: &str = "Another viewer’s microphone is on, and apps hear one at a time";

/// Waits until the page has a control for the microphone.
fn offers(page: &Page) -> Result<()> {
    wait_for_ok("the button", || {
        let control = "document.querySelector('#microphone-control')";
        let shown: bool = page.evaluate(&format!("!{control}.hidden"))?;
        ensure!(shown, "there is no control");
        Ok(())
    })
}

/// Presses the button for the microphone, once there is one.
fn press(page: &Page) -> Result<()> {
    offers(page)?;
    page.evaluate::<()>("document.querySelector('#microphone-button').click()")
}

/// Waits until the page says exactly this of the microphone.
fn says(page: &Page, sign: &str) -> Result<()> {
    wait_for_ok("the page says it", || {
        let said: String =
            page.evaluate("document.querySelector('#microphone-sign').textContent")?;
        ensure!(said == sign, "it says {said:?}, not {sign:?}");
        Ok(())
    })
}

fn is_on(page: &Page) -> Result<bool> {
    let pressed = "document.querySelector('#microphone-button').getAttribute('aria-pressed')";
    Ok(page.evaluate::<String>(pressed)? == "true")
}

#[test]
fn melody_of_a_viewers_microphone_is_recorded_until_it_is_switched_off() -> Result<()> {
    let browser = browser()?;
    let recorder = Recorder::start()?;
    let page = open(&browser, &recorder.rig)?;
    offers(&page)?;
    ensure!(!is_on(&page)?, "it is on before anybody has pressed the button");
    // What asks for a microphone that is not there is given what the desktop plays, which is nothing.
    let sounds = recorder.recorded(0)?.into_iter().filter(|sample| *sample != 0.0).count();
    ensure!(sounds == 0, "{sounds} samples of sound before there is a microphone");
    press(&page)?;
    says(&page, HEARD)?;
    recorder.hears_melody(0)?;
    press(&page)?;
    says(&page, "")?;
    recorder.hears_nothing()?;
    page.close()
}

#[test]
fn melody_goes_on_after_the_deaths_of_those_who_carry_it() -> Result<()> {
    let browser = browser()?;
    let recorder = Recorder::start()?;
    let page = open(&browser, &recorder.rig)?;
    press(&page)?;
    recorder.hears_melody(0)?;
    for worker in [Worker::Sound, Worker::Media, Worker::Rtc] {
        let killed = recorder.rig.kill(worker)?;
        recorder.rig.successor(worker, killed)?;
        let since = recorder.length()?;
        recorder.hears_melody(since).with_context(|| format!("after {worker}'s death"))?;
        says(&page, HEARD)?;
    }
    page.close()
}

#[test]
fn second_viewer_speaks_only_once_the_first_has_ended() -> Result<()> {
    let browser = browser()?;
    let recorder = Recorder::start()?;
    let (first, second) = (open(&browser, &recorder.rig)?, open(&browser, &recorder.rig)?);
    press(&first)?;
    says(&first, HEARD)?;
    says(&second, ANOTHER)?;
    press(&second)?;
    says(&second, ANOTHER)?;
    ensure!(!is_on(&second)?, "it was switched on all the same");
    press(&first)?;
    says(&second, "")?;
    recorder.hears_nothing()?;
    let since = recorder.length()?;
    press(&second)?;
    says(&second, HEARD)?;
    says(&first, ANOTHER)?;
    recorder.hears_melody(since)?;
    first.close()?;
    second.close()
}

#[test]
fn browser_that_gives_no_microphone_is_said_with_what_to_do() -> Result<()> {
    let flags = ["--use-fake-device-for-media-stream", "--deny-permission-prompts"];
    let browser = Browser::start_on(None, &flags)?;
    let rig = Setup::new().start()?;
    let page = open(&browser, &rig)?;
    press(&page)?;
    says(
        &page,
        "Your browser does not let this page use your microphone: allow it in the settings for this page",
    )?;
    ensure!(!is_on(&page)?, "it was switched on all the same");
    page.close()
}

#[test]
fn session_without_microphone_shows_no_control() -> Result<()> {
    let browser = browser()?;
    let rig = Setup::new().option("--microphone", "off").start()?;
    let page = open(&browser, &rig)?;
    // What the desktop says of microphones would have come with this.
    page.key_down("ShiftLeft")?;
    page.key_up("ShiftLeft")?;
    wait_for_ok("the key arrives", || {
        let messages = rig.metric(Worker::Rtc, "input_messages_sent_total")?;
        ensure!(messages > 0, "none");
        Ok(())
    })?;
    let hidden: bool = page.evaluate("document.querySelector('#microphone-control').hidden")?;
    ensure!(hidden, "a control for the microphone is shown");
    page.close()
}
