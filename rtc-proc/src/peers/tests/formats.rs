//! The format that all viewers get.

use lumen_ipc::video::VideoFormats;

use super::*;

const H264: VideoFormat = VideoFormat::H264ConstrainedBaseline;
const VP8: VideoFormat = VideoFormat::Vp8;

#[test]
fn format_that_media_offers_and_browsers_take_is_chosen() {
    let mut house = House::new();
    house.join(1, CONTROL);
    assert_eq!(house.format, None, "media has not said what it can make");
    house.peers.formats_offered(house.now, VideoFormats::all());
    house.collect();
    assert_eq!(house.format, Some(H264));
}

#[test]
fn viewers_get_vp8_while_one_of_them_lacks_h264() {
    let mut house = House::new();
    house.peers.formats_offered(house.now, VideoFormats::all());
    let both = house.admit(1, CONTROL, Viewer::of_both);
    assert_eq!(house.format, Some(H264));
    house.show_as(H264, true);
    let lacking = house.admit(2, CONTROL, Viewer::of_vp8);
    assert_eq!(house.format, Some(VP8));
    let asked = house.keyframes;
    house.show_as(VP8, true);
    house.show_as(VP8, false);
    house.run(Duration::from_millis(500));
    assert_eq!(house.viewers[both].1.frames.len(), 3);
    assert_eq!(house.viewers[lacking].1.frames.len(), 2);
    // A hidden page needs no pictures.
    house.send(lacking, &[0x0e, 0]);
    assert_eq!(house.format, Some(H264));
    house.send(lacking, &[0x0e, 1]);
    assert_eq!(house.format, Some(VP8));
    house.signal(ToRtc::PeerGone { peer: PeerId(2) });
    assert_eq!(house.format, Some(H264));
    house.show_as(H264, true);
    house.run(Duration::from_millis(500));
    assert_eq!(house.viewers[both].1.frames.len(), 4);
    assert_eq!(house.keyframes, asked + 1, "one for the page that was shown again");
}

#[test]
fn format_is_of_those_that_media_offers() {
    let mut house = House::new();
    let only = VideoFormats::new(vec![H264]).expect("one");
    house.peers.formats_offered(house.now, only);
    house.admit(1, CONTROL, Viewer::of_vp8);
    assert_eq!(house.format, Some(H264), "nobody takes it, and there is no other");
    house.peers.formats_offered(house.now, VideoFormats::all());
    house.collect();
    assert_eq!(house.format, Some(VP8));
}
