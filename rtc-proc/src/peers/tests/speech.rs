//! What viewers say, and what their pages are told of it.

use lumen_ipc::message::sound::Speech;

use super::{sound, *};
use crate::peer::encode::{self, Heard};

const WATCH: Rights = Rights { control: false };

/// A house whose session takes what viewers say.
fn house() -> House {
    let mut house = sound::house();
    house.peers = std::mem::replace(&mut house.peers, House::new().peers).with_speech();
    house
}

impl House {
    fn speaker(&mut self, name: u64, rights: Rights) -> usize {
        self.admit(name, rights, Viewer::speaking)
    }

    /// A viewer says this many packets; returns what of them the sound worker gets.
    fn say(&mut self, viewer: usize, packets: u64) -> Vec<Vec<u8>> {
        self.speech.clear();
        for number in 0..packets {
            let now = self.now;
            let data = [0xfc, viewer as u8, number as u8];
            self.viewers[viewer].1.say(now, &data);
            self.run(Duration::from_millis(20));
        }
        self.run(Duration::from_millis(50));
        self.speech.iter().map(|Speech { payload, .. }| payload.as_bytes().to_vec()).collect()
    }

    /// What the page was told last of whose microphone is heard.
    fn told(&self, viewer: usize) -> Option<u8> {
        let sign = encode::microphone(Heard::Nobody)[0];
        let messages = self.viewers[viewer].1.messages.iter().rev();
        messages.filter(|message| message[0] == sign).map(|message| message[1]).next()
    }
}

fn all(viewer: usize, packets: u64) -> Vec<Vec<u8>> {
    (0..packets).map(|number| vec![0xfc, viewer as u8, number as u8]).collect()
}

#[test]
fn one_viewer_is_heard_at_a_time_and_every_page_is_told_whose_it_is() {
    let mut house = house();
    let (alice, bob) = (house.speaker(1, CONTROL), house.speaker(2, CONTROL));
    let told = |house: &House| [house.told(alice), house.told(bob)];
    let both = |alice: Heard, bob: Heard| [Some(alice as u8), Some(bob as u8)];
    assert_eq!(told(&house), both(Heard::Nobody, Heard::Nobody));
    assert_eq!(house.say(alice, 10), all(alice, 10));
    assert_eq!(told(&house), both(Heard::You, Heard::Another));
    assert!(house.say(bob, 10).is_empty());
    house.run(Duration::from_secs(3));
    assert_eq!(told(&house), both(Heard::Nobody, Heard::Nobody));
    assert_eq!(house.say(bob, 10), all(bob, 10));
    house.signal(ToRtc::PeerGone { peer: PeerId(2) });
    house.run(Duration::from_millis(100));
    assert_eq!(house.told(alice), Some(Heard::Nobody as u8));
}

#[test]
fn viewer_without_control_is_not_heard_and_its_page_is_told_nothing() {
    let mut house = house();
    let watcher = house.speaker(1, WATCH);
    assert!(house.say(watcher, 10).is_empty());
    assert_eq!(house.told(watcher), None);
}

#[test]
fn viewer_who_loses_control_is_heard_no_longer_and_is_told_so() {
    let mut house = house();
    let viewer = house.speaker(1, CONTROL);
    assert_eq!(house.say(viewer, 5).len(), 5);
    house.peers.set_rights(house.now, &[LeaseRights { lease: LeaseId(1), rights: WATCH }]);
    house.run(Duration::from_millis(50));
    assert_eq!(house.told(viewer), Some(Heard::Forbidden as u8));
    assert!(house.say(viewer, 5).is_empty());
}

#[test]
fn session_that_takes_no_voices_refuses_the_browsers_section_and_passes_nothing_on() {
    let mut house = sound::house();
    let viewer = house.speaker(1, CONTROL);
    assert!(house.say(viewer, 5).is_empty());
    assert_eq!(house.told(viewer), None);
}
