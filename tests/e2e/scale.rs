//! Displays with several device pixels to a CSS pixel: the desktop has as many pixels as the
//! window, and its apps look as large as on any other display.

use anyhow::{Result, ensure};
use lumen_ipc::units::{OutputSize, Scale};
use lumen_tests::{
    app::{AppLog, Show},
    app_event::AppEvent,
    browser::{Browser, MouseButton, Page},
    patience::wait_for_ok,
    picture::CHECKERS,
    rig::{Rig, Setup},
};
use serde::Deserialize;

use crate::{
    picture::has_size,
    pointer::{clicked_at, is_at},
};

/// The place of the picture, in CSS pixels.
#[derive(Debug, Deserialize)]
struct PictureBox {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// The size of the desktop for a window of so many device pixels.
fn desktop(width: f64, height: f64, ratio: f64) -> OutputSize {
    OutputSize::nearest(width.round() as u32, height.round() as u32, Scale::nearest(ratio))
}

/// Waits until page and app have adopted `size`.
fn follows(page: &Page, log: &AppLog, size: OutputSize) -> Result<()> {
    has_size(page, size.pixels.width().into(), size.pixels.height().into())?;
    let (width, height) = size.logical();
    let sized = AppEvent::Sized { width: width as u32, height: height as u32 };
    wait_for_ok("the app has its size and its scale", || {
        let events = log.events();
        let last = |wanted: fn(&AppEvent) -> bool| events.iter().rfind(|event| wanted(event));
        let size_found = last(|event| matches!(event, AppEvent::Sized { .. }));
        let scale_found = last(|event| matches!(event, AppEvent::Scaled { .. }));
        let parts = u32::from(size.scale.value());
        ensure!(size_found == Some(&sized), "{size_found:?} instead of {sized:?}");
        ensure!(scale_found == Some(&AppEvent::Scaled { parts }), "{scale_found:?}, not {parts}");
        Ok(())
    })
}

/// Makes sure that each pixel of the app is one pixel of the display, at its place.
fn is_crisp(page: &Page, size: OutputSize, ratio: f64) -> Result<()> {
    let found: PictureBox = page.evaluate("lumenTest.pictureBox()")?;
    let (width, height) = (f64::from(size.pixels.width()), f64::from(size.pixels.height()));
    // A layout counts 64ths of a CSS pixel.
    let near = |one: f64, other: f64| (one - other).abs() < 0.1;
    ensure!(
        near(found.width * ratio, width) && near(found.height * ratio, height),
        "{found:?} of {size:?}"
    );
    let place = |start: f64, side: u16| (start * ratio).round() as u32 + u32::from(side) / 2;
    let middle = (place(found.x, size.pixels.width()), place(found.y, size.pixels.height()));
    let side = CHECKERS as u32;
    wait_for_ok("a chequered square of single pixels", || {
        let seen = page.brightness(middle, (side, side))?;
        for (index, brightness) in seen.into_iter().enumerate() {
            let is_white = !(index % CHECKERS + index / CHECKERS).is_multiple_of(2);
            let right = if is_white { brightness > 160 } else { brightness < 96 };
            ensure!(right, "pixel {index} has a brightness of {brightness}");
        }
        Ok(())
    })
}

/// Makes sure that a click arrives where the pointer is.
fn takes_clicks(page: &Page, log: &AppLog, size: OutputSize, ratio: f64) -> Result<()> {
    let found: PictureBox = page.evaluate("lumenTest.pictureBox()")?;
    let mark = log.mark();
    page.click(found.x + 33.0, found.y + 44.0)?;
    let (place, expected) = (clicked_at(log, mark)?, 1.0 / size.scale.factor() * ratio);
    ensure!(is_at(place, (33.0 * expected, 44.0 * expected)), "{place:?} at {size:?}");
    Ok(())
}

#[test]
fn emulated_ratio_gives_a_crisp_desktop_of_the_right_size() -> Result<()> {
    let rig = Setup::new().show(Show::Checkers, 60).start()?;
    let browser = Browser::start()?;
    for ratio in [1.0, 1.25, 1.5, 2.0, 3.0] {
        let page = browser.open_scaled(rig.url(), (500, 400), ratio)?;
        let size = desktop(500.0 * ratio, 400.0 * ratio, ratio);
        follows(&page, rig.app_log(), size)?;
        is_crisp(&page, size, ratio)?;
        takes_clicks(&page, rig.app_log(), size, ratio)?;
        page.close()?;
    }
    Ok(())
}

#[test]
fn display_of_a_fractional_ratio_gives_a_crisp_desktop_of_the_right_size() -> Result<()> {
    let rig = Setup::new().show(Show::Checkers, 60).start()?;
    for ratio in [1.5, 2.0] {
        let flags = [&*format!("--force-device-scale-factor={ratio}"), "--window-size=500,500"];
        let browser = Browser::start_on(None, &flags)?;
        let page = browser.open_plain(rig.url())?;
        page.wait_for_picture()?;
        let seen: (f64, f64, f64) = page.evaluate("[innerWidth, innerHeight, devicePixelRatio]")?;
        ensure!((seen.2 - ratio).abs() < 1e-9, "the browser's ratio is {}", seen.2);
        let size = desktop(seen.0 * ratio, seen.1 * ratio, ratio);
        follows(&page, rig.app_log(), size)?;
        is_crisp(&page, size, ratio)?;
        takes_clicks(&page, rig.app_log(), size, ratio)?;
    }
    Ok(())
}

#[test]
fn viewer_that_leaves_gives_the_desktop_back_to_the_one_before() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let first = browser.open_scaled(rig.url(), (800, 600), 1.0)?;
    follows(&first, rig.app_log(), desktop(800.0, 600.0, 1.0))?;
    let second = browser.open_scaled(rig.url(), (250, 350), 2.0)?;
    follows(&second, rig.app_log(), desktop(500.0, 700.0, 2.0))?;
    second.close()?;
    follows(&first, rig.app_log(), desktop(800.0, 600.0, 1.0))
}

#[test]
fn press_beside_the_picture_is_nothing_and_a_drag_goes_on_there() -> Result<()> {
    let setup = Setup::new().option("--size", "1280x720").option("--resize", "fixed");
    let rig = setup.start()?;
    let browser = Browser::start()?;
    let page = browser.open_sized(rig.url(), 800, 800)?;
    page.wait_for_picture()?;
    has_size(&page, 1280, 720)?;
    // The picture is 800 x 450 from 175 down.
    page.mouse_to(400.0, 300.0)?;
    let log = rig.app_log();
    let at_y = |wanted: f64| {
        move |event: &AppEvent| match event {
            AppEvent::PointerAt { y, .. } if (*y - wanted).abs() < 4.0 => Some(()),
            _ => None,
        }
    };
    log.wait_for("the pointer is on the picture", 0, at_y(200.0))?;
    for beside in [(400.0, 60.0), (400.0, 780.0)] {
        page.click(beside.0, beside.1)?;
        page.wheel(0.0, 120.0)?;
    }
    // A drag from a bar onto the picture does not press anything there.
    page.mouse_button(MouseButton::Left, true)?;
    page.mouse_to(400.0, 300.0)?;
    page.mouse_button(MouseButton::Left, false)?;
    let mark = log.mark();
    page.mouse_button(MouseButton::Left, true)?;
    page.mouse_to(400.0, 790.0)?;
    log.wait_for("the drag reaches the edge", mark, at_y(719.0))?;
    page.mouse_button(MouseButton::Left, false)?;
    log.wait_until_nothing_held()?;
    let events = log.events();
    let presses = events.iter().filter(|event| matches!(event, AppEvent::Button { .. })).count();
    assert_eq!(presses, 2, "{events:?}");
    let scrolled = events.iter().any(|event| matches!(event, AppEvent::Scrolled { .. }));
    assert!(!scrolled, "{events:?}");
    Ok(())
}
