//! The demo desktop as a person meets it: what it shows at first, and what the mouse can do.

use std::{fs, time::Instant};

use anyhow::{Result, ensure};
use lumen_tests::{
    browser::{Browser, Page},
    measured::note_time,
    patience::{wait_for_ok, wait_until},
    picture::Colour,
    rig::{Rig, Setup, TEST_USER, runs_as_root},
};

/// Size of the page, and so of the desktop.
const SIZE: (f64, f64) = (1280.0, 720.0);
/// In the button of the menu, left of its word.
const MENU_BUTTON: (f64, f64) = (12.0, 19.0);
/// In the open menu, left of its entries.
const MENU: (f64, f64) = (10.0, 250.0);
/// On the menu's first entry.
const FIRST_ENTRY: (f64, f64) = (100.0, 113.0);
/// At the lower edge, where no window is.
const LOWER_EDGE: (f64, f64) = (640.0, 715.0);
/// Where windows open.
const MIDDLE: (f64, f64) = (640.0, 400.0);

/// Colours as `supervisor/demo` has them: of `bar.css`, `menu.css`, `wallpaper.svg`, `foot.ini`.
const OF_MENU_BUTTON: Colour = Colour::new(0xf3, 0xb5, 0x62);
const OF_MENU: Colour = Colour::new(0x1b, 0x2a, 0x3e);
const OF_WALLPAPER: Colour = Colour::new(0x1a, 0x35, 0x50);
const OF_TERMINAL: Colour = Colour::new(0x10, 0x16, 0x1d);

fn start() -> Result<(Rig, Page)> {
    let rig = Setup::new().no_app().start()?;
    let page = Browser::start()?.open(rig.url())?;
    page.wait_for_picture()?;
    Ok((rig, page))
}

fn wait_for_colour(page: &Page, (x, y): (f64, f64), wanted: Colour) -> Result<()> {
    page.wait_for_colour((x / SIZE.0, y / SIZE.1), wanted)
}

/// The key of a character on a keyboard of the layout `us`, and whether it takes Shift.
fn key_of(character: char) -> (String, bool) {
    let named = |name: &str, shift| (name.to_owned(), shift);
    match character {
        ' ' => named("Space", false),
        '-' => named("Minus", false),
        '_' => named("Minus", true),
        '.' => named("Period", false),
        '>' => named("Period", true),
        '/' => named("Slash", false),
        '\n' => named("Enter", false),
        digit if digit.is_ascii_digit() => (format!("Digit{digit}"), false),
        letter => (format!("Key{}", letter.to_ascii_uppercase()), letter.is_ascii_uppercase()),
    }
}

fn type_text(page: &Page, text: &str) -> Result<()> {
    for (key, shift) in text.chars().map(key_of) {
        if shift {
            page.key_down("ShiftLeft")?;
        }
        page.key_down(&key)?;
        page.key_up(&key)?;
        if shift {
            page.key_up("ShiftLeft")?;
        }
    }
    Ok(())
}

/// Lines that are complaints of Lumen, wlroots, waybar, GTK or foot.
fn complaints(said: &str) -> Vec<&str> {
    let marks = ["WARN", "ERROR", "[warning]", "[error]", "CRITICAL", "warn: ", "err: "];
    said.lines().filter(|line| marks.iter().any(|mark| line.contains(mark))).collect()
}

#[test]
fn demo_desktop_shows_its_bar_wallpaper_and_terminal_and_complains_of_nothing() -> Result<()> {
    let (rig, page) = start()?;
    let first_picture = Instant::now();
    wait_for_colour(&page, MENU_BUTTON, OF_MENU_BUTTON)?;
    wait_for_colour(&page, LOWER_EDGE, OF_WALLPAPER)?;
    wait_for_colour(&page, MIDDLE, OF_TERMINAL)?;
    note_time("the demo desktop is complete after its first picture", first_picture.elapsed());
    page.wait_until_quiet()?;
    let said = rig.said();
    ensure!(complaints(&said).is_empty(), "{:#?}", complaints(&said));
    Ok(())
}

#[test]
fn menu_opened_by_a_click_starts_a_terminal_whose_user_has_a_name() -> Result<()> {
    let (rig, page) = start()?;
    wait_for_colour(&page, MIDDLE, OF_TERMINAL)?;
    type_text(&page, "exit\n")?;
    wait_for_ok("the first terminal is gone", || {
        let seen = page.colour_at(MIDDLE.0 / SIZE.0, MIDDLE.1 / SIZE.1)?;
        ensure!(!OF_TERMINAL.is_about(seen), "still there");
        Ok(())
    })?;
    page.click(MENU_BUTTON.0, MENU_BUTTON.1)?;
    wait_for_colour(&page, MENU, OF_MENU)?;
    type_text(&page, "terminal")?;
    page.wait_until_quiet()?;
    page.click(FIRST_ENTRY.0, FIRST_ENTRY.1)?;
    wait_for_colour(&page, MIDDLE, OF_TERMINAL)?;

    let note = rig.runtime_folder().join("whoami");
    type_text(&page, &format!("whoami > {}\n", note.display()))?;
    let expected = if runs_as_root() { TEST_USER.to_owned() } else { std::env::var("USER")? };
    wait_until("the terminal's shell writes the user's name", || {
        fs::read_to_string(&note).is_ok_and(|name| name.trim() == expected)
    })?;
    let said = rig.said();
    ensure!(complaints(&said).is_empty(), "{:#?}", complaints(&said));
    Ok(())
}

#[test]
fn window_stays_inside_the_screen_when_the_browser_becomes_a_phone() -> Result<()> {
    let (_rig, page) = start()?;
    wait_for_colour(&page, MIDDLE, OF_TERMINAL)?;
    page.resize(390, 844)?;
    // The terminal is as wide as the screen then, and its middle where the screen's is.
    for x in [0.03, 0.5, 0.97] {
        page.wait_for_colour((x, 0.5), OF_TERMINAL)?;
    }
    Ok(())
}
