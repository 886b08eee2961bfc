//! Memory of graphics processors, from an app's request to media's answer. The memory here is ordinary:
//! the compositor makes no difference, because it never reads it; tests in a virtual machine have some.

mod hostile;

use std::{fs::File, os::fd::AsFd};

use lumen_ipc::{
    message::frames::{BufferMemory, PixelFormat, Plane, Planes, ToCompositor},
    units::{BufferSize, OutputId, PlaneStride, SlotIndex},
};
use rustix::fs::{MemfdFlags, memfd_create};
use wayland_client::{
    Connection, Dispatch, QueueHandle, event_created_child, protocol::wl_buffer::WlBuffer,
};
use wayland_protocols::wp::linux_dmabuf::zv1::client::{
    zwp_linux_buffer_params_v1::{self, Flags, ZwpLinuxBufferParamsV1},
    zwp_linux_dmabuf_feedback_v1::{self, ZwpLinuxDmabufFeedbackV1},
    zwp_linux_dmabuf_v1::{self, ZwpLinuxDmabufV1},
};

use crate::{
    app::{App, Event, Memory},
    drawing::{ARGB, DEVICE, IMPLICIT, LINEAR, NV12, XRGB, drawing_rig, offer, renderer, usual},
    rig::{Rig, rig_past_its_first_frame as rig},
};

const GLOBAL: &str = "zwp_linux_dmabuf_v1";
impl Dispatch<ZwpLinuxDmabufV1, ()> for Memory {
    fn event(
        memory: &mut Self,
        _: &ZwpLinuxDmabufV1,
        event: zwp_linux_dmabuf_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        match event {
            zwp_linux_dmabuf_v1::Event::Format { format } => {
                memory.formats.push((format, IMPLICIT));
            }
            zwp_linux_dmabuf_v1::Event::Modifier { format, modifier_hi, modifier_lo } => {
                let modifier = u64::from(modifier_hi) << 32 | u64::from(modifier_lo);
                memory.formats.push((format, modifier));
            }
            _ => {}
        }
    }
}

impl Dispatch<ZwpLinuxBufferParamsV1, ()> for Memory {
    fn event(
        memory: &mut Self,
        _: &ZwpLinuxBufferParamsV1,
        event: zwp_linux_buffer_params_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        match event {
            zwp_linux_buffer_params_v1::Event::Created { buffer } => memory.made.push(buffer),
            zwp_linux_buffer_params_v1::Event::Failed => memory.events.push(Event::BufferFailed),
            _ => {}
        }
    }

    event_created_child!(Self, ZwpLinuxBufferParamsV1, [
        zwp_linux_buffer_params_v1::EVT_CREATED_OPCODE => (WlBuffer, ()),
    ]);
}

impl Dispatch<ZwpLinuxDmabufFeedbackV1, ()> for Memory {
    fn event(
        memory: &mut Self,
        _: &ZwpLinuxDmabufFeedbackV1,
        event: zwp_linux_dmabuf_feedback_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        match event {
            zwp_linux_dmabuf_feedback_v1::Event::FormatTable { fd, size } => {
                let mut table = vec![0; size as usize];
                std::os::unix::fs::FileExt::read_exact_at(&File::from(fd), &mut table, 0)
                    .expect("as long as stated");
                let number = |bytes: &[u8]| {
                    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
                };
                let entry = |entry: &[u8]| (number(&entry[..4]) as u32, number(&entry[8..]));
                memory.formats = table.chunks_exact(16).map(entry).collect();
            }
            zwp_linux_dmabuf_feedback_v1::Event::MainDevice { device } => memory.device = device,
            zwp_linux_dmabuf_feedback_v1::Event::Done => memory.events.push(Event::FormatsTold),
            _ => {}
        }
    }
}

fn format(fourcc: u32, modifier: u64) -> PixelFormat {
    PixelFormat { fourcc, modifier }
}

pub(crate) fn answer(rig: &Rig, slot: SlotIndex, accepted: bool) {
    let output = OutputId::PRIMARY;
    rig.tell(if accepted {
        ToCompositor::BufferAccepted { output, slot }
    } else {
        ToCompositor::BufferRefused { output, slot }
    });
}

fn memory(bytes: usize) -> File {
    let file = File::from(memfd_create("pixels", MemfdFlags::CLOEXEC).expect("memory"));
    file.set_len(bytes as u64).expect("room");
    file
}

fn dmabuf(app: &App, version: u32) -> ZwpLinuxDmabufV1 {
    app.globals.bind(&app.handle(), 1..=version, ()).expect(GLOBAL)
}

/// The parameters of a buffer of one plane of 64x48 pixels.
pub(crate) fn one_plane(app: &App, modifier: u64) -> ZwpLinuxBufferParamsV1 {
    let params = dmabuf(app, 4).create_params(&app.handle(), ());
    add(&params, 0, (0, 256), modifier);
    params
}

/// Asks for a buffer of one plane, and waits until media is asked whether it takes that.
fn ask_for_buffer(rig: &mut Rig, app: &mut App, (fourcc, modifier): (u32, u64)) {
    one_plane(app, modifier).create(64, 48, fourcc, Flags::empty());
    app.exchange();
    rig.until(|rig| !slots(rig).is_empty());
}

/// Adds a plane with room for 64x48 pixels behind its beginning.
fn add(params: &ZwpLinuxBufferParamsV1, index: u32, (offset, stride): (u32, u32), modifier: u64) {
    let file = memory(offset as usize + stride as usize * 48);
    let (high, low) = ((modifier >> 32) as u32, modifier as u32);
    params.add(file.as_fd(), index, offset, stride, high, low);
}

/// The slots in which buffers of graphics processors were announced and that are not retired.
pub(crate) fn slots(rig: &Rig) -> Vec<SlotIndex> {
    rig.announced()
        .filter(|buffer| matches!(buffer.memory, BufferMemory::Dmabuf { .. }))
        .map(|buffer| buffer.slot)
        .collect()
}

#[test]
fn app_sees_graphics_memory_only_while_media_draws() {
    let mut rig = rig();
    let sees = |rig: &mut Rig| App::start(rig).announced().contains(&GLOBAL.to_owned());
    assert!(!sees(&mut rig), "before media has said anything");
    offer(&mut rig, None);
    assert!(!sees(&mut rig), "when media has nothing");
    offer(&mut rig, Some(usual()));
    assert!(sees(&mut rig));
    offer(&mut rig, None);
    assert!(!sees(&mut rig), "when media has lost it");
    offer(&mut rig, Some(usual()));
    assert!(sees(&mut rig));
}

#[test]
fn app_is_told_medias_formats_and_device_and_when_they_change() {
    let mut rig = drawing_rig();
    let mut app = App::start(&mut rig);
    let feedback = dmabuf(&app, 4).get_default_feedback(&app.handle(), ());
    app.until_told(&mut rig, &Event::FormatsTold);
    let formats = [(XRGB, IMPLICIT), (ARGB, IMPLICIT), (XRGB, LINEAR), (NV12, LINEAR)];
    assert_eq!(app.memory.formats, formats);
    assert_eq!(app.memory.device, DEVICE.0.to_ne_bytes());
    offer(&mut rig, Some(renderer(&[(ARGB, 7)])));
    app.until(&mut rig, |memory| memory.formats == [(ARGB, 7)]);
    feedback.destroy();
    let surface = app.surface();
    dmabuf(&app, 4).get_surface_feedback(&surface, &app.handle(), ());
    app.until(&mut rig, |memory| {
        memory.events.iter().filter(|event| **event == Event::FormatsTold).count() == 3
    });
}

#[test]
fn old_app_is_told_the_formats_without_asking() {
    let mut rig = drawing_rig();
    let mut app = App::start(&mut rig);
    dmabuf(&app, 3);
    app.until(&mut rig, |memory| memory.formats.len() == 4);
    let mut older = App::start(&mut rig);
    dmabuf(&older, 2);
    older.until(&mut rig, |memory| memory.formats == [(XRGB, IMPLICIT), (ARGB, IMPLICIT)]);
}

#[test]
fn buffer_is_announced_with_its_planes_and_made_when_media_accepts_it() {
    let mut rig = drawing_rig();
    let mut app = App::start(&mut rig);
    let params = dmabuf(&app, 4).create_params(&app.handle(), ());
    // Added in any order.
    add(&params, 1, (4096, 64), LINEAR);
    add(&params, 0, (128, 64), LINEAR);
    params.create(64, 48, NV12, Flags::empty());
    app.exchange();
    rig.until(|rig| !slots(rig).is_empty());
    let announced = rig.announced().last().expect("announced");
    let plane = |offset_bytes, stride| Plane {
        offset_bytes,
        stride_bytes: PlaneStride::new(stride).expect("legal"),
    };
    let planes = Planes::new(&[plane(128, 64), plane(4096, 64)]).expect("two");
    assert_eq!(announced.memory, BufferMemory::Dmabuf { format: format(NV12, LINEAR), planes });
    assert_eq!(announced.size, BufferSize::new(64, 48).expect("legal"));
    rig.wait_quietly();
    app.exchange();
    assert!(app.memory.made.is_empty(), "media has not answered");
    answer(&rig, announced.slot, true);
    app.until(&mut rig, |memory| memory.made.len() == 1);
}

#[test]
fn buffer_that_media_refuses_fails_and_its_app_lives() {
    let mut rig = drawing_rig();
    let mut app = App::start(&mut rig);
    ask_for_buffer(&mut rig, &mut app, (XRGB, LINEAR));
    let slot = slots(&rig)[0];
    answer(&rig, slot, false);
    app.until_told(&mut rig, &Event::BufferFailed);
    // One that the app uses already can only be refused by an error.
    one_plane(&app, LINEAR).create_immed(64, 48, XRGB, Flags::empty(), &app.handle(), ());
    app.exchange();
    rig.until(|rig| slots(rig).iter().any(|other| *other != slot));
    let second = slots(&rig).into_iter().find(|other| *other != slot).expect("another");
    answer(&rig, second, false);
    rig.until(|_| !app.exchange());
    let error = app.connection.protocol_error().expect("a protocol error");
    assert_eq!(error.code, zwp_linux_buffer_params_v1::Error::InvalidWlBuffer as u32, "{error}");
    App::start(&mut rig);
}

#[test]
fn buffer_waits_for_the_answer_of_the_next_media() {
    let mut rig = drawing_rig();
    let mut app = App::start(&mut rig);
    ask_for_buffer(&mut rig, &mut app, (ARGB, IMPLICIT));
    rig.media = None;
    rig.wait_quietly();
    // Made while there is no media.
    one_plane(&app, IMPLICIT).create(64, 48, XRGB, Flags::empty());
    app.exchange();
    rig.wait_quietly();
    rig.attach_media();
    offer(&mut rig, Some(usual()));
    rig.until(|rig| slots(rig).len() == 2);
    for slot in slots(&rig) {
        answer(&rig, slot, true);
    }
    app.until(&mut rig, |memory| memory.made.len() == 2);
}

#[test]
fn buffers_that_wait_are_refused_when_the_next_media_draws_nothing() {
    let mut rig = drawing_rig();
    let mut app = App::start(&mut rig);
    ask_for_buffer(&mut rig, &mut app, (ARGB, IMPLICIT));
    rig.media = None;
    rig.wait_quietly();
    rig.attach_media();
    offer(&mut rig, None);
    app.until_told(&mut rig, &Event::BufferFailed);
    assert!(slots(&rig).is_empty());
}

#[test]
fn buffer_that_waits_is_refused_if_the_next_media_does_not_take_its_format() {
    let mut rig = drawing_rig();
    let mut app = App::start(&mut rig);
    ask_for_buffer(&mut rig, &mut app, (ARGB, IMPLICIT));
    rig.media = None;
    rig.wait_quietly();
    rig.attach_media();
    offer(&mut rig, Some(renderer(&[(ARGB, 7)])));
    app.until_told(&mut rig, &Event::BufferFailed);
    assert!(slots(&rig).is_empty());
}

#[test]
fn answer_about_another_buffer_than_the_next_ends_the_link() {
    let mut rig = drawing_rig();
    let app = App::start(&mut rig);
    for _ in 0..2 {
        one_plane(&app, LINEAR).create(64, 48, XRGB, Flags::empty());
    }
    app.connection.flush().expect("sent");
    rig.until(|rig| slots(rig).len() == 2);
    let last = slots(&rig)[1];
    answer(&rig, last, true);
    rig.until(|rig| rig.counter("link_violations_total") == 1);
}

#[test]
fn answer_that_nobody_asked_for_ends_the_link() {
    let mut rig = drawing_rig();
    answer(&rig, SlotIndex::MIN, true);
    rig.until(|rig| rig.counter("link_violations_total") == 1);
}
