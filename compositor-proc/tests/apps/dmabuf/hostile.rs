//! Buffers that cannot be, and far too many of them.

use std::{collections::BTreeSet, time::Duration};

use wayland_client::backend::protocol::ProtocolError;
use wayland_protocols::wp::linux_dmabuf::zv1::client::zwp_linux_buffer_params_v1::Error;

use super::*;

/// The error for which an app is disconnected that makes such a buffer.
fn refused(rig: &mut Rig, make: impl Fn(&App)) -> ProtocolError {
    let mut app = App::start(rig);
    make(&app);
    rig.until(|_| !app.exchange());
    app.connection.protocol_error().expect("a protocol error")
}

/// Checks that both ways to make a buffer of `planes` end the app with `error`, and announce nothing.
fn assert_refused(
    error: Error,
    (width, height, fourcc): (i32, i32, u32),
    planes: impl Fn(&ZwpLinuxBufferParamsV1),
) {
    let mut rig = drawing_rig();
    for at_once in [false, true] {
        let found = refused(&mut rig, |app| {
            let params = dmabuf(app, 4).create_params(&app.handle(), ());
            planes(&params);
            if at_once {
                params.create_immed(width, height, fourcc, Flags::empty(), &app.handle(), ());
            } else {
                params.create(width, height, fourcc, Flags::empty());
            }
        });
        assert_eq!(found.code, error as u32, "{width}x{height}, at once: {at_once}: {found}");
    }
    assert!(slots(&rig).is_empty());
    App::start(&mut rig);
}

#[test]
fn buffer_of_planes_that_are_not_the_first_ones_is_refused() {
    let usual = (64, 48, XRGB);
    assert_refused(Error::Incomplete, usual, |_| {});
    assert_refused(Error::Incomplete, usual, |params| add(params, 1, (0, 256), LINEAR));
    assert_refused(Error::Incomplete, usual, |params| {
        add(params, 0, (0, 256), LINEAR);
        add(params, 3, (0, 256), LINEAR);
    });
    assert_refused(Error::PlaneIdx, usual, |params| add(params, 4, (0, 256), LINEAR));
    assert_refused(Error::PlaneIdx, usual, |params| add(params, u32::MAX, (0, 256), LINEAR));
    assert_refused(Error::PlaneSet, usual, |params| {
        (0..2).for_each(|_| add(params, 0, (0, 256), LINEAR));
    });
    assert_refused(Error::InvalidFormat, usual, |params| {
        add(params, 0, (0, 256), LINEAR);
        add(params, 1, (0, 256), IMPLICIT);
    });
}

#[test]
fn buffer_of_no_size_or_beyond_its_memory_is_refused() {
    let plane = |params: &ZwpLinuxBufferParamsV1| add(params, 0, (0, 256), LINEAR);
    for (width, height) in
        [(0, 48), (64, 0), (-1, 48), (64, i32::MIN), (i32::MAX, 48), (64, 16_385)]
    {
        assert_refused(Error::InvalidDimensions, (width, height, XRGB), plane);
    }
    assert_refused(Error::OutOfBounds, (64, 49, XRGB), plane);
    for (offset, stride) in
        [(1, 256), (u32::MAX, 2), (u32::MAX, u32::MAX), (0, 0), (0, 262_145), (12_288, 256)]
    {
        assert_refused(Error::OutOfBounds, (64, 48, XRGB), |params| {
            params.add(memory(12_288).as_fd(), 0, offset, stride, 0, 0);
        });
    }
    // A file of no length at all: a pipe.
    assert_refused(Error::OutOfBounds, (64, 48, XRGB), |params| {
        let (pipe, _end) = std::io::pipe().expect("a pipe");
        params.add(pipe.as_fd(), 0, 0, 256, 0, 0);
    });
}

#[test]
fn buffer_of_a_format_that_was_not_offered_is_refused() {
    let plane =
        |modifier| move |params: &ZwpLinuxBufferParamsV1| add(params, 0, (0, 256), modifier);
    assert_refused(Error::InvalidFormat, (64, 48, 0), plane(LINEAR));
    assert_refused(Error::InvalidFormat, (64, 48, u32::MAX), plane(LINEAR));
    // `DRM_FORMAT_ABGR8888`, and a vendor's arrangement of a known format.
    assert_refused(Error::InvalidFormat, (64, 48, 0x3432_4241), plane(LINEAR));
    assert_refused(Error::InvalidFormat, (64, 48, XRGB), plane(0x0100_0000_0000_0001));
}

#[test]
fn planes_that_were_used_are_not_used_again() {
    let mut rig = drawing_rig();
    let found = refused(&mut rig, |app| {
        let params = one_plane(app, LINEAR);
        (0..2).for_each(|_| params.create(64, 48, XRGB, Flags::empty()));
    });
    assert_eq!(found.code, Error::AlreadyUsed as u32, "{found}");
}

#[test]
fn buffer_upside_down_fails_and_its_app_lives() {
    let mut rig = drawing_rig();
    let mut app = App::start(&mut rig);
    one_plane(&app, LINEAR).create(64, 48, XRGB, Flags::YInvert);
    app.until_told(&mut rig, &Event::BufferFailed);
}

#[test]
fn buffers_by_the_hundred_are_asked_about_a_few_at_a_time_and_all_answered() {
    const MANY: usize = 100;
    let mut rig = drawing_rig();
    let mut app = App::start(&mut rig);
    for _ in 0..MANY {
        let params = one_plane(&app, LINEAR);
        params.create(64, 48, XRGB, Flags::empty());
        app.exchange();
        rig.turn(Duration::ZERO);
    }
    let mut answered = BTreeSet::new();
    rig.until(|rig| {
        app.exchange();
        let asked: Vec<_> =
            slots(rig).into_iter().filter(|slot| !answered.contains(slot)).collect();
        assert!(asked.len() <= 16, "{} questions at once", asked.len());
        for slot in asked {
            answered.insert(slot);
            answer(rig, slot, true);
        }
        app.memory.made.len() == MANY
    });
}

#[test]
fn app_that_leaves_while_it_waits_leaves_no_question_behind() {
    let mut rig = drawing_rig();
    let mut app = App::start(&mut rig);
    let waiting: Vec<_> = (0..40)
        .map(|_| {
            let params = one_plane(&app, LINEAR);
            params.create(64, 48, XRGB, Flags::empty());
            app.exchange();
            rig.turn(Duration::ZERO);
            params
        })
        .collect();
    rig.until(|rig| slots(rig).len() == 16);
    drop((app, waiting));
    let mut other = App::start(&mut rig);
    one_plane(&other, LINEAR).create(64, 48, XRGB, Flags::empty());
    other.exchange();
    for slot in slots(&rig) {
        answer(&rig, slot, true);
    }
    rig.until(|rig| slots(rig).len() == 17);
    let last = slots(&rig)[16];
    answer(&rig, last, true);
    other.until(&mut rig, |memory| memory.made.len() == 1);
    assert_eq!(slots(&rig).len(), 17, "nobody waits for any other");
}

#[test]
fn planes_without_end_end_their_app_alone() {
    let mut rig = drawing_rig();
    let mut app = App::start(&mut rig);
    let handle = app.handle();
    let manager = dmabuf(&app, 4);
    let file = memory(4096);
    let mut kept = Vec::new();
    rig.until(|_| {
        let params = manager.create_params(&handle, ());
        for index in 0..4 {
            params.add(file.as_fd(), index, 0, 64, 0, 0);
        }
        kept.push(params);
        !app.exchange()
    });
    assert!(kept.len() <= 300, "{} sets of planes", kept.len());
    App::start(&mut rig);
}
