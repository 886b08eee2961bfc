//! The clipboard, between a browser and an app of a toolkit of its own.

mod deaths;
mod inside;
mod terminal;

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use lumen_tests::{
    browser::{Browser, DecodedFrame, Page},
    measured::{note, percentile},
    patience::{wait_for, wait_for_ok, wait_until},
    rig::{Rig, Setup},
    stage::{Folder, Stage, TEST_APP},
};

use crate::firefox::REACHED_BY_FIREFOX;

const UNICODE: &str = "Grüße,\n\t🦀 und «日本語»\n\nzuletzt ";

/// Where the app that copies and pastes is.
#[derive(Clone, Copy)]
enum Place {
    /// It is all there is.
    Alone,
    /// In a small window over that of another app, in which a square never rests.
    BesideAMovingPicture,
    /// In a desktop that is itself an app, and is started anew when it ends.
    InSway,
}

impl Place {
    /// Starts it: `$1` is the file it is in, `$2` and `$3` what it copies and pastes, `$4` what moves
    /// and `$5` where that logs, `$6` a file for a configuration.
    const fn script(self) -> &'static str {
        match self {
            Self::Alone => r#"exec env GSK_RENDERER=cairo /usr/bin/python3 "$1" "$2" "$3""#,
            Self::BesideAMovingPicture => {
                r#"
                "$4" --log "$5" --picture blink --fps 30 &
                until grep -qs sized "$5"; do sleep 0.05; done
                exec env GSK_RENDERER=cairo /usr/bin/python3 "$1" "$2" "$3" small
                "#
            }
            Self::InSway => {
                r#"
                echo "xwayland disable" >"$6"
                echo "exec GSK_RENDERER=cairo exec /usr/bin/python3 $1 $2 $3" >>"$6"
                while :; do sway -c "$6" || true; done
                "#
            }
        }
    }
}

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
    fn start(place: Place, options: &[(&str, &str)]) -> Result<Self> {
        Self::start_in(Browser::start_own, place, options)
    }

    fn start_in(
        browser: fn() -> Result<Browser>,
        place: Place,
        options: &[(&str, &str)],
    ) -> Result<Self> {
        let folder = Folder::new("clipboard", 0o1777)?;
        let file = |name| folder.path().join(name);
        let (app, copied, pasted) = (file("app.py"), file("copied"), file("pasted"));
        fs::write(&app, include_str!("../stubs/gtk_clipboard.py"))?;
        let stage = Stage::new()?;
        let mover = stage.path(TEST_APP);
        let files = [&app, &copied, &pasted, &mover, &file("mover.jsonl"), &file("sway.conf")];
        let files = files.map(|path| path.to_string_lossy().into_owned());
        let mut command = ["sh", "-ec", place.script(), "sh"].map(str::to_owned).to_vec();
        command.extend(files);
        let setup = Setup::new().app(command).on_stage(stage).option("--size", "1280x720");
        let setup = options.iter().fold(setup, |setup, (name, value)| setup.option(name, value));
        let rig = setup.start()?;
        let browser = browser()?;
        let page = browser.open(rig.url())?;
        page.wait_for_picture()?;
        wait_until("the app takes keys", || pasted.exists())?;
        Ok(Self { copied, pasted, page, browser, rig, _folder: folder })
    }

    /// A page that may look at the clipboard; one that shows no desktop.
    fn other_page(&self) -> String {
        format!("{}/favicon.svg", self.rig.origin())
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

    /// Text passes both ways; `mark` tells it from all other.
    fn passes_both_ways(&self, mark: &str) -> Result<()> {
        let text = format!("{UNICODE} from the app {mark}");
        self.app_copies(&text)?;
        self.has_copied(&text)?;
        let text = format!("{UNICODE} from the viewer {mark}");
        self.viewer_copies(&text)?;
        self.app_pastes(&text)
    }
}

fn long_text() -> String {
    "Ein Satz mit Umlauten: äöü, und ein Krebs 🦀.\n".repeat(210_000)
}

#[test]
fn text_copied_in_an_app_is_on_the_clipboard_of_the_browser() -> Result<()> {
    let desk = Desk::start(Place::Alone, &[])?;
    for text in [UNICODE, "short", ""] {
        desk.app_copies(text)?;
        desk.has_copied(text)?;
    }
    Ok(())
}

#[test]
fn text_passes_both_ways_in_firefox() -> Result<()> {
    let desk = Desk::start_in(Browser::start_firefox, Place::Alone, &[REACHED_BY_FIREFOX])?;
    ["1", "2"].iter().try_for_each(|mark| desk.passes_both_ways(mark))
}

#[test]
fn text_passes_both_ways_on_a_page_with_a_certificate_of_its_own() -> Result<()> {
    let desk = Desk::start(Place::Alone, &[("--tls", "on")])?;
    assert!(desk.page.evaluate::<bool>("isSecureContext && location.protocol === 'https:'")?);
    desk.app_copies(UNICODE)?;
    desk.has_copied(UNICODE)?;
    desk.viewer_copies("from outside")?;
    desk.app_pastes("from outside")
}

#[test]
fn text_copied_in_the_browser_is_pasted_by_the_key_that_pastes() -> Result<()> {
    let desk = Desk::start(Place::Alone, &[])?;
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
    let desk = Desk::start(Place::Alone, &[("--clipboard", "off")])?;
    desk.app_copies("inside")?;
    desk.app_pastes("inside")?;
    desk.viewer_copies("outside")?;
    desk.app_pastes("inside")?;
    desk.has_copied("outside")
}

/// The longest time without a new picture from `start` to `end`, in milliseconds of the page's clock. A page
/// that is busy hears late of pictures, and then learns how many its viewer has seen meanwhile.
fn longest_pause(page: &Page, (start, end): (f64, f64)) -> Result<f64> {
    let frames = page.frames()?;
    let within: Vec<_> = frames.iter().filter(|it| (start..end).contains(&it.at)).collect();
    let pause = |pair: &[&DecodedFrame]| match pair {
        [one, next] => (next.at - one.at) / f64::from((next.presented - one.presented).max(1)),
        _ => 0.0,
    };
    percentile(&within.windows(2).map(pause).collect::<Vec<_>>(), 100.0).context("pictures")
}

/// Milliseconds on the page's clock.
fn moment(page: &Page) -> Result<f64> {
    page.evaluate("performance.timeOrigin + performance.now()")
}

#[test]
fn text_of_ten_megabytes_passes_both_ways_without_a_hitch_in_the_picture() -> Result<()> {
    let desk = Desk::start(Place::BesideAMovingPicture, &[])?;
    let page = &desk.page;
    let text = long_text();
    let seen = page.frames()?.len();
    let start = moment(page)?;
    wait_until("pictures flow", || page.frames().is_ok_and(|all| all.len() > seen + 120))?;
    let usual = longest_pause(page, (start, moment(page)?))?;
    note("longest pause between pictures without a text", format!("{usual:.0} ms"));

    let start = moment(page)?;
    desk.app_copies(&text)?;
    let end = wait_for("the page has put the text on the clipboard", || {
        page.evaluate::<Option<f64>>("lumenTest.copies.at(-1)?.at ?? null").ok()?
    })?;
    note("10 MB of text, from app to browser", format!("{:.0} ms", end - start));
    let coming = longest_pause(page, (start, end))?;
    note("longest pause between pictures while a text comes", format!("{coming:.0} ms"));
    desk.has_copied(&text)?;

    let text = text.replace("Krebs", "Fisch");
    desk.viewer_copies(&text)?;
    let start = moment(page)?;
    desk.app_pastes(&text)?;
    let end = moment(page)?;
    note("10 MB of text, from browser to app", format!("{:.0} ms", end - start));
    let going = longest_pause(page, (start, end))?;
    note("longest pause between pictures while a text goes", format!("{going:.0} ms"));

    // What a busy machine does to pictures it does without a text, too.
    let bound = 3.0 * usual + 250.0;
    ensure!(coming < bound, "{coming:.0} ms without a picture while a text came");
    ensure!(going < bound, "{going:.0} ms without a picture while a text went");
    page.ensure_connected_once()
}
