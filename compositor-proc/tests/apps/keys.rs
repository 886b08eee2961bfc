//! Keys and lock keys as apps see them.

use std::time::Instant;

use lumen_ipc::{
    message::input::{Action, HOLD_PATIENCE, Locks, PressState},
    service::{CompositorConfig, Keymap},
    text::Text,
    units::{KeyCode, PeerId},
};

use super::{
    app::{App, Event, Window},
    red_window,
    rig::{Rig, rig_past_its_first_frame},
};

const KEY_A: u64 = 30;
const KEY_LEFT_SHIFT: u64 = 42;
const KEY_CAPS_LOCK: u64 = 58;
const KEY_NUM_LOCK: u64 = 69;
/// `ShiftMask`, `LockMask` and `Mod2Mask` of X11/X.h.
const SHIFT: u32 = 1;
const CAPS: u32 = 2;
const NUM: u32 = 16;

const NONE: Locks = Locks { caps: false, num: false };
const BOTH: Locks = Locks { caps: true, num: true };

fn press(key: u64, locks: Option<Locks>) -> Action {
    let key = KeyCode::new(key).expect("legal key");
    Action::Key { key, state: PressState::Pressed, locks }
}

fn release(key: u64) -> Action {
    let key = KeyCode::new(key).expect("legal key");
    Action::Key { key, state: PressState::Released, locks: None }
}

/// A key pressed and released.
fn stroke(rig: &Rig, peer: PeerId, key: u64, locks: Option<Locks>) {
    rig.act_as(peer, press(key, locks));
    rig.act_as(peer, release(key));
}

fn focused(rig: &mut Rig) -> (App, Window) {
    let (mut app, window) = red_window(rig);
    app.until_told(rig, &Event::KeyboardEntered);
    app.until_told(rig, &Event::Modifiers { depressed: 0, locked: 0, layout: 0 });
    app.memory.events.clear();
    (app, window)
}

/// The app's keyboard events until `key` came up for the `count`th time.
fn told(rig: &mut Rig, app: &mut App, key: u64, count: usize) -> Vec<Event> {
    let up = Event::Key { key: key as u32, down: false };
    app.until(rig, |memory| memory.events.iter().filter(|event| **event == up).count() == count);
    let events = app.memory.events.iter();
    events
        .filter(|event| matches!(event, Event::Key { .. } | Event::Modifiers { .. }))
        .cloned()
        .collect()
}

fn modifiers(depressed: u32, locked: u32) -> Event {
    Event::Modifiers { depressed, locked, layout: 0 }
}

fn key(key: u64, down: bool) -> Event {
    Event::Key { key: key as u32, down }
}

#[test]
fn locks_of_the_viewer_are_set_before_its_key_in_both_directions() {
    let mut rig = rig_past_its_first_frame();
    let (mut app, _window) = focused(&mut rig);
    let viewer = PeerId(1);
    stroke(&rig, viewer, KEY_A, Some(BOTH));
    stroke(&rig, viewer, KEY_A, Some(BOTH));
    stroke(&rig, viewer, KEY_A, Some(NONE));
    // Without a lock state the locks stay.
    stroke(&rig, viewer, KEY_A, None);
    let strokes = [key(KEY_A, true), key(KEY_A, false)];
    let expected = [
        &[modifiers(0, CAPS | NUM)][..],
        &strokes,
        &strokes,
        &[modifiers(0, 0)],
        &strokes,
        &strokes,
    ];
    assert_eq!(told(&mut rig, &mut app, KEY_A, 4), expected.concat());
}

#[test]
fn lock_key_that_the_viewer_presses_toggles_once() {
    let mut rig = rig_past_its_first_frame();
    let (mut app, _window) = focused(&mut rig);
    let viewer = PeerId(1);
    for (lock, bit, locks) in
        [(KEY_NUM_LOCK, NUM, Locks { caps: false, num: true }), (KEY_CAPS_LOCK, NUM | CAPS, BOTH)]
    {
        app.memory.events.clear();
        stroke(&rig, viewer, lock, None);
        stroke(&rig, viewer, KEY_A, Some(locks));
        let events = told(&mut rig, &mut app, KEY_A, 1);
        // The key itself changed it, and the viewer's reports after that change nothing.
        let before_a = events.iter().position(|event| *event == key(KEY_A, true));
        let tail = &events[before_a.expect("A goes down") - 1..];
        assert_eq!(tail, [modifiers(0, bit), key(KEY_A, true), key(KEY_A, false)]);
    }
}

#[test]
fn locks_of_two_viewers_follow_the_one_who_types() {
    let mut rig = rig_past_its_first_frame();
    let (mut app, _window) = focused(&mut rig);
    let caps = Locks { caps: true, num: false };
    stroke(&rig, PeerId(1), KEY_A, Some(caps));
    stroke(&rig, PeerId(2), KEY_A, Some(NONE));
    stroke(&rig, PeerId(1), KEY_A, Some(caps));
    let events = told(&mut rig, &mut app, KEY_A, 3);
    let locked = events.into_iter().filter(|event| matches!(event, Event::Modifiers { .. }));
    assert_eq!(
        locked.collect::<Vec<_>>(),
        [modifiers(0, CAPS), modifiers(0, 0), modifiers(0, CAPS)]
    );
}

#[test]
fn locks_set_while_shift_is_held_leave_it_held_and_releasable() {
    let mut rig = rig_past_its_first_frame();
    let (mut app, _window) = focused(&mut rig);
    rig.act(press(KEY_LEFT_SHIFT, None));
    stroke(&rig, PeerId(1), KEY_A, Some(BOTH));
    rig.act(release(KEY_LEFT_SHIFT));
    app.until_told(&mut rig, &modifiers(0, CAPS | NUM));
    assert_eq!(
        told(&mut rig, &mut app, KEY_LEFT_SHIFT, 1),
        [
            key(KEY_LEFT_SHIFT, true),
            modifiers(SHIFT, 0),
            modifiers(SHIFT, CAPS | NUM),
            key(KEY_A, true),
            key(KEY_A, false),
            key(KEY_LEFT_SHIFT, false),
            modifiers(0, CAPS | NUM),
        ]
    );
}

#[test]
fn locks_set_in_the_second_layout_keep_it() {
    let keymap = Keymap {
        layout: Text::truncated("us,de"),
        options: Text::truncated("grp:shifts_toggle"),
        ..Keymap::default()
    };
    let mut rig = Rig::configured(&CompositorConfig { keymap, ..Rig::config() });
    rig.frame_after(0);
    rig.release();
    let (mut app, _window) = focused(&mut rig);
    // KEY_RIGHTSHIFT: both Shift keys together change the layout.
    for action in [press(KEY_LEFT_SHIFT, None), press(54, None), release(54)] {
        rig.act(action);
    }
    rig.act(release(KEY_LEFT_SHIFT));
    app.until_told(&mut rig, &Event::Modifiers { depressed: 0, locked: 0, layout: 1 });
    stroke(&rig, PeerId(1), KEY_A, Some(BOTH));
    let locked = CAPS | NUM;
    app.until_told(&mut rig, &Event::Modifiers { depressed: 0, locked, layout: 1 });
    told(&mut rig, &mut app, KEY_A, 1);
    let last = app.memory.events.iter().rfind(|event| matches!(event, Event::Modifiers { .. }));
    assert_eq!(last, Some(&Event::Modifiers { depressed: 0, locked, layout: 1 }));
}

#[test]
fn key_of_a_viewer_that_falls_silent_is_released_and_not_pressed_again_by_a_sign_of_life() {
    let mut rig = rig_past_its_first_frame();
    let (mut app, _window) = focused(&mut rig);
    rig.act(press(KEY_A, None));
    let pressed = Instant::now();
    // Nothing else happens on the desktop: the loop must wake up by itself.
    told(&mut rig, &mut app, KEY_A, 1);
    assert!(pressed.elapsed() >= HOLD_PATIENCE);
    rig.act(Action::StillHeld);
    rig.act(press(KEY_LEFT_SHIFT, None));
    app.until_told(&mut rig, &key(KEY_LEFT_SHIFT, true));
    assert_eq!(app.count(&key(KEY_A, true)), 1);
}

#[test]
fn key_of_a_viewer_with_signs_of_life_stays_down() {
    let mut rig = rig_past_its_first_frame();
    let (mut app, _window) = focused(&mut rig);
    rig.act(press(KEY_A, None));
    app.until_told(&mut rig, &key(KEY_A, true));
    let end = Instant::now() + 3 * HOLD_PATIENCE;
    while Instant::now() < end {
        rig.act(Action::StillHeld);
        rig.turn(HOLD_PATIENCE / 9);
    }
    app.exchange();
    assert_eq!(app.count(&key(KEY_A, false)), 0);
}

#[test]
fn text_input_without_an_input_method_is_not_announced() {
    let mut rig = rig_past_its_first_frame();
    let app = App::start(&mut rig);
    let announced = app.announced();
    assert!(announced.iter().any(|interface| interface == "wl_seat"), "{announced:?}");
    let of_text = announced.iter().filter(|interface| interface.contains("text_input"));
    assert_eq!(of_text.count(), 0, "{announced:?}");
}
