//! Pictures in the format that rtc asks for.

use lumen_ipc::video::VideoFormat;

use super::*;

const VP8: VideoFormat = VideoFormat::Vp8;

/// What is known of packets: how they are encoded, and whether a decoder can start there.
fn described(packets: &[(VideoPacket, Vec<u8>)]) -> Vec<(VideoFormat, bool)> {
    packets.iter().map(|(packet, _)| (packet.format, packet.keyframe)).collect()
}

#[test]
fn format_asked_for_begins_with_a_keyframe_and_rests_refined() {
    let mut rig = Rig::watched();
    rig.settle();
    rig.change(|demand| demand.format = Some(VP8));
    // After a rest there are bits for a finer picture at once.
    assert_eq!(described(&rig.run())[..2], [(VP8, true), (VP8, false)]);
    assert!(rig.session.new_summary().is_some_and(|summary| summary.contains("VP8")));
    rig.frame(corner());
    assert_eq!(described(&rig.run()), [(VP8, false)]);
    rig.fill(10);
    rig.frame(Damage::full(size()));
    let packets = rig.settle();
    assert!((2..=6).contains(&packets.len()), "{} pictures until nothing is left", packets.len());
    assert!(packets.iter().all(|(packet, _)| (packet.format, packet.keyframe) == (VP8, false)));
    let later = rig.now + Duration::from_secs(3600);
    assert_eq!(rig.session.turn(later).expect("works"), None, "a still screen costs nothing");
    rig.now = later;
    rig.change(|demand| demand.format = Some(FORMAT));
    assert_eq!(described(&rig.run())[0], (FORMAT, true));
    assert!(rig.session.new_summary().is_some_and(|summary| !summary.contains("VP8")));
}

#[test]
fn screen_of_another_size_stays_in_the_format() {
    let mut rig = Rig::watched();
    rig.change(|demand| demand.format = Some(VP8));
    rig.settle();
    let smaller = FrameSize::new(32, 48).expect("legal size");
    rig.announce(1, smaller);
    rig.frame_in(1, Damage::full(smaller));
    let packets = rig.run();
    assert_eq!(described(&packets), [(VP8, true)]);
    assert_eq!(packets[0].0.size, smaller);
}

#[test]
fn formats_with_a_graphics_processor_are_one_of_h264_and_vp8() {
    let formats: Vec<_> = Encoder::formats(true).iter().collect();
    assert_eq!(formats, [VideoFormat::H264ConstrainedBaseline, VP8]);
    assert_eq!(Encoder::formats(false), lumen_ipc::video::VideoFormats::all());
}
