//! The compositor against real Wayland clients, with the test as media, rtc and viewers. Needs no
//! privilege and no display: everything runs in this process, over socketpairs.

mod app;
mod bridge;
mod clipboard;
mod dmabuf;
mod drawing;
mod fairness;
mod floods;
mod focus;
mod keys;
mod layers;
mod nulls;
mod panels;
mod pools;
mod presence;
mod quotas;
mod rig;
mod scale;
mod scanout;
mod windows;

use std::fs::File;

use app::{App, Event, Window};
use lumen_ipc::{
    demand::OutputDemand,
    line::Line,
    message::{
        desktop::{Cursor, Statement},
        frames::{Damage, FrameReady, Rect, ToCompositor},
        input::{Action, OutputPoint, PressState},
    },
    units::{ButtonCode, FrameSize, KeyCode, OutputId, OutputSize, PeerId, Scale},
};
use rig::{PEER, Rig, rig_past_its_first_frame as rig};

const RED: u32 = 0xffff_0000;
const GREEN: u32 = 0xff00_ff00;
const MIDDLE: OutputPoint = OutputPoint { x: 32768, y: 32768 };

fn size(width: u16, height: u16) -> FrameSize {
    FrameSize::new(width, height).expect("legal size")
}

fn key(key: u64, state: PressState) -> Action {
    Action::Key { key: KeyCode::new(key).expect("legal key"), state, locks: None }
}

/// An app with a red window that fills the screen, whose frame media has not released.
fn red_window(rig: &mut Rig) -> (App, Window) {
    let mut app = App::start(rig);
    let window = app.open();
    app.until_told(rig, &Event::Configured { width: 640, height: 480, maximized: true });
    let count = rig.frames.len();
    app.show(&window.surface, &app.buffer(640, 480, RED));
    app.exchange();
    rig.frame_after(count);
    (app, window)
}

fn whole(frame: &FrameReady, size: FrameSize) -> bool {
    frame.damage == Damage::full(size)
}

#[test]
fn window_is_configured_to_fill_the_screen_and_its_pixels_reach_media() {
    let mut rig = rig();
    red_window(&mut rig);
    assert_eq!(rig.pixel(0, 0), 0xff0000);
    assert_eq!(rig.pixel(639, 479), 0xff0000);
}

#[test]
fn still_desktop_draws_nothing() {
    let mut rig = rig();
    let (mut app, _window) = red_window(&mut rig);
    rig.release();
    app.until_told(&mut rig, &Event::CalledBack);
    let drawn = (rig.frames.len(), rig.counter("frames_unchanged_total"));
    rig.wait_quietly();
    assert_eq!((rig.frames.len(), rig.counter("frames_unchanged_total")), drawn);
}

#[test]
fn every_frame_moves_the_latency_figures() {
    let mut rig = rig();
    red_window(&mut rig);
    rig.release();
    rig.until(|rig| rig.histogram("frame_release_microseconds").0 == rig.frames.len() as u64);
    let frames = rig.frames.len() as u64;
    assert_eq!(rig.histogram("commit_to_rendered_microseconds").0, frames);
    assert_eq!(rig.counter("frames_rendered_total"), frames);
}

#[test]
fn small_change_is_the_only_damage() {
    let mut rig = rig();
    let (app, window) = red_window(&mut rig);
    rig.release();
    let count = rig.frames.len();
    window.surface.attach(Some(&app.buffer(640, 480, GREEN)), 0, 0);
    window.surface.damage_buffer(10, 20, 30, 40);
    window.surface.commit();
    app.connection.flush().expect("sent");
    let frame = rig.frame_after(count);
    let part = Rect { x: 10, y: 20, width: 30, height: 40 };
    assert_eq!(Some(frame.damage), Damage::new(vec![part]).ok());
    assert_eq!((rig.pixel(10, 20), rig.pixel(9, 20)), (0x00ff00, 0xff0000));
}

#[test]
fn unreleased_frame_holds_back_frames_and_callbacks() {
    let mut rig = rig();
    let (mut app, window) = red_window(&mut rig);
    let count = rig.frames.len();
    app.show(&window.surface, &app.buffer(640, 480, GREEN));
    app.exchange();
    rig.wait_quietly();
    app.exchange();
    assert_eq!((rig.frames.len(), app.count(&Event::CalledBack)), (count, 0));
    rig.release();
    rig.frame_after(count);
    assert_eq!(rig.pixel(5, 5), 0x00ff00);
    rig.release();
    app.until_told(&mut rig, &Event::CalledBack);
}

#[test]
fn keyboard_enters_at_map_time_and_keys_arrive() {
    let mut rig = rig();
    let (mut app, _window) = red_window(&mut rig);
    app.until_told(&mut rig, &Event::KeyboardEntered);
    let position = |event: &Event| app.memory.events.iter().position(|one| one == event);
    let configured = position(&Event::Configured { width: 640, height: 480, maximized: true });
    assert!(configured.is_some() && configured < position(&Event::KeyboardEntered));
    rig.act(key(30, PressState::Pressed));
    app.until_told(&mut rig, &Event::Key { key: 30, down: true });
}

#[test]
fn keymap_of_an_old_app_is_memory_not_a_file() {
    let mut rig = rig();
    // wlroots 0.15 speaks version 5; from 7 on the keymap is shared by all apps.
    let mut app = App::start_with_seat(&mut rig, 5);
    app.until(&mut rig, |memory| {
        memory.events.iter().any(|event| {
            matches!(event, Event::Keymap { file } if file.starts_with("/memfd:lumen-keymap"))
        })
    });
}

#[test]
fn link_end_releases_what_viewers_hold() {
    let mut rig = rig();
    let (mut app, _window) = red_window(&mut rig);
    app.until_told(&mut rig, &Event::KeyboardEntered);
    rig.act(key(30, PressState::Pressed));
    app.until_told(&mut rig, &Event::Key { key: 30, down: true });
    rig.input = None;
    app.until_told(&mut rig, &Event::Key { key: 30, down: false });
    rig.attach_input();
    rig.act(key(31, PressState::Pressed));
    app.until_told(&mut rig, &Event::Key { key: 31, down: true });
}

#[test]
fn wheel_notch_is_120_and_15_from_a_wheel() {
    let mut rig = rig();
    let (mut app, _window) = red_window(&mut rig);
    rig.act(Action::PointerTo(MIDDLE));
    app.until_told(&mut rig, &Event::PointerEntered);
    rig.act(Action::Wheel { right_v120: 0, down_v120: 120 });
    app.until_told(&mut rig, &Event::Axis { vertical: true, value: 15.0 });
    assert_eq!(app.count(&Event::Axis120 { vertical: true, steps: 120 }), 1);
    // wl_pointer.axis_source: 0 is wheel.
    assert_eq!(app.count(&Event::AxisSource(0)), 1);
}

#[test]
fn finger_scroll_ends_with_a_stop() {
    let mut rig = rig();
    let (mut app, _window) = red_window(&mut rig);
    rig.act(Action::PointerTo(MIDDLE));
    rig.act(Action::Scroll { right_sixteenths: 0, down_sixteenths: 40 });
    rig.act(Action::Scroll { right_sixteenths: 0, down_sixteenths: 0 });
    app.until_told(&mut rig, &Event::AxisStop { vertical: true });
    assert_eq!(app.count(&Event::Axis { vertical: true, value: 2.5 }), 1);
}

#[test]
fn finger_scroll_of_one_who_lets_go_of_everything_ends_with_a_stop() {
    for end in [Action::PeerLeft, Action::ReleaseAll] {
        let mut rig = rig();
        let (mut app, _window) = red_window(&mut rig);
        rig.act(Action::PointerTo(MIDDLE));
        rig.act(Action::Scroll { right_sixteenths: 0, down_sixteenths: 40 });
        rig.act_as(PeerId(7), end);
        app.until_told(&mut rig, &Event::Axis { vertical: true, value: 2.5 });
        assert_eq!(app.count(&Event::AxisStop { vertical: true }), 0, "another one's {end:?}");
        rig.act(end);
        app.until_told(&mut rig, &Event::AxisStop { vertical: true });
    }
}

#[test]
fn button_moves_the_pointer_first() {
    let mut rig = rig();
    let (mut app, _window) = red_window(&mut rig);
    let button = ButtonCode::new(0x110).expect("BTN_LEFT");
    rig.act(Action::Button { button, state: PressState::Pressed, at: MIDDLE });
    app.until_told(&mut rig, &Event::Button { button: 0x110, down: true });
    let position = |event: &Event| app.memory.events.iter().position(|one| one == event);
    let entered = position(&Event::PointerEntered);
    assert!(entered < position(&Event::Button { button: 0x110, down: true }) && entered.is_some());
}

#[test]
fn popup_over_the_edge_slides_onto_the_output() {
    let mut rig = rig();
    let (mut app, window) = red_window(&mut rig);
    let popup = app.popup(&window, (600, 470), (100, 50));
    app.until_told(&mut rig, &Event::PopupConfigured { x: 540, y: 430, width: 100, height: 50 });
    rig.release();
    let count = rig.frames.len();
    app.show(&popup.surface, &app.buffer(100, 50, GREEN));
    app.exchange();
    rig.frame_after(count);
    assert_eq!((rig.pixel(540, 430), rig.pixel(539, 430)), (0x00ff00, 0xff0000));
}

#[test]
fn closed_window_shows_the_one_below_and_returns_the_keyboard() {
    let mut rig = rig();
    let (mut below, _window) = red_window(&mut rig);
    rig.release();
    let (mut above, window) = red_window(&mut rig);
    below.until_told(&mut rig, &Event::KeyboardLeft);
    rig.release();
    window.toplevel.destroy();
    window.xdg.destroy();
    window.surface.destroy();
    above.exchange();
    below.until(&mut rig, |memory| {
        memory.events.iter().filter(|event| **event == Event::KeyboardEntered).count() == 2
    });
}

#[test]
fn wanted_size_resizes_the_output_the_window_and_the_buffers() {
    let mut rig = rig();
    let (mut app, _window) = red_window(&mut rig);
    rig.release();
    let count = rig.frames.len();
    let place = rig.slot();
    let wanted = OutputSize::nearest(800, 600, Scale::ONE);
    rig.want(wanted);
    app.until_told(&mut rig, &Event::Configured { width: 800, height: 600, maximized: true });
    let frame = rig.frame_after(count);
    assert!(rig.retired.contains(&place) && whole(&frame, size(800, 600)));
    assert!(rig.told.contains(&Statement::OutputResized(wanted)));
}

#[test]
fn compositor_that_is_restarted_begins_with_the_wanted_size() {
    for watched in [true, false] {
        let mut rig = rig();
        let wanted = OutputSize::nearest(800, 600, Scale::nearest(1.25));
        rig.want(wanted);
        rig.watch(watched);
        let count = rig.frames.len();
        rig.restart();
        let frame = rig.frame_after(count);
        assert!(whole(&frame, wanted.pixels), "watched {watched}: {frame:?}");
        assert_eq!(rig.shell.compositor().state.output.size, wanted);
        rig.release();
        rig.wait_quietly();
        assert_eq!(rig.frames.len(), count + 1);
    }
}

#[test]
fn media_that_is_restarted_gets_frames_of_the_size_there_is_once_it_says_what_is_wanted() {
    let mut rig = rig();
    let wanted = OutputSize::nearest(800, 600, Scale::ONE);
    rig.want(wanted);
    let count = rig.frames.len();
    rig.frame_after(count);
    let count = rig.frames.len();
    rig.attach_silent_media();
    rig.wait_quietly();
    assert_eq!(rig.frames.len(), count, "a frame for a media that has said nothing");
    rig.demand.size = None;
    rig.watch(false);
    assert!(whole(&rig.frame_after(count), wanted.pixels));
}

#[test]
fn media_restart_gets_the_buffer_and_the_whole_picture_again() {
    let mut rig = rig();
    let (_app, _window) = red_window(&mut rig);
    let count = rig.frames.len();
    rig.media = None;
    rig.wait_quietly();
    rig.attach_media();
    let frame = rig.frame_after(count);
    assert!(whole(&frame, size(640, 480)));
    assert_eq!(rig.pixel(5, 5), 0xff0000);
}

#[test]
fn unwatched_desktop_draws_nothing_until_watched() {
    let mut rig = rig();
    let (mut app, window) = red_window(&mut rig);
    rig.release();
    rig.watch(false);
    rig.until(|rig| !rig.shell.compositor().state.capture.schedule.is_watched());
    let count = rig.frames.len();
    app.show(&window.surface, &app.buffer(640, 480, GREEN));
    app.exchange();
    rig.wait_quietly();
    assert_eq!(rig.frames.len(), count);
    rig.watch(true);
    rig.frame_after(count);
    assert_eq!(rig.pixel(5, 5), 0x00ff00);
}

#[test]
fn release_of_a_frame_never_sent_closes_the_link_end() {
    let mut rig = rig();
    rig.wait_quietly();
    rig.release();
    rig.release();
    rig.until(|rig| rig.counter("link_violations_total") == 1);
}

#[test]
fn demand_of_another_output_closes_the_link_end() {
    let mut rig = rig();
    let demand = OutputDemand { watched: true, size: None };
    rig.tell(ToCompositor::DemandChanged { output: OutputId::MAX, demand });
    rig.until(|rig| rig.counter("link_violations_total") == 1);
}

#[test]
fn input_on_another_output_closes_the_link_end() {
    let mut rig = rig();
    rig.act_on(OutputId::MAX, PEER, Action::StillHeld);
    rig.until(|rig| rig.counter("link_violations_total") == 1);
}

#[test]
fn app_that_cuts_its_memory_short_is_disconnected_alone() {
    let mut rig = rig();
    let (mut innocent, window) = red_window(&mut rig);
    rig.release();
    let mut villain = App::start(&mut rig);
    let trap = villain.open();
    villain.until_told(&mut rig, &Event::Configured { width: 640, height: 480, maximized: true });
    let name = c"trap";
    let file = File::from(
        nix::sys::memfd::memfd_create(name, nix::sys::memfd::MFdFlags::MFD_CLOEXEC).expect("memfd"),
    );
    let buffer = villain.buffer_in(&file, 640, 480);
    file.set_len(0).expect("cut");
    villain.show(&trap.surface, &buffer);
    rig.until(|_| !villain.exchange());
    let count = rig.frames.len();
    if count > 0 {
        rig.release();
    }
    innocent.show(&window.surface, &innocent.buffer(640, 480, GREEN));
    rig.until(|rig| {
        assert!(innocent.exchange());
        if rig.frames.len() > count && rig.pixel(5, 5) != 0x00ff00 {
            rig.release();
        }
        rig.pixel(5, 5) == 0x00ff00
    });
}

#[test]
fn cursor_surface_becomes_an_image_and_never_a_frame() {
    let mut rig = rig();
    let (mut app, _window) = red_window(&mut rig);
    rig.release();
    rig.act(Action::PointerTo(MIDDLE));
    app.until_told(&mut rig, &Event::PointerEntered);
    app.until_told(&mut rig, &Event::CalledBack);
    let count = rig.frames.len();
    let cursor = app.surface();
    app.pointer.set_cursor(app.memory.enter_serial, Some(&cursor), 3, 4);
    cursor.attach(Some(&app.buffer(16, 12, 0x8080_0000)), 0, 0);
    cursor.commit();
    app.exchange();
    rig.until(|rig| matches!(rig.told.last(), Some(Statement::CursorChanged(Cursor::Image(_)))));
    let Some(Statement::CursorChanged(Cursor::Image(image))) = rig.told.last() else {
        panic!("an image was told")
    };
    assert_eq!((image.size(), image.hotspot()), ((16, 12), (3, 4)));
    assert_eq!(image.rgba().get(..4), Some(&[255, 0, 0, 128][..]));
    assert_eq!(rig.frames.len(), count);
}

#[test]
fn title_that_steers_or_reorders_reaches_viewers_without_that() {
    let mut rig = rig();
    let (app, window) = red_window(&mut rig);
    window.toplevel.set_title("in\u{202e}voice\ngpj.exe\u{1b}]0;\u{7}\u{2067}".to_owned());
    app.connection.flush().expect("sent");
    let title = Statement::TitleChanged(Line::of("invoice gpj.exe]0;"));
    rig.until(|rig| rig.told.contains(&title));
}

#[test]
fn desktop_facts_are_stated_again_on_a_new_end() {
    let mut rig = rig();
    let (app, window) = red_window(&mut rig);
    window.toplevel.set_title("Paint".to_owned());
    app.connection.flush().expect("sent");
    let title = Statement::TitleChanged(Line::of("Paint"));
    rig.until(|rig| rig.told.contains(&title));
    rig.told.clear();
    rig.attach_desktop();
    rig.until(|rig| rig.told.len() == 3);
    assert!(rig.told.contains(&title));
    let shown = OutputSize::nearest(640, 480, Scale::ONE);
    assert!(rig.told.contains(&Statement::OutputResized(shown)));
}
