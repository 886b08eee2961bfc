//! What gives way when bits are short, as rtc receives it.

use super::*;

const INTERVAL: Duration = Duration::from_micros(1_000_000 / 30);

fn whole() -> FrameSize {
    FrameSize::new(480, 360).expect("legal size")
}

/// A watched screen over a network that carries `kbps`.
fn watched(kbps: u64) -> Rig {
    let mut rig = Rig::new();
    rig.memory = memory_of(whole());
    rig.announce(0, whole());
    rig.change(|demand| (demand.watchers, demand.bitrate) = (1, Kbps::clamped(kbps)));
    rig
}

/// Noise of so many bits a sample on all of the screen, thirty times a second.
fn move_for(rig: &mut Rig, time: Duration, bits: u32) -> Vec<(VideoPacket, Vec<u8>)> {
    let (end, mut packets) = (rig.now + time, Vec::new());
    let mut seed = 1_u32;
    while rig.now < end {
        let noise = std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> (32 - bits)) as u8
        });
        rig.memory.write(0, &noise.take(rig.memory.len()).collect::<Vec<_>>()).expect("inside");
        rig.frame(Damage::full(whole()));
        packets.extend(rig.run());
        rig.messages();
        rig.now += INTERVAL;
    }
    packets
}

#[test]
fn motion_beyond_the_network_becomes_smaller_and_is_whole_and_fine_when_it_rests() {
    let mut rig = watched(600);
    let mut packets = move_for(&mut rig, Duration::from_secs(4), 8);
    let moved = packets.len();
    let last = packets.last().expect("pictures").0.size;
    assert!(last.macroblocks() < whole().macroblocks(), "still {last}");
    let mut rung = rig.session.registry().snapshot().into_iter();
    let rung = rung.find(|metric| metric.name.as_str() == "ladder_rung_number").expect("a figure");
    assert!(matches!(rung.value, lumen_ipc::service::MetricValue::Gauge(2..)), "{rung:?}");
    packets.extend(rig.settle());
    assert_eq!(packets.last().expect("pictures").0.size, whole());
    assert_eq!(rig.session.turn(rig.now + Duration::from_secs(3600)).expect("works"), None);
    // A decoder follows through every change of size, each of which begins with a keyframe.
    let mut decoder = Decoder::new().expect("openh264 opens");
    let mut size = None;
    for (packet, bytes) in &packets {
        assert!(packet.keyframe || size == Some(packet.size), "{} without a keyframe", packet.size);
        size = Some(packet.size);
        let picture = decoder.decode(bytes).expect("legal stream").expect("one picture");
        let (width, height) = picture.dimensions();
        assert_eq!(FrameSize::new(width as u16, height as u16).ok(), size);
    }
    let sizes = packets.windows(2).filter(|pair| pair[0].0.size != pair[1].0.size).count();
    assert!((2..=4).contains(&sizes), "{sizes} changes of size in {moved} pictures");
}

#[test]
fn motion_for_which_bits_stay_short_is_coded_thriftily_and_goes_on_without_a_keyframe() {
    // Noise of so many bits a sample that it needs a coarse quantizer.
    let mut rig = watched(3000);
    let thrifty = |rig: &Rig| {
        let mut all = rig.session.registry().snapshot().into_iter();
        let found = all.find(|metric| metric.name.as_str() == "effort_level").expect("a figure");
        matches!(found.value, lumen_ipc::service::MetricValue::Gauge(2))
    };
    let mut packets = move_for(&mut rig, Duration::from_secs(1), 6);
    assert!(!thrifty(&rig));
    // A machine that is busy with other things has no time for it at once.
    let end = rig.now + Duration::from_secs(60);
    while !thrifty(&rig) {
        assert!(rig.now < end, "never thrifty");
        packets.extend(move_for(&mut rig, Duration::from_millis(100), 6));
    }
    packets.extend(move_for(&mut rig, Duration::from_millis(200), 6));
    let keys = packets.windows(2).filter(|pair| pair[1].0.keyframe);
    let sizes = packets.windows(2).filter(|pair| pair[0].0.size != pair[1].0.size);
    assert_eq!(keys.count(), sizes.count(), "a keyframe that no change of size needs");
    let mut decoder = Decoder::new().expect("openh264 opens");
    for (_, bytes) in &packets {
        assert!(decoder.decode(bytes).expect("legal stream").is_some());
    }
}

#[test]
fn motion_that_the_network_carries_is_whole() {
    let mut rig = watched(8000);
    let packets = move_for(&mut rig, Duration::from_secs(2), 6);
    assert!(packets.iter().all(|(packet, _)| packet.size == whole()));
}

#[test]
fn letter_in_a_small_picture_waits_for_no_frame_rate() {
    let mut rig = watched(600);
    move_for(&mut rig, Duration::from_secs(4), 8);
    rig.now += Duration::from_millis(100);
    rig.run();
    rig.frame(corner());
    let sent = rig.run();
    assert_eq!(sent.len(), 1, "it waits");
}

#[test]
fn picture_that_turns_out_too_large_is_encoded_again_before_it_is_sent() {
    const KBPS: usize = 600;
    let mut rig = watched(KBPS as u64);
    let again = |rig: &Rig| {
        let mut all = rig.session.registry().snapshot().into_iter();
        let found = all.find(|metric| metric.name.as_str() == "pictures_encoded_again_total");
        found.expect("a figure").value
    };
    // Flat pictures, each of another grey, teach that new pictures take next to nothing.
    for level in [230, 160, 90, 20].repeat(4) {
        rig.memory.write(0, &vec![level; rig.memory.len()]).expect("inside");
        rig.frame(Damage::full(whole()));
        rig.run();
        rig.messages();
        rig.now += INTERVAL;
    }
    let before = again(&rig);
    // Bright noise after a dark picture.
    let mut seed = 1_u32;
    let noise = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8 | 0xc0
    });
    rig.memory.write(0, &noise.take(rig.memory.len()).collect::<Vec<_>>()).expect("inside");
    rig.frame(Damage::full(whole()));
    let packets = rig.run();
    assert_ne!(again(&rig), before);
    let (packet, bytes) = packets.first().expect("a picture");
    assert!(packet.keyframe);
    // Half a second of the network.
    assert!(bytes.len() < KBPS * 1000 / 8 / 2, "{} bytes", bytes.len());
}
