//! Real desktops and apps inside Lumen, as users run them.

use anyhow::Result;
use lumen_tests::{
    browser::{Browser, Page},
    patience::wait_until,
    picture::Colour,
    rig::Setup,
};

/// Different colours on a grid over the picture: a desktop that has drawn itself shows several, an
/// empty output one.
/// empty output one.
fn colours(page: &Page) -> Result<Vec<Colour>> {
    const STEPS: usize = 40;
    let script = format!(
        "Array.from({{ length: {STEPS} * {STEPS} }}, (_, i) => lumenTest.colourAt(\
         (i % {STEPS} + 0.5) / {STEPS}, (Math.floor(i / {STEPS}) + 0.5) / {STEPS}))"
    );
    let mut distinct: Vec<Colour> = Vec::new();
    for colour in page.evaluate::<Vec<Colour>>(&script)? {
        if !distinct.iter().any(|known| known.is_about(colour)) {
            distinct.push(colour);
        }
    }
    Ok(distinct)
}

fn shows_itself(command: &[&str], at_least: usize) -> Result<()> {
    let rig = Setup::new().app(command.iter().copied()).start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    wait_until(&format!("{command:?} shows {at_least} colours"), || {
        colours(&page).is_ok_and(|colours| colours.len() >= at_least)
    })?;
    // It keeps drawing without an error: still there, still connected.
    page.ensure_connected_once()
}

#[test]
fn foot_shows_itself() -> Result<()> {
    // Paper, ink.
    shows_itself(&["foot", "sh", "-c", "seq 2000 | tr '\\n' ' '; read x"], 2)
}

#[test]
fn sway_shows_itself_nested() -> Result<()> {
    // Bar and its text, background.
    shows_itself(&["sway"], 2)
}

#[test]
fn weston_shows_itself_nested() -> Result<()> {
    // Panel, wallpaper.
    shows_itself(&["weston", "--backend=wayland-backend.so", "--fullscreen", "--use-pixman"], 2)
}

#[test]
fn gtk3_list_opened_by_a_click_stays_open_for_the_next() -> Result<()> {
    const APP: &str = include_str!("../stubs/gtk3_choices.py");
    /// The colour of its box.
    const BOX: Colour = Colour { red: 192, green: 32, blue: 64 };
    /// The colour of its list.
    const LIST: Colour = Colour { red: 32, green: 192, blue: 64 };
    let rig = Setup::new().app(["/usr/bin/python3", "-c", APP]).start()?;
    let browser = Browser::start()?;
    let page = browser.open_sized(rig.url(), 800, 600)?;
    // A picture may come before the window, and what is clicked then is lost.
    page.wait_for_colour((0.5, 0.5), BOX)?;
    page.click(400.0, 300.0)?;
    wait_until("the list opens", || rig.said().contains("list open True"))?;
    // The list opens with its current line over the box; the next lines are below. The app says that it opens the
    // list before that is on the screen, where a click would still meet the window and close the list.
    page.wait_for_colour((0.5, 340.0 / 600.0), LIST)?;
    page.click(400.0, 340.0)?;
    wait_until("another line is chosen", || rig.said().contains("chosen "))
}
