//! Frames that media draws: what the compositor says of the surfaces in them.

use lumen_ipc::{
    message::frames::{
        BufferMemory, Changed, Content, Damage, Layer, Picture, Place, Rect, ToCompositor,
        Transform,
    },
    units::{BufferSize, OutputId, SlotIndex},
};
use wayland_client::protocol::{wl_output, wl_shm::Format};
use wayland_protocols::wp::linux_dmabuf::zv1::client::zwp_linux_buffer_params_v1::Flags;

use crate::{
    GREEN, RED,
    app::{App, Event, Window},
    dmabuf::{answer, one_plane, slots},
    drawing::{IMPLICIT, LINEAR, XRGB, drawing_rig, offer, renderer, usual},
    rig::{QUIET, Rig},
    size,
};

/// An app with a red window that fills the screen, whose frame media has not released.
fn red_window(rig: &mut Rig) -> (App, Window) {
    let mut app = App::start(rig);
    let window = app.open();
    app.until_told(rig, &Event::Configured { width: 640, height: 480, maximized: true });
    let count = rig.frames.len();
    app.show(&window.surface, &app.buffer_of(Format::Xrgb8888, 640, 480, RED));
    app.exchange();
    rig.frame_after(count);
    (app, window)
}

fn buffer_of(layer: &Layer) -> (SlotIndex, [f64; 4], Transform, &Changed) {
    match &layer.content {
        Content::Buffer { slot, crop, transform, changed } => {
            (*slot, crop.pixels(), *transform, changed)
        }
        Content::Colour(colour) => panic!("a layer of {colour:?}"),
    }
}

fn place(x: i64, y: i64, width: i64, height: i64) -> Place {
    Place::new(x, y, width, height).expect("legal place")
}

fn parts(rects: &[Rect]) -> Changed {
    Changed::new(rects.to_vec()).expect("legal parts")
}

#[test]
fn window_and_its_popup_are_layers_from_back_to_front() {
    let mut rig = drawing_rig();
    let (mut app, window) = red_window(&mut rig);
    rig.release();
    let popup = app.popup(&window, (10, 20), (100, 50));
    app.show_popup(&mut rig, &popup, (100, 50), GREEN);
    let layers = rig.layers();
    assert_eq!(layers.size, size(640, 480));
    let [back, front] = layers.list.layers() else { panic!("{layers:?}") };
    assert_eq!((back.place, front.place), (place(0, 0, 640, 480), place(11, 21, 100, 50)));
    assert_eq!((back.opaque, front.opaque), (true, false));
    assert_eq!((back.alpha, front.alpha), (255, 255));
    let (slot, crop, transform, _) = buffer_of(front);
    assert_eq!((crop, transform), ([0.0, 0.0, 100.0, 50.0], Transform::Normal));
    let announced = rig.announced().find(|buffer| buffer.slot == slot).expect("announced");
    let memory = BufferMemory::App { offset_bytes: 0, stride_bytes: 400 };
    assert_eq!((announced.memory, announced.size), (memory, BufferSize::new(100, 50).expect("ok")));
}

#[test]
fn changed_parts_of_a_buffer_count_from_when_media_read_it_last() {
    let mut rig = drawing_rig();
    let (mut app, window) = red_window(&mut rig);
    let all = Changed::all(BufferSize::new(640, 480).expect("legal"));
    let (one, other) = (app.buffer(640, 480, RED), app.buffer(640, 480, GREEN));
    let first = Rect { x: 1, y: 2, width: 3, height: 4 };
    let second = Rect { x: 10, y: 20, width: 30, height: 40 };
    let third = Rect { x: 100, y: 200, width: 5, height: 6 };
    // Each buffer in turn, as apps draw; what was damaged while the other was shown changed, too.
    for (buffer, damage, expected) in [
        (&one, first, all.clone()),
        (&other, second, all),
        (&one, third, parts(&[second, third])),
        (&other, first, parts(&[third, first])),
        (&other, first, parts(&[first])),
    ] {
        rig.release();
        let count = rig.frames.len();
        window.surface.attach(Some(buffer), 0, 0);
        let [x, y, width, height] =
            [damage.x, damage.y, damage.width, damage.height].map(i32::from);
        window.surface.damage_buffer(x, y, width, height);
        window.surface.commit();
        app.exchange();
        rig.frame_after(count);
        let mut changed: Vec<Rect> = buffer_of(&rig.layers().list.layers()[0]).3.clone().into();
        let mut expected: Vec<Rect> = expected.into();
        let key = |rect: &Rect| (rect.x, rect.y);
        changed.sort_by_key(key);
        expected.sort_by_key(key);
        assert_eq!(changed, expected);
    }
}

#[test]
fn turned_buffer_is_told_with_its_turn_and_its_place_on_the_screen() {
    let mut rig = drawing_rig();
    let (mut app, window) = red_window(&mut rig);
    rig.release();
    let count = rig.frames.len();
    window.surface.set_buffer_transform(wl_output::Transform::Flipped90);
    app.show(&window.surface, &app.buffer(480, 640, GREEN));
    app.exchange();
    rig.frame_after(count);
    let layer = &rig.layers().list.layers()[0];
    let (_, crop, transform, _) = buffer_of(layer);
    assert_eq!(crop, [0.0, 0.0, 480.0, 640.0]);
    assert_eq!((transform, layer.place), (Transform::Mirrored90, place(0, 0, 640, 480)));
}

#[test]
fn buffer_in_a_layer_is_not_given_back_before_media_has_read_it() {
    let mut rig = drawing_rig();
    let (mut app, window) = red_window(&mut rig);
    app.show(&window.surface, &app.buffer(640, 480, GREEN));
    app.exchange();
    rig.wait_quietly();
    app.exchange();
    assert_eq!(app.count(&Event::BufferReleased), 0, "within {QUIET:?}");
    rig.release();
    app.until_told(&mut rig, &Event::BufferReleased);
}

#[test]
fn window_in_graphics_memory_is_a_layer_without_being_read() {
    let mut rig = drawing_rig();
    let (mut app, window) = red_window(&mut rig);
    rig.release();
    one_plane(&app, LINEAR).create(64, 48, XRGB, Flags::empty());
    app.exchange();
    rig.until(|rig| !slots(rig).is_empty());
    let slot = slots(&rig)[0];
    answer(&rig, slot, true);
    app.until(&mut rig, |memory| !memory.made.is_empty());
    let count = rig.frames.len();
    let made = app.memory.made[0].clone();
    app.show(&window.surface, &made);
    app.exchange();
    rig.frame_after(count);
    let layer = rig.layers().list.layers().last().expect("a layer");
    assert_eq!((buffer_of(layer).0, layer.opaque), (slot, true));
    assert_eq!(slots(&rig), [slot], "it is not announced again");
    // Destroyed, it is retired with the next frame.
    rig.release();
    let count = rig.frames.len();
    app.show(&window.surface, &app.buffer(640, 480, GREEN));
    made.destroy();
    app.exchange();
    rig.frame_after(count);
    rig.release();
    let count = rig.frames.len();
    app.show(&window.surface, &app.buffer(640, 480, RED));
    app.exchange();
    rig.frame_after(count);
    assert!(rig.retired.contains(&slot));
}

#[test]
fn window_in_graphics_memory_of_a_format_that_the_next_media_does_not_take_is_left_out() {
    let mut rig = drawing_rig();
    let (mut app, window) = red_window(&mut rig);
    rig.release();
    let params = one_plane(&app, LINEAR);
    let buffer = params.create_immed(64, 48, XRGB, Flags::empty(), &app.handle(), ());
    let count = rig.frames.len();
    app.show(&window.surface, &buffer);
    app.exchange();
    rig.frame_after(count);
    assert_eq!(rig.layers().list.layers().len(), 1);
    let slot = slots(&rig)[0];
    answer(&rig, slot, true);
    rig.wait_quietly();
    rig.media = None;
    rig.wait_quietly();
    let count = rig.frames.len();
    rig.attach_silent_media();
    offer(&mut rig, Some(renderer(&[(XRGB, IMPLICIT)])));
    rig.watch(true);
    rig.frame_after(count);
    assert!(rig.layers().list.layers().is_empty() && slots(&rig).is_empty());
}

#[test]
fn media_that_draws_no_more_gets_whole_drawn_frames() {
    let mut rig = drawing_rig();
    let (mut app, _window) = red_window(&mut rig);
    rig.layers();
    rig.release();
    let count = rig.frames.len();
    offer(&mut rig, None);
    rig.frame_after(count);
    assert_eq!((rig.pixel(0, 0), rig.pixel(639, 479)), (0xff0000, 0xff0000));
    assert_eq!(rig.frames[count].damage, Damage::full(size(640, 480)));
    rig.release();
    let count = rig.frames.len();
    offer(&mut rig, Some(usual()));
    rig.frame_after(count);
    assert_eq!(rig.layers().list.layers().len(), 1);
    app.exchange();
}

#[test]
fn frame_of_more_surfaces_than_a_message_holds_is_drawn() {
    let mut rig = drawing_rig();
    let (mut app, _window) = red_window(&mut rig);
    rig.release();
    let windows: Vec<_> = (0..130).map(|_| app.open()).collect();
    app.until(&mut rig, |memory| {
        let configured = |event: &&Event| matches!(event, Event::Configured { .. });
        memory.events.iter().filter(configured).count() >= windows.len()
    });
    let translucent = app.buffer(16, 16, 0x8000_ff00);
    for window in &windows {
        app.show(&window.surface, &translucent);
    }
    app.exchange();
    let mut released = rig.frames.len();
    rig.until(|rig| {
        app.exchange();
        if rig.frames.len() > released {
            released = rig.frames.len();
            rig.release();
        }
        matches!(rig.frames.last().expect("a frame").picture, Picture::Drawn(_))
    });
}

#[test]
fn offer_about_an_output_that_there_is_not_ends_the_link() {
    let mut rig = drawing_rig();
    rig.tell(ToCompositor::RendererOffered { output: OutputId::MAX, renderer: None });
    rig.until(|rig| rig.counter("link_violations_total") == 1);
}
