//! What is told of the demand to whom, and what follows from it.

use super::*;

#[test]
fn compositor_is_told_nothing_before_rtc_has_said_what_is_wanted() {
    let mut rig = Rig::before_rtc();
    rig.run();
    assert_eq!(rig.messages(), []);
    let size = Some(OutputSize::nearest(800, 600, Scale::nearest(1.25)));
    rig.want(size);
    rig.run();
    assert_eq!(rig.messages(), [demand_of(false, size)]);
}

#[test]
fn size_is_told_on_and_to_each_compositor_again() {
    let mut rig = Rig::watched();
    let size = Some(OutputSize::nearest(800, 600, Scale::nearest(1.25)));
    rig.want(size);
    rig.want(size);
    rig.run();
    rig.run();
    assert_eq!(rig.messages(), [demand_of(true, size)]);
    for _ in 0..2 {
        let (compositor, frames) = Channel::pair().expect("socketpair");
        rig.compositor = compositor;
        rig.session.attach_frames(frames.into());
        rig.run();
        assert_eq!(rig.messages(), [demand_of(true, size)]);
    }
}

#[test]
fn compositor_that_is_busy_while_rtc_changes_its_mind_is_told_the_last_word() {
    let mut rig = Rig::watched();
    let size = |width| Some(OutputSize::nearest(width, 600, Scale::ONE));
    for width in 0..5_000 {
        rig.want(size(width));
        rig.run();
    }
    assert!(!rig.compositor_is_cut_off());
    assert!(rig.session.frames_interest().is_some_and(|(_, writing)| writing), "it waits");
    rig.frame(corner());
    rig.run();
    rig.messages();
    rig.run();
    let messages = rig.messages();
    assert!(matches!(messages[0], ToCompositor::FrameReleased(_)), "{messages:?}");
    assert_eq!(messages[1..], [demand_of(true, size(4_999))]);
    assert!(rig.session.frames_interest().is_some_and(|(_, writing)| !writing));
}

#[test]
fn watchers_gone_stops_encoding_and_tells_the_compositor() {
    let mut rig = Rig::watched();
    rig.watch(0);
    rig.frame(corner());
    assert!(rig.settle().is_empty());
    let messages = rig.messages();
    assert_eq!(messages[0], demand(false));
    assert!(matches!(messages[1], ToCompositor::FrameReleased(_)));
}

#[test]
fn target_lowered_makes_motion_smaller() {
    let noisy = |target: Option<Kbps>| -> usize {
        let mut rig = Rig::watched();
        if let Some(target) = target {
            rig.change(|demand| demand.bitrate = target);
        }
        let mut state = 1_u32;
        let mut bytes = 0;
        for _ in 0..30 {
            let noise: Vec<u8> = (0..rig.memory.len())
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                })
                .collect();
            rig.memory.write(0, &noise).expect("inside");
            rig.frame(Damage::full(size()));
            rig.now += Duration::from_millis(17);
            bytes += rig.run().iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        }
        bytes
    };
    let (rich, poor) = (noisy(None), noisy(Some(Kbps::clamped(500))));
    assert!(poor * 4 < rich, "{poor} and {rich} bytes");
}
