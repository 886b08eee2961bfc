//! Pictures in several formats.

use std::time::Duration;

use lumen_ipc::video::VideoFormat;

use super::pair::Pair;

const H264: VideoFormat = VideoFormat::H264ConstrainedBaseline;
const VP8: VideoFormat = VideoFormat::Vp8;

/// Of VP8 (RFC 6386, section 9.1), as far as those look who pass it on: the first bit is 0 in keyframes.
fn vp8_frame(keyframe: bool, bytes: usize) -> Vec<u8> {
    let tag = [if keyframe { 0x50 } else { 0x51 }, 1, 0, 0x9d, 1, 0x2a];
    let rest = (0..bytes).map(|index| (index as u8).wrapping_mul(13));
    tag.into_iter().chain(rest).collect()
}

#[test]
fn pictures_of_another_format_follow_without_another_offer() {
    let mut pair = Pair::of_both();
    assert!(
        pair.peer.takes(H264) && pair.peer.takes(VP8) && !pair.peer.takes(VideoFormat::H264Main)
    );
    let mut sent = vec![pair.show(true, 5000, 1), pair.show(false, 300, 2)];
    for (keyframe, bytes) in [(true, 4000), (false, 2500), (false, 10)] {
        let data = vp8_frame(keyframe, bytes);
        pair.show_as(VP8, keyframe, data.clone());
        sent.push(data);
        pair.run(Duration::from_millis(30));
    }
    sent.extend([pair.show(true, 5000, 3), pair.show(false, 300, 4)]);
    pair.run(Duration::from_secs(1));
    assert!(
        pair.viewer.frames == sent,
        "{:?}",
        pair.viewer.frames.iter().map(Vec::len).collect::<Vec<_>>()
    );
}

#[test]
fn pictures_of_vp8_arrive_over_a_line_that_loses_some() {
    let mut pair = Pair::of_vp8();
    assert!(!pair.peer.takes(H264) && pair.peer.takes(VP8));
    pair.loss = Some(20);
    let sent: Vec<_> = (0..60).map(|number| vp8_frame(number == 0, 3000 + number)).collect();
    for (number, data) in sent.iter().enumerate() {
        pair.show_as(VP8, number == 0, data.clone());
        pair.run(Duration::from_millis(33));
    }
    pair.loss = None;
    pair.run(Duration::from_secs(2));
    assert!(pair.viewer.frames == sent, "{} of {}", pair.viewer.frames.len(), sent.len());
}

#[test]
fn picture_of_a_format_that_the_viewer_lacks_is_not_sent() {
    let mut pair = Pair::of_vp8();
    let before = pair.datagrams;
    pair.show(true, 5000, 1);
    assert_eq!(pair.datagrams, before);
    pair.show_as(VP8, false, vp8_frame(false, 500));
    assert_eq!(pair.datagrams, before, "it begins with a keyframe");
    pair.show_as(VP8, true, vp8_frame(true, 500));
    pair.run(Duration::from_secs(1));
    assert_eq!(pair.viewer.frames, [vp8_frame(true, 500)]);
}
