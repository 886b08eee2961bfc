//! One viewer's voice: packets that come late, twice, in another order or never become a steady sound.
//!
//! Packets wait until there are as many as the network makes necessary; what is missing when its turn comes
//! is taken from the copy in the next packet (in-band FEC) or made up by Opus. When nothing is left the voice
//! pauses until enough waits again, and then waits for more than before; when more waits than necessary for a
//! while, a packet is left out. So the clock of the viewer's sound card need not be that of the session, either.
//!
//! Trusts no packet: one that Opus does not take counts as lost, and samples are made legal.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use lumen_ipc::sound::{SAMPLE_RATE, SoundPayload};
use opus::{Channels, Decoder};

/// Samples in a millisecond.
const MILLI: usize = SAMPLE_RATE as usize / 1000;
/// The longest packet that Opus has: 120 ms (RFC 6716, section 2.1.4).
const LONGEST: usize = 120 * MILLI;
/// What a packet lasts before one was decoded: browsers' last 20 ms.
const USUAL: usize = 20 * MILLI;
/// Sound that is made up at once where nothing waits, and how much of it in a row.
const MADE_UP: usize = 10 * MILLI;
const MOST_MADE_UP: usize = 60 * MILLI;
/// Most packets that wait. Of more the oldest are left out.
const MOST_WAITING: usize = 50;
/// The last number of a packet: no connection has so many, and what is counted from here does not overflow.
const LAST: u64 = u64::MAX / 2;
/// A packet this far from the one that is due belongs to another beginning.
const FAR: u64 = 500;
/// How much waits at first, at least and at most.
const FIRST: usize = 40 * MILLI;
const LEAST: usize = 20 * MILLI;
const MOST: usize = 200 * MILLI;
/// By how much more waits after a pause, and by how much less after [`CALM`] without one.
const STEP: usize = 20 * MILLI;
const CALM: usize = 10_000 * MILLI;
/// Over this time the least that waited is taken, and what is beyond the target by more than a packet left out.
const SURVEY: usize = 1000 * MILLI;
/// A voice of which nothing came for so long has ended.
const SILENCE: Duration = Duration::from_secs(2);

/// What became of packets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// Played.
    pub played: u64,
    /// Made up.
    pub concealed: u64,
    /// Of a voice that does not count.
    pub refused: u64,
}

impl Tally {
    /// Nothing.
    pub const NONE: Self = Self { played: 0, concealed: 0, refused: 0 };

    /// Adds another's counts.
    pub const fn add(&mut self, other: Self) {
        self.played += other.played;
        self.concealed += other.concealed;
        self.refused += other.refused;
    }
}

/// One voice.
#[derive(Debug)]
pub struct Voice {
    decoder: Decoder,
    waiting: BTreeMap<u64, SoundPayload>,
    /// The packet whose turn it is.
    next: u64,
    playing: bool,
    /// What was decoded and not played yet.
    decoded: VecDeque<f32>,
    /// Samples of the newest packet that was decoded.
    packet: usize,
    /// How much waits before the voice is played.
    target: usize,
    /// Samples that were made up in a row, because nothing waited.
    made_up: usize,
    /// Samples since the last pause, and since the last look at what waits; the least that waited since.
    calm: usize,
    surveyed: usize,
    least: usize,
    heard: Instant,
    tally: Tally,
}

impl Voice {
    /// A voice that begins.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn new(now: Instant) -> Result<Self, opus::Error> {
        Ok(Self {
            decoder: Decoder::new(SAMPLE_RATE, Channels::Mono)?,
            waiting: BTreeMap::new(),
            next: 0,
            playing: false,
            decoded: VecDeque::new(),
            packet: USUAL,
            target: FIRST,
            made_up: 0,
            calm: 0,
            surveyed: 0,
            least: usize::MAX,
            heard: now,
            tally: Tally::NONE,
        })
    }

    /// Whether nothing came for so long that it has ended.
    #[must_use]
    pub fn has_ended(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard) >= SILENCE
    }

    /// Takes a packet.
    pub fn take(&mut self, now: Instant, sequence: u64, payload: SoundPayload) {
        if sequence > LAST {
            return;
        }
        self.heard = now;
        if self.playing && sequence.abs_diff(self.next) > FAR {
            self.pause();
            self.waiting.clear();
        }
        if self.playing && sequence < self.next {
            return;
        }
        self.waiting.insert(sequence, payload);
        if self.waiting.len() > MOST_WAITING {
            self.waiting.pop_first();
        }
    }

    /// Adds the next samples to `samples`; returns what became of packets.
    pub fn add_to(&mut self, samples: &mut [f32]) -> Tally {
        self.begin();
        while self.playing && self.decoded.len() < samples.len() {
            self.step();
        }
        let count = self.decoded.len().min(samples.len());
        for (sum, sample) in samples.iter_mut().zip(self.decoded.drain(..count)) {
            *sum += sample;
        }
        self.survey(count);
        std::mem::replace(&mut self.tally, Tally::NONE)
    }

    /// How many samples wait, as far as is known.
    fn depth(&self) -> usize {
        self.decoded.len() + self.waiting.len() * self.packet
    }

    /// Begins when enough waits. What waits beyond that is left out: nobody recorded meanwhile, or too much
    /// came at once.
    fn begin(&mut self) {
        if self.playing && self.depth() > 2 * MOST {
            self.pause();
        }
        while !self.playing && self.depth() > self.target + self.packet {
            if self.waiting.pop_first().is_none() {
                break;
            }
        }
        if !self.playing
            && self.depth() >= self.target
            && let Some(first) = self.waiting.keys().next()
        {
            (self.next, self.playing, self.made_up) = (*first, true, 0);
            (self.calm, self.surveyed, self.least) = (0, 0, usize::MAX);
        }
    }

    fn pause(&mut self) {
        self.playing = false;
        self.made_up = 0;
    }

    /// Decodes the packet whose turn it is, or what stands for it.
    fn step(&mut self) {
        // What was left out for want of room is not waited for.
        let newest = self.waiting.keys().next().copied();
        if newest.is_some_and(|first| first > self.next + MOST_WAITING as u64) {
            self.next = newest.unwrap_or(self.next);
        }
        if let Some(payload) = self.waiting.remove(&self.next) {
            self.next += 1;
            self.made_up = 0;
            self.tally.played += 1;
            if !self.decode(payload.as_bytes(), LONGEST, false) {
                self.conceal(self.packet);
            }
        } else if let Some(payload) = self.waiting.get(&(self.next + 1)).cloned() {
            // Its copy in the next packet, or if there is none what Opus makes up.
            self.next += 1;
            self.tally.concealed += 1;
            if !self.decode(payload.as_bytes(), self.packet, true) {
                self.conceal(self.packet);
            }
        } else if !self.waiting.is_empty() {
            self.next += 1;
            self.tally.concealed += 1;
            self.conceal(self.packet);
        } else if self.made_up < MOST_MADE_UP {
            // It may be late only.
            self.made_up += MADE_UP;
            self.tally.concealed += 1;
            self.conceal(MADE_UP);
        } else {
            self.pause();
            self.target = (self.target + STEP).min(MOST);
        }
    }

    /// Opus makes up `length` samples.
    fn conceal(&mut self, length: usize) {
        if !self.decode(&[], length, false) {
            self.decoded.extend(std::iter::repeat_n(0.0, length));
        }
    }

    /// Whether Opus takes it.
    fn decode(&mut self, packet: &[u8], most: usize, from_next: bool) -> bool {
        let mut samples = [0.0; LONGEST];
        let room = &mut samples[..most.min(LONGEST)];
        let Ok(count) = self.decoder.decode_float(packet, room, from_next) else { return false };
        if !packet.is_empty() && !from_next && count > 0 {
            self.packet = count;
        }
        self.decoded.extend(samples.iter().take(count).map(|sample| legal(*sample)));
        count > 0
    }

    /// Looks whether more waits than is necessary, after `count` samples were played.
    fn survey(&mut self, count: usize) {
        if !self.playing {
            return;
        }
        self.calm += count;
        self.surveyed += count;
        self.least = self.least.min(self.depth());
        if self.calm >= CALM {
            self.calm = 0;
            self.target = self.target.saturating_sub(STEP).max(LEAST);
        }
        if self.surveyed >= SURVEY {
            if self.least > self.target + self.packet && self.waiting.remove(&self.next).is_some() {
                self.next += 1;
            }
            (self.surveyed, self.least) = (0, usize::MAX);
        }
    }
}

/// The nearest sample between -1 and 1; what is not a number is silence.
fn legal(sample: f32) -> f32 {
    if sample.is_nan() { 0.0 } else { sample.clamp(-1.0, 1.0) }
}

#[cfg(test)]
pub(crate) mod tests {
    use opus::{Application, Encoder};
    use proptest::prelude::*;

    use super::*;

    const BLOCK: usize = 10 * MILLI;

    /// A tone of 440 Hz in packets of 20 ms, as a browser encodes a voice.
    pub(crate) fn packets(count: usize) -> Vec<SoundPayload> {
        let mut encoder =
            Encoder::new(SAMPLE_RATE, Channels::Mono, Application::Voip).expect("an encoder");
        let packet = |number: usize| {
            let sample = |at: usize| {
                let seconds = (number * USUAL + at) as f64 / f64::from(SAMPLE_RATE);
                ((seconds * 440.0 * std::f64::consts::TAU).sin() * 0.3) as f32
            };
            let samples: Vec<f32> = (0..USUAL).map(sample).collect();
            let bytes = encoder.encode_vec_float(&samples, 1000).expect("encoded");
            SoundPayload::new(bytes).expect("short")
        };
        (0..count).map(packet).collect()
    }

    /// A voice whose packets come when they are said to, in milliseconds.
    struct Played {
        voice: Voice,
        samples: Vec<f32>,
        tally: Tally,
    }

    impl Played {
        fn of(arrivals: &[(u64, u64)], millis: u64) -> Self {
            let now = Instant::now();
            let packets =
                packets(1 + arrivals.iter().map(|(_, number)| *number).max().unwrap_or(0) as usize);
            let voice = Voice::new(now).expect("a decoder");
            let mut played = Self { voice, samples: Vec::new(), tally: Tally::NONE };
            for at in (0..millis).step_by(10) {
                let due = arrivals.iter().filter(|(when, _)| (at..at + 10).contains(when));
                for (_, number) in due {
                    played.voice.take(now, *number, packets[*number as usize].clone());
                }
                let mut block = vec![0.0; BLOCK];
                played.tally.add(played.voice.add_to(&mut block));
                played.samples.extend(block);
            }
            played
        }

        /// Milliseconds in which next to nothing is heard, after the beginning and before `until`.
        fn silence(&self, until: u64) -> usize {
            let blocks: Vec<f32> = self.samples[..until as usize * MILLI]
                .chunks(BLOCK)
                .map(|block| block.iter().fold(0.0_f32, |most, it| it.abs().max(most)))
                .collect();
            let begins = blocks.iter().position(|loudness| *loudness > 0.1).unwrap_or(0);
            blocks.iter().skip(begins).filter(|loudness| **loudness < 0.05).count() * 10
        }
    }

    fn steady(count: u64) -> Vec<(u64, u64)> {
        (0..count).map(|number| (number * 20, number)).collect()
    }

    #[test]
    fn steady_voice_is_heard_whole_and_soon() {
        let played = Played::of(&steady(100), 2000);
        let begins = played.samples.iter().position(|sample| sample.abs() > 0.1);
        assert!(begins.is_some_and(|at| at < 60 * MILLI), "{begins:?}");
        assert_eq!((played.silence(2000), played.tally.concealed), (0, 0));
        let waves =
            played.samples[9600..].windows(2).filter(|pair| pair[0] < 0.0 && pair[1] >= 0.0);
        let waves = waves.count();
        assert!((790..=794).contains(&waves), "{waves} waves in 1.8 s of 440 Hz");
    }

    #[test]
    fn packets_that_are_lost_swapped_and_doubled_leave_no_silence() {
        let mut arrivals = steady(100);
        arrivals.retain(|(_, number)| number % 10 != 7);
        arrivals.extend(steady(100).into_iter().filter(|(_, number)| number % 9 == 3));
        for arrival in arrivals.iter_mut().filter(|(_, number)| number % 5 == 2) {
            arrival.0 += 25;
        }
        let played = Played::of(&arrivals, 2000);
        assert_eq!(played.silence(2000), 0);
        assert!((8..=14).contains(&played.tally.concealed), "{:?}", played.tally);
    }

    #[test]
    fn voice_whose_packets_come_in_bunches_waits_for_more_of_them() {
        let bunched: Vec<_> =
            (0..400).map(|number: u64| (number / 6 * 120 + 120, number)).collect();
        let played = Played::of(&bunched, 8000);
        let (first, last) = played.samples.split_at(4000 * MILLI);
        let quiet = |part: &[f32]| {
            let blocks = part.chunks(BLOCK);
            blocks.filter(|block| block.iter().all(|sample| sample.abs() < 0.05)).count()
        };
        assert!(quiet(first) > quiet(last), "{} and {} blocks", quiet(first), quiet(last));
        assert_eq!(quiet(last), 0);
    }

    #[test]
    fn voice_that_comes_faster_than_it_is_played_does_not_fall_behind() {
        // Twice as fast for a second, and then as it should be.
        let fast = (0..100).map(|number: u64| (number * 10, number));
        let then = (100..1500).map(|number: u64| (1000 + (number - 100) * 20, number));
        let played = Played::of(&fast.chain(then).collect::<Vec<_>>(), 28_000);
        assert!(played.voice.depth() < 140 * MILLI, "{} ms wait", played.voice.depth() / MILLI);
        assert_eq!(played.silence(28_000), 0);
    }

    #[test]
    fn packet_of_the_last_number_there_is_stops_nothing() {
        let mut voice = Voice::new(Instant::now()).expect("a decoder");
        for sequence in [u64::MAX, LAST - 1, LAST] {
            voice.take(Instant::now(), sequence, packets(1).remove(0));
            voice.add_to(&mut [0.0; 9600]);
        }
    }

    #[test]
    fn voice_that_nobody_recorded_for_a_while_is_then_heard_from_now_on() {
        let mut voice = Played::of(&steady(20), 400).voice;
        let now = Instant::now();
        for (number, payload) in (0..).zip(packets(100)).skip(20) {
            voice.take(now, number, payload);
        }
        let mut samples = vec![0.0; BLOCK];
        voice.add_to(&mut samples);
        assert!(voice.depth() <= 2 * FIRST, "{} ms wait", voice.depth() / MILLI);
        assert!(samples.iter().any(|sample| sample.abs() > 0.1));
    }

    #[test]
    fn voice_that_begins_anew_with_other_numbers_is_heard_again() {
        let mut voice = Played::of(&steady(20), 400).voice;
        let now = Instant::now();
        for (number, payload) in (900_000..).zip(packets(10)) {
            voice.take(now, number, payload);
        }
        let mut samples = vec![0.0; 100 * MILLI];
        voice.add_to(&mut samples);
        assert!(samples[60 * MILLI..].iter().any(|sample| sample.abs() > 0.1));
    }

    proptest! {
        /// Whatever comes, and whenever it is asked for: legal samples, and never more than a bounded
        /// number that wait.
        #[test]
        fn samples_are_legal_and_what_waits_is_bounded(
            all in prop::collection::vec(
                (0_u64..2000, prop::collection::vec(any::<u8>(), 1..60), 1_usize..3000), 1..60)
        ) {
            let now = Instant::now();
            let mut voice = Voice::new(now).expect("a decoder");
            for (sequence, bytes, length) in all {
                voice.take(now, sequence, SoundPayload::new(bytes).expect("short"));
                let mut samples = vec![0.0; length];
                voice.add_to(&mut samples);
                prop_assert!(samples.iter().all(|sample| sample.abs() <= 1.0));
                prop_assert!(voice.waiting.len() <= MOST_WAITING);
                prop_assert!(voice.decoded.len() <= LONGEST);
            }
        }
    }
}
