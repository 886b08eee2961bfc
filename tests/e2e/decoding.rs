//! What the page does when pictures arrive and cannot be decoded, whatever the cause. The tests
//! replace some pictures in a real Chromium with garbage before they reach the decoder.

use anyhow::{Result, ensure};
use lumen_tests::{
    browser::{Browser, Page},
    patience::{wait_for_ok, wait_until},
    picture::colour_of_key,
    rig::Rig,
};

use crate::picture::{has_size, shows_quadrants};

/// `KEY_A` of linux/input-event-codes.h, as the app knows it.
const KEY_A: u32 = 30;
/// `KEY_W`.
const KEY_W: u32 = 17;
const MIDDLE: (f64, f64) = (0.5, 0.5);
/// The messages with which the page asks for a keyframe, and for a size.
const KEYFRAME_WANTED: u8 = 0x0b;
const SIZE_WANTED: u8 = 0x08;

/// When the page last sent this message, in milliseconds after the first spoiled picture; `None` if
/// it has not since then.
fn said_after_the_first_spoiled(page: &Page, tag: u8) -> Result<Option<f64>> {
    page.evaluate(&format!(
        "lumenTest.spoil.since === null ? null : lumenTest.said
            .filter((one) => one.tag === {tag} && one.at >= lumenTest.spoil.since)
            .map((one) => one.at - lumenTest.spoil.since)[0] ?? null"
    ))
}

/// Makes the app draw in another colour, which the page will not be able to decode.
fn press_a(page: &Page) -> Result<()> {
    page.key_down("KeyA")?;
    page.key_up("KeyA")
}

/// Has all pictures spoiled, in the way that the page's instrument calls `how`, from one on that shows a
/// key, until `noticed` returns. The page then comes to show that key.
fn while_spoiled(page: &Page, how: &str, noticed: impl FnOnce() -> Result<()>) -> Result<()> {
    page.evaluate::<()>(&format!("void (lumenTest.spoil.{how} = 0)"))?;
    press_a(page)?;
    noticed()?;
    page.evaluate::<()>(&format!("void (lumenTest.spoil.{how} = Infinity)"))?;
    page.wait_for_colour(MIDDLE, colour_of_key(KEY_A))
}

#[test]
fn picture_not_decoded_is_noticed_within_two_seconds_and_comes_anew() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open_spoiled(rig.url(), (1280, 720), None)?;
    shows_quadrants(&page)?;
    page.evaluate::<()>(
        "void Object.assign(lumenTest.spoil, { garblesFrom: 0, untilAsked: true })",
    )?;
    press_a(&page)?;
    page.wait_for_colour(MIDDLE, colour_of_key(KEY_A))?;
    let asked = said_after_the_first_spoiled(&page, KEYFRAME_WANTED)?;
    assert!(asked.is_some_and(|millis| millis <= 2000.0), "asked after {asked:?} ms");
    assert_eq!(said_after_the_first_spoiled(&page, SIZE_WANTED)?, None);
    page.ensure_connected_once()
}

#[test]
fn picture_that_no_decoder_takes_after_a_resize_becomes_smaller_and_the_page_says_so() -> Result<()>
{
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    // 640x360 has 920 macroblocks, 1280x720 has 3600.
    let page = browser.open_spoiled(rig.url(), (640, 360), Some(2000))?;
    shows_quadrants(&page)?;
    // The desktop was larger before it followed this window.
    page.evaluate::<()>("void (lumenTest.spoil.since = null)")?;
    page.resize(1280, 720)?;
    page.wait_for_status("does not decode a picture of this size")?;
    has_size(&page, 856, 480)?;
    shows_quadrants(&page)?;
    page.wait_for_status("The desktop is smaller than the window")?;
    let noticed = said_after_the_first_spoiled(&page, KEYFRAME_WANTED)?;
    assert!(noticed.is_some_and(|millis| millis <= 2000.0), "noticed after {noticed:?} ms");
    page.ensure_connected_once()?;
    // The page remembers the size that its decoder takes: another large window does not cost the
    // picture again.
    page.resize(1000, 750)?;
    has_size(&page, 736, 552)?;
    shows_quadrants(&page)?;
    page.ensure_connected_once()
}

#[test]
fn picture_that_no_decoder_takes_from_the_first_on_becomes_smaller() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open_spoiled(rig.url(), (1280, 720), Some(2000))?;
    has_size(&page, 856, 480)?;
    shows_quadrants(&page)
}

#[test]
fn picture_never_decoded_begins_anew_and_says_why() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open_spoiled(rig.url(), (640, 360), None)?;
    shows_quadrants(&page)?;
    while_spoiled(&page, "garblesFrom", || {
        page.wait_for_status("This browser could not decode the picture. Reconnecting…")
    })?;
    wait_until("the status line is empty", || {
        page.evaluate("document.querySelector('#status').hidden").unwrap_or(false)
    })?;
    has_size(&page, 640, 360)
}

#[test]
fn picture_lost_on_its_way_is_asked_for_again_and_never_for_smaller() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open_spoiled(rig.url(), (1280, 720), None)?;
    shows_quadrants(&page)?;
    while_spoiled(&page, "losesFrom", || page.wait_for_status("The picture does not arrive"))?;
    assert_eq!(said_after_the_first_spoiled(&page, SIZE_WANTED)?, None);
    page.ensure_connected_once()
}

#[test]
fn picture_lost_for_seconds_has_another_path_sought_over_the_same_connection() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open_spoiled(rig.url(), (1280, 720), None)?;
    shows_quadrants(&page)?;
    while_spoiled(&page, "losesFrom", || {
        page.wait_for_status("The picture does not arrive. Looking for another path")?;
        wait_until("ICE has begun anew", || {
            page.evaluate("lumenTest.offersMade() === 2").unwrap_or(false)
        })
    })?;
    assert_eq!(said_after_the_first_spoiled(&page, SIZE_WANTED)?, None);
    // Input goes on, too.
    page.key_down("KeyW")?;
    page.key_up("KeyW")?;
    page.wait_for_colour(MIDDLE, colour_of_key(KEY_W))?;
    page.ensure_connected_once()
}

#[test]
fn still_picture_is_left_alone() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    shows_quadrants(&page)?;
    page.wait_until_quiet()?;
    // The page checks at most a second after the last picture.
    wait_for_ok("a still picture for three seconds", || {
        let quiet: f64 = page.evaluate("lumenTest.quietMillis()")?;
        ensure!(quiet > 3000.0, "{quiet} ms");
        Ok(())
    })?;
    let asked: usize = page.evaluate(&format!(
        "lumenTest.said.filter((one) => one.tag === {KEYFRAME_WANTED}).length"
    ))?;
    assert_eq!(asked, 0);
    assert!(page.statuses()?.iter().all(|status| !status.contains("picture")));
    Ok(())
}
