//! Peers that break the contract, or go away.

use super::*;

#[test]
fn hostile_compositor_is_cut_off_and_rtc_still_served() {
    let unsealed = memfd::MemfdOptions::default().create("test-unsealed").expect("memfd");
    unsealed.as_file().set_len(1 << 20).expect("length");
    let small = memory_of(FrameSize::nearest(16, 16));
    let outside = Rect { x: WIDTH - 1, y: 0, width: 2, height: 1 };
    let attacks: [(&str, Attack); 11] = [
        ("slot twice", Box::new(|rig| rig.announce(0, size()))),
        ("retired slot", Box::new(|rig| rig.retire(1))),
        (
            "frame in a retired slot",
            Box::new(|rig| {
                rig.retire(0);
                rig.frame(corner());
            }),
        ),
        (
            "unsealed memory",
            Box::new(move |rig| {
                rig.announce_memory(&announced(1, size()), unsealed.as_file().as_fd());
            }),
        ),
        (
            "too small memory",
            Box::new(move |rig| {
                rig.announce_memory(&announced(1, size()), small.descriptor());
            }),
        ),
        (
            "no memory",
            Box::new(|rig| {
                rig.announce_memory(&announced(1, size()), io::stdin().as_fd());
            }),
        ),
        (
            "short rows",
            Box::new(|rig| {
                let memory = BufferMemory::Shared { stride_bytes: 4 };
                let short = BufferAnnounced { memory, ..announced(1, size()) };
                rig.announce_memory(&short, rig.memory.descriptor());
            }),
        ),
        (
            "an app's memory that is no memory",
            Box::new(|rig| {
                let stride_bytes = u32::from(WIDTH) * 4;
                let memory = BufferMemory::App { offset_bytes: 0, stride_bytes };
                let buffer = BufferAnnounced { memory, ..announced(1, size()) };
                rig.announce_memory(&buffer, io::stdin().as_fd());
            }),
        ),
        ("unannounced slot", Box::new(|rig| rig.frame_in(1, corner()))),
        (
            "another output",
            Box::new(|rig| {
                let buffer = BufferAnnounced { output: OutputId::MAX, ..announced(1, size()) };
                rig.announce_memory(&buffer, rig.memory.descriptor());
            }),
        ),
        (
            "damage outside",
            Box::new(move |rig| {
                rig.frame(Damage::new(vec![outside]).expect("legal by itself"));
            }),
        ),
    ];
    for (name, attack) in attacks {
        let mut rig = Rig::watched();
        attack(&mut rig);
        rig.run();
        assert!(rig.compositor_is_cut_off(), "{name}");
        let violations = rig.session.registry().counter("link_violations_total");
        assert_eq!(violations.value(), 1, "{name}");
        rig.ask_for_a_key();
        assert!(rig.run()[0].0.keyframe, "{name}");
    }
}

#[test]
fn hostile_rtc_is_cut_off_and_the_compositor_still_served() {
    let elsewhere = FromRtc::RingConsumed { stream: StreamId::MAX, position: 0 };
    for report in [consumed(u64::MAX), consumed(1 << 40), elsewhere] {
        let mut rig = Rig::watched();
        rig.rtc.send(&report, &[]).expect("media reads");
        rig.run();
        assert!(rig.rtc_is_cut_off());
        rig.frame(corner());
        rig.run();
        assert!(matches!(rig.messages()[..], [ToCompositor::FrameReleased(_)]));
    }
}

#[test]
fn peer_that_closes_its_end_is_no_violation() {
    let mut rig = Rig::watched();
    let (compositor, _) = Channel::pair().expect("socketpair");
    rig.compositor = compositor;
    rig.run();
    assert!(rig.compositor_is_cut_off());
    assert_eq!(rig.session.registry().counter("link_violations_total").value(), 0);
}
