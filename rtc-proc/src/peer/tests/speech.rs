//! What a peer takes of a viewer's voice.

use std::time::Duration;

use super::{
    super::{PeerEvent, speech::Utterance},
    pair::Pair,
};

/// What is said: each packet begins with its number.
fn said(number: u64) -> Vec<u8> {
    vec![0xfc, number as u8, 1, 2, 3]
}

impl Pair {
    /// Says these packets, one each 20 ms; those of `lost` do not arrive.
    fn say(&mut self, numbers: std::ops::Range<u64>, lost: &[u64]) {
        for number in numbers {
            assert!(self.viewer.say(self.now, &said(number)));
            match lost.contains(&number) {
                true => self.run_unheard(Duration::from_millis(20)),
                false => self.run(Duration::from_millis(20)),
            }
        }
        self.run(Duration::from_millis(100));
    }

    /// The packets that were taken, by their places since the first, and what is in them.
    fn taken(&self) -> Vec<(u64, Vec<u8>)> {
        let said = self.events.iter().filter_map(|event| match event {
            PeerEvent::Spoke(Utterance { sequence, data }) => Some((*sequence, data.to_vec())),
            _ => None,
        });
        let said: Vec<_> = said.collect();
        let first = said.iter().map(|(sequence, _)| *sequence).min().unwrap_or_default();
        said.into_iter().map(|(sequence, data)| (sequence - first, data)).collect()
    }
}

#[test]
fn voice_is_taken_packet_by_packet_and_what_is_lost_leaves_a_gap_in_the_numbers() {
    let mut pair = Pair::speaking();
    pair.viewer.say_once();
    pair.say(0..30, &[10, 11]);
    let arrived = (0..30).filter(|number| ![10, 11].contains(number));
    assert_eq!(pair.taken(), arrived.map(|number| (number, said(number))).collect::<Vec<_>>());
}

#[test]
fn voice_that_the_browser_repeats_is_taken_as_plain_packets_and_what_was_lost_from_the_copy() {
    let mut pair = Pair::speaking();
    pair.say(0..30, &[10, 20]);
    assert_eq!(pair.taken(), (0..30).map(|number| (number, said(number))).collect::<Vec<_>>());
}

#[test]
fn voice_of_more_packets_than_browsers_send_is_cut() {
    let mut pair = Pair::speaking();
    for number in 0..3000 {
        assert!(pair.viewer.say(pair.now, &said(number)));
        pair.run(Duration::from_millis(1));
    }
    let taken = pair.taken().len();
    assert!((300..400).contains(&taken), "{taken} packets in three seconds");
}
