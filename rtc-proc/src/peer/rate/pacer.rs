//! When each datagram may leave.
//!
//! Sound, input, and everything that keeps the connection alive leave at once: they are small, and
//! a picture can wait for them. Repairs of lost packets leave before new pictures, which are
//! useless without them. What leaves at once is paid for all the same, by the pictures.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::super::traffic::Datagram;

/// IP and UDP headers, which the network carries as well.
const HEADER_BYTES: u64 = 28;
/// How far sending may run ahead of the rate: a timer for each packet would cost more than it
/// saves…
const BURST: Duration = Duration::from_millis(10);
/// …and while no limit of the network is known.
const FREE_BURST: Duration = Duration::from_millis(40);
/// The largest burst, which the buffers of sockets hold.
const MOST_BURST_BYTES: u64 = 63_000;

/// What is urgent delays pictures by this at most: it may exceed the rate for as long as it likes,
/// and is paced elsewhere.
const MOST_DEBT: Duration = Duration::from_millis(100);
/// Repairs beyond what leaves in this time are dropped: the browser asks again, and until then the
/// network has no room for them.
const MOST_REPAIRS: Duration = Duration::from_millis(200);

/// The class of a datagram, the most urgent first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// A packet of sound.
    Sound,
    /// Anything but sound and pictures.
    Urgent,
    /// A packet of a picture that was lost, again.
    Repair,
    /// A packet of a picture.
    Picture,
}

/// The rate at which datagrams leave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pace {
    /// In bit/s; at least one.
    pub bps: u64,
    /// Whether it is the measured limit of the network.
    pub is_limit: bool,
}

impl Pace {
    fn time_of(self, bytes: u64) -> Duration {
        Duration::from_nanos(bytes.saturating_mul(8_000_000_000) / self.bps.max(1))
    }

    fn burst(self) -> Duration {
        let burst = if self.is_limit { BURST } else { FREE_BURST };
        burst.min(self.time_of(MOST_BURST_BYTES))
    }
}

/// What becomes of a datagram.
#[derive(Debug)]
pub enum Push {
    /// It is urgent and leaves at once.
    Leaves(Datagram),
    /// It waits.
    Waits,
    /// It would be late, and never leaves.
    Dropped(Datagram),
}

/// The datagrams that wait.
#[derive(Debug)]
pub struct Pacer {
    repairs: VecDeque<Datagram>,
    pictures: VecDeque<Datagram>,
    bytes: u64,
    /// Those of `repairs`.
    repair_bytes: u64,
    /// When everything that has left will have passed, at the rate at which it left.
    passed: Instant,
}

impl Pacer {
    /// Nothing waits, and nothing has left.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        let (repairs, pictures) = (VecDeque::new(), VecDeque::new());
        Self { repairs, pictures, bytes: 0, repair_bytes: 0, passed: now }
    }

    /// Takes a datagram.
    pub fn push(&mut self, now: Instant, pace: Pace, kind: Kind, datagram: Datagram) -> Push {
        let queue = match kind {
            Kind::Sound | Kind::Urgent => {
                let most = self.passed.max(now + MOST_DEBT);
                self.pay(now, pace, &datagram);
                self.passed = self.passed.min(most);
                return Push::Leaves(datagram);
            }
            Kind::Repair if self.repairs_take(pace) > MOST_REPAIRS => {
                return Push::Dropped(datagram);
            }
            Kind::Repair => {
                self.repair_bytes += on_wire(&datagram);
                &mut self.repairs
            }
            Kind::Picture => &mut self.pictures,
        };
        self.bytes += on_wire(&datagram);
        queue.push_back(datagram);
        Push::Waits
    }

    /// The next datagram that may leave.
    pub fn pop(&mut self, now: Instant, pace: Pace) -> Option<Datagram> {
        if self.due(pace)? > now {
            return None;
        }
        let repair = self.repairs.pop_front();
        let repaired = repair.as_ref().map_or(0, on_wire);
        self.repair_bytes = self.repair_bytes.saturating_sub(repaired);
        let datagram = repair.or_else(|| self.pictures.pop_front())?;
        self.bytes = self.bytes.saturating_sub(on_wire(&datagram));
        self.pay(now, pace, &datagram);
        Some(datagram)
    }

    /// Nothing waits or is on its way any more; returns what waited.
    pub fn clear(&mut self, now: Instant) -> Vec<Datagram> {
        let Self { repairs, pictures, .. } = std::mem::replace(self, Self::new(now));
        repairs.into_iter().chain(pictures).collect()
    }

    /// When the next one may leave; `None` if none waits.
    #[must_use]
    pub fn due(&self, pace: Pace) -> Option<Instant> {
        let waits = !(self.repairs.is_empty() && self.pictures.is_empty());
        waits.then(|| self.passed.checked_sub(pace.burst()).unwrap_or(self.passed))
    }

    /// How long the repairs that wait take to leave.
    #[must_use]
    pub fn repairs_take(&self, pace: Pace) -> Duration {
        pace.time_of(self.repair_bytes)
    }

    /// How many packets wait.
    #[must_use]
    pub fn packets(&self) -> usize {
        self.repairs.len() + self.pictures.len()
    }

    /// How many bytes wait, as the network counts them.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A datagram leaves, at the expense of what waits.
    pub fn pay(&mut self, now: Instant, pace: Pace, datagram: &Datagram) {
        self.passed = self.passed.max(now) + pace.time_of(on_wire(datagram));
    }
}

/// Its length with all headers.
pub fn on_wire(datagram: &Datagram) -> u64 {
    datagram.contents.len() as u64 + HEADER_BYTES
}

/// The transport-wide sequence number of an RTP datagram, in the header extension that was
/// negotiated as `id` (RFC 8285; the header is not encrypted).
#[must_use]
pub fn transport_sequence(datagram: &[u8], id: u8) -> Option<u16> {
    let (first, sources) = (datagram.first()?, datagram.first()? & 0x0f);
    if first >> 6 != 2 || first & 0x10 == 0 {
        return None;
    }
    let extension = datagram.get(12 + 4 * usize::from(sources)..)?;
    let [profile_high, profile_low, words_high, words_low, rest @ ..] = extension else {
        return None;
    };
    let words = u16::from_be_bytes([*words_high, *words_low]);
    let mut elements = rest.get(..4 * usize::from(words))?;
    let is_short = (*profile_high, *profile_low) == (0xbe, 0xde);
    if !is_short && (*profile_high, profile_low >> 4) != (0x10, 0) {
        return None;
    }
    while let [head, after @ ..] = elements {
        if *head == 0 {
            elements = after;
            continue;
        }
        let (found, length, after) = if is_short {
            (head >> 4, usize::from(head & 0x0f) + 1, after)
        } else {
            let (length, after) = after.split_first()?;
            (*head, usize::from(*length), after)
        };
        let (value, after) = after.split_at_checked(length)?;
        if found == id {
            return value.try_into().ok().map(u16::from_be_bytes);
        }
        elements = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);
    /// A megabyte a second.
    const SLOW: Pace = Pace { bps: 8_000_000, is_limit: true };

    fn datagram(mark: u8, bytes: usize) -> Datagram {
        let address = ([192, 0, 2, 1], 1).into();
        let mut contents = vec![0; bytes - HEADER_BYTES as usize];
        contents[0] = mark;
        Datagram { source: address, destination: address, header: None, contents }
    }

    fn leaving(pacer: &mut Pacer, now: Instant) -> Vec<u8> {
        std::iter::from_fn(|| pacer.pop(now, SLOW)).map(|datagram| datagram.contents[0]).collect()
    }

    #[test]
    fn pictures_leave_at_the_rate_after_a_burst() {
        let start = Instant::now();
        let mut pacer = Pacer::new(start);
        for mark in 0..100 {
            assert!(matches!(
                pacer.push(start, SLOW, Kind::Picture, datagram(mark, 1000)),
                Push::Waits
            ));
        }
        assert_eq!(pacer.bytes(), 100_000);
        // A millisecond each: ten ahead, and the one that is due.
        assert_eq!(leaving(&mut pacer, start).len(), 11);
        assert_eq!(pacer.due(SLOW), Some(start + MS));
        let left: usize = (1..51).map(|ms| leaving(&mut pacer, start + MS * ms).len()).sum();
        assert_eq!((left, pacer.packets(), pacer.bytes()), (50, 39, 39_000));
    }

    #[test]
    fn repairs_overtake_pictures_and_what_is_urgent_overtakes_both_and_is_paid_for() {
        let start = Instant::now();
        let mut pacer = Pacer::new(start);
        pacer.push(start, SLOW, Kind::Picture, datagram(1, 1000));
        pacer.push(start, SLOW, Kind::Repair, datagram(2, 1000));
        let urgent = pacer.push(start, SLOW, Kind::Urgent, datagram(3, 20_000));
        assert!(matches!(urgent, Push::Leaves(datagram) if datagram.contents[0] == 3));
        assert_eq!(leaving(&mut pacer, start), [0; 0]);
        assert_eq!(leaving(&mut pacer, start + MS * 10), [2]);
        assert_eq!(leaving(&mut pacer, start + MS * 11), [1]);
        assert_eq!(pacer.due(SLOW), None);
    }

    #[test]
    fn repairs_that_would_be_late_are_dropped() {
        let start = Instant::now();
        let mut pacer = Pacer::new(start);
        let pushed =
            (0..250).map(|mark| pacer.push(start, SLOW, Kind::Repair, datagram(mark, 1000)));
        assert_eq!(pushed.filter(|push| matches!(push, Push::Dropped(_))).count(), 49);
        assert_eq!(pacer.packets(), 201);
    }

    #[test]
    fn urgent_datagrams_above_the_rate_delay_pictures_by_a_bounded_time() {
        let start = Instant::now();
        let mut pacer = Pacer::new(start);
        let mut now = start;
        for _ in 0..5000 {
            now += MS;
            for mark in 0..3 {
                pacer.push(now, SLOW, Kind::Urgent, datagram(mark, 1000));
            }
        }
        pacer.push(now, SLOW, Kind::Picture, datagram(9, 1000));
        assert!(pacer.due(SLOW).is_some_and(|due| due <= now + MOST_DEBT));
        assert_eq!(leaving(&mut pacer, now + MOST_DEBT), [9]);
    }

    #[test]
    fn silence_saves_nothing_up() {
        let start = Instant::now();
        let mut pacer = Pacer::new(start);
        let later = start + Duration::from_secs(60);
        for mark in 0..100 {
            pacer.push(later, SLOW, Kind::Picture, datagram(mark, 1000));
        }
        assert_eq!(leaving(&mut pacer, later).len(), 11);
    }

    #[test]
    fn transport_sequence_is_read_from_both_kinds_of_extension() {
        let header = [0x90, 102, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        let read = |extension: &[u8]| transport_sequence(&[&header, extension].concat(), 4);
        assert_eq!(read(&[0xbe, 0xde, 0, 2, 0x20, 9, 0, 0x41, 0x12, 0x34, 0, 0, 7]), Some(0x1234));
        assert_eq!(read(&[0x10, 0x00, 0, 2, 2, 0, 4, 2, 0x12, 0x34, 0, 0]), Some(0x1234));
        assert_eq!(read(&[0xbe, 0xde, 0, 1, 0x40, 9, 0, 0]), None, "too short a value");
        assert_eq!(read(&[0xbe, 0xde, 0, 9, 0x41, 0x12, 0x34, 0]), None, "longer than the packet");
        assert_eq!(transport_sequence(&[0x80; 12], 4), None);
    }

    proptest! {
        #[test]
        fn transport_sequence_survives_any_bytes(
            bytes in prop::collection::vec(any::<u8>(), 0..64), id in any::<u8>(),
        ) {
            let _ = transport_sequence(&bytes, id);
        }
    }
}
