//! What a peer hears of the desktop's sound.

use std::time::Duration;

use super::{
    super::{Input, rate::line::Limit},
    pair::Pair,
};
use crate::sound::SoundFrame;

/// 10 ms at 128 kbit/s.
const BYTES: usize = 160;

impl Pair {
    /// Plays this many frames, of which each begins with its number; returns the part of the numbers
    /// that the viewer hears.
    fn play(&mut self, frames: u16) -> f64 {
        self.viewer.sounds.clear();
        (0..frames).for_each(|number| self.play_one(number));
        self.run(Duration::from_millis(200));
        let mut heard: Vec<_> = self.viewer.sounds.iter().map(|data| data[1..3].to_vec()).collect();
        heard.sort();
        heard.dedup();
        heard.len() as f64 / f64::from(frames)
    }

    fn play_one(&mut self, number: u16) {
        let mut data = vec![0xfc; BYTES];
        data[1..3].copy_from_slice(&number.to_be_bytes());
        self.played += 1;
        let frame = SoundFrame {
            data: data.into(),
            rtp_ticks: 480 * self.played,
            captured: self.now,
            begins: false,
        };
        self.peer.handle(self.now, Input::Sound(&frame));
        self.run(Duration::from_millis(10));
    }
}

#[test]
fn sound_is_sent_twice_where_packets_are_lost_and_once_where_none_are() {
    let mut pair = Pair::listening();
    pair.bytes = 0;
    assert!(pair.play(500) > 0.999);
    let once = pair.bytes;
    pair.loss = Some(20);
    pair.play(500);
    pair.bytes = 0;
    let heard = pair.play(3000);
    assert!(heard > 0.99, "{heard} of it is heard");
    assert!(pair.bytes / 6 > once + 400 * BYTES, "{} bytes after {once}", pair.bytes / 6);
    pair.loss = None;
    pair.play(1500);
    pair.bytes = 0;
    assert!(pair.play(500) > 0.999);
    assert!(pair.bytes < once * 11 / 10, "{} bytes after {once}", pair.bytes);
}

#[test]
fn sound_beside_pictures_that_exceed_the_line_is_heard_whole() {
    let mut pair = Pair::listening();
    pair.line.limit = Limit::Policed { bps: 1_000_000, bucket: 15_000 };
    for index in 0..150 {
        let bytes = pair.peer.encoder_bps() / 30 / 8;
        pair.show(index == 0, bytes.min(30_000) as usize, index as u8);
        pair.run(Duration::from_millis(33));
    }
    pair.run(Duration::from_millis(500));
    // It takes more than a second to leave.
    pair.show(true, 150_000, 0);
    let heard = pair.play(100);
    assert!(heard > 0.98, "{heard} of it is heard");
}

#[test]
fn loss_of_sound_is_known_where_duplicates_hide_that_of_pictures() {
    let mut pair = Pair::listening();
    pair.line.delay = Duration::from_millis(100);
    pair.loss = Some(50);
    let (mut losses, mut hidden) = (Vec::new(), 0);
    for number in 0..4000 {
        pair.show(number == 0, 1700, number as u8);
        pair.play_one(number);
        if number >= 1000 {
            losses.extend(pair.peer.sound_loss());
            hidden += usize::from(pair.peer.sending.has_duplicates());
        }
    }
    assert!(hidden * 10 > losses.len() * 8, "duplicates only for {hidden} of {}", losses.len());
    let mean = losses.iter().sum::<f32>() / losses.len() as f32;
    assert!((0.013..0.03).contains(&mean), "{mean} instead of 0.02");
}
