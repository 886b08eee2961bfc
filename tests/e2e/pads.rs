//! Gamepads in a real browser's page, and a machine without uinput. Everything beyond rtc needs a
//! kernel with uinput: `tests/vm/tests/pads*.sh`.

use std::path::Path;

use anyhow::{Result, ensure};
use lumen_ipc::{message::pads::PadReport, process::Worker};
use lumen_tests::{
    browser::{Browser, Page},
    patience::{wait_for_ok, wait_until},
    rig::{Rig, Setup},
    viewer::Viewer,
};
use serde_json::{Value, json};

/// The page's own module with a fake pad, recording all that it sends.
const STAGE: &str = r"(async () => {
    const [program] = document.scripts;
    const { Gamepads } = (await import(new URL('controls.js', program.src))).page_gamepads;
    const up = { pressed: false, value: 0 };
    const test = { polls: 0, pads: [null, null, null, null], sent: [], said: [], played: [] };
    test.pad = { index: 0, connected: true, mapping: 'standard', axes: [0, 0, 0, 0],
        buttons: Array.from({ length: 17 }, () => up),
        vibrationActuator: {
            playEffect: async (kind, effect) => test.played.push([kind, effect]),
            reset: async () => test.played.push(['reset']),
        } };
    test.fire = (name) => window.dispatchEvent(Object.assign(new Event(name), { gamepad: test.pad }));
    test.frames = async (count) => {
        for (let left = count; left > 0; left -= 1) await new Promise(requestAnimationFrame);
    };
    navigator.getGamepads = () => { test.polls += 1; return test.pads; };
    document.hasFocus = () => !test.away;
    test.gamepads = new Gamepads({ send: (message) => test.sent.push(message) > 0,
        isActive: () => true, notify: (text) => test.said.push(text) }, new AbortController().signal);
    window.padTest = test;
    return true;
})()";

/// How often the page asks the browser for pads in twenty frames.
fn polls(page: &Page) -> Result<u32> {
    page.evaluate(
        "(async () => { const before = padTest.polls; await padTest.frames(20);
            return padTest.polls - before; })()",
    )
}

/// Does `act` in the page and waits for the message that follows.
fn act(page: &Page, act: &str, expected: &Value) -> Result<()> {
    page.evaluate::<Value>(&format!("(() => {{ {act}; return null; }})()"))?;
    wait_for_ok("the page's message", || {
        let last: Value = page.evaluate("padTest.sent.at(-1) ?? null")?;
        ensure!(&last == expected, "{last} after {act}, expected {expected}");
        Ok(())
    })
}

#[test]
fn page_polls_pads_only_while_one_is_there_it_has_the_focus_and_they_are_of_use() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    assert!(page.evaluate::<bool>(STAGE)?);
    let rest = |sequence: u16| {
        json!({ "type": "pad", "pad": 0, "sequence": sequence, "buttons": 0,
            "sticks": [0, 0, 0, 0], "triggers": [0, 0] })
    };
    let pressed = |sequence: u16| {
        let mut message = rest(sequence);
        message["buttons"] = json!(1);
        message
    };
    // The first frame after it is told polls once.
    page.evaluate::<Value>("padTest.gamepads.setAvailable(true), padTest.frames(2)")?;
    assert_eq!(polls(&page)?, 0, "nothing is connected");
    act(&page, "padTest.pads[0] = padTest.pad; padTest.fire('gamepadconnected')", &rest(1))?;
    assert_eq!(page.evaluate::<Vec<String>>("padTest.said")?, ["Gamepad 1 connected"]);
    assert!(polls(&page)? >= 20, "one is connected");
    act(&page, "padTest.pad.buttons[0] = { pressed: true, value: 1 }", &pressed(2))?;
    act(&page, "padTest.away = true; window.dispatchEvent(new Event('blur'))", &pressed(2))?;
    act(&page, "padTest.gamepads.release()", &rest(3))?;
    page.evaluate::<Value>("padTest.frames(2)")?;
    assert_eq!(polls(&page)?, 0, "the focus is elsewhere");
    act(&page, "padTest.away = false; window.dispatchEvent(new Event('focus'))", &pressed(4))?;
    let unplugged = json!({ "type": "padUnplugged", "pad": 0, "sequence": 5 });
    act(&page, "padTest.pads[0] = null; padTest.fire('gamepaddisconnected')", &unplugged)?;
    page.evaluate::<Value>("padTest.frames(2)")?;
    assert_eq!(polls(&page)?, 0, "it is gone");
    Ok(())
}

#[test]
fn page_shakes_a_pad_as_it_is_told_and_stops_it() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    assert!(page.evaluate::<bool>(STAGE)?);
    let played: Value = page.evaluate(
        "(() => {
            padTest.pads[0] = padTest.pad;
            const { gamepads } = padTest;
            gamepads.rumble({ type: 'padRumbled', pad: 0, strong: 65535, weak: 0, millis: 500 });
            gamepads.rumble({ type: 'padRumbled', pad: 3, strong: 65535, weak: 0, millis: 500 });
            gamepads.rumble({ type: 'padRumbled', pad: 0, strong: 0, weak: 0, millis: 0 });
            return padTest.played;
        })()",
    )?;
    let effect = json!({ "duration": 500, "strongMagnitude": 1, "weakMagnitude": 0 });
    assert_eq!(played, json!([["dual-rumble", effect], ["reset"]]));
    Ok(())
}

#[test]
fn machine_without_uinput_says_so_once_and_nothing_else_suffers() -> Result<()> {
    if Path::new("/dev/uinput").exists() {
        println!("there is a /dev/uinput: nothing to test");
        return Ok(());
    }
    let rig = Rig::start()?;
    let viewer = Viewer::join(&rig)?;
    viewer.wait_until_connected()?;
    viewer.pad(0, 1, &PadReport { buttons: 1, ..PadReport::default() })?;
    viewer.unplug_pad(0, 2)?;
    viewer.wait_for_frame(0)?;
    wait_until("gamepad says what is missing", || {
        let output = rig.lumen(&["status"]).map(|output| output.stdout).unwrap_or_default();
        String::from_utf8_lossy(&output).contains("no access to /dev/uinput")
    })?;
    let successor = rig.successor(Worker::Gamepad, rig.kill(Worker::Gamepad)?)?;
    ensure!(successor.is_alive(), "gamepad does not come back");
    ensure!(viewer.seen().closed.is_none(), "the viewer was cut off");
    let available = viewer.seen().messages.iter().any(|message| message.first() == Some(&0x87));
    ensure!(!available, "the page was told that there are pads");
    let logs = rig.lumen(&["logs", "gamepad"])?;
    let lines = String::from_utf8_lossy(&logs.stdout).matches("gamepads are off").count();
    assert_eq!(lines, 2, "once for each gamepad there was");
    Ok(())
}

#[test]
fn desktop_without_pads_has_no_gamepad_worker() -> Result<()> {
    let rig = Setup::new().option("--pad", "off").start()?;
    let viewer = Viewer::join(&rig)?;
    viewer.wait_until_connected()?;
    viewer.pad(0, 1, &PadReport::default())?;
    viewer.wait_for_frame(0)?;
    let status = rig.lumen(&["status"])?;
    ensure!(!String::from_utf8_lossy(&status.stdout).contains("gamepad"), "there is one");
    Ok(())
}
