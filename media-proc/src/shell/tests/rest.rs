//! A screen that nobody watches, whose memory the compositor has given back.

use super::*;

/// Media without a picture, because nobody has watched for long.
fn resting() -> Rig {
    let mut rig = Rig::watched();
    rig.watch(0);
    rig.settle();
    rig.retire(0);
    assert!(rig.run().is_empty());
    rig.messages();
    rig
}

#[test]
fn viewer_who_comes_back_gets_the_whole_screen_when_there_is_one() {
    let mut rig = resting();
    rig.watch(1);
    assert_eq!(rig.session.turn(rig.now).expect("works"), None, "there is nothing to encode yet");
    assert!(rig.packets().is_empty());
    assert_eq!(rig.messages(), [demand(true)]);

    // All of the new buffer is read, whatever is said to have changed in it.
    rig.announce(0, size());
    rig.fill(200);
    rig.frame(corner());
    let packets = rig.run();
    assert_eq!(packets.len(), 1);
    assert!(packets[0].0.keyframe);
    let mut decoder = Decoder::new().expect("openh264 opens");
    let picture = decoder.decode(&packets[0].1).expect("legal stream").expect("one picture");
    let (stride, _, _) = picture.strides();
    let last = picture.y()[(usize::from(HEIGHT) - 1) * stride + usize::from(WIDTH) - 1];
    for luma in [picture.y()[0], last] {
        assert!(luma.abs_diff(188) <= 2, "{luma}");
    }
}

#[test]
fn screen_that_is_drawn_while_nobody_watches_is_there_for_the_first_viewer() {
    let mut rig = resting();
    rig.announce(0, size());
    rig.frame(Damage::full(size()));
    assert!(rig.run().is_empty());
    rig.watch(1);
    assert_eq!(rig.run().len(), 1);
}

#[test]
fn buffer_that_is_replaced_while_somebody_watches_costs_no_picture() {
    let mut rig = Rig::watched();
    rig.settle();
    rig.retire(0);
    rig.ask_for_a_key();
    let packets = rig.settle();
    assert!(packets.iter().any(|(packet, _)| packet.keyframe), "of the screen that there was");
}
