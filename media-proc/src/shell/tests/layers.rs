//! A media that draws: frames of layers from memory of apps, beside frames that the compositor drew.

use lumen_ipc::{
    message::frames::{
        Changed, Colour, Content, Crop, DeviceNumber, Layer, LayerList, Layers, PixelFormat,
        PixelFormats, Place, Plane, Planes as Arrangement, Renderer, Transform,
    },
    units::{BufferSize, PlaneStride},
};

use super::*;

const FORMAT: PixelFormat = PixelFormat { fourcc: 0x3432_5258, modifier: 0 };

fn renderer() -> Renderer {
    let formats = PixelFormats::new(vec![FORMAT]).expect("one");
    Renderer { device: DeviceNumber(7), formats }
}

/// Media that draws by the processor, watched, with an app's buffer of twice the colour in slot 3.
fn rig() -> Rig {
    let mut rig = Rig::new();
    rig.session.draw_with(Drawing::by_the_processor(renderer()));
    rig.announce(0, size());
    rig.announce_memory(&of_app(3), rig.memory.descriptor());
    rig.watch(1);
    rig
}

fn of_app(slot: u64) -> BufferAnnounced {
    let memory = BufferMemory::App { offset_bytes: 0, stride_bytes: u32::from(WIDTH) * 4 };
    // Of a size that no frame has.
    let size = BufferSize::new(33, 35).expect("legal");
    BufferAnnounced { size, memory, ..announced(slot, super::size()) }
}

fn of_driver(slot: u64, format: PixelFormat, stride: u64) -> BufferAnnounced {
    let stride_bytes = PlaneStride::new(stride).expect("legal");
    let planes = Arrangement::new(&[Plane { offset_bytes: 0, stride_bytes }]).expect("one");
    BufferAnnounced { memory: BufferMemory::Dmabuf { format, planes }, ..announced(slot, size()) }
}

/// A frame whose left quarter shows the buffer of slot 3 enlarged, on a black ground.
fn layers(changed: Changed) -> Shown {
    let buffer = BufferSize::new(33, 35).expect("legal");
    let (width, height) = (i64::from(WIDTH) / 4, i64::from(HEIGHT));
    let content = Content::Buffer {
        slot: SlotIndex::clamped(3),
        crop: Crop::whole(buffer),
        transform: Transform::Normal,
        changed,
    };
    let place = Place::new(0, 0, width, height).expect("near");
    let ground = Colour { red: 0, green: 0, blue: 0, alpha: 255 };
    let list = LayerList::new(vec![Layer { content, place, alpha: 255, opaque: true }]);
    Shown::Layers(Layers { size: size(), ground, list: list.expect("one") })
}

fn show(rig: &mut Rig, picture: Shown, damage: Damage) {
    rig.sequence += 1;
    let ready = FrameReady {
        output: OutputId::PRIMARY,
        picture,
        sequence: FrameSequence(rig.sequence),
        damage,
        committed: MonotonicMicros(rig.sequence),
        rendered: MonotonicMicros(rig.sequence),
    };
    rig.compositor.send(&FromCompositor::FrameReady(ready), &[]).expect("media reads");
}

/// The luma of the newest picture at the left and at the right.
fn luma(rig: &mut Rig, decoder: &mut Decoder) -> (u8, u8) {
    let mut found = None;
    for (_, bytes) in rig.run() {
        let picture = decoder.decode(&bytes).expect("legal stream").expect("one picture");
        let (stride, _, _) = picture.strides();
        let row = &picture.y()[stride * 40..];
        found = Some((row[8], row[100]));
    }
    found.expect("a picture")
}

fn is_near(found: (u8, u8), expected: (u8, u8)) {
    let apart = (found.0.abs_diff(expected.0), found.1.abs_diff(expected.1));
    assert!(apart.0 <= 2 && apart.1 <= 2, "{found:?}, not {expected:?}");
}

#[test]
fn media_that_draws_offers_its_renderer_on_every_link() {
    let mut rig = rig();
    let output = OutputId::PRIMARY;
    let offer = ToCompositor::RendererOffered { output, renderer: Some(renderer()) };
    rig.run();
    assert_eq!(rig.all_messages()[0], offer);
    let (compositor, frames) = Channel::pair().expect("socketpair");
    rig.compositor = compositor;
    rig.session.attach_frames(frames.into());
    rig.run();
    assert_eq!(rig.all_messages()[0], offer);
}

#[test]
fn frames_of_layers_and_drawn_ones_show_in_turn_what_they_have() {
    let mut rig = rig();
    let mut decoder = Decoder::new().expect("openh264 opens");
    let all = || Damage::full(size());
    let buffer = BufferSize::new(33, 35).expect("legal");
    rig.fill(200);
    show(&mut rig, layers(Changed::all(buffer)), all());
    is_near(luma(&mut rig, &mut decoder), (188, 16));
    assert!(rig.messages().iter().any(|it| matches!(it, ToCompositor::FrameReleased(_))));
    assert!(rig.session.registry().counter("frames_drawn_total").value() > 0);

    // What did not change is not uploaded again, and what did is.
    rig.fill(100);
    show(&mut rig, layers(Changed::new(Vec::new()).expect("none")), all());
    rig.ask_for_a_key();
    is_near(luma(&mut rig, &mut decoder), (188, 16));
    rig.messages();
    show(&mut rig, layers(Changed::all(buffer)), all());
    is_near(luma(&mut rig, &mut decoder), (102, 16));
    rig.messages();

    // The compositor draws one, and afterwards only a corner of the layers is damaged.
    rig.frame(all());
    is_near(luma(&mut rig, &mut decoder), (102, 102));
    rig.messages();
    show(&mut rig, layers(Changed::new(Vec::new()).expect("none")), all());
    is_near(luma(&mut rig, &mut decoder), (102, 16));
}

#[test]
fn buffer_that_the_driver_does_not_take_is_refused_and_left_out() {
    let mut rig = rig();
    rig.fill(200);
    rig.announce_memory(&of_driver(5, FORMAT, 512), rig.memory.descriptor());
    rig.run();
    let (output, slot) = (OutputId::PRIMARY, SlotIndex::clamped(5));
    assert!(rig.messages().contains(&ToCompositor::BufferRefused { output, slot }));
    assert!(!rig.compositor_is_cut_off());
    rig.retire(5);
    rig.run();
    assert!(!rig.compositor_is_cut_off());
}

#[test]
fn compositor_that_breaks_the_contract_of_a_renderer_is_cut_off() {
    let other = PixelFormat { fourcc: 1, modifier: 0 };
    let announcements =
        [("a format that was not offered", other, 512), ("beyond its memory", FORMAT, 1 << 16)];
    for (name, format, stride) in announcements {
        let mut rig = rig();
        rig.announce_memory(&of_driver(5, format, stride), rig.memory.descriptor());
        rig.run();
        assert!(rig.compositor_is_cut_off(), "{name}");
    }
    let mut rig = rig();
    rig.announce_memory(&of_driver(5, FORMAT, 512), rig.memory.descriptor());
    rig.frame_in(5, corner());
    rig.run();
    assert!(rig.compositor_is_cut_off(), "a drawn frame in memory of a driver");
}
