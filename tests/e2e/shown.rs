//! Pages that are hidden, behind other tabs or windows: nothing is encoded for them.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, ensure};
use lumen_ipc::process::Worker;
use lumen_tests::{
    app::Show,
    browser::{Browser, Page},
    patience::{wait_for_ok, wait_until},
    rig::{Rig, Setup},
};

/// The longest a page may wait for its picture when it is shown again, on a machine that is busy with
/// other things as well.
const AT_ONCE: Duration = Duration::from_millis(500);

fn moving_desktop() -> Result<Rig> {
    Setup::new().show(Show::Scroll, 30).start()
}

fn pictures_encoded(rig: &Rig) -> Result<i64> {
    rig.metric(Worker::Media, "pictures_encoded_total")
}

/// Waits for a second in which nothing is encoded.
fn wait_until_nothing_is_encoded(rig: &Rig) -> Result<()> {
    let mut since = (pictures_encoded(rig)?, Instant::now());
    wait_for_ok("a second without an encoded picture", || {
        let encoded = pictures_encoded(rig)?;
        if encoded != since.0 {
            since = (encoded, Instant::now());
        }
        ensure!(since.1.elapsed() >= Duration::from_secs(1), "{encoded} pictures");
        Ok(())
    })
}

/// Shows a hidden page again; returns how long it waits for a picture.
fn show_again(page: &Page) -> Result<Duration> {
    let shown = SystemTime::now();
    page.set_hidden(false)?;
    page.wait_for_frame_after(shown)
}

#[test]
fn hidden_page_costs_no_encoding_and_has_its_picture_at_once_when_it_is_shown() -> Result<()> {
    let rig = moving_desktop()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    page.set_hidden(true)?;
    wait_until_nothing_is_encoded(&rig)?;
    let waited = show_again(&page)?;
    assert!(waited <= AT_ONCE, "a picture {waited:?} after the page was shown");
    let before = pictures_encoded(&rig)?;
    wait_until("pictures are encoded again", || {
        pictures_encoded(&rig).is_ok_and(|encoded| encoded > before + 10)
    })?;
    page.ensure_connected_once()
}

#[test]
fn page_that_is_opened_hidden_connects_and_then_costs_nothing() -> Result<()> {
    let rig = moving_desktop()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.set_hidden(true)?;
    page.wait_for_picture()?;
    wait_until_nothing_is_encoded(&rig)?;
    let waited = show_again(&page)?;
    assert!(waited <= AT_ONCE, "a picture {waited:?} after the page was shown");
    page.ensure_connected_once()
}

#[test]
fn page_that_is_shown_keeps_its_picture_while_another_is_hidden() -> Result<()> {
    let rig = moving_desktop()?;
    let browser = Browser::start()?;
    let (hidden, shown) = (browser.open(rig.url())?, browser.open(rig.url())?);
    hidden.wait_for_picture()?;
    shown.wait_for_picture()?;
    hidden.set_hidden(true)?;
    hidden.wait_until_quiet()?;
    shown.wait_for_frame_after(SystemTime::now())?;
    let waited = show_again(&hidden)?;
    assert!(waited <= AT_ONCE, "a picture {waited:?} after the page was shown");
    Ok(())
}
