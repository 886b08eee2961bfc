//! Outputs with several frame pixels to a logical pixel: what apps are told, and how apps are shown
//! that draw at the output's scale and that do not.

use lumen_ipc::{
    message::{
        desktop::{Cursor, Statement},
        frames::BufferMemory,
        input::{Action, OutputPoint},
    },
    units::{FrameSize, OutputSize, Scale},
};
use wayland_client::{
    Connection, Dispatch, QueueHandle, delegate_noop,
    protocol::{
        wl_output::{self, WlOutput},
        wl_shm::Format,
    },
};
use wayland_protocols::{
    wp::{
        fractional_scale::v1::client::{
            wp_fractional_scale_manager_v1::WpFractionalScaleManagerV1,
            wp_fractional_scale_v1::{self, WpFractionalScaleV1},
        },
        viewporter::client::{wp_viewport::WpViewport, wp_viewporter::WpViewporter},
    },
    xdg::xdg_output::zv1::client::{
        zxdg_output_manager_v1::ZxdgOutputManagerV1,
        zxdg_output_v1::{self, ZxdgOutputV1},
    },
};

use super::{
    GREEN, MIDDLE, RED,
    app::{App, Event, Memory, Window},
    rig::{Rig, rig_past_its_first_frame as rig},
};

const IN_APP: BufferMemory = BufferMemory::App { offset_bytes: 0, stride_bytes: 640 * 4 };

/// A viewer's window of `width` × `height` device pixels at `factor`.
fn want(rig: &mut Rig, width: u32, height: u32, factor: f64) -> OutputSize {
    let size = OutputSize::nearest(width, height, Scale::nearest(factor));
    let (count, before) = (rig.frames.len(), rig.shell.compositor().state.output.size);
    rig.want(size);
    rig.until(|rig| rig.shell.compositor().state.output.size == size);
    // An empty desktop looks the same at every scale.
    if size.pixels != before.pixels {
        rig.frame_after(count);
        rig.release();
    }
    size
}

/// An app with a window that was told its size and shows nothing yet.
fn open(rig: &mut Rig, size: OutputSize) -> (App, Window) {
    let mut app = App::start(rig);
    let window = app.open();
    let (width, height) = size.logical();
    app.until_told(rig, &Event::Configured { width, height, maximized: true });
    (app, window)
}

/// Commits and waits for the frame.
fn shown(rig: &mut Rig, app: &mut App, window: &Window) {
    let count = rig.frames.len();
    window.surface.damage_buffer(0, 0, i32::MAX, i32::MAX);
    window.surface.commit();
    app.exchange();
    rig.frame_after(count);
}

fn viewport(app: &App, window: &Window) -> WpViewport {
    let viewporter: WpViewporter =
        app.globals.bind(&app.handle(), 1..=1, ()).expect("wp_viewporter");
    viewporter.get_viewport(&window.surface, &app.handle(), ())
}

fn fractional(app: &App, window: &Window) -> WpFractionalScaleV1 {
    let manager: WpFractionalScaleManagerV1 =
        app.globals.bind(&app.handle(), 1..=1, ()).expect("wp_fractional_scale_manager_v1");
    manager.get_fractional_scale(&window.surface, &app.handle(), ())
}

#[test]
fn scale_is_told_in_every_way_apps_ask_for_it_and_sizes_are_in_their_pixels() {
    for (factor, parts, whole, logical) in [
        (1.25, 150, 2, (960, 720)),
        (1.5, 180, 2, (800, 600)),
        (2.0, 240, 2, (600, 450)),
        (3.0, 360, 3, (400, 300)),
    ] {
        let mut rig = rig();
        let mut app = App::start(&mut rig);
        let output: WlOutput = app.globals.bind(&app.handle(), 1..=4, ()).expect("wl_output");
        let outputs: ZxdgOutputManagerV1 =
            app.globals.bind(&app.handle(), 1..=3, ()).expect("zxdg_output_manager_v1");
        outputs.get_xdg_output(&output, &app.handle(), ());
        let window = app.open();
        fractional(&app, &window);
        app.until_told(&mut rig, &Event::PreferredScale { parts: 120 });
        rig.want(OutputSize::nearest(1200, 900, Scale::nearest(factor)));
        let (width, height) = logical;
        app.until_told(&mut rig, &Event::Configured { width, height, maximized: true });
        app.until_told(&mut rig, &Event::OutputLogicalSize { width, height });
        app.until_told(&mut rig, &Event::OutputScale(whole));
        assert_eq!(app.count(&Event::PreferredScale { parts }), 1, "{factor}");
        assert_eq!(app.count(&Event::PreferredBufferScale(whole)), 1, "{factor}");
        // The first frame in the new size is drawn in the new scale.
        let place = |event: &Event| app.memory.events.iter().position(|one| one == event);
        assert!(
            place(&Event::PreferredScale { parts })
                < place(&Event::Configured { width, height, maximized: true }),
            "{factor}"
        );
    }
}

#[test]
fn output_of_a_size_that_decoders_keep_up_with_less_often_is_drawn_and_announced_at_that_rate() {
    let mut rig = Rig::sized(FrameSize::nearest(640, 480), 240);
    rig.frame_after(0);
    rig.release();
    let interval = |rig: &mut Rig| rig.shell.compositor().state.capture.schedule.interval();
    assert_eq!(interval(&mut rig).as_micros(), 1_000_000 / 240);
    // Level 5.2 has 56 pictures of this size a second.
    for (width, height, fps) in [(4096, 2304, 56), (3840, 2160, 64), (640, 480, 240)] {
        want(&mut rig, width, height, 1.0);
        assert_eq!(interval(&mut rig).as_micros(), 1_000_000 / u128::from(fps as u32));
        let mode = rig.shell.compositor().state.output.wayland.current_mode();
        assert_eq!(mode.map(|mode| mode.refresh), Some(fps * 1000));
    }
}

#[test]
fn surface_made_before_the_scale_changed_is_told_when_it_is_used() {
    let mut rig = rig();
    let mut app = App::start(&mut rig);
    let surface = app.surface();
    app.exchange();
    want(&mut rig, 640, 480, 2.0);
    assert_eq!(app.count(&Event::PreferredBufferScale(2)), 0);
    surface.commit();
    app.until_told(&mut rig, &Event::PreferredBufferScale(2));
}

#[test]
fn buffer_of_an_app_that_draws_as_finely_is_read_where_the_app_drew_it() {
    let mut rig = rig();
    let size = want(&mut rig, 640, 480, 2.0);
    let (mut app, window) = open(&mut rig, size);
    window.surface.set_buffer_scale(2);
    window.surface.attach(Some(&app.buffer_of(Format::Xrgb8888, 640, 480, RED)), 0, 0);
    shown(&mut rig, &mut app, &window);
    assert_eq!((rig.memory(), rig.pixel(639, 479)), (IN_APP, 0xff0000));
}

#[test]
fn buffer_of_a_fractional_scale_is_read_where_the_app_drew_it() {
    for (factor, width, height) in [(1.25, 643, 481), (1.5, 641, 479), (2.625, 701, 522)] {
        let mut rig = rig();
        let size = want(&mut rig, width, height, factor);
        let (mut app, window) = open(&mut rig, size);
        let (width, height) = size.logical();
        viewport(&app, &window).set_destination(width, height);
        // As required by the protocol: the logical size times the scale, rounded.
        let pixels = |side: i32| (f64::from(side) * size.scale.factor()).round() as i32;
        let buffer = app.buffer_of(Format::Xrgb8888, pixels(width), pixels(height), RED);
        window.surface.attach(Some(&buffer), 0, 0);
        shown(&mut rig, &mut app, &window);
        assert!(!rig.is_drawn(), "{factor}: {size:?}");
    }
}

#[test]
fn app_that_knows_no_scale_is_drawn_as_large_as_it_wants_to_be() {
    for factor in [1.5, 2.0, 3.0] {
        let mut rig = rig();
        let size = want(&mut rig, 640, 480, factor);
        let (mut app, window) = open(&mut rig, size);
        let (width, height) = size.logical();
        window.surface.attach(Some(&app.buffer(width, height, RED)), 0, 0);
        shown(&mut rig, &mut app, &window);
        assert!(rig.is_drawn(), "{factor}");
        let last = (usize::from(size.pixels.width()), usize::from(size.pixels.height()));
        // Not the last row and column: they are mixed with what is beyond.
        for place in [(4, 4), (last.0 / 2, last.1 / 2), (last.0 - 4, last.1 - 4)] {
            assert_eq!(rig.pixel(place.0, place.1), 0xff0000, "{factor}: {place:?}");
        }
    }
}

/// Every pixel of the last frame.
fn picture(rig: &Rig, size: OutputSize) -> Vec<u32> {
    let (width, height) = (usize::from(size.pixels.width()), usize::from(size.pixels.height()));
    (0..width * height).map(|place| rig.pixel(place % width, place / width)).collect()
}

#[test]
fn small_change_of_an_enlarged_app_leaves_no_pixel_behind() {
    for (factor, x, y) in [(1.25, 33, 21), (1.5, 7, 101), (2.0, 50, 50), (2.625, 13, 17)] {
        let mut rig = rig();
        let size = want(&mut rig, 640, 480, factor);
        let (mut app, window) = open(&mut rig, size);
        let (width, height) = size.logical();
        window.surface.attach(Some(&app.buffer(width, height, RED)), 0, 0);
        shown(&mut rig, &mut app, &window);
        rig.release();
        let count = rig.frames.len();
        window.surface.attach(Some(&app.spotted(width, height, (RED, GREEN), (x, y))), 0, 0);
        window.surface.damage_buffer(x, y, 1, 1);
        window.surface.commit();
        app.exchange();
        rig.frame_after(count);
        let (changed, count) = (picture(&rig, size), rig.frames.len());
        rig.media = None;
        rig.wait_quietly();
        rig.attach_media();
        rig.frame_after(count);
        assert!(changed == picture(&rig, size), "{factor}: the change is incomplete");
    }
}

#[test]
fn pointer_and_fingers_move_in_the_apps_pixels() {
    let mut rig = rig();
    let size = want(&mut rig, 640, 480, 2.0);
    let (mut app, window) = open(&mut rig, size);
    window.surface.attach(Some(&app.buffer(320, 240, RED)), 0, 0);
    shown(&mut rig, &mut app, &window);
    rig.act(Action::PointerTo(MIDDLE));
    rig.act(Action::PointerTo(OutputPoint { x: 65535 / 4, y: u16::MAX }));
    app.until(&mut rig, |memory| {
        memory.events.iter().any(
            |event| matches!(event, Event::Moved { x, y } if (*x - 80.0).abs() < 0.1 && *y > 239.9),
        )
    });
    rig.act(Action::Scroll { right_sixteenths: 0, down_sixteenths: 40 });
    app.until_told(&mut rig, &Event::Axis { vertical: true, value: 1.25 });
}

#[test]
fn popup_on_a_finer_output_slides_in_the_apps_pixels() {
    let mut rig = rig();
    let size = want(&mut rig, 1280, 960, 2.0);
    let (mut app, window) = open(&mut rig, size);
    window.surface.attach(Some(&app.buffer(640, 480, RED)), 0, 0);
    shown(&mut rig, &mut app, &window);
    let popup = app.popup(&window, (600, 470), (100, 50));
    app.until_told(&mut rig, &Event::PopupConfigured { x: 540, y: 430, width: 100, height: 50 });
    rig.release();
    let count = rig.frames.len();
    popup.surface.set_buffer_scale(2);
    app.show(&popup.surface, &app.buffer(200, 100, GREEN));
    app.exchange();
    rig.frame_after(count);
    assert_eq!((rig.pixel(1080, 860), rig.pixel(1079, 859)), (0x00ff00, 0xff0000));
}

#[test]
fn cursor_is_drawn_as_finely_as_the_output_is() {
    let mut rig = rig();
    let size = want(&mut rig, 640, 480, 2.0);
    let (mut app, window) = open(&mut rig, size);
    window.surface.attach(Some(&app.buffer(320, 240, RED)), 0, 0);
    shown(&mut rig, &mut app, &window);
    rig.act(Action::PointerTo(MIDDLE));
    app.until_told(&mut rig, &Event::PointerEntered);
    for (scale, width, height) in [(1, 16, 12), (2, 32, 24)] {
        let cursor = app.surface();
        cursor.set_buffer_scale(scale);
        cursor.attach(Some(&app.buffer(width, height, GREEN)), 0, 0);
        cursor.commit();
        app.pointer.set_cursor(app.memory.enter_serial, Some(&cursor), 3, 4);
        app.exchange();
        rig.told.clear();
        rig.until(|rig| {
            rig.told.iter().any(|fact| {
                matches!(
                    fact,
                    Statement::CursorChanged(Cursor::Image(image))
                        if image.size() == (32, 24) && image.hotspot() == (6, 8)
                )
            })
        });
        app.pointer.set_cursor(app.memory.enter_serial, None, 0, 0);
        app.exchange();
        rig.until(|rig| rig.told.contains(&Statement::CursorChanged(Cursor::Hidden)));
    }
}

#[test]
fn cursor_too_large_for_a_message_is_smaller_and_whole() {
    let mut rig = rig();
    let size = want(&mut rig, 640, 480, 2.0);
    let (mut app, window) = open(&mut rig, size);
    window.surface.attach(Some(&app.buffer(320, 240, RED)), 0, 0);
    shown(&mut rig, &mut app, &window);
    rig.act(Action::PointerTo(MIDDLE));
    app.until_told(&mut rig, &Event::PointerEntered);
    let cursor = app.surface();
    cursor.attach(Some(&app.buffer(96, 48, GREEN)), 0, 0);
    cursor.commit();
    app.pointer.set_cursor(app.memory.enter_serial, Some(&cursor), 48, 24);
    app.exchange();
    rig.until(|rig| {
        rig.told.iter().any(|fact| {
            matches!(
                fact,
                Statement::CursorChanged(Cursor::Image(image))
                    if image.size() == (120, 60) && image.hotspot() == (60, 30)
            )
        })
    });
}

impl Dispatch<WpFractionalScaleV1, ()> for Memory {
    fn event(
        memory: &mut Self,
        _: &WpFractionalScaleV1,
        event: wp_fractional_scale_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let wp_fractional_scale_v1::Event::PreferredScale { scale: parts } = event {
            memory.events.push(Event::PreferredScale { parts });
        }
    }
}

impl Dispatch<WlOutput, ()> for Memory {
    fn event(
        memory: &mut Self,
        _: &WlOutput,
        event: wl_output::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let wl_output::Event::Scale { factor } = event {
            memory.events.push(Event::OutputScale(factor));
        }
    }
}

impl Dispatch<ZxdgOutputV1, ()> for Memory {
    fn event(
        memory: &mut Self,
        _: &ZxdgOutputV1,
        event: zxdg_output_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let zxdg_output_v1::Event::LogicalSize { width, height } = event {
            memory.events.push(Event::OutputLogicalSize { width, height });
        }
    }
}

delegate_noop!(Memory: WpFractionalScaleManagerV1);
delegate_noop!(Memory: WpViewport);
delegate_noop!(Memory: WpViewporter);
delegate_noop!(Memory: ZxdgOutputManagerV1);
