//! Viewers' pads, and what games do to them.

use lumen_ipc::message::pads as link;

use super::*;

/// Pad 1 with the first button pressed, with a sequence number.
fn pad_pressed(sequence: u8) -> Vec<u8> {
    [&[9, 1, 0, sequence, 0, 0, 0, 1][..], &[0; 10]].concat()
}

#[test]
fn pad_is_plugged_by_its_first_state_and_told_anew_to_a_new_gamepad_worker() {
    let mut house = House::new();
    let viewer = house.join(1, CONTROL);
    let pad = PadIndex::new(1).expect("legal");
    let pressed = PadAction::Reported(pad, PadReport { buttons: 1, ..PadReport::default() });
    house.send_on_pads(viewer, &pad_pressed(1));
    assert_eq!(house.pad_actions(), [PadAction::Plugged(pad), pressed]);
    house.send_on_pads(viewer, &pad_pressed(2));
    assert_eq!(house.pad_actions(), [pressed]);
    house.peers.pads_replaced();
    house.collect();
    assert_eq!(house.pad_actions(), [PadAction::Plugged(pad), pressed]);
    house.send_on_pads(viewer, &[10, 1, 0, 3]);
    assert_eq!(house.pad_actions(), [PadAction::Unplugged(pad)]);
    house.send_on_pads(viewer, &pad_pressed(2));
    house.peers.pads_replaced();
    house.collect();
    assert_eq!(house.pad_actions(), [], "a late state plugs nothing");
}

#[test]
fn pads_of_a_viewer_end_with_it_once_and_only_if_there_were_any() {
    let mut house = House::new();
    let viewer = house.join(1, CONTROL);
    house.join(2, CONTROL);
    house.send_on_pads(viewer, &pad_pressed(1));
    // Even if all are unplugged: that message may have found no room.
    house.send_on_pads(viewer, &[10, 1, 0, 2]);
    house.pad_actions();
    house.signal(ToRtc::PeerGone { peer: PeerId(1) });
    house.signal(ToRtc::PeerGone { peer: PeerId(2) });
    house.run(Duration::from_secs(1));
    assert_eq!(house.pad_actions(), [PadAction::PeerLeft]);
}

#[test]
fn pads_without_control_do_nothing_and_a_pad_that_cannot_be_ends_its_viewer() {
    let mut house = House::new();
    let onlooker = house.join(1, Rights { control: false });
    house.send_on_pads(onlooker, &pad_pressed(1));
    assert_eq!(house.pad_actions(), []);
    let viewer = house.join(2, CONTROL);
    house.send_on_pads(viewer, &[10, 255, 0, 1]);
    assert!(matches!(house.closed()[..], [(2, false, reason)] if reason.contains("gamepad index")));
}

#[test]
fn rumble_reaches_the_pads_viewer_only_and_all_learn_that_there_are_pads() {
    let mut house = House::new();
    let viewer = house.join(1, CONTROL);
    let other = house.join(2, CONTROL);
    house.send_on_pads(viewer, &pad_pressed(1));
    let peer = house.pads[0].peer;
    let messages = |house: &House, viewer: usize| house.viewers[viewer].1.messages.clone();
    house.peers.pads_said(house.now, link::ToRtc::Available(true));
    let (strong, weak, millis) = (0x0102, 0x0304, 0x0506);
    let pad = PadIndex::new(1).expect("legal");
    let rumbled = link::ToRtc::Rumbled { peer, pad, strong, weak, millis };
    house.peers.pads_said(house.now, rumbled);
    house.collect();
    house.run(Duration::from_millis(100));
    assert_eq!(messages(&house, viewer)[1..], [vec![0x87, 1], vec![0x88, 1, 1, 2, 3, 4, 5, 6]]);
    assert_eq!(messages(&house, other)[1..], [vec![0x87, 1]]);
    let late = house.join(3, CONTROL);
    assert_eq!(messages(&house, late), [vec![0x86, 0], vec![0x87, 1]]);
}
