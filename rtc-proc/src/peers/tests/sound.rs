//! Sound for those who ask for it.

use lumen_ipc::sound::SoundKbps;

use super::*;
use crate::sound::SoundFrame;

/// A house whose session has sound.
pub(super) fn house() -> House {
    let mut house = House::new();
    let encoder = Kbps::new(8000).expect("legal");
    let setup = Setup::new(vec![address(SERVER)], encoder).expect("a certificate");
    house.peers = Peers::new(setup, encoder, None, ClipboardPolicy::Both, ResizePolicy::Follow)
        .with_sound(SoundKbps::MAX);
    house
}

impl House {
    fn listen(&mut self, name: u64) -> usize {
        self.admit(name, CONTROL, Viewer::listening)
    }

    /// Plays this many frames, one each 10 ms.
    fn play(&mut self, frames: u8) {
        let begun = 1000;
        for number in 0..frames {
            let frame = SoundFrame {
                data: vec![0xfc, number].into(),
                rtp_ticks: begun + 480 * u64::from(number),
                captured: self.now,
                begins: number == 0,
            };
            self.peers.sound(self.now, &frame);
            self.collect();
            self.run(Duration::from_millis(10));
        }
        self.run(Duration::from_millis(200));
    }

    fn listeners(&self) -> u16 {
        self.sound.last().map_or(0, |demand| demand.listeners)
    }

    fn heard(&self, viewer: usize) -> &[Vec<u8>] {
        &self.viewers[viewer].1.sounds
    }
}

#[test]
fn viewer_who_asks_for_sound_gets_each_frame_in_order_and_another_none() {
    let mut house = house();
    let (listener, watcher) = (house.listen(1), house.join(2, CONTROL));
    house.play(50);
    let all: Vec<_> = (0..50).map(|number| vec![0xfc, number]).collect();
    assert_eq!(house.heard(listener), all);
    assert!(house.heard(watcher).is_empty());
    assert_eq!(house.watchers, 2, "both get pictures");
}

#[test]
fn sound_is_wanted_while_somebody_listens() {
    let mut house = house();
    house.join(1, CONTROL);
    assert_eq!(house.listeners(), 0);
    house.listen(2);
    house.listen(3);
    assert_eq!(house.listeners(), 2);
    for peer in [2, 3] {
        house.signal(ToRtc::PeerGone { peer: PeerId(peer) });
    }
    house.run(Duration::from_secs(1));
    assert_eq!(house.listeners(), 0);
}

#[test]
fn session_without_sound_refuses_it_and_shows_its_picture_all_the_same() {
    let mut house = House::new();
    let listener = house.listen(1);
    house.play(10);
    house.show(true);
    house.run(Duration::from_millis(200));
    assert!(house.heard(listener).is_empty() && house.sound.is_empty());
    assert_eq!(house.viewers[listener].1.frames.len(), 1);
    assert!(house.closed().is_empty());
}
