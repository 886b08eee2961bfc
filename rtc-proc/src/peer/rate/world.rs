//! A desktop that shows pictures, a network, and a browser that reports, asks for what it misses,
//! and shows what is complete: for tests, in virtual time.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use super::{
    Control, Duplicates, Kind, Pacer, Push, SentLog,
    line::{Limit, Line},
    on_wire,
};
use crate::peer::traffic::Datagram;

pub(super) const MS: Duration = Duration::from_millis(1);
pub(super) const SECOND: Duration = Duration::from_secs(1);
const PACKET: usize = 1200;
/// What the encoder may use at most.
pub(super) const MOST: u64 = 8_000_000;

/// A packet of sound, with its headers: 128 kbit/s in frames of 10 ms.
const SOUND: usize = 195;

/// A packet of a picture: the number of the picture, and its place in it.
type Part = (u32, u16);

/// The place of packets of sound, which belong to no picture.
const NO_PART: Part = (u32::MAX, 0);

/// Numbers of packets, and when each arrived.
type Report = Vec<(u64, Option<Duration>)>;

fn part_of(datagram: &Datagram) -> Part {
    let picture = u32::from_be_bytes(datagram.contents[..4].try_into().expect("four"));
    (picture, u16::from_be_bytes(datagram.contents[4..6].try_into().expect("two")))
}

/// Everything between encoder and screen.
pub(super) struct World {
    pub(super) start: Instant,
    pub(super) now: Instant,
    pub(super) control: Control,
    log: SentLog,
    duplicates: Duplicates,
    pacer: Pacer,
    pub(super) line: Line,
    pub(super) back: Line,
    /// What the pictures take if there is no limit, in bit/s.
    pub(super) demand: u64,
    sequence: u16,
    pictures: u32,
    /// Of each picture the number of packets, and their length.
    lengths: BTreeMap<u32, (u16, usize)>,
    travelling: VecDeque<(Instant, u64, Part)>,
    reports: VecDeque<(Instant, Report)>,
    requests: VecDeque<(Instant, Part)>,
    received: BTreeMap<u64, Duration>,
    reported: u64,
    /// Of each packet the number with which it left last.
    numbers: BTreeMap<Part, u64>,
    here: BTreeMap<u32, Vec<u16>>,
    missing: BTreeMap<Part, Instant>,
    shown: Vec<Instant>,
    next_shown: u32,
    /// By which part pictures differ in length from the mean.
    pub(super) uneven: f64,
    /// How many packets entered the line, and how many of them did not get lost.
    pub(super) sent: u64,
    pub(super) passed: u64,
    /// Whether the next picture is a keyframe.
    is_key: bool,
    /// How often all pictures were given up for a keyframe.
    pub(super) begun_anew: u32,
    /// The part of what it gets that the encoder uses.
    pub(super) uses: f64,
    /// Whether the viewer presses keys.
    pub(super) acts: bool,
    /// Whether music plays.
    pub(super) plays: bool,
    /// Packets of sound that arrived.
    pub(super) heard: u32,
    /// What the encoder gets, in bit/s, and since when.
    told: (u64, Instant),
}

impl World {
    pub(super) fn new(line: Line, demand: u64) -> Self {
        Self { is_key: false, ..Self::guessing(MOST, line, demand) }
    }

    /// The first picture is due, and nothing is known of the line, which is guessed to carry `guess`.
    pub(super) fn guessing(guess: u64, line: Line, demand: u64) -> Self {
        let start = Instant::now();
        let back = Line::new(line.delay, Limit::None);
        Self {
            start,
            now: start,
            control: Control::new(start, guess),
            log: SentLog::default(),
            duplicates: Duplicates::new(start),
            pacer: Pacer::new(start),
            line,
            back,
            demand,
            sequence: 0,
            pictures: 0,
            lengths: BTreeMap::new(),
            travelling: VecDeque::new(),
            reports: VecDeque::new(),
            requests: VecDeque::new(),
            received: BTreeMap::new(),
            reported: 0,
            numbers: BTreeMap::new(),
            here: BTreeMap::new(),
            missing: BTreeMap::new(),
            shown: Vec::new(),
            next_shown: 0,
            uneven: 0.2,
            sent: 0,
            passed: 0,
            is_key: true,
            begun_anew: 0,
            uses: 1.0,
            acts: false,
            plays: false,
            heard: 0,
            told: (MOST, start),
        }
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += MS;
            let elapsed = (self.now - self.start).as_millis() as u64;
            if elapsed.is_multiple_of(10) && self.plays {
                self.play();
            }
            if self.acts && elapsed.is_multiple_of(200) {
                self.control.acted(self.now);
            }
            if elapsed.is_multiple_of(33) && self.demand > 0 {
                self.picture();
            }
            self.send();
            self.arrive();
            if elapsed.is_multiple_of(60) {
                self.report();
            }
            self.hear();
        }
    }

    /// The encoder follows the rate in steps, as [`crate::demand`] makes them.
    fn tell(&mut self) {
        let rate = self.control.bps();
        let pictures = self.control.picture_bps(self.now);
        let left = pictures.saturating_sub(self.pacer.bytes() * 8).max(rate / 3);
        let new = if left >= MOST { MOST } else { left * 9 / 10 };
        let (told, since) = self.told;
        let falls = new * 100 <= told * 95;
        let rises = new * 100 >= told * 115 || (new == MOST && told < MOST);
        if falls || (rises && self.now >= since + SECOND) {
            self.told = (new, self.now);
        }
    }

    /// The encoder makes a picture of what it is asked for, more or less.
    fn picture(&mut self) {
        self.tell();
        let usual = self.demand.min((self.told.0 as f64 * self.uses) as u64) / 30 / 8;
        let spread = 1.0 + self.uneven * (2.0 * self.back.random() - 1.0);
        let bytes = (usual as f64 * spread) as usize + 50;
        let bytes = if std::mem::take(&mut self.is_key) { self.keyframe() } else { bytes };
        let parts = u16::try_from(bytes.div_ceil(PACKET)).expect("a small picture");
        let picture = self.pictures;
        self.pictures += 1;
        self.lengths.insert(picture, (parts, bytes / usize::from(parts)));
        (0..parts).for_each(|part| self.enqueue(Kind::Picture, (picture, part)));
    }

    /// One of text, as fine as its bits allow.
    fn keyframe(&self) -> usize {
        const FINEST: u64 = 80_000;
        const COARSEST: u64 = 20_000;
        (self.told.0 / 4 / 8).clamp(COARSEST, FINEST) as usize
    }

    fn play(&mut self) {
        let address = ([192, 0, 2, 1], 1).into();
        let contents = vec![0; SOUND];
        let datagram = Datagram { source: address, destination: address, header: None, contents };
        let pace = self.control.pace();
        match self.pacer.push(self.now, pace, Kind::Sound, datagram) {
            Push::Leaves(datagram) => {
                self.control.on_sound(self.now, on_wire(&datagram));
                self.leave(on_wire(&datagram), NO_PART);
                self.log.on_sound(self.sequence);
            }
            other => panic!("sound does not leave: {other:?}"),
        }
    }

    fn leave(&mut self, bytes: u64, part: Part) {
        self.sequence = self.sequence.wrapping_add(1);
        self.log.on_sent(self.now, self.sequence, bytes);
        self.control.on_sent(self.now, bytes);
        let number = self.log.last();
        self.numbers.insert(part, number);
        self.carry(number, part, bytes);
    }

    fn enqueue(&mut self, kind: Kind, (picture, part): Part) {
        let address = ([192, 0, 2, 1], 1).into();
        let mut contents = vec![0; self.lengths[&picture].1];
        contents[..4].copy_from_slice(&picture.to_be_bytes());
        contents[4..6].copy_from_slice(&part.to_be_bytes());
        let datagram = Datagram { source: address, destination: address, header: None, contents };
        let pace = self.control.pace();
        let push = self.pacer.push(self.now, pace, kind, datagram);
        assert!(!matches!(push, Push::Leaves(_)));
    }

    fn send(&mut self) {
        while let Some(datagram) = self.pacer.pop(self.now, self.control.pace()) {
            let (bytes, part) = (on_wire(&datagram), part_of(&datagram));
            self.duplicates.on_left(self.now, &datagram, 0);
            self.leave(bytes, part);
        }
        while let Some(duplicate) = self.duplicates.pop(self.now) {
            let (bytes, part) = (on_wire(&duplicate), part_of(&duplicate));
            self.pacer.pay(self.now, self.control.pace(), &duplicate);
            self.control.on_sent(self.now, bytes);
            self.carry(self.numbers[&part], part, bytes);
        }
    }

    fn carry(&mut self, number: u64, part: Part, bytes: u64) {
        self.sent += 1;
        if let Some(arrival) = self.line.carry(self.now, bytes) {
            self.passed += 1;
            self.travelling.push_back((arrival, number, part));
        }
    }

    fn arrive(&mut self) {
        while let Some((at, number, (picture, part))) = self.travelling.front().copied()
            && at <= self.now
        {
            self.travelling.pop_front();
            self.received.entry(number).or_insert(at - self.start);
            if (picture, part) == NO_PART {
                self.heard += 1;
                continue;
            }
            self.missing.remove(&(picture, part));
            if picture >= self.next_shown {
                let parts = self.here.entry(picture).or_default();
                if !parts.contains(&part) {
                    parts.push(part);
                }
            }
            // Whatever is older and not here is asked for, and again after a round trip.
            let again = self.line.delay + self.back.delay + MS * 20;
            for older in self.next_shown..picture {
                let parts = self.here.get(&older).map_or(&[][..], Vec::as_slice);
                for part in (0..self.lengths[&older].0).filter(|part| !parts.contains(part)) {
                    let due = self.missing.entry((older, part)).or_insert(self.now + MS * 10);
                    if *due <= self.now {
                        *due = self.now + again;
                        let heard = self.back.carry(self.now, 60);
                        self.requests.extend(heard.map(|at| (at, (older, part))));
                    }
                }
            }
            while let Some((length, _)) = self.lengths.get(&self.next_shown)
                && let Some(parts) = self.here.get(&self.next_shown)
                && parts.len() == usize::from(*length)
            {
                self.here.remove(&self.next_shown);
                self.next_shown += 1;
                self.shown.push(self.now);
            }
        }
    }

    fn report(&mut self) {
        let Some((last, _)) = self.received.last_key_value() else { return };
        let last = *last;
        let from = self.reported.max(last.saturating_sub(2000));
        let report = (from..=last).map(|number| (number, self.received.get(&number).copied()));
        let report = report.collect();
        self.reported = last + 1;
        let heard = self.back.carry(self.now, 100);
        self.reports.extend(heard.map(|at| (at, report)));
    }

    fn hear(&mut self) {
        while let Some((at, _)) = self.reports.front()
            && *at <= self.now
        {
            let (_, report) = self.reports.pop_front().expect("there is one");
            let fates = self.log.on_report(report);
            let before_bps = self.control.bps();
            self.control.on_fates(self.now, &fates);
            self.duplicates.on_round_trip(self.line.delay + self.back.delay);
            self.duplicates.on_fates(self.now, &fates, before_bps, self.control.bps());
            if self.control.take_hopeless() {
                self.begin_anew();
            }
        }
        while let Some((at, part)) = self.requests.front().copied()
            && at <= self.now
        {
            self.requests.pop_front();
            self.enqueue(Kind::Repair, part);
        }
    }

    /// The next picture is a keyframe, and all before it are of no use.
    fn begin_anew(&mut self) {
        self.pacer.clear(self.now);
        self.duplicates.clear();
        self.here.clear();
        self.missing.clear();
        self.requests.clear();
        (self.next_shown, self.begun_anew) = (self.pictures, self.begun_anew + 1);
        self.is_key = true;
    }

    /// Pictures a second, and the longest gap between two, since `from` after the start.
    pub(super) fn seen(&self, from: Duration) -> (f64, Duration) {
        let from = self.start + from;
        let shown: Vec<_> = self.shown.iter().copied().filter(|at| *at >= from).collect();
        let fps = shown.len() as f64 / (self.now - from).as_secs_f64();
        let edges = [vec![from], shown, vec![self.now]].concat();
        let gap = edges.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
        (fps, gap)
    }

    /// The part of the pictures since `from` that came with the next one, or later: the viewer saw a pause.
    pub(super) fn late(&self, from: Duration) -> f64 {
        let from = self.start + from;
        let shown: Vec<_> = self.shown.iter().copied().filter(|at| *at >= from).collect();
        let late = shown.windows(2).filter(|pair| pair[1] - pair[0] >= MS * 66).count();
        late as f64 / shown.len().max(1) as f64
    }

    /// How long pictures took from the encoder to the screen, of those shown since `from`, the shortest first. No
    /// picture was given up.
    pub(super) fn ages(&self, from: Duration) -> Vec<Duration> {
        let made = (1..).map(|number| self.start + MS * 33 * number);
        let shown = self.shown.iter().zip(made).filter(|(shown, _)| **shown >= self.start + from);
        let mut ages: Vec<_> = shown.map(|(shown, made)| *shown - made).collect();
        ages.sort();
        ages
    }

    /// How old the newest picture is that is shown.
    pub(super) fn lag(&self) -> Duration {
        MS * 33 * self.pictures.saturating_sub(self.next_shown)
    }
}
