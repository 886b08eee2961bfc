//! What viewers may do, and how proofs of presence and challenges find their way.

use lumen_ipc::{
    lease::{CHALLENGE_BYTES, Challenge, MOST_LEASES, Proof},
    message::input,
};

use super::*;

const KEY_DOWN: [u8; 4] = [1, 0, 30, 1];
const WATCH: Rights = Rights { control: false };

fn actions(house: &mut House) -> Vec<Action> {
    std::mem::take(&mut house.input).into_iter().map(|message| message.action).collect()
}

/// How many keys were passed on.
fn keys(house: &mut House) -> usize {
    actions(house).iter().filter(|action| matches!(action, Action::Key { .. })).count()
}

fn challenge(number: u8) -> Challenge {
    Challenge([number; CHALLENGE_BYTES])
}

/// The challenges that a page was sent.
fn challenged(house: &House, viewer: usize) -> Vec<Challenge> {
    let messages = house.viewers[viewer].1.messages.iter();
    let challenges = messages.filter(|message| message[0] == 0x8a);
    challenges.map(|message| Challenge(message[1..].try_into().expect("its length"))).collect()
}

#[test]
fn gateway_that_says_a_viewer_may_control_gives_it_nothing() {
    let mut house = House::new();
    // The gateway says what it likes of a login; the supervisor says that the lease is for watching.
    let viewer = house.join(1, WATCH);
    for forged in [CONTROL, WATCH] {
        let renewed = ToRtc::LoginRenewed { peer: PeerId(1), login: login(forged) };
        house.signal(renewed);
        house.send(viewer, &KEY_DOWN);
        house.send_on_pads(viewer, &[10, 0, 0, 1]);
        assert_eq!((actions(&mut house), house.pad_actions()), (vec![], vec![]));
    }
}

#[test]
fn viewer_whose_lease_nobody_minted_may_watch() {
    let mut house = House::new();
    let viewer = house.join(1, CONTROL);
    house.send(viewer, &KEY_DOWN);
    assert_eq!(actions(&mut house).len(), 1);
    let made_up = LeaseId(999);
    house.prove(viewer, made_up);
    house.send(viewer, &KEY_DOWN);
    // The proof goes on: only the compositor can tell.
    let proof = Proof { lease: made_up, tag: [0; KEY_BYTES] };
    assert_eq!(actions(&mut house), [Action::Proved(proof)]);
}

#[test]
fn rights_change_for_peers_that_are_there_when_the_supervisor_says_so() {
    let mut house = House::new();
    let viewer = house.join(1, CONTROL);
    for (rights, reach) in [(WATCH, 0), (CONTROL, 1)] {
        house.peers.set_rights(house.now, &[LeaseRights { lease: LeaseId(1), rights }]);
        house.send(viewer, &KEY_DOWN);
        assert_eq!(actions(&mut house).len(), reach);
    }
    house.peers.set_rights(house.now, &[]);
    house.send(viewer, &KEY_DOWN);
    assert_eq!(actions(&mut house), [], "its lease has ended");
}

#[test]
fn challenge_goes_to_the_page_that_has_the_lease_and_to_one_that_names_it_later() {
    let mut house = House::new();
    let (alice, bob) = (house.join(1, CONTROL), house.join(2, CONTROL));
    let told = |house: &mut House, lease, number| {
        let message = input::ToRtc { lease: LeaseId(lease), challenge: challenge(number) };
        house.peers.challenged(house.now, message);
        house.run(Duration::from_millis(20));
    };
    told(&mut house, 1, 7);
    assert_eq!(challenged(&house, alice), [challenge(7)]);
    assert_eq!(challenged(&house, bob), []);
    house.prove(bob, LeaseId(1));
    assert_eq!(challenged(&house, bob), [challenge(7)]);
    // Not again by the next proof: the compositor answers that.
    house.prove(bob, LeaseId(1));
    assert_eq!(challenged(&house, bob).len(), 1);
}

#[test]
fn page_is_told_a_challenge_that_came_before_the_word_of_its_lease() {
    let mut house = House::new();
    let (viewer, other) = (house.join(1, CONTROL), house.join(2, CONTROL));
    let (late, unknown) = (LeaseId(9), LeaseId(100));
    house.peers.challenged(house.now, input::ToRtc { lease: late, challenge: challenge(8) });
    // Whoever names leases without end fills no memory.
    for number in 0..2 * MOST_LEASES as u64 {
        let lease = LeaseId(unknown.0 + number);
        house.peers.challenged(house.now, input::ToRtc { lease, challenge: challenge(7) });
    }
    house.prove(other, LeaseId(unknown.0 + 2 * MOST_LEASES as u64 - 1));
    assert_eq!(challenged(&house, other), [], "it was one too many");
    house.prove(viewer, late);
    assert_eq!(challenged(&house, viewer), [challenge(8)]);
    house.send(viewer, &KEY_DOWN);
    assert_eq!(keys(&mut house), 0, "it may watch until its rights are known");
    house.peers.set_rights(house.now, &[LeaseRights { lease: late, rights: CONTROL }]);
    house.send(viewer, &KEY_DOWN);
    assert_eq!(keys(&mut house), 1);
}
