//! Which app gets keys: the one that the viewer sees and works with, not one that merely asks for them.

use std::time::{Duration, Instant};

use lumen_compositor::seat::Typing;
use lumen_ipc::{
    message::input::{Action, OutputPoint, PressState},
    units::{ButtonCode, KeyCode},
};
use wayland_client::protocol::{wl_output::WlOutput, wl_shm::Format, wl_surface::WlSurface};
use wayland_protocols::xdg::activation::v1::client::xdg_activation_v1::XdgActivationV1;
use wayland_protocols_wlr::layer_shell::v1::client::{
    zwlr_layer_shell_v1::{Layer, ZwlrLayerShellV1},
    zwlr_layer_surface_v1::{Anchor, KeyboardInteractivity, ZwlrLayerSurfaceV1},
};

use crate::{
    GREEN, MIDDLE, RED,
    app::{App, Event, Popup, Window},
    floods::subcompositor,
    red_window,
    rig::{Rig, rig_past_its_first_frame as rig},
};

const KEY_A: u64 = 30;
const LEFT_BUTTON: u32 = 0x110;
const TRANSPARENT: u32 = 0;

fn key(state: PressState) -> Action {
    Action::Key { key: KeyCode::new(KEY_A).expect("legal key"), state, locks: None }
}

fn button(state: PressState, at: OutputPoint) -> Action {
    let button = ButtonCode::new(LEFT_BUTTON.into()).expect("legal button");
    Action::Button { button, state, at }
}

fn click(rig: &Rig, at: OutputPoint) {
    rig.act(button(PressState::Pressed, at));
    rig.act(button(PressState::Released, at));
}

/// The number of key presses that an app has received.
fn keys_of(app: &mut App) -> usize {
    app.exchange();
    app.count(&Event::Key { key: KEY_A as u32, down: true })
}

/// Presses and releases a key, and turns until the app has received both.
fn stroke(rig: &mut Rig) {
    rig.act(key(PressState::Pressed));
    rig.act(key(PressState::Released));
    // Input is sent in one turn, read in the next, and passed to apps at the beginning of another.
    (0..4).for_each(|_| rig.turn(Duration::ZERO));
}

/// Releases frames until no more arrive.
fn settle(rig: &mut Rig, apps: &mut [&mut App]) {
    let mut released = rig.frames.len();
    let quiet = Instant::now() + Duration::from_millis(150);
    let mut turns = 0;
    while turns < 10 || Instant::now() < quiet {
        turns += 1;
        for app in apps.iter_mut() {
            app.exchange();
        }
        rig.turn(Duration::from_millis(5));
        if rig.frames.len() > released {
            released = rig.frames.len();
            rig.release();
        }
    }
}

/// An app with a window of one color that fills the screen, in front of all others.
fn filled(rig: &mut Rig, color: u32) -> (App, Window) {
    let mut app = App::start(rig);
    let window = app.open();
    app.until_told(rig, &Event::Configured { width: 640, height: 480, maximized: true });
    app.show(&window.surface, &app.buffer(640, 480, color));
    settle(rig, &mut [&mut app]);
    (app, window)
}

/// A panel of this size and color in front of everything that asks for exclusive keyboard focus.
fn exclusive_panel(rig: &mut Rig, app: &mut App, size: (u32, u32), color: u32) -> WlSurface {
    let (surface, handle) = (app.surface(), app.handle());
    let shell: ZwlrLayerShellV1 = app.globals.bind(&handle, 1..=4, ()).expect("layer shell");
    let layer: ZwlrLayerSurfaceV1 = shell.get_layer_surface(
        &surface,
        None::<&WlOutput>,
        Layer::Overlay,
        "launcher".into(),
        &handle,
        (),
    );
    layer.set_anchor(Anchor::Top | Anchor::Left);
    layer.set_size(size.0, size.1);
    layer.set_keyboard_interactivity(KeyboardInteractivity::Exclusive);
    surface.commit();
    app.until_told(rig, &Event::LayerConfigured { width: size.0, height: size.1 });
    let (width, height) = (size.0 as i32, size.1 as i32);
    app.show(&surface, &app.buffer_of(Format::Argb8888, width, height, color));
    settle(rig, &mut [app]);
    surface
}

/// The app opens a menu over its window that grabs pointer and keyboard with `serial`.
fn menu_by(rig: &mut Rig, app: &mut App, window: &Window, serial: u32) -> Popup {
    let popup = app.popup_grabbing_by(window, (20, 20), (100, 100), serial);
    settle(rig, &mut [app]);
    if app.connection.protocol_error().is_none() && app.count(&Event::PopupDone) == 0 {
        app.show(&popup.surface, &app.buffer(100, 100, GREEN));
        settle(rig, &mut [app]);
    }
    popup
}

#[test]
fn menu_of_a_hidden_app_by_a_made_up_serial_gets_no_keys() {
    let mut rig = rig();
    let (mut hidden, window) = filled(&mut rig, RED);
    let (mut seen, _window) = filled(&mut rig, GREEN);
    let entered = hidden.memory.enter_serial;
    for serial in [0, 1, entered, hidden.memory.button_serial, u32::MAX] {
        menu_by(&mut rig, &mut hidden, &window, serial);
        let before = (keys_of(&mut hidden), keys_of(&mut seen));
        stroke(&mut rig);
        assert_eq!(
            (keys_of(&mut hidden), keys_of(&mut seen)),
            (before.0, before.1 + 1),
            "{serial}"
        );
    }
    assert!(hidden.count(&Event::PopupDone) > 0, "the menu is dismissed");
}

#[test]
fn menu_by_the_serial_of_another_apps_input_gets_no_keys() {
    let mut rig = rig();
    let (mut hidden, window) = filled(&mut rig, RED);
    let (mut seen, _window) = filled(&mut rig, GREEN);
    click(&rig, MIDDLE);
    seen.until_told(&mut rig, &Event::Button { button: LEFT_BUTTON, down: false });
    let serial = seen.memory.button_serial;
    for guess in serial.saturating_sub(3)..serial + 3 {
        menu_by(&mut rig, &mut hidden, &window, guess);
    }
    let before = (keys_of(&mut hidden), keys_of(&mut seen));
    stroke(&mut rig);
    assert_eq!((keys_of(&mut hidden), keys_of(&mut seen)), (before.0, before.1 + 1));
}

#[test]
fn menu_of_the_app_that_was_clicked_gets_the_keys_until_a_click_elsewhere() {
    let mut rig = rig();
    let (mut below, _below) = filled(&mut rig, RED);
    let mut app = App::start(&mut rig);
    let window = app.open();
    app.until_told(&mut rig, &Event::Configured { width: 640, height: 480, maximized: true });
    // A quarter of the screen, in the middle.
    app.show(&window.surface, &app.buffer(320, 240, GREEN));
    settle(&mut rig, &mut [&mut app]);
    click(&rig, MIDDLE);
    app.until_told(&mut rig, &Event::Button { button: LEFT_BUTTON, down: false });
    let serial = app.memory.button_serial;
    menu_by(&mut rig, &mut app, &window, serial);
    assert_eq!(app.count(&Event::PopupDone), 0, "a real click opens it");
    stroke(&mut rig);
    assert_eq!((keys_of(&mut app), keys_of(&mut below)), (1, 0));
    // Clicks the window below, to the left of the one with the menu.
    click(&rig, OutputPoint { x: 2000, y: 32768 });
    below.until_told(&mut rig, &Event::Button { button: LEFT_BUTTON, down: true });
    stroke(&mut rig);
    assert_eq!((keys_of(&mut app), keys_of(&mut below)), (1, 1));
    app.until_told(&mut rig, &Event::PopupDone);
}

#[test]
fn next_menu_of_a_bar_opens_by_the_press_that_opened_the_first_however_old_that_is() {
    let mut rig = rig();
    let (mut app, window) = filled(&mut rig, RED);
    click(&rig, MIDDLE);
    app.until_told(&mut rig, &Event::Button { button: LEFT_BUTTON, down: false });
    let serial = app.memory.button_serial;
    let mut menu = menu_by(&mut rig, &mut app, &window, serial);
    // Enough input that the press is forgotten, as it is after some time.
    (0..200).for_each(|_| stroke(&mut rig));
    for turns in [0, 4] {
        menu.popup.destroy();
        app.exchange();
        (0..turns).for_each(|_| rig.turn(Duration::ZERO));
        menu = menu_by(&mut rig, &mut app, &window, serial);
        assert_eq!(app.count(&Event::PopupDone), 0, "after {turns} turns");
    }
}

#[test]
fn menu_is_dismissed_by_a_window_that_takes_its_place() {
    let mut rig = rig();
    let (mut app, window) = filled(&mut rig, RED);
    click(&rig, MIDDLE);
    app.until_told(&mut rig, &Event::Button { button: LEFT_BUTTON, down: false });
    let serial = app.memory.button_serial;
    menu_by(&mut rig, &mut app, &window, serial);
    stroke(&mut rig);
    assert_eq!(keys_of(&mut app), 1);
    let (mut other, _window) = filled(&mut rig, GREEN);
    other.until_told(&mut rig, &Event::KeyboardEntered);
    stroke(&mut rig);
    assert_eq!((keys_of(&mut app), keys_of(&mut other)), (1, 1));
}

#[test]
fn press_within_a_menu_holds_the_pointer_until_the_release() {
    let mut rig = rig();
    let (mut app, window) = filled(&mut rig, RED);
    click(&rig, MIDDLE);
    app.until_told(&mut rig, &Event::Button { button: LEFT_BUTTON, down: false });
    let serial = app.memory.button_serial;
    menu_by(&mut rig, &mut app, &window, serial);
    // A point in the menu, which covers pixels 21 to 121.
    let inside = OutputPoint { x: 5000, y: 5000 };
    rig.act(Action::PointerTo(inside));
    settle(&mut rig, &mut [&mut app]);
    app.memory.events.clear();
    rig.act(button(PressState::Pressed, inside));
    rig.act(Action::PointerTo(MIDDLE));
    settle(&mut rig, &mut [&mut app]);
    assert_eq!(app.count(&Event::PointerLeft), 0, "{:?}", app.memory.events);
    rig.act(button(PressState::Released, MIDDLE));
    app.until_told(&mut rig, &Event::PointerLeft);
    let place = |wanted: &Event| app.memory.events.iter().position(|event| event == wanted);
    let up = Event::Button { button: LEFT_BUTTON, down: false };
    assert!(place(&up) < place(&Event::PointerLeft), "{:?}", app.memory.events);
}

#[test]
fn exclusive_panel_that_cannot_be_seen_gets_no_keys() {
    for (size, color) in [((640, 480), TRANSPARENT), ((640, 480), 0x0100_0000), ((4, 4), GREEN)] {
        let mut rig = rig();
        let (mut seen, _window) = filled(&mut rig, RED);
        let mut panel = App::start(&mut rig);
        let _surface = exclusive_panel(&mut rig, &mut panel, size, color);
        stroke(&mut rig);
        assert_eq!((keys_of(&mut panel), keys_of(&mut seen)), (0, 1), "{size:?} {color:x}");
    }
}

#[test]
fn exclusive_panel_that_can_be_seen_gets_the_keys_until_a_click_elsewhere() {
    let mut rig = rig();
    let (mut app, _window) = filled(&mut rig, RED);
    let mut panel = App::start(&mut rig);
    let surface = exclusive_panel(&mut rig, &mut panel, (200, 100), GREEN);
    stroke(&mut rig);
    assert_eq!((keys_of(&mut panel), keys_of(&mut app)), (1, 0));
    click(&rig, MIDDLE);
    stroke(&mut rig);
    assert_eq!((keys_of(&mut panel), keys_of(&mut app)), (1, 1));
    // Drawing afterwards does not give it the keys again; a click does.
    panel.show(&surface, &panel.buffer(200, 100, RED));
    settle(&mut rig, &mut [&mut panel]);
    stroke(&mut rig);
    assert_eq!((keys_of(&mut panel), keys_of(&mut app)), (1, 2));
    click(&rig, OutputPoint { x: 2000, y: 2000 });
    stroke(&mut rig);
    assert_eq!((keys_of(&mut panel), keys_of(&mut app)), (2, 2));
}

#[test]
fn window_that_cannot_be_seen_or_fades_away_gets_no_keys() {
    let mut rig = rig();
    let (mut seen, _window) = filled(&mut rig, RED);
    let (mut ghost, window) = filled(&mut rig, TRANSPARENT);
    stroke(&mut rig);
    assert_eq!((keys_of(&mut ghost), keys_of(&mut seen)), (0, 1));
    // A window that becomes visible is treated like any other until it fades away again.
    ghost.show(&window.surface, &ghost.buffer(640, 480, GREEN));
    ghost.until(&mut rig, |memory| {
        memory.events.iter().filter(|event| **event == Event::KeyboardEntered).count() == 2
    });
    settle(&mut rig, &mut [&mut ghost]);
    stroke(&mut rig);
    assert_eq!((keys_of(&mut ghost), keys_of(&mut seen)), (1, 1));
    rig.wait_quietly();
    ghost.show(&window.surface, &ghost.buffer(640, 480, TRANSPARENT));
    // Once at the start, once after the ghost was lent the keyboard, once when it faded away.
    seen.until(&mut rig, |memory| {
        ghost.exchange();
        memory.events.iter().filter(|event| **event == Event::KeyboardEntered).count() == 3
    });
    stroke(&mut rig);
    assert_eq!((keys_of(&mut ghost), keys_of(&mut seen)), (1, 2));
}

#[test]
fn window_that_cannot_be_seen_has_the_keyboard_when_it_appears_until_a_key_is_pressed() {
    let mut rig = rig();
    let (mut seen, _window) = filled(&mut rig, RED);
    for (round, size) in [(1, 1), (2, 8)] {
        let mut copier = App::start(&mut rig);
        let window = copier.open();
        copier
            .until_told(&mut rig, &Event::Configured { width: 640, height: 480, maximized: true });
        let pixel = copier.buffer_of(Format::Argb8888, size, size, TRANSPARENT);
        copier.show(&window.surface, &pixel);
        copier.until_told(&mut rig, &Event::KeyboardEntered);
        rig.act(key(PressState::Pressed));
        rig.act(key(PressState::Released));
        settle(&mut rig, &mut [&mut copier, &mut seen]);
        assert_eq!((keys_of(&mut copier), keys_of(&mut seen)), (0, round));
        // The keyboard is not lent to the same window again.
        rig.wait_quietly();
        copier.show(&window.surface, &pixel);
        settle(&mut rig, &mut [&mut copier, &mut seen]);
        assert_eq!(copier.count(&Event::KeyboardEntered), 1);
    }
}

#[test]
fn window_that_shows_little_of_itself_gets_the_keys() {
    // The smallest noticeable part, at several places.
    for corner in [(0, 0), (313, 7), (100, 247), (624, 464)] {
        let mut rig = rig();
        let (mut below, _window) = filled(&mut rig, RED);
        let mut launcher = App::start(&mut rig);
        let window = launcher.open();
        let size = Event::Configured { width: 640, height: 480, maximized: true };
        launcher.until_told(&mut rig, &size);
        let part = launcher.surface();
        let parts = subcompositor(&launcher);
        let place = parts.get_subsurface(&part, &window.surface, &launcher.handle(), ());
        place.set_position(corner.0, corner.1);
        launcher.show(&part, &launcher.buffer(16, 16, GREEN));
        launcher.show(&window.surface, &launcher.buffer(640, 480, TRANSPARENT));
        settle(&mut rig, &mut [&mut launcher]);
        stroke(&mut rig);
        assert_eq!((keys_of(&mut launcher), keys_of(&mut below)), (1, 0), "{corner:?}");
    }
}

#[test]
fn window_for_which_the_burst_ends_in_the_midst_of_a_turn_gets_the_keyboard() {
    let mut rig = rig();
    let (mut typist, _window) = filled(&mut rig, RED);
    rig.act(key(PressState::Pressed));
    typist.until_told(&mut rig, &Event::Key { key: KEY_A as u32, down: true });
    let (_other, _window) = filled(&mut rig, GREEN);
    rig.act(key(PressState::Released));
    typist.until_told(&mut rig, &Event::Key { key: KEY_A as u32, down: false });
    let state = &mut rig.shell.compositor().state;
    let end = state.focus_due().expect("the keyboard waits");
    // As if a turn checks the focus first and then draws until after the end of the burst.
    for late in [Duration::ZERO, Duration::from_millis(10)] {
        state.set_now(end + late);
        assert!(state.focus_due().is_some_and(|due| due <= end + late));
    }
}

#[test]
fn window_that_maps_while_somebody_types_gets_the_keyboard_after_the_burst() {
    let mut rig = rig();
    let (mut typist, _window) = red_window(&mut rig);
    rig.release();
    typist.until_told(&mut rig, &Event::KeyboardEntered);
    rig.act(key(PressState::Pressed));
    typist.until_told(&mut rig, &Event::Key { key: KEY_A as u32, down: true });
    let (mut other, _other) = filled(&mut rig, GREEN);
    assert_eq!(other.count(&Event::KeyboardEntered), 0, "a key is down");
    let released = Instant::now();
    rig.act(key(PressState::Released));
    stroke(&mut rig);
    typist.until(&mut rig, |memory| {
        let down = Event::Key { key: KEY_A as u32, down: true };
        memory.events.iter().filter(|event| **event == down).count() == 2
    });
    assert_eq!(keys_of(&mut other), 0);
    // There is no other event: the desktop must wake up by itself.
    other.until_told(&mut rig, &Event::KeyboardEntered);
    assert!(released.elapsed() >= Typing::GRACE);
    stroke(&mut rig);
    assert_eq!((keys_of(&mut other), keys_of(&mut typist)), (1, 2));
}

#[test]
fn window_that_is_clicked_gets_the_keyboard_at_once_whoever_types() {
    let mut rig = rig();
    let (mut typist, _window) = filled(&mut rig, RED);
    rig.act(key(PressState::Pressed));
    typist.until_told(&mut rig, &Event::Key { key: KEY_A as u32, down: true });
    let (mut other, _other) = filled(&mut rig, GREEN);
    assert_eq!(other.count(&Event::KeyboardEntered), 0, "a key is down");
    click(&rig, MIDDLE);
    other.until_told(&mut rig, &Event::KeyboardEntered);
    rig.act(key(PressState::Released));
    stroke(&mut rig);
    assert_eq!((keys_of(&mut other), keys_of(&mut typist)), (1, 1));
}

#[test]
fn second_window_of_the_app_that_is_typed_in_gets_the_keyboard_at_once() {
    let mut rig = rig();
    let (mut app, _window) = filled(&mut rig, RED);
    rig.act(key(PressState::Pressed));
    app.until_told(&mut rig, &Event::Key { key: KEY_A as u32, down: true });
    let dialog = app.open();
    let configured = Event::Configured { width: 640, height: 480, maximized: true };
    app.memory.events.clear();
    app.until_told(&mut rig, &configured);
    app.show(&dialog.surface, &app.buffer(640, 480, GREEN));
    // A key is down; another app's window would have to wait for its release.
    app.until_told(&mut rig, &Event::KeyboardEntered);
}

#[test]
fn token_by_a_made_up_serial_activates_nothing() {
    let mut rig = rig();
    let (mut hidden, window) = filled(&mut rig, RED);
    let (mut seen, _window) = filled(&mut rig, GREEN);
    let activation: XdgActivationV1 =
        hidden.globals.bind(&hidden.handle(), 1..=1, ()).expect("xdg_activation_v1");
    for (asked, serial) in [0, 1, 1000, 0x7fff_ffff, u32::MAX].into_iter().enumerate() {
        let token = activation.get_activation_token(&hidden.handle(), ());
        token.set_serial(serial, &hidden.seat);
        token.commit();
        hidden.until(&mut rig, |memory| memory.tokens == asked + 1);
        let name = hidden.memory.token.clone();
        activation.activate(name, &window.surface);
        settle(&mut rig, &mut [&mut hidden]);
        let before = (keys_of(&mut hidden), keys_of(&mut seen));
        stroke(&mut rig);
        assert_eq!(
            (keys_of(&mut hidden), keys_of(&mut seen)),
            (before.0, before.1 + 1),
            "{serial}"
        );
    }
}
