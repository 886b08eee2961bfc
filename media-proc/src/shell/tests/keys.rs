//! When a keyframe is made, and when not.

use super::*;

#[test]
fn key_asked_on_a_still_screen_comes_once_for_many() {
    let mut rig = Rig::watched();
    rig.settle();
    for _ in 0..5 {
        rig.ask_for_a_key();
    }
    let keys = |packets: Vec<(VideoPacket, Vec<u8>)>| {
        packets.iter().filter(|(packet, _)| packet.keyframe).count()
    };
    assert_eq!(keys(rig.run()), 1);
    // The same demand sent again, as when the first answer was late, asks for nothing.
    rig.watch(1);
    assert_eq!(keys(rig.settle()), 0);
}

#[test]
fn rtc_that_has_counted_as_far_as_its_predecessor_gets_a_keyframe() {
    let mut rig = Rig::watched();
    rig.settle();
    rig.session.desk().meet_another_rtc();
    rig.watch(1);
    assert!(rig.run()[0].0.keyframe);
}

#[test]
fn compositor_that_returns_is_encoded_anew_from_its_first_frame() {
    let mut rig = Rig::watched();
    let (compositor, frames) = Channel::pair().expect("socketpair");
    rig.compositor = compositor;
    rig.session.attach_frames(frames.into());
    rig.announce(0, size());
    // The message marks only a corner as changed, but all of the frame is new to media.
    rig.fill(30);
    rig.frame(corner());
    let (packet, bytes) = rig.run().remove(0);
    assert!(packet.keyframe);
    let mut decoder = Decoder::new().expect("openh264 opens");
    let picture = decoder.decode(&bytes).expect("legal stream").expect("one picture");
    let (stride, last) = (picture.strides().0, usize::from(HEIGHT) - 1);
    assert!(picture.y()[last * stride + usize::from(WIDTH) - 1].abs_diff(42) <= 2);
    assert_eq!(rig.messages()[0], demand(true));
}

#[test]
fn rtc_that_returns_gets_the_ring_and_a_keyframe() {
    let mut rig = Rig::watched();
    rig.settle();
    let (rtc, packets) = Channel::pair().expect("socketpair");
    rig.rtc = rtc;
    rig.ring = None;
    rig.session.attach_packets(packets.into());
    let packets = rig.run();
    assert!(packets[0].0.keyframe);
    assert_eq!(packets[0].0.span.position, 0);
}

#[test]
fn format_that_is_made_already_is_no_reason_for_a_keyframe() {
    let mut rig = Rig::watched();
    rig.settle();
    rig.change(|demand| demand.format = Some(FORMAT));
    assert!(rig.settle().is_empty());
    rig.frame(corner());
    let (packet, _) = rig.run().remove(0);
    assert_eq!((packet.keyframe, packet.format), (false, FORMAT));
}

#[test]
fn buffer_of_another_size_in_the_slot_of_a_retired_one_starts_with_a_keyframe() {
    let mut rig = Rig::watched();
    let larger = FrameSize::new(200, 120).expect("legal size");
    rig.memory = memory_of(larger);
    rig.retire(0);
    rig.announce(0, larger);
    rig.frame(Damage::full(larger));
    let (packet, _) = rig.run().remove(0);
    assert!(packet.keyframe);
    assert_eq!(packet.size, larger);
}

#[test]
fn rtc_that_reads_nothing_is_dropped_for_and_then_gets_a_keyframe() {
    let mut rig = Rig::watched();
    // rtc reads nothing until the ring or the socket is full; after that nothing is encoded.
    let dropped = rig.session.registry().counter("packets_dropped_total");
    let encoded = rig.session.registry().counter("pictures_encoded_total");
    for round in 0_u32..5_000 {
        rig.now += Duration::from_millis(20);
        rig.frame(corner());
        let _ = rig.session.turn(rig.now).expect("x264 works");
        let _ = rig.session.turn(rig.now).expect("x264 works");
        rig.messages();
        assert!(round < 4_999, "nothing was ever dropped");
        if dropped.value() > 0 {
            break;
        }
    }
    let before = encoded.value();
    rig.frame(corner());
    while rig.session.turn(rig.now).expect("x264 works").is_some_and(|at| at <= rig.now) {}
    assert_eq!(encoded.value(), before);
    rig.packets();
    rig.session.packets_writable();
    assert!(rig.run().first().expect("a packet").0.keyframe);
}

#[test]
fn rtc_that_was_taken_over_gets_no_more_key_frames_than_the_floor_allows() {
    let flicker = |rig: &mut Rig| {
        rig.watch(0);
        rig.run();
        rig.watch(1);
    };
    let join = |rig: &mut Rig| {
        rig.ask_for_a_key();
        rig.change(|demand| demand.watchers = demand.watchers % 1000 + 1);
    };
    let another = |rig: &mut Rig| {
        rig.session.desk().meet_another_rtc();
        rig.watch(1);
    };
    let tricks: [(&str, Attack); 4] = [
        ("asks", Box::new(|rig| rig.ask_for_a_key())),
        ("viewers that join", Box::new(join)),
        ("viewers that come and go", Box::new(flicker)),
        ("ends of the link that come and go", Box::new(another)),
    ];
    for (name, trick) in tricks {
        let mut rig = Rig::watched();
        let mut keys = 0;
        for _ in 0..1_000 {
            rig.now += Duration::from_millis(3);
            trick(&mut rig);
            rig.frame(corner());
            keys += rig.run().iter().filter(|(packet, _)| packet.keyframe).count();
            rig.messages();
        }
        // Three seconds of one in 300 ms, and four at once.
        assert!((10..=14).contains(&keys), "{name}: {keys} keyframes");
    }
}

#[test]
fn viewer_who_joins_after_another_has_asked_does_not_wait() {
    let mut rig = Rig::watched();
    rig.ask_for_a_key();
    assert!(rig.run()[0].0.keyframe);
    rig.ask_for_a_key();
    assert!(rig.run().is_empty(), "the last one is on its way");
    rig.ask_for_a_key();
    rig.watch(2);
    assert!(rig.run()[0].0.keyframe);
}
