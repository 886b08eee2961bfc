//! The desktop's size as its viewers request it.

use super::*;

#[test]
fn size_of_a_window_is_part_of_the_demand_and_no_input() {
    let mut house = House::new();
    let viewer = house.join(1, CONTROL);
    assert_eq!(house.size, None, "nobody has asked for a size");
    house.send(viewer, &[8, 4, 0, 3, 0, 0, 150]);
    assert_eq!(house.size, Some(OutputSize::nearest(1024, 768, Scale::nearest(1.25))));
    assert_eq!(house.input, []);
    let onlooker = house.join(2, Rights { control: false });
    house.send(onlooker, &[8, 2, 0, 2, 0, 0, 120]);
    assert_eq!(house.size, Some(OutputSize::nearest(1024, 768, Scale::nearest(1.25))));
}

#[test]
fn desktop_follows_the_first_viewer_again_when_the_second_has_left() {
    let mut house = House::new();
    let first = house.join(1, CONTROL);
    house.send(first, &[8, 3, 32, 2, 88, 0, 120]);
    let second = house.join(2, CONTROL);
    house.send(second, &[8, 1, 244, 2, 188, 0, 240]);
    assert_eq!(house.size, Some(OutputSize::nearest(500, 700, Scale::nearest(2.0))));
    house.signal(ToRtc::PeerGone { peer: PeerId(2) });
    assert_eq!(house.size, Some(OutputSize::nearest(800, 600, Scale::ONE)));
    house.signal(ToRtc::PeerGone { peer: PeerId(1) });
    assert_eq!(
        house.size,
        Some(OutputSize::nearest(800, 600, Scale::ONE)),
        "the size stays as it was"
    );
}
