//! Windows of another size than they were told, popups while a button is down, and decorations.

use std::time::{Duration, Instant};

use lumen_compositor::{capture::IDLE_INTERVAL, render::scene};
use lumen_ipc::{
    message::input::{Action, OutputPoint, PressState},
    units::ButtonCode,
};
use wayland_client::{
    Connection, Dispatch, QueueHandle, WEnum, delegate_noop, protocol::wl_shm::Format,
};
use wayland_protocols::xdg::decoration::zv1::client::{
    zxdg_decoration_manager_v1::ZxdgDecorationManagerV1,
    zxdg_toplevel_decoration_v1::{self, Mode, ZxdgToplevelDecorationV1},
};

use crate::{
    GREEN, MIDDLE, RED,
    app::{App, Event, Memory, Window},
    red_window,
    rig::{Rig, rig_past_its_first_frame as rig},
};

const BACKGROUND: u32 = 0x111419;
const LEFT_BUTTON: u32 = 0x110;

fn press(state: PressState, at: OutputPoint) -> Action {
    let button = ButtonCode::new(LEFT_BUTTON.into()).expect("legal button");
    Action::Button { button, state, at }
}

/// A place of the output of 640x480, in its pixels.
fn pixel(x: u32, y: u32) -> OutputPoint {
    let part =
        |value: u32, side: u32| u16::try_from((value * 2 + 1) * 32768 / side).expect("inside");
    OutputPoint { x: part(x, 640), y: part(y, 480) }
}

/// An app with a window of this size, whatever it was told, shown on the screen.
fn window_of(rig: &mut Rig, width: i32, height: i32) -> (App, Window) {
    let mut app = App::start(rig);
    let window = app.open();
    app.until_told(rig, &Event::Configured { width: 640, height: 480, maximized: true });
    let count = rig.frames.len();
    app.show(&window.surface, &app.buffer(width, height, RED));
    app.exchange();
    rig.frame_after(count);
    (app, window)
}

#[test]
fn window_smaller_than_told_is_centred_on_the_background() {
    let mut rig = rig();
    let _app = window_of(&mut rig, 320, 240);
    assert_eq!([rig.pixel(159, 119), rig.pixel(160, 120)], [BACKGROUND, 0xff0000]);
    assert_eq!([rig.pixel(479, 359), rig.pixel(480, 360)], [0xff0000, BACKGROUND]);
}

#[test]
fn window_larger_than_told_is_shown_whole_and_clicked_where_it_is_seen() {
    let mut rig = rig();
    let (mut app, window) = window_of(&mut rig, 1280, 480);
    // It is shown at half its size, in the middle.
    assert_eq!([rig.pixel(5, 118), rig.pixel(5, 122)], [BACKGROUND, 0xff0000]);
    assert_eq!([rig.pixel(635, 357), rig.pixel(635, 361)], [0xff0000, BACKGROUND]);
    rig.act(Action::PointerTo(pixel(320, 240)));
    rig.act(Action::PointerTo(pixel(100, 140)));
    app.until(&mut rig, |memory| memory.events.iter().any(|event| is_moved_to(event, 201.0, 41.0)));
    // While a button is down, too.
    rig.act(press(PressState::Pressed, pixel(100, 140)));
    rig.act(Action::PointerTo(pixel(110, 150)));
    app.until(&mut rig, |memory| memory.events.iter().any(|event| is_moved_to(event, 221.0, 61.0)));
    drop(window);
}

fn is_moved_to(event: &Event, x: f64, y: f64) -> bool {
    matches!(event, Event::Moved { x: at_x, y: at_y }
        if (at_x - x).abs() < 1.0 && (at_y - y).abs() < 1.0)
}

#[test]
fn popup_opened_by_a_press_gets_the_pointer_after_the_release() {
    let mut rig = rig();
    let (mut app, window) = red_window(&mut rig);
    rig.release();
    rig.act(Action::PointerTo(MIDDLE));
    rig.act(press(PressState::Pressed, MIDDLE));
    app.until_told(&mut rig, &Event::Button { button: LEFT_BUTTON, down: true });
    // Under the pointer.
    let popup = app.grabbing_popup(&window, (200, 200), (300, 200));
    app.show_popup(&mut rig, &popup, (300, 200), GREEN);
    rig.act(Action::PointerTo(pixel(330, 250)));
    app.until(&mut rig, |memory| {
        memory.events.iter().any(|event| is_moved_to(event, 330.5, 250.5))
    });
    assert_eq!(app.count(&Event::PointerEntered), 1, "{:?}", app.memory.events);
    rig.act(press(PressState::Released, pixel(330, 250)));
    app.until(&mut rig, |memory| {
        memory.events.iter().filter(|event| **event == Event::PointerEntered).count() == 2
    });
    let up = Event::Button { button: LEFT_BUTTON, down: false };
    let place = |wanted: &Event| app.memory.events.iter().rposition(|event| event == wanted);
    assert!(place(&up) < place(&Event::PointerEntered), "{:?}", app.memory.events);
}

/// A window that fills the screen with one colour and is mapped above all others.
fn filled(rig: &mut Rig, app: &mut App, color: u32) -> Window {
    let window = app.open();
    let configured = Event::Configured { width: 640, height: 480, maximized: true };
    app.memory.events.clear();
    app.until_told(rig, &configured);
    let count = rig.frames.len();
    app.show(&window.surface, &app.buffer_of(Format::Xrgb8888, 640, 480, color));
    app.exchange();
    rig.frame_after(count);
    rig.release();
    window
}

#[test]
fn windows_behind_one_that_hides_them_are_not_part_of_the_picture_until_it_goes() {
    let mut rig = rig();
    let mut app = App::start(&mut rig);
    let hidden: Vec<Window> = (0..20).map(|_| filled(&mut rig, &mut app, RED)).collect();
    let front = filled(&mut rig, &mut app, GREEN);
    let elements = |rig: &mut Rig| {
        let state = &rig.shell.compositor().state;
        let mut renderer = lumen_compositor::render::Cpu::new().expect("Pixman");
        scene(&state.output, &state.tree, None, &mut renderer).elements.len()
    };
    assert_eq!((elements(&mut rig), rig.pixel(320, 240)), (1, 0x00ff00));
    // Drawing in a hidden window causes no visible change.
    let count = rig.frames.len();
    app.show(&hidden[0].surface, &app.buffer_of(Format::Xrgb8888, 640, 480, RED));
    app.exchange();
    rig.wait_quietly();
    assert_eq!(rig.frames.len(), count);
    front.surface.attach(None, 0, 0);
    front.surface.commit();
    app.exchange();
    rig.frame_after(count);
    assert_eq!((elements(&mut rig), rig.pixel(320, 240)), (1, 0xff0000));
}

#[test]
fn hidden_window_is_called_back_rarely_while_the_one_before_it_draws_each_frame() {
    let mut rig = rig();
    let mut app = App::start(&mut rig);
    let called =
        |memory: &Memory| memory.events.iter().filter(|event| **event == Event::CalledBack).count();
    let start = Instant::now();
    let hidden = filled(&mut rig, &mut app, RED);
    app.until(&mut rig, |memory| called(memory) == 1);
    let front = filled(&mut rig, &mut app, GREEN);
    app.until(&mut rig, |memory| called(memory) == 1);
    hidden.surface.frame(&app.handle(), ());
    hidden.surface.commit();
    let before = called(&app.memory);
    for index in 0..10 {
        let count = rig.frames.len();
        // A format without alpha, because a translucent window hides nothing.
        let buffer = app.buffer_of(Format::Xrgb8888, 640, 480, GREEN + index);
        app.show(&front.surface, &buffer);
        app.exchange();
        rig.frame_after(count);
        rig.release();
    }
    app.until(&mut rig, |memory| called(memory) >= before + 10);
    // It was called back at the start, and again only after seconds.
    let of_hidden = called(&app.memory) - before - 10;
    let pauses = start.elapsed().as_millis() / 900;
    assert!(of_hidden as u128 <= pauses, "{of_hidden} calls in {:?}", start.elapsed());
}

impl Dispatch<ZxdgToplevelDecorationV1, ()> for Memory {
    fn event(
        memory: &mut Self,
        _: &ZxdgToplevelDecorationV1,
        event: zxdg_toplevel_decoration_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let zxdg_toplevel_decoration_v1::Event::Configure { mode: WEnum::Value(mode) } = event {
            memory.events.push(Event::Decorated { by_us: mode == Mode::ServerSide });
        }
    }
}

#[test]
fn decorations_are_the_apps_own_whatever_it_prefers() {
    let mut rig = rig();
    let mut app = App::start(&mut rig);
    let handle = app.handle();
    let manager: ZxdgDecorationManagerV1 =
        app.globals.bind(&handle, 1..=1, ()).expect("xdg-decoration");
    let window = app.unconfigured();
    let decoration = manager.get_toplevel_decoration(&window.toplevel, &handle, ());
    decoration.set_mode(Mode::ServerSide);
    window.surface.commit();
    app.until(&mut rig, |memory| {
        memory.events.iter().any(|event| matches!(event, Event::Decorated { .. }))
    });
    assert_eq!(app.count(&Event::Decorated { by_us: true }), 0);
}

#[test]
fn window_that_is_revealed_is_called_back_at_once() {
    let mut rig = rig();
    let mut app = App::start(&mut rig);
    let hidden = filled(&mut rig, &mut app, RED);
    app.until(&mut rig, |memory| memory.events.contains(&Event::CalledBack));
    let front = filled(&mut rig, &mut app, GREEN);
    app.until(&mut rig, |memory| memory.events.contains(&Event::CalledBack));
    let (before, rounds) = (app.count(&Event::CalledBack), rig.counter("callback_rounds_total"));
    hidden.surface.frame(&app.handle(), ());
    hidden.surface.commit();
    app.exchange();
    rig.until(|rig| rig.counter("callback_rounds_total") > rounds);
    let count = rig.frames.len();
    front.surface.attach(None, 0, 0);
    front.surface.commit();
    app.exchange();
    rig.frame_after(count);
    rig.release();
    rig.turn(Duration::ZERO);
    let due = rig.shell.compositor().settle();
    assert!(due.is_none_or(|due| due < Instant::now() + IDLE_INTERVAL / 2), "as if it were hidden");
    app.until(&mut rig, |memory| {
        memory.events.iter().filter(|event| **event == Event::CalledBack).count() > before
    });
}

delegate_noop!(Memory: ZxdgDecorationManagerV1);
