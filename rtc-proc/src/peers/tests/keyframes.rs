//! Keyframe requests of viewers, and what they cost the others.

use super::*;

#[test]
fn viewer_that_keeps_asking_for_keyframes_does_not_order_them_for_everybody() {
    let mut house = House::new();
    let greedy = house.join(1, Rights { control: false });
    let other = house.join(2, CONTROL);
    let before = house.keyframes;
    // Ten requests a second for twenty seconds, each of which is served at once.
    for _ in 0..200 {
        house.send(greedy, &[0x0b]);
        house.show(true);
        house.run(Duration::from_millis(100));
    }
    let ordered = house.keyframes - before;
    assert!((8..=14).contains(&ordered), "{ordered} keyframes in twenty seconds");
    house.send(other, &[0x0b]);
    house.run(Duration::from_millis(400));
    assert_eq!(house.keyframes - before, ordered + 1, "another viewer has its own allowance");
}

#[test]
fn viewer_that_waits_for_a_keyframe_amid_other_pictures_has_asked_once() {
    let mut house = House::new();
    let viewer = house.join(1, CONTROL);
    for _ in 0..5 {
        house.show(false);
        house.run(Duration::from_millis(33));
    }
    // It has two of its three requests left.
    for _ in 0..2 {
        house.show(true);
        house.run(Duration::from_millis(400));
        let before = house.keyframes;
        house.send(viewer, &[0x0b]);
        assert_eq!(house.keyframes, before + 1);
    }
}
