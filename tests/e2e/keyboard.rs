//! Keys, from the browser to the app.

use anyhow::Result;
use lumen_tests::{app_event::AppEvent, browser::Browser, picture::colour_of_key, rig::Rig};

/// `KEY_Q`, `KEY_LEFTSHIFT` and `KEY_F5` of `linux/input-event-codes.h`.
const KEY_Q: u32 = 16;
const KEY_LEFT_SHIFT: u32 = 42;
const KEY_F5: u32 = 63;

#[test]
fn key_press_changes_the_picture() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    page.key_down("KeyQ")?;
    page.wait_for_colour((0.5, 0.5), colour_of_key(KEY_Q))?;
    page.key_up("KeyQ")?;
    rig.app_log().wait_for_event(0, &AppEvent::Key { code: KEY_Q, pressed: false })
}

#[test]
fn key_of_the_browser_itself_goes_to_the_app() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    // Lost with the page, should it be loaded again.
    page.evaluate::<bool>("lumenTest.isFirst = true")?;
    page.key_down("F5")?;
    page.key_up("F5")?;
    rig.app_log().wait_for_event(0, &AppEvent::Key { code: KEY_F5, pressed: true })?;
    assert!(page.evaluate("lumenTest.isFirst === true")?, "the browser reloaded the page");
    page.ensure_connected_once()
}

#[test]
fn blur_releases_every_held_key() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    page.key_down("ShiftLeft")?;
    page.key_down("KeyQ")?;
    let log = rig.app_log();
    log.wait_for_event(0, &AppEvent::Key { code: KEY_Q, pressed: true })?;
    assert_eq!(log.held(), [KEY_LEFT_SHIFT, KEY_Q]);
    page.blur()?;
    log.wait_until_nothing_held()
}

#[test]
fn page_closed_releases_every_held_key() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    page.key_down("KeyQ")?;
    rig.app_log().wait_for_event(0, &AppEvent::Key { code: KEY_Q, pressed: true })?;
    page.close()?;
    rig.app_log().wait_until_nothing_held()
}
