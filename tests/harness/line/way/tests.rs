//! A line does what its shape says: it drops, delays and lets through, in virtual time.

use super::*;
use crate::line::shape::Rate;

const MILLISECOND: Duration = Duration::from_millis(1);

/// The time of a test, which passes when the test says so.
struct Time(Instant);

impl Time {
    fn start() -> Self {
        Self(Instant::now())
    }

    fn pass(&mut self, time: Duration) -> Instant {
        self.0 += time;
        self.0
    }
}

fn packet(size: usize) -> Vec<u8> {
    vec![0; size]
}

fn limited(limit: Limit) -> Way {
    Way::new(Shape { limit: Some(limit), ..Shape::default() }, 1)
}

#[test]
fn way_without_a_shape_lets_packets_pass_at_once_and_in_order() {
    let now = Instant::now();
    let mut way = Way::new(Shape::default(), 1);
    for number in 0..3 {
        assert_eq!(way.offer(now, vec![number]), Fate::Passes(now));
    }
    for number in 0..3 {
        assert_eq!(way.take_due(now), Some((now, vec![number])));
    }
    assert_eq!(way.take_due(now), None);
}

#[test]
fn way_with_a_delay_holds_packets_until_it_is_over() {
    let mut time = Time::start();
    let shape = Shape { delay: 10 * MILLISECOND, ..Shape::default() };
    let mut way = Way::new(shape, 1);
    let due = time.0 + 10 * MILLISECOND;
    assert_eq!(way.offer(time.0, packet(1)), Fate::Passes(due));
    assert_eq!(way.next_due(), Some(due));
    assert_eq!(way.take_due(time.pass(9 * MILLISECOND)), None);
    assert_eq!(way.take_due(time.pass(MILLISECOND)), Some((due, packet(1))));
}

#[test]
fn way_with_jitter_spreads_delays_over_all_of_it() {
    let mut time = Time::start();
    let shape = Shape { jitter: 20 * MILLISECOND, ..Shape::default() };
    let mut way = Way::new(shape, 1);
    let mut delays = Vec::new();
    // Far enough apart that order does not matter.
    for _ in 0..1000 {
        let now = time.pass(30 * MILLISECOND);
        let Fate::Passes(leaves) = way.offer(now, packet(1)) else { panic!("nothing drops it") };
        delays.push(leaves - now);
        way.take_due(leaves);
    }
    let below = |limit| delays.iter().filter(|delay| **delay < limit).count();
    assert!((150..350).contains(&below(5 * MILLISECOND)), "{}", below(5 * MILLISECOND));
    assert!((650..850).contains(&below(15 * MILLISECOND)), "{}", below(15 * MILLISECOND));
    assert!(delays.iter().all(|delay| *delay <= 20 * MILLISECOND));
}

#[test]
fn way_with_loss_loses_that_part_by_chance_and_the_same_for_the_same_seed() {
    let lost = |per_mille, seed| {
        let shape = Shape { loss: Loss::per_mille(per_mille), ..Shape::default() };
        let mut way = Way::new(shape, seed);
        let now = Instant::now();
        let lost = |_: &usize| matches!(way.offer(now, packet(1)), Fate::Dropped(Reason::Chance));
        (0..10_000).filter(lost).collect::<Vec<_>>()
    };
    assert!((30..75).contains(&lost(5, 1).len()));
    assert!((450..550).contains(&lost(50, 1).len()));
    assert_eq!(lost(0, 1).len(), 0);
    assert_eq!(lost(1000, 1).len(), 10_000);
    assert_eq!(lost(50, 1), lost(50, 1));
    assert_ne!(lost(50, 1), lost(50, 2));
}

#[test]
fn way_that_is_interrupted_drops_what_comes_meanwhile_and_nothing_later() {
    let mut time = Time::start();
    let mut way = Way::new(Shape { delay: 50 * MILLISECOND, ..Shape::default() }, 1);
    way.offer(time.0, packet(1));
    way.interrupt(time.0 + 200 * MILLISECOND);
    let during = time.pass(199 * MILLISECOND);
    assert_eq!(way.offer(during, packet(1)), Fate::Dropped(Reason::Interrupted));
    // What was on its way arrives.
    assert!(way.take_due(during).is_some());
    let after = time.pass(MILLISECOND);
    assert_eq!(way.offer(after, packet(1)), Fate::Passes(after + 50 * MILLISECOND));
}

#[test]
fn policer_passes_a_burst_at_once_then_drops_until_the_bucket_fills() {
    let mut time = Time::start();
    // A packet of 1000 bytes is worth 10 ms.
    let mut way = limited(Limit::Policed { rate: Rate::kilobits(800), burst: 3000 });
    for _ in 0..3 {
        assert_eq!(way.offer(time.0, packet(1000)), Fate::Passes(time.0));
    }
    assert_eq!(way.offer(time.0, packet(1000)), Fate::Dropped(Reason::Policed));
    let early = time.pass(9 * MILLISECOND);
    assert_eq!(way.offer(early, packet(1000)), Fate::Dropped(Reason::Policed));
    let filled = time.pass(MILLISECOND);
    assert_eq!(way.offer(filled, packet(1000)), Fate::Passes(filled));
}

#[test]
fn queue_delays_by_what_is_before_a_packet_and_drops_at_its_depth() {
    let now = Instant::now();
    let depth = 25 * MILLISECOND;
    let mut way = limited(Limit::Queued { rate: Rate::kilobits(800), depth });
    for before in 1..=3_u32 {
        assert_eq!(way.offer(now, packet(1000)), Fate::Passes(now + 10 * before * MILLISECOND));
    }
    assert_eq!(way.offer(now, packet(1000)), Fate::Dropped(Reason::QueueFull));
    // Five milliseconds later the wait is as long as the queue is deep.
    let later = now + 5 * MILLISECOND;
    assert_eq!(way.offer(later, packet(1000)), Fate::Passes(now + 40 * MILLISECOND));
}

#[test]
fn way_with_a_new_shape_forgets_what_the_old_one_had_to_do() {
    let now = Instant::now();
    let slow = Limit::Queued { rate: Rate::kilobits(8), depth: Duration::from_secs(60) };
    let mut way = limited(slow);
    way.offer(now, packet(1000));
    let fast = Limit::Queued { rate: Rate::kilobits(8000), depth: Duration::from_secs(1) };
    way.reshape(Shape { limit: Some(fast), ..Shape::default() });
    // It does not overtake the packet that was there before.
    assert_eq!(way.offer(now, packet(1000)), Fate::Passes(now + Duration::from_secs(1)));
    assert_eq!(way.admit(now, 1000), Ok(now + 2 * MILLISECOND));
}

/// What can happen to a direction.
#[derive(Clone, Copy, Debug)]
enum Event {
    Offer { size: usize },
    Interrupt { time: Duration },
    Pass { time: Duration },
}

impl Event {
    fn by(chance: &mut Chance) -> Self {
        let micros = |chance: &mut Chance, most| Duration::from_micros(chance.below(most) as u64);
        match chance.below(20) {
            0 => Self::Interrupt { time: micros(chance, 200_000) },
            1..=8 => Self::Pass { time: micros(chance, 10_000) },
            _ => Self::Offer { size: 40 + chance.below(1460) },
        }
    }
}

fn shape_by(chance: &mut Chance) -> Shape {
    let rate = Rate::kilobits(400 + chance.below(8000) as u32);
    let millis = |chance: &mut Chance, most| Duration::from_millis(chance.below(most) as u64);
    let limit = match chance.below(3) {
        0 => None,
        1 => Some(Limit::Policed { rate, burst: 1500 + chance.below(30_000) }),
        _ => Some(Limit::Queued { rate, depth: millis(chance, 1000) }),
    };
    let loss = Loss::per_mille(chance.below(200) as u16);
    Shape { loss, limit, delay: millis(chance, 150), jitter: millis(chance, 30) }
}

/// A direction beside all that went in and came out of it.
struct Watched {
    way: Way,
    shape: Shape,
    now: Instant,
    /// Arrival and size of each packet that was let in, until it leaves.
    inside: VecDeque<(Instant, usize)>,
    /// When packets were let in, how many bytes.
    let_in: Vec<(Instant, usize)>,
    offered: u64,
    left: u64,
    last: Instant,
}

impl Watched {
    fn new(shape: Shape, seed: u64) -> Self {
        let now = Instant::now();
        Self {
            way: Way::new(shape, seed),
            shape,
            now,
            inside: VecDeque::new(),
            let_in: Vec::new(),
            offered: 0,
            left: 0,
            last: now,
        }
    }

    fn meet(&mut self, event: Event) {
        match event {
            Event::Offer { size } => {
                self.offered += 1;
                if let Fate::Passes(_) = self.way.offer(self.now, packet(size)) {
                    self.inside.push_back((self.now, size));
                    self.let_in.push((self.now, size));
                }
            }
            Event::Interrupt { time } => self.way.interrupt(self.now + time),
            Event::Pass { time } => self.now += time,
        }
        while let Some((due, packet)) = self.way.take_due(self.now) {
            self.left += 1;
            let (came, size) = self.inside.pop_front().expect("only what came can leave");
            assert_eq!(packet.len(), size, "in order");
            assert!(due >= self.last, "in order");
            assert!(due >= came + self.shape.delay, "not before its delay is over");
            self.last = due;
            // Only a queue may hold a packet longer than the distance and order demand.
            let depth = match self.shape.limit {
                Some(Limit::Queued { rate, depth }) => depth + rate.time_of(size),
                _ => Duration::ZERO,
            };
            assert!(due <= came + depth + self.shape.delay + self.shape.jitter, "not too late");
        }
    }

    fn verify_invariants(&self) {
        let counts = self.way.counts();
        assert_eq!(counts.passed + counts.dropped(), self.offered, "each has one fate");
        assert_eq!(counts.passed, self.left + self.inside.len() as u64, "none is forgotten");
        let allowance = match self.shape.limit {
            None => return,
            Some(Limit::Policed { rate, burst }) => (rate, burst),
            Some(Limit::Queued { rate, depth }) => (rate, rate.bytes_in(depth) + 1500),
        };
        let Some((last, _)) = self.let_in.last() else { return };
        let mut bytes = 0;
        for (came, size) in self.let_in.iter().rev() {
            bytes += size;
            // Rates are in whole bytes and times in whole nanoseconds.
            let most = allowance.0.bytes_in(*last - *came) + allowance.1 + 2;
            assert!(bytes <= most, "{bytes} bytes in {:?}", *last - *came);
        }
    }
}

#[test]
fn way_of_any_shape_keeps_order_delay_rate_and_every_packet() {
    for seed in 0..200 {
        let mut chance = Chance::new(seed);
        let shape = shape_by(&mut chance);
        let mut watched = Watched::new(shape, seed);
        for _ in 0..300 {
            watched.meet(Event::by(&mut chance));
            watched.verify_invariants();
        }
        watched.meet(Event::Pass { time: Duration::from_secs(10) });
        watched.verify_invariants();
        assert_eq!(watched.inside.len(), 0, "all have left at the end: {shape:?}");
    }
}
