//! Keys, from the browser to the app.

use std::time::Instant;

use anyhow::Result;
use lumen_tests::{
    app::AppLog,
    app_event::AppEvent,
    browser::{Browser, Page},
    measured::{note, note_time},
    patience::wait_until,
    picture::colour_of_key,
    rig::Rig,
};
use serde_json::json;

/// `BTN_LEFT`, and `KEY_BACKSPACE`, `KEY_Q`, `KEY_LEFTCTRL`, `KEY_RIGHTALT`, `KEY_LEFTSHIFT` and
/// `KEY_F5` of `linux/input-event-codes.h`.
const BTN_LEFT: u32 = 0x110;
const KEY_BACKSPACE: u32 = 14;
const KEY_Q: u32 = 16;
const KEY_LEFT_CONTROL: u32 = 29;
const KEY_RIGHT_ALT: u32 = 100;
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
    // A reload of the page would lose this.
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

/// The keys and buttons that went down and up, in order.
fn presses(log: &AppLog) -> Vec<(u32, bool)> {
    let press = |event| match event {
        AppEvent::Key { code, pressed } | AppEvent::Button { code, pressed } => {
            Some((code, pressed))
        }
        _ => None,
    };
    log.events().into_iter().filter_map(press).collect()
}

fn stroke(page: &Page, code: &str) -> Result<()> {
    page.key_down(code)?;
    page.key_up(code)
}

/// Waits until `code` is released, and returns all presses and releases until then.
fn presses_until_up(log: &AppLog, code: u32) -> Result<Vec<(u32, bool)>> {
    wait_until("a key or button comes up", || presses(log).last() == Some(&(code, false)))?;
    Ok(presses(log))
}

#[test]
fn shift_whose_release_was_never_seen_shifts_no_key() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    // The driver's keyboard does not know this, so its events report no Shift.
    page.key_event("keydown", "ShiftLeft", &json!({ "key": "Shift", "shiftKey": true }))?;
    let log = rig.app_log();
    log.wait_for_event(0, &AppEvent::Key { code: KEY_LEFT_SHIFT, pressed: true })?;
    stroke(&page, "KeyQ")?;
    assert_eq!(
        presses_until_up(log, KEY_Q)?,
        [(KEY_LEFT_SHIFT, true), (KEY_LEFT_SHIFT, false), (KEY_Q, true), (KEY_Q, false)]
    );
    Ok(())
}

#[test]
fn shift_whose_release_was_never_seen_shifts_no_click() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    page.key_event("keydown", "ShiftLeft", &json!({ "key": "Shift", "shiftKey": true }))?;
    let log = rig.app_log();
    log.wait_for_event(0, &AppEvent::Key { code: KEY_LEFT_SHIFT, pressed: true })?;
    page.click(100.0, 100.0)?;
    assert_eq!(
        presses_until_up(log, BTN_LEFT)?,
        [(KEY_LEFT_SHIFT, true), (KEY_LEFT_SHIFT, false), (BTN_LEFT, true), (BTN_LEFT, false)]
    );
    Ok(())
}

#[test]
fn shift_from_before_the_page_had_the_focus_counts_for_a_click() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    page.blur()?;
    page.key_down("ShiftLeft")?;
    page.click(100.0, 100.0)?;
    let log = rig.app_log();
    assert_eq!(
        presses_until_up(log, BTN_LEFT)?,
        [(KEY_LEFT_SHIFT, true), (BTN_LEFT, true), (BTN_LEFT, false)]
    );
    page.key_up("ShiftLeft")?;
    log.wait_until_nothing_held()
}

#[test]
fn key_after_the_window_lost_the_focus_is_not_pressed() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    page.blur()?;
    page.key_event("keydown", "ControlLeft", &json!({ "key": "Control", "ctrlKey": true }))?;
    page.focus()?;
    stroke(&page, "KeyQ")?;
    assert_eq!(presses_until_up(rig.app_log(), KEY_Q)?, [(KEY_Q, true), (KEY_Q, false)]);
    Ok(())
}

#[test]
fn held_key_of_a_browser_that_stands_still_is_released() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    page.key_down("Backspace")?;
    let log = rig.app_log();
    log.wait_for_event(0, &AppEvent::Key { code: KEY_BACKSPACE, pressed: true })?;
    let stall = browser.stall()?;
    let stopped = Instant::now();
    log.wait_for_event(0, &AppEvent::Key { code: KEY_BACKSPACE, pressed: false })?;
    note_time("key released after its browser stands still", stopped.elapsed());
    // The browser continues, and so do its signs of life: released keys stay released.
    drop(stall);
    stroke(&page, "KeyQ")?;
    assert_eq!(
        presses_until_up(log, KEY_Q)?,
        [(KEY_BACKSPACE, true), (KEY_BACKSPACE, false), (KEY_Q, true), (KEY_Q, false)]
    );
    Ok(())
}

#[test]
fn held_modifier_that_was_let_go_is_down_again_with_the_next_key() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    page.key_down("ControlLeft")?;
    let log = rig.app_log();
    log.wait_for_event(0, &AppEvent::Key { code: KEY_LEFT_CONTROL, pressed: true })?;
    let stall = browser.stall()?;
    log.wait_until_nothing_held()?;
    drop(stall);
    stroke(&page, "KeyQ")?;
    let last = presses_until_up(log, KEY_Q)?.split_off(2);
    assert_eq!(last, [(KEY_LEFT_CONTROL, true), (KEY_Q, true), (KEY_Q, false)]);
    page.key_up("ControlLeft")?;
    log.wait_until_nothing_held()
}

#[test]
fn held_key_has_signs_of_life_and_a_released_one_none() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    // By the first byte of the message `stillHeld`.
    let told = "lumenTest.said.filter(({ tag }) => tag === 0x0c).map(({ at }) => at)";
    let signs = || page.evaluate::<Vec<f64>>(told);
    page.key_down("KeyQ")?;
    wait_until("twenty signs of life", || signs().is_ok_and(|signs| signs.len() >= 20))?;
    page.key_up("KeyQ")?;
    let given = signs()?;
    let gaps = given.windows(2).map(|pair| pair[1] - pair[0]);
    note("longest time between two signs of life, ms", gaps.fold(0.0, f64::max));
    // At least as long as ten of them took.
    page.evaluate::<()>("new Promise((done) => setTimeout(done, 1000))")?;
    assert_eq!(signs()?.len(), given.len());
    Ok(())
}

#[test]
fn storm_of_keys_with_lost_releases_leaves_nothing_down() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    page.evaluate::<()>("lumenTest.keyStorm(400)")?;
    stroke(&page, "KeyQ")?;
    let log = rig.app_log();
    log.wait_for_event(0, &AppEvent::Key { code: KEY_Q, pressed: false })?;
    // A key event that reports no modifiers releases them.
    let modifiers = [KEY_LEFT_CONTROL, KEY_LEFT_SHIFT, KEY_RIGHT_ALT];
    let held = log.held();
    assert!(!held.iter().any(|code| modifiers.contains(code)), "{held:?}");
    page.blur()?;
    log.wait_until_nothing_held()
}
