//! What the viewer who speaks says: whether it counts, for how long, and its sound.
//!
//! It counts while the compositor says that a viewer's microphone is on; what comes otherwise is dropped before
//! it is decoded. Rtc says whose it is, one viewer's at a time: another's begins anew. While something is said
//! the session has a microphone ([`Voices::are_heard`]), and otherwise none.

pub mod voice;

use std::time::{Duration, Instant};

use lumen_ipc::{lease::Stay, message::sound::Speech, units::PeerId};

use self::voice::{Tally, Voice};

/// How long the microphone waits for a voice of which nothing comes: longer than a page takes to connect
/// again, so that what records it goes on.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The voice that is heard.
#[derive(Debug, Default)]
pub struct Voices {
    voice: Option<(PeerId, Voice)>,
    /// Until when voices count.
    until: Option<Instant>,
    /// When something came last that counted.
    heard: Option<Instant>,
    tally: Tally,
}

impl Voices {
    /// Voices count for `stay` from now.
    pub fn attend(&mut self, now: Instant, stay: Stay) {
        self.until = Some(now + stay.left());
        if stay == Stay::NOBODY {
            self.voice = None;
        }
    }

    /// Takes a packet of a voice.
    pub fn say(&mut self, now: Instant, Speech { peer, sequence, payload }: Speech) {
        if self.until.is_none_or(|until| until <= now) {
            self.tally.refused += 1;
            return;
        }
        let goes_on = |(whose, voice): &(PeerId, Voice)| *whose == peer && !voice.has_ended(now);
        if !self.voice.as_ref().is_some_and(goes_on) {
            self.voice = Voice::new(now).ok().map(|voice| (peer, voice));
        }
        if let Some((_, voice)) = &mut self.voice {
            self.heard = Some(now);
            voice.take(now, sequence, payload);
        }
    }

    /// Fills `samples` with what is said.
    pub fn fill(&mut self, samples: &mut [f32]) {
        samples.fill(0.0);
        if let Some((_, voice)) = &mut self.voice {
            self.tally.add(voice.add_to(samples));
        }
    }

    /// There is no microphone any more once nothing has come for so long.
    pub fn rest(&mut self, now: Instant) {
        self.heard = self.heard.filter(|at| now < *at + PATIENCE);
    }

    /// Whether the session has a microphone.
    #[must_use]
    pub fn are_heard(&self, now: Instant) -> bool {
        self.due().is_some_and(|until| now < until)
    }

    /// When it has none any more, if nothing comes.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.heard.map(|at| at + PATIENCE)
    }

    /// Whether a viewer speaks.
    #[must_use]
    pub fn is_spoken(&self, now: Instant) -> bool {
        self.voice.as_ref().is_some_and(|(_, voice)| !voice.has_ended(now))
    }

    /// What became of packets since the last call.
    pub const fn take_tally(&mut self) -> Tally {
        std::mem::replace(&mut self.tally, Tally::NONE)
    }
}

#[cfg(test)]
mod tests {
    use lumen_ipc::lease::LEASE_LIFE;

    use super::{voice::tests::packets, *};

    fn attended() -> (Voices, Instant) {
        let (mut voices, now) = (Voices::default(), Instant::now());
        voices.attend(now, Stay::somebody(LEASE_LIFE));
        (voices, now)
    }

    /// Has each peer say 200 ms; returns the loudness of what is then heard.
    fn heard(voices: &mut Voices, now: Instant, peers: std::ops::Range<u64>) -> f32 {
        for peer in peers {
            for (sequence, payload) in (0..).zip(packets(10)) {
                voices.say(now, Speech { peer: PeerId(peer), sequence, payload });
            }
        }
        let mut samples = vec![0.0; 4800];
        voices.fill(&mut samples);
        samples.iter().fold(0.0, |most, sample| sample.abs().max(most))
    }

    #[test]
    fn voice_counts_only_while_a_microphone_is_known_to_be_on() {
        let (mut voices, now) = (Voices::default(), Instant::now());
        assert_eq!(heard(&mut voices, now, 0..1), 0.0);
        assert!(!voices.are_heard(now));
        voices.attend(now, Stay::somebody(LEASE_LIFE));
        assert_eq!(heard(&mut voices, now + LEASE_LIFE, 0..1), 0.0);
        assert!(heard(&mut voices, now, 0..1) > 0.1);
        voices.attend(now, Stay::NOBODY);
        assert_eq!(heard(&mut voices, now, 0..1), 0.0);
        assert_eq!(voices.take_tally().refused, 30);
    }

    #[test]
    fn voice_of_another_viewer_takes_the_place_of_the_first() {
        let (mut voices, now) = attended();
        let one = heard(&mut voices, now, 0..1);
        let other = heard(&mut voices, now, 1..3);
        assert!((0.5..1.5).contains(&(other / one)), "{one}, then {other}");
        assert!(voices.is_spoken(now));
    }

    #[test]
    fn microphone_waits_for_a_voice_that_pauses_and_then_is_none() {
        let (mut voices, now) = attended();
        assert!(!voices.are_heard(now));
        heard(&mut voices, now, 0..1);
        assert!(voices.are_heard(now + PATIENCE - Duration::from_millis(1)));
        assert!(!voices.are_heard(now + PATIENCE));
        assert!(!voices.is_spoken(now + PATIENCE));
        voices.rest(now + PATIENCE - Duration::from_millis(1));
        assert_eq!(voices.due(), Some(now + PATIENCE));
        voices.rest(now + PATIENCE);
        assert_eq!(voices.due(), None);
    }
}
