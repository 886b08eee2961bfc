//! The clipboard, between a browser and an app of a toolkit of its own.

use std::{
    fs,
    path::PathBuf,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use lumen_ipc::process::Worker;
use lumen_tests::{
    browser::{Browser, Page},
    measured::{note, note_time, percentile},
    patience::{wait_for_ok, wait_until},
    rig::{Rig, Setup},
    stage::Folder,
};

const UNICODE: &str = "Grüße,\n\t🦀 und «日本語»\n\nzuletzt ";

/// An app that copies and pastes files, in a browser.
struct Desk {
    copied: PathBuf,
    pasted: PathBuf,
    page: Page,
    browser: Browser,
    rig: Rig,
    _folder: Folder,
}

impl Desk {
    fn start(options: &[(&str, &str)], moving: bool) -> Result<Self> {
        let folder = Folder::new("clipboard", 0o1777)?;
        let (copied, pasted) = (folder.path().join("copied"), folder.path().join("pasted"));
        let script = include_str!("../stubs/gtk_clipboard.py");
        let files = [copied.to_string_lossy(), pasted.to_string_lossy()];
        let mut app = vec!["env", "GSK_RENDERER=cairo", "/usr/bin/python3", "-c", script];
        app.extend(files.iter().map(AsRef::as_ref));
        app.extend(moving.then_some("moving"));
        let setup = Setup::new().app(app).option("--size", "1280x720");
        let setup = options.iter().fold(setup, |setup, (name, value)| setup.option(name, value));
        let rig = setup.start()?;
        let browser = Browser::start()?;
        let page = browser.open(rig.url())?;
        page.wait_for_picture()?;
        wait_until("the app takes keys", || pasted.exists())?;
        Ok(Self { copied, pasted, page, browser, rig, _folder: folder })
    }

    /// A page that may look at the clipboard; one that shows no desktop.
    fn other_page(&self) -> String {
        format!("http://{}/favicon.svg", self.rig.address())
    }

    fn press_with_control(&self, code: &str) -> Result<()> {
        self.page.key_down("ControlLeft")?;
        self.page.key_down(code)?;
        self.page.key_up(code)?;
        self.page.key_up("ControlLeft")
    }

    fn app_copies(&self, text: &str) -> Result<()> {
        fs::write(&self.copied, text)?;
        self.press_with_control("KeyC")
    }

    fn has_copied(&self, wanted: &str) -> Result<()> {
        wait_for_ok("the text is on the browser's clipboard", || {
            let copied = self.browser.copied(&self.other_page())?;
            let same = copied == wanted;
            same.then_some(()).with_context(|| format!("{} bytes are", copied.len()))
        })
    }

    /// The viewer copies something in another window, and comes back.
    fn viewer_copies(&self, text: &str) -> Result<()> {
        self.page.blur()?;
        self.browser.copy(&self.other_page(), text)?;
        self.page.focus()
    }

    fn app_pastes(&self, wanted: &str) -> Result<()> {
        fs::write(&self.pasted, "nothing yet")?;
        self.press_with_control("KeyV")?;
        self.has_pasted(wanted)
    }

    fn has_pasted(&self, wanted: &str) -> Result<()> {
        let pasted = || fs::read_to_string(&self.pasted).unwrap_or_default();
        wait_until("the app has pasted the text", || pasted() == wanted)
            .with_context(|| format!("{} bytes are pasted", pasted().len()))
    }
}

fn long_text() -> String {
    "Ein Satz mit Umlauten: äöü, und ein Krebs 🦀.\n".repeat(210_000)
}

#[test]
fn text_copied_in_an_app_is_on_the_clipboard_of_the_browser() -> Result<()> {
    let desk = Desk::start(&[], false)?;
    for text in [UNICODE, "short", ""] {
        desk.app_copies(text)?;
        desk.has_copied(text)?;
    }
    Ok(())
}

#[test]
fn text_copied_in_the_browser_is_pasted_by_the_key_that_pastes() -> Result<()> {
    let desk = Desk::start(&[], false)?;
    for text in [UNICODE, "short"] {
        desk.viewer_copies(text)?;
        desk.app_pastes(text)?;
    }
    // What the desktop copied later wins, and what is pasted again needs no second offer.
    desk.app_copies("from the app")?;
    desk.has_copied("from the app")?;
    desk.app_pastes("from the app")?;
    desk.app_pastes("from the app")
}

#[test]
fn key_that_pastes_reaches_the_app_though_there_is_nothing_to_paste() -> Result<()> {
    let desk = Desk::start(&[("--clipboard", "off")], false)?;
    desk.app_copies("inside")?;
    desk.app_pastes("inside")?;
    desk.viewer_copies("outside")?;
    desk.app_pastes("inside")?;
    desk.has_copied("outside")
}

/// The longest and the 99th percentile of the pauses between pictures since `start`, in milliseconds.
fn pauses_since(page: &Page, start: SystemTime) -> Result<(f64, f64)> {
    let start = start.duration_since(UNIX_EPOCH)?.as_secs_f64() * 1000.0;
    let frames = page.frames()?;
    let at: Vec<f64> = frames.iter().map(|frame| frame.at).filter(|at| *at >= start).collect();
    let pauses: Vec<f64> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let worst = percentile(&pauses, 100.0).context("pictures")?;
    Ok((worst, percentile(&pauses, 99.0).context("pictures")?))
}

#[test]
fn text_of_ten_megabytes_passes_both_ways_on_one_connection() -> Result<()> {
    let desk = Desk::start(&[], true)?;
    let text = long_text();
    let start = SystemTime::now();
    let seen = desk.page.frames()?.len();
    wait_until("pictures flow", || desk.page.frames().is_ok_and(|all| all.len() > seen + 120))?;
    let (worst, most) = pauses_since(&desk.page, start)?;
    note("pause between pictures before a text, worst", format!("{worst:.0} ms"));
    note("pause between pictures before a text, 99 %", format!("{most:.0} ms"));

    let (start, clock) = (SystemTime::now(), Instant::now());
    desk.app_copies(&text)?;
    desk.has_copied(&text)?;
    note_time("10 MB of text, from app to browser", clock.elapsed());
    let (worst, during) = pauses_since(&desk.page, start)?;
    note("pause between pictures while a text comes, worst", format!("{worst:.0} ms"));
    note("pause between pictures while a text comes, 99 %", format!("{during:.0} ms"));

    let text = text.replace("Krebs", "Fisch");
    desk.viewer_copies(&text)?;
    let (start, clock) = (SystemTime::now(), Instant::now());
    desk.app_pastes(&text)?;
    note_time("10 MB of text, from browser to app", clock.elapsed());
    let (worst, back) = pauses_since(&desk.page, start)?;
    note("pause between pictures while a text goes, worst", format!("{worst:.0} ms"));
    note("pause between pictures while a text goes, 99 %", format!("{back:.0} ms"));
    desk.page.ensure_connected_once()
}

#[test]
fn death_of_a_worker_in_the_middle_of_a_text_costs_that_text_only() -> Result<()> {
    let desk = Desk::start(&[], false)?;
    for worker in [Worker::Media, Worker::Rtc] {
        desk.app_copies(&long_text())?;
        let killed = desk.rig.kill(worker)?;
        desk.rig.successor(worker, killed)?;
        desk.page.wait_for_picture()?;
        wait_until("the page takes keys again", || {
            desk.page.evaluate("document.documentElement.dataset.input === 'open'").unwrap_or(false)
        })?;
        let text = format!("after {worker:?}");
        desk.viewer_copies(&text)?;
        desk.app_pastes(&text)?;
        let text = format!("from the app after {worker:?}");
        desk.app_copies(&text)?;
        desk.has_copied(&text)?;
    }
    Ok(())
}
