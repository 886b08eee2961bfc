//! Typing, from the viewer's keyboard to the text in an app with a toolkit.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use lumen_tests::{
    browser::{Browser, Page},
    patience::wait_until,
    rig::{Rig, Setup},
    stage::Folder,
};
use serde_json::{Value, json};

/// A page that types into an app, and the file in which the app stores the text.
struct Desk {
    typed: PathBuf,
    page: Page,
    _browser: Browser,
    _rig: Rig,
    _folder: Folder,
}

impl Desk {
    /// A shell in a terminal that reads one line.
    fn with_terminal() -> Result<Self> {
        Self::with(&[], |typed| {
            let script =
                format!(": > {0}; read -r line; printf %s \"$line\" > {0}", typed.display());
            ["foot", "sh", "-c", &script].map(str::to_owned).to_vec()
        })
    }

    /// A text entry of GTK 4.
    fn with_gtk(options: &[(&str, &str)]) -> Result<Self> {
        let script = include_str!("../stubs/gtk_entry.py");
        Self::with(options, |typed| {
            // Without a GPU, and with the Python that has Debian's bindings.
            [
                "env",
                "GSK_RENDERER=cairo",
                "/usr/bin/python3",
                "-c",
                script,
                &typed.to_string_lossy(),
            ]
            .map(str::to_owned)
            .to_vec()
        })
    }

    fn with(options: &[(&str, &str)], app: impl FnOnce(&Path) -> Vec<String>) -> Result<Self> {
        let folder = Folder::new("typed", 0o1777)?;
        let typed = folder.path().join("typed");
        let setup = Setup::new().app(app(&typed));
        let setup = options.iter().fold(setup, |setup, (name, value)| setup.option(name, value));
        let rig = setup.start()?;
        let browser = Browser::start()?;
        let page = browser.open(rig.url())?;
        page.wait_for_picture()?;
        wait_until("the app takes keys", || typed.exists())?;
        Ok(Self { typed, page, _browser: browser, _rig: rig, _folder: folder })
    }

    /// Presses and releases a key, with additional members of the event.
    fn stroke(&self, code: &str, more: &Value) -> Result<()> {
        self.page.key_event("keydown", code, more)?;
        self.page.key_event("keyup", code, more)
    }

    fn has_typed(&self, wanted: &str) -> Result<()> {
        let typed = || fs::read_to_string(&self.typed).unwrap_or_default();
        wait_until(&format!("{wanted:?} is typed"), || typed() == wanted)
            .map_err(|error| error.context(format!("typed was {:?}", typed())))
    }
}

/// The members of a key's event while these lock keys are on.
fn with_locks(key: &str, caps: bool, num: bool) -> Value {
    json!({ "key": key, "modifierCapsLock": caps, "modifierNumLock": num })
}

#[test]
fn lock_keys_that_were_on_before_the_page_opened_count() -> Result<()> {
    let desk = Desk::with_terminal()?;
    for digit in ["1", "2", "3", "5"] {
        desk.stroke(&format!("Numpad{digit}"), &with_locks(digit, true, true))?;
    }
    desk.stroke("KeyA", &with_locks("A", true, true))?;
    desk.stroke("KeyB", &with_locks("B", true, true))?;
    desk.stroke("Enter", &with_locks("Enter", true, true))?;
    desk.has_typed("1235AB")
}

#[test]
fn lock_keys_pressed_in_the_page_toggle_once_each_time() -> Result<()> {
    let desk = Desk::with_terminal()?;
    // Systems differ in what a lock key's own events report; both variants occur here.
    desk.stroke("CapsLock", &with_locks("CapsLock", false, false))?;
    desk.stroke("KeyA", &with_locks("A", true, false))?;
    desk.stroke("NumLock", &with_locks("NumLock", true, true))?;
    desk.stroke("Numpad7", &with_locks("7", true, true))?;
    desk.stroke("CapsLock", &with_locks("CapsLock", true, true))?;
    desk.stroke("KeyB", &with_locks("b", false, true))?;
    desk.stroke("Enter", &with_locks("Enter", false, true))?;
    desk.has_typed("A7b")
}

#[test]
fn lock_keys_switched_outside_the_page_are_followed() -> Result<()> {
    let desk = Desk::with_terminal()?;
    for (key, caps) in [("A", true), ("a", false), ("A", true), ("a", false)] {
        desk.stroke("KeyA", &with_locks(key, caps, false))?;
    }
    desk.stroke("Enter", &with_locks("Enter", false, false))?;
    desk.has_typed("AaAa")
}

#[test]
fn dead_key_and_letter_are_composed_by_an_app_of_gtk_4() -> Result<()> {
    let desk = Desk::with_gtk(&[("--layout", "de")])?;
    // On a German keyboard the key beside Backspace is a dead acute accent.
    for (code, key) in [("KeyA", "a"), ("Equal", "Dead"), ("KeyE", "é"), ("KeyB", "b")] {
        desk.stroke(code, &json!({ "key": key }))?;
    }
    desk.has_typed("aéb")
}

#[test]
fn dead_key_of_another_kind_is_composed_by_an_app_of_gtk_4() -> Result<()> {
    let desk = Desk::with_gtk(&[("--layout", "us"), ("--layout-variant", "intl")])?;
    // On that layout quotes are accents, and with Shift the diaeresis.
    desk.stroke("Quote", &json!({ "key": "Dead" }))?;
    desk.stroke("KeyA", &json!({ "key": "á" }))?;
    desk.stroke("Quote", &json!({ "key": "Dead", "shiftKey": true }))?;
    desk.stroke("KeyU", &json!({ "key": "ü" }))?;
    desk.has_typed("áü")
}
