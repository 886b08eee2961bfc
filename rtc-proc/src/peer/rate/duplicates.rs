//! Whether packets of pictures leave more than once.
//!
//! A lost packet is sent again when the browser has missed it: that takes a picture's time and a round trip, in
//! which no later picture can be shown. Where packets are lost by chance, and the network carries much more than
//! the pictures need, duplicates that leave a moment later spare that wait. A duplicate is the same datagram once
//! more. Networks duplicate datagrams themselves, so every receiver drops those that it has (RFC 3711, section
//! 3.3.2), and nothing has to be negotiated.
//!
//! Where a stream is so small that duplicates cost next to nothing, and a repair takes long, one loss is enough for
//! them to begin: such a stream has few packets to learn from.
//!
//! Duplicates hide the loss that they mend. So they end after a while, and begin again, for longer, if packets
//! are still lost.
//!
//! INVARIANT: with its duplicates a picture's stream stays below [`MOST_USED`] of the rate, so that duplicates
//! neither take room from pictures nor make the rate grow.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{super::traffic::Datagram, End, Fate, on_wire};

/// Most duplicates of a packet.
const MOST: u32 = 2;
/// The time between a packet and its duplicate, and between two of these: a radio that fades for a moment loses
/// what follows closely, and a picture shall not wait long.
const GAP: Duration = Duration::from_millis(6);
/// Most packets of which duplicates wait: what leaves in that time at the highest rate.
const MOST_WAITING: usize = 512;
/// How long it takes a browser to miss a packet, besides the round trip: until the next picture comes.
const NOTICED_AFTER: Duration = Duration::from_millis(33);

/// Duplicates begin where pictures wait for repairs for more than this part of the time…
const MOST_WAITED: f64 = 0.1;
/// …and are as many as make it less than this.
const WANTED_WAIT: f64 = 0.015;
/// The part of the rate that a stream may use with its duplicates.
const MOST_USED: f64 = 0.45;
/// Loss is measured over this time and up to twice as long…
const SPAN: Duration = Duration::from_secs(2);
/// …over this time at least…
const LEAST_SPAN: Duration = Duration::from_millis(500);
/// …and by so many losses.
const LEAST_LOSSES: u64 = 3;
/// Duplicates that make a stream use no more than this part of the rate cost next to nothing…
const MOST_CHEAP: f64 = 0.1;
/// …and they begin with the first loss where a repair takes this long.
const FAR: Duration = Duration::from_millis(150);
/// How long duplicates last, at first and at most.
const LASTING: Duration = Duration::from_secs(30);
const MOST_LASTING: Duration = Duration::from_secs(600);
/// Losses so soon after duplicates have ended are those from before.
const SAME_LOSSES: Duration = Duration::from_secs(10);
/// A rate that was just lowered says that packets are lost because of it.
const AFTER_LIMIT: Duration = Duration::from_secs(3);

/// The duplicates for one peer.
#[derive(Debug)]
pub struct Duplicates {
    state: State,
    round_trip: Duration,
    /// Packets that left before had other duplicates, or none.
    since: Instant,
    before: Span,
    span: Span,
    waiting: VecDeque<Waiting>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// There are none.
    Off {
        /// They do not begin before.
        from: Instant,
        /// When they ended by themselves, and how long they had lasted.
        ended: Option<(Instant, Duration)>,
    },
    /// There are so many of each packet.
    On { count: u32, until: Instant, lasting: Duration },
}

/// What was seen of the stream for some time.
#[derive(Clone, Copy, Debug)]
struct Span {
    began: Instant,
    /// Packets of which the end is known, and the runs of them that were lost.
    packets: u64,
    losses: u64,
    /// What left, without duplicates.
    bytes: u64,
}

impl Span {
    const fn new(now: Instant) -> Self {
        Self { began: now, packets: 0, losses: 0, bytes: 0 }
    }
}

/// A packet of which duplicates are due.
#[derive(Debug)]
struct Waiting {
    due: Instant,
    datagram: Datagram,
    /// How many of them.
    left: u32,
}

impl Duplicates {
    /// Nothing is known of the network.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self {
            state: State::Off { from: now, ended: None },
            round_trip: Duration::ZERO,
            since: now,
            before: Span::new(now),
            span: Span::new(now),
            waiting: VecDeque::new(),
        }
    }

    /// A round trip was measured.
    pub const fn on_round_trip(&mut self, round_trip: Duration) {
        self.round_trip = round_trip;
    }

    /// A packet of a picture leaves for the first time. It has `least` duplicates, whatever was judged.
    pub fn on_left(&mut self, now: Instant, datagram: &Datagram, least: u32) {
        self.span.bytes += on_wire(datagram);
        let count = match self.state {
            State::On { count, .. } => count.max(least),
            State::Off { .. } => least,
        };
        if count > 0 && self.waiting.len() < MOST_WAITING {
            let datagram = datagram.clone();
            self.waiting.push_back(Waiting { due: now + GAP, datagram, left: count });
        }
    }

    /// When the next duplicate leaves.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.waiting.front().map(|waiting| waiting.due)
    }

    /// A duplicate that leaves.
    pub fn pop(&mut self, now: Instant) -> Option<Datagram> {
        let waiting = self.waiting.pop_front_if(|waiting| waiting.due <= now)?;
        if waiting.left > 1 {
            let datagram = waiting.datagram.clone();
            self.waiting.push_back(Waiting { due: now + GAP, datagram, left: waiting.left - 1 });
        }
        Some(waiting.datagram)
    }

    /// Whether packets of pictures have duplicates, which hide that packets are lost.
    #[must_use]
    pub const fn are_on(&self) -> bool {
        matches!(self.state, State::On { .. })
    }

    /// What waits is of no use any more.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Takes fates, and the rate in bit/s before and after what follows from them.
    pub fn on_fates(&mut self, now: Instant, fates: &[Fate], before_bps: u64, bps: u64) {
        // Sound has no duplicates, and does not wait for repairs.
        let counts = |fate: &&Fate| fate.sent >= self.since && !fate.is_sound;
        for fate in fates.iter().filter(counts) {
            self.span.packets += 1;
            self.span.losses += u64::from(fate.end == End::Lost { follows_lost: false });
        }
        match self.state {
            _ if bps < before_bps => {
                self.change(now, State::Off { from: now + AFTER_LIMIT, ended: None });
            }
            State::On { until, lasting, .. } if now >= until => {
                self.change(now, State::Off { from: now, ended: Some((now, lasting)) });
            }
            _ => self.judge(now, bps),
        }
        if now >= self.span.began + SPAN {
            (self.before, self.span) = (self.span, Span::new(now));
        }
    }

    fn change(&mut self, now: Instant, state: State) {
        self.state = state;
        (self.since, self.before, self.span) = (now, Span::new(now), Span::new(now));
    }

    fn judge(&mut self, now: Instant, bps: u64) {
        let elapsed = (now - self.before.began).as_secs_f64();
        let bytes = self.before.bytes + self.span.bytes;
        if elapsed < LEAST_SPAN.as_secs_f64() || bytes == 0 {
            return;
        }
        let used = |count: u32| bytes as f64 * 8.0 / elapsed * f64::from(1 + count) / bps as f64;
        let most = (0..=MOST).rev().find(|count| used(*count) <= MOST_USED).unwrap_or(0);
        let is_cheap = used(1) <= MOST_CHEAP;
        match (self.state, self.wanted(elapsed, is_cheap).min(most)) {
            (State::Off { from, ended }, count) if count > 0 && now >= from => {
                let recent = ended.filter(|(at, _)| now < *at + SAME_LOSSES);
                let lasting =
                    recent.map_or(LASTING, |(_, lasting)| (lasting * 2).min(MOST_LASTING));
                self.change(now, State::On { count, until: now + lasting, lasting });
            }
            (State::On { .. }, _) if most == 0 => {
                self.change(now, State::Off { from: now, ended: None });
            }
            (State::On { count, until, lasting }, wanted) if wanted > count || most < count => {
                self.change(now, State::On { count: wanted.max(most.min(count)), until, lasting });
            }
            _ => {}
        }
    }

    /// As many as make the wait for repairs short, if it is long; if they are cheap, as soon as it is long once.
    fn wanted(&self, elapsed: f64, are_cheap: bool) -> u32 {
        let packets = (self.before.packets + self.span.packets) as f64;
        let losses = self.before.losses + self.span.losses;
        let wait = self.round_trip + NOTICED_AFTER;
        if losses > 0 && are_cheap && wait >= FAR && matches!(self.state, State::Off { .. }) {
            return 1;
        }
        if losses < LEAST_LOSSES {
            return 0;
        }
        let each = match self.state {
            State::On { count, .. } => 1 + count,
            State::Off { .. } => 1,
        };
        // A packet is lost when all of its datagrams are, each by a chance of its own. A few losses more than on
        // average mean nothing: one standard deviation of a Poisson distribution does not count.
        let surely = losses as f64 - (losses as f64).sqrt();
        let part = (surely / packets.max(1.0)).powf(1.0 / f64::from(each));
        let wait = wait.as_secs_f64();
        let waited = |each: u32| part.powf(f64::from(each)) * packets / elapsed * wait;
        if waited(each) <= MOST_WAITED {
            return 0;
        }
        (0..MOST).find(|count| waited(1 + count) <= WANTED_WAIT).unwrap_or(MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);
    /// Much more than the stream of these tests needs.
    const BPS: u64 = 8_000_000;

    fn datagram(mark: u8) -> Datagram {
        let address = ([192, 0, 2, 1], 1).into();
        Datagram { source: address, destination: address, header: None, contents: vec![mark; 1172] }
    }

    /// A stream of 100 packets a second, which is 0.96 Mbit/s, over a network that loses datagrams by chance.
    struct Stream {
        now: Instant,
        duplicates: Duplicates,
        chance: u64,
        /// How many packets were lost with all their duplicates.
        missed: u64,
    }

    impl Stream {
        fn new(round_trip: Duration) -> Self {
            let now = Instant::now();
            let mut duplicates = Duplicates::new(now);
            duplicates.on_round_trip(round_trip);
            Self { now, duplicates, chance: 1, missed: 0 }
        }

        fn is_lost(&mut self, one_in: u64) -> bool {
            self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            one_in > 0 && (self.chance >> 33).is_multiple_of(one_in)
        }

        /// Sends for a time, and returns how many datagrams left for each packet.
        fn run(&mut self, time: Duration, one_in: u64, bps: u64) -> f64 {
            let packets = (time.as_millis() / 10) as u64;
            let mut left = 0;
            for _ in 0..packets {
                let sent = self.now;
                self.duplicates.on_left(sent, &datagram(0), 0);
                let (mut all_lost, mut copies) = (self.is_lost(one_in), 1);
                for _ in 0..10 {
                    self.now += MS;
                    while self.duplicates.pop(self.now).is_some() {
                        copies += 1;
                        all_lost &= self.is_lost(one_in);
                    }
                }
                left += copies;
                self.missed += u64::from(all_lost);
                let lost = End::Lost { follows_lost: false };
                let end = if all_lost { lost } else { End::Arrived(MS) };
                let fate = Fate { sent, bytes: 1200, end, is_sound: false };
                self.duplicates.on_fates(self.now, &[fate], bps, bps);
            }
            f64::from(left) / packets as f64
        }
    }

    #[test]
    fn loss_where_the_browser_waits_long_for_repairs_is_mended_by_duplicates() {
        for (one_in, round_trip, least) in
            [(20, 0, 1.9), (20, 100, 1.9), (50, 300, 1.9), (10, 100, 2.5)]
        {
            let mut stream = Stream::new(MS * round_trip);
            stream.run(SECOND * 4, one_in, BPS);
            stream.missed = 0;
            let each = stream.run(SECOND * 20, one_in, BPS);
            let case = format!("1 in {one_in} lost at {round_trip} ms: {each} each");
            assert!(each >= least && stream.missed <= 20 * 2, "{case}, {} missed", stream.missed);
        }
    }

    #[test]
    fn small_stream_over_a_far_network_has_duplicates_from_its_first_loss_on() {
        // The stream is a fortieth of what the network carries.
        let bps = 40 * BPS / 8;
        let mut stream = Stream::new(MS * 300);
        assert_eq!(stream.run(SECOND * 20, 0, bps), 1.0);
        stream.run(MS * 10, 1, bps);
        assert!(stream.run(SECOND * 2, 0, bps) >= 1.9);
        assert_eq!(stream.run(LASTING, 0, bps).round(), 2.0);
        assert_eq!(stream.run(SECOND * 20, 0, bps), 1.0);
        // Nearby a repair takes no longer than a duplicate is worth.
        let mut stream = Stream::new(MS * 20);
        stream.run(SECOND * 2, 0, bps);
        stream.run(MS * 10, 1, bps);
        assert_eq!(stream.run(SECOND * 20, 0, bps), 1.0);
    }

    #[test]
    fn little_loss_or_none_is_repaired_and_nothing_is_duplicated() {
        for (one_in, round_trip) in [(0, 300), (200, 0), (100, 20)] {
            let mut stream = Stream::new(MS * round_trip);
            let each = stream.run(SECOND * 60, one_in, BPS);
            assert!(each <= 1.0, "1 in {one_in} at {round_trip} ms: {each} each");
        }
    }

    #[test]
    fn pictures_have_no_duplicates_for_what_is_lost_of_sound() {
        let mut stream = Stream::new(MS * 300);
        for _ in 0..2000 {
            let lost = End::Lost { follows_lost: false };
            let end = if stream.is_lost(5) { lost } else { End::Arrived(MS) };
            let fate = Fate { sent: stream.now, bytes: 195, end, is_sound: true };
            stream.duplicates.on_fates(stream.now, &[fate], BPS, BPS);
            assert_eq!(stream.run(MS * 10, 0, BPS), 1.0);
        }
    }

    #[test]
    fn network_without_room_gets_no_duplicates() {
        let mut stream = Stream::new(MS * 100);
        assert!(stream.run(SECOND * 30, 20, 2_000_000) <= 1.0);
        assert!(stream.run(SECOND * 30, 20, BPS) >= 1.9);
        // The pictures grow, or the network shrinks.
        let mut each = stream.run(SECOND * 1, 20, 2_000_000);
        assert!(each < 1.1, "{each}");
        each = stream.run(SECOND * 10, 20, 5_500_000);
        assert!((1.8..=2.0).contains(&each), "{each}");
    }

    #[test]
    fn rate_that_falls_ends_duplicates_at_once() {
        let mut stream = Stream::new(MS * 100);
        stream.run(SECOND * 10, 20, BPS);
        assert!(stream.duplicates.due().is_some() || stream.run(MS * 10, 0, BPS) > 1.0);
        stream.duplicates.on_fates(stream.now, &[], BPS, BPS / 2);
        stream.duplicates.clear();
        assert_eq!(stream.run(AFTER_LIMIT - MS * 10, 20, BPS), 1.0);
    }

    #[test]
    fn duplicates_end_where_nothing_is_lost_any_more_and_last_longer_where_it_is() {
        let mut stream = Stream::new(MS * 100);
        stream.run(SECOND * 10, 20, BPS);
        stream.run(LASTING, 0, BPS);
        assert_eq!(stream.run(SECOND * 300, 0, BPS), 1.0);
        let trials =
            |stream: &mut Stream| (0..600).filter(|_| stream.run(SECOND, 20, BPS) < 1.5).count();
        let seconds = trials(&mut stream);
        assert!(seconds <= 20, "{seconds} of 600 seconds were without duplicates");
        let seconds = trials(&mut stream);
        assert!(seconds <= 5, "{seconds} of 600 seconds were without duplicates later");
    }

    #[test]
    fn packet_that_needs_a_duplicate_has_one_without_loss() {
        let mut stream = Stream::new(MS * 100);
        stream.duplicates.on_left(stream.now, &datagram(7), 1);
        let due = stream.duplicates.due().expect("one");
        assert_eq!(stream.duplicates.pop(due).map(|it| it.contents[0]), Some(7));
        assert_eq!(stream.duplicates.due(), None);
    }

    #[test]
    fn duplicates_are_spread_in_time_and_bounded_in_number() {
        let mut stream = Stream::new(MS * 300);
        stream.run(SECOND * 10, 10, BPS);
        stream.duplicates.clear();
        let begun = stream.now;
        stream.duplicates.on_left(begun, &datagram(7), 0);
        let mut left = Vec::new();
        while let Some(due) = stream.duplicates.due() {
            assert!(stream.duplicates.pop(due - MS).is_none());
            assert_eq!(stream.duplicates.pop(due).map(|it| it.contents[0]), Some(7));
            left.push(due - begun);
        }
        assert_eq!(left, [GAP, GAP * 2]);
        (0..10_000).for_each(|_| stream.duplicates.on_left(begun, &datagram(7), 0));
        assert_eq!(stream.duplicates.waiting.len(), MOST_WAITING);
    }
}
