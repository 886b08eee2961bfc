//! App buffers that are the whole picture, and cases in which they are not.

use lumen_ipc::message::frames::{BufferMemory, Damage, Rect};
use wayland_client::protocol::{wl_buffer::WlBuffer, wl_shm::Format};

use super::{
    GREEN, RED,
    app::{App, Event, Window},
    rig::{Rig, rig_past_its_first_frame as rig},
};

const WHOLE: BufferMemory = BufferMemory::App { offset_bytes: 0, stride_bytes: 640 * 4 };

/// A buffer for the whole screen without an alpha channel.
fn opaque(app: &App, color: u32) -> WlBuffer {
    app.buffer_of(Format::Xrgb8888, 640, 480, color)
}

/// Shows `buffer` and waits for a frame, which media does not release.
fn shown(rig: &mut Rig, app: &mut App, window: &Window, buffer: &WlBuffer) {
    let count = rig.frames.len();
    app.show(&window.surface, buffer);
    app.exchange();
    rig.frame_after(count);
}

/// An app whose opaque red buffer is the last frame.
fn red_screen(rig: &mut Rig) -> (App, Window, WlBuffer) {
    let mut app = App::start(rig);
    let window = app.open();
    app.until_told(rig, &Event::Configured { width: 640, height: 480, maximized: true });
    let buffer = opaque(&app, RED);
    shown(rig, &mut app, &window, &buffer);
    (app, window, buffer)
}

#[test]
fn opaque_buffer_of_the_whole_screen_is_read_where_the_app_drew_it() {
    let mut rig = rig();
    red_screen(&mut rig);
    assert_eq!((rig.memory(), rig.pixel(639, 479)), (WHOLE, 0xff0000));
    assert_eq!(rig.counter("frames_undrawn_total"), 1);
}

#[test]
fn buffer_behind_others_in_its_pool_is_read_from_its_place() {
    let mut rig = rig();
    let (mut app, window, _) = red_screen(&mut rig);
    rig.release();
    let pool = app.pool(2 * 700 * 480 * 4, GREEN);
    let place = (700 * 480 * 4, 640, 480, 700 * 4);
    let buffer =
        pool.create_buffer(place.0, place.1, place.2, place.3, Format::Xrgb8888, &app.handle(), ());
    shown(&mut rig, &mut app, &window, &buffer);
    let (offset_bytes, stride_bytes) = (700 * 480 * 4, 700 * 4);
    assert_eq!(rig.memory(), BufferMemory::App { offset_bytes, stride_bytes });
    assert_eq!(rig.pixel(639, 479), 0x00ff00);
}

#[test]
fn buffer_is_not_given_back_before_media_has_read_it() {
    let mut rig = rig();
    let (mut app, window, _) = red_screen(&mut rig);
    app.show(&window.surface, &opaque(&app, GREEN));
    app.exchange();
    rig.wait_quietly();
    app.exchange();
    assert_eq!(app.count(&Event::BufferReleased), 0);
    rig.release();
    app.until_told(&mut rig, &Event::BufferReleased);
}

#[test]
fn popup_over_it_is_drawn_with_it_until_it_closes() {
    let mut rig = rig();
    let (mut app, window, _) = red_screen(&mut rig);
    rig.release();
    let popup = app.popup(&window, (10, 20), (100, 50));
    app.show_popup(&mut rig, &popup, (100, 50), GREEN);
    assert!(rig.is_drawn());
    assert_eq!((rig.pixel(11, 21), rig.pixel(639, 479)), (0x00ff00, 0xff0000));
    rig.release();
    let count = rig.frames.len();
    popup.surface.attach(None, 0, 0);
    popup.surface.commit();
    app.exchange();
    rig.frame_after(count);
    assert_eq!((rig.memory(), rig.pixel(11, 21)), (WHOLE, 0xff0000));
}

#[test]
fn damage_of_the_next_buffer_is_what_the_app_says() {
    let mut rig = rig();
    let (app, window, _) = red_screen(&mut rig);
    rig.release();
    let count = rig.frames.len();
    window.surface.attach(Some(&opaque(&app, GREEN)), 0, 0);
    window.surface.damage_buffer(10, 20, 30, 40);
    window.surface.commit();
    app.connection.flush().expect("sent");
    let part = Rect { x: 10, y: 20, width: 30, height: 40 };
    assert_eq!(Some(rig.frame_after(count).damage), Damage::new(vec![part]).ok());
    assert_eq!(rig.memory(), WHOLE);
}

#[test]
fn buffer_that_may_let_something_through_is_drawn() {
    let mut rig = rig();
    let (mut app, window, _) = red_screen(&mut rig);
    rig.release();
    let translucent = app.buffer(640, 480, 0x8000_ff00);
    shown(&mut rig, &mut app, &window, &translucent);
    assert!(rig.is_drawn());
}

#[test]
fn buffer_of_another_size_is_drawn() {
    let mut rig = rig();
    let (mut app, window, _) = red_screen(&mut rig);
    rig.release();
    let small = app.buffer_of(Format::Xrgb8888, 320, 480, GREEN);
    shown(&mut rig, &mut app, &window, &small);
    assert!(rig.is_drawn());
}

#[test]
fn destroyed_buffer_is_not_kept_by_media() {
    let mut rig = rig();
    let (mut app, window, red) = red_screen(&mut rig);
    let place = rig.slot();
    rig.release();
    let green = opaque(&app, GREEN);
    shown(&mut rig, &mut app, &window, &green);
    let kept = rig.slot();
    assert!(kept != place && rig.retired.is_empty());
    rig.release();
    red.destroy();
    let blue = opaque(&app, 0x0000_00ff);
    shown(&mut rig, &mut app, &window, &blue);
    assert_eq!((&rig.retired[..], rig.slot()), (&[place][..], place));
    assert_eq!(rig.pixel(5, 5), 0x0000ff);
    rig.release();
    shown(&mut rig, &mut app, &window, &green);
    assert_eq!((rig.slot(), rig.pixel(5, 5)), (kept, 0x00ff00));
}

#[test]
fn more_buffers_than_media_holds_are_all_shown() {
    let mut rig = rig();
    let (mut app, window, _) = red_screen(&mut rig);
    let buffers: Vec<_> = (1..40).map(|color| opaque(&app, color)).collect();
    for (color, buffer) in (1..).zip(&buffers) {
        rig.release();
        shown(&mut rig, &mut app, &window, buffer);
        assert_eq!((rig.memory(), rig.pixel(5, 5)), (WHOLE, color));
    }
    assert!(!rig.retired.is_empty());
}

#[test]
fn new_media_gets_the_whole_picture_from_the_app() {
    let mut rig = rig();
    let _red = red_screen(&mut rig);
    let count = rig.frames.len();
    rig.media = None;
    rig.wait_quietly();
    rig.attach_media();
    let frame = rig.frame_after(count);
    assert_eq!(frame.damage, Damage::full(super::size(640, 480)));
    assert_eq!((rig.memory(), rig.pixel(5, 5)), (WHOLE, 0xff0000));
}
