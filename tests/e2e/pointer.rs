//! Pointer, buttons and wheel from the browser to the app, and the cursor's shape back.

use anyhow::Result;
use lumen_tests::{
    app::AppLog,
    app_event::AppEvent,
    browser::{Browser, MouseButton},
    patience::wait_until,
    rig::{Rig, Setup},
};

use crate::picture::has_size;

/// `BTN_LEFT` of `linux/input-event-codes.h`.
const BTN_LEFT: u32 = 0x110;
/// `BTN_RIGHT`.
const BTN_RIGHT: u32 = 0x111;
/// `BTN_MIDDLE`.
const BTN_MIDDLE: u32 = 0x112;

/// Where the pointer was when the first button went down after `mark`.
pub(crate) fn clicked_at(log: &AppLog, mark: usize) -> Result<(f64, f64)> {
    log.wait_for("a click arrives", mark, |event| {
        matches!(event, AppEvent::Button { code: BTN_LEFT, pressed: true }).then_some(())
    })?;
    let mut place = (f64::NAN, f64::NAN);
    for (index, event) in log.events().into_iter().enumerate() {
        match event {
            AppEvent::PointerAt { x, y } => place = (x, y),
            AppEvent::Button { pressed: true, .. } if index >= mark => break,
            _ => {}
        }
    }
    Ok(place)
}

/// One pixel: half a pixel each for the browser's and for the protocol's rounding.
pub(crate) fn is_at(found: (f64, f64), expected: (f64, f64)) -> bool {
    (found.0 - expected.0).abs() <= 1.0 && (found.1 - expected.1).abs() <= 1.0
}

#[test]
fn click_lands_on_the_pixel_under_the_pointer() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open_sized(rig.url(), 1000, 600)?;
    // The first picture has another size, with bars beside it.
    has_size(&page, 1000, 600)?;
    page.click(333.0, 444.0)?;
    let place = clicked_at(rig.app_log(), 0)?;
    assert!(is_at(place, (333.0, 444.0)), "at {place:?}");
    rig.app_log().wait_until_nothing_held()
}

#[test]
fn click_inside_a_letterbox_lands_on_the_pixel_under_the_pointer() -> Result<()> {
    let setup = Setup::new().option("--size", "1280x720").option("--resize", "fixed");
    let rig = setup.start()?;
    let browser = Browser::start()?;
    let page = browser.open_sized(rig.url(), 800, 800)?;
    page.wait_for_picture()?;
    // The picture is 800 x 450 from 175 down: 1.6 desktop pixels to one of the window.
    page.click(200.0, 300.0)?;
    let place = clicked_at(rig.app_log(), 0)?;
    let expected = (200.0 * 1.6, (300.0 - 175.0) * 1.6);
    // One window pixel is 1.6 of the desktop's.
    assert!(
        (place.0 - expected.0).abs() <= 2.6 && (place.1 - expected.1).abs() <= 2.6,
        "{place:?}"
    );
    Ok(())
}

#[test]
fn every_button_arrives_as_itself() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    page.mouse_to(100.0, 100.0)?;
    let buttons = [
        (MouseButton::Left, BTN_LEFT),
        (MouseButton::Right, BTN_RIGHT),
        (MouseButton::Middle, BTN_MIDDLE),
    ];
    for (button, code) in buttons {
        page.mouse_button(button, true)?;
        rig.app_log().wait_for_event(0, &AppEvent::Button { code, pressed: true })?;
        page.mouse_button(button, false)?;
        rig.app_log().wait_for_event(0, &AppEvent::Button { code, pressed: false })?;
    }
    Ok(())
}

#[test]
fn wheel_turned_one_notch_is_one_step_of_a_wheel() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    page.mouse_to(100.0, 100.0)?;
    // Chromium reports 120 pixels for a notch of a wheel on Linux.
    page.wheel(0.0, 120.0)?;
    let step = rig.app_log().wait_for("the wheel turns", 0, |event| match event {
        AppEvent::Scrolled { right, down, right_v120, down_v120, wheel, .. } => {
            Some((*right, *down, *right_v120, *down_v120, *wheel))
        }
        _ => None,
    })?;
    // libinput's own value for one notch is 15.
    assert_eq!(step, (0.0, 15.0, 0, 120, true));
    Ok(())
}

#[test]
fn wheel_turned_many_notches_loses_none() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    page.mouse_to(100.0, 100.0)?;
    for _ in 0..10 {
        page.wheel(0.0, -120.0)?;
    }
    let turned = || -> i32 {
        let steps = rig.app_log().events().into_iter();
        steps
            .map(|event| match event {
                AppEvent::Scrolled { down_v120, .. } => down_v120,
                _ => 0,
            })
            .sum()
    };
    wait_until("ten notches arrive", || turned() == -1200)?;
    Ok(())
}

#[test]
fn cursor_of_the_app_is_the_cursor_of_the_page() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    page.mouse_to(100.0, 100.0)?;
    // The app asks for a crosshair by name, or draws its own where names are unknown.
    let script = "getComputedStyle(document.elementFromPoint(100, 100)).cursor";
    wait_until("the cursor changes", || {
        let cursor: String = page.evaluate(script).unwrap_or_default();
        cursor.contains("crosshair") || cursor.contains("url(")
    })
    .map_err(|error| error.context(format!("{:?}", page.evaluate::<String>(script))))
}
