//! Whether packets are lost because of the rate.
//!
//! A network that drops what exceeds its rate loses less when the rate falls. One that loses packets
//! by chance does not: the rate is not the cause, and loss of that extent is ignored from then on, as
//! long as it goes on.
//!
//! A radio that fades for a moment loses one run of packets, whatever the rate. So a single run is
//! no evidence, and one that lasts long is an outage.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Loss is judged over this time…
const LOSS_TIME: Duration = Duration::from_secs(1);
/// …and whether a lower rate has cured it, when so many would have been lost otherwise.
const LOSS_CLEAR: f64 = 8.0;
/// Loss that is ignored beside that which no lower rate cures, in parts of all packets.
const LOSS_MARGIN: f64 = 0.03;
/// A lower rate has cured loss if no more than this part of it is left.
const CURED: f64 = 0.5;
/// More loss than this is never ignored.
const MOST_IGNORED: f64 = 0.25;
/// What exceeds the rate of a network is lost in more runs than one.
const LEAST_RUNS: u64 = 2;
/// A run of lost packets that left over a longer time than this is an outage.
const OUTAGE: Duration = Duration::from_millis(120);

/// What passes is measured over this time at least.
const LEAST_PASSING: Duration = Duration::from_millis(40);
/// As many packets as leave at the highest rate before one of them is known to be lost.
const MOST_ARRIVALS: usize = 2048;

/// What loss says about the rate.
pub(super) enum Verdict {
    /// There are too few packets to tell.
    Unclear,
    /// The network carries the rate.
    Fine,
    /// It does not.
    Congestion,
    /// A lower rate did not help: the former one, in bit/s, is as good.
    Uncured(f64),
}

/// The loss of packets, and what is known of its cause.
#[derive(Debug)]
pub(super) struct Losses {
    began: Instant,
    arrived: u64,
    /// Of the runs that have ended.
    lost: u64,
    runs: u64,
    /// The last run, which may go on.
    run: Option<Run>,
    /// The part that is lost at any rate.
    ignored: f64,
    /// The part that was lost, and the rate, before the rate was lowered because of it.
    treated: Option<(f64, f64)>,
    passing: Passing,
}

impl Losses {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            began: now,
            arrived: 0,
            lost: 0,
            runs: 0,
            run: None,
            ignored: 0.0,
            treated: None,
            passing: Passing::new(),
        }
    }

    pub(super) fn begin(&mut self, now: Instant) {
        (self.began, self.arrived, self.lost, self.runs) = (now, 0, 0, 0);
        self.passing.begin();
        // It may still turn out to be an outage.
        if let Some(run) = &mut self.run {
            run.packets = 0;
        }
    }

    /// A packet arrived that left at `sent`.
    pub(super) fn on_arrived(&mut self, sent: Instant, bytes: u64) {
        self.arrived += 1;
        self.passing.on_arrived(sent, bytes);
    }

    /// A packet was lost that left at `sent`, perhaps as the one before it. It may have left too
    /// early to count.
    pub(super) fn on_lost(&mut self, sent: Instant, bytes: u64, follows_lost: bool, counts: bool) {
        if !follows_lost && let Some(run) = self.run.take() {
            self.lost += run.that_count();
            self.runs += u64::from(run.that_count() > 0);
            if run.is_outage() {
                self.passing.begin();
            }
        }
        let run = self.run.get_or_insert(Run { first: sent, last: sent, packets: 0 });
        run.last = run.last.max(sent);
        run.packets += u64::from(counts);
        if counts {
            self.passing.on_lost(sent, bytes);
        }
    }

    /// What passes, in bit/s, since the network began to drop packets; `None` if it is too early to
    /// tell. A network that has stored up some of its rate lets more than that pass at first.
    pub(super) fn passing_bps(&self) -> Option<f64> {
        self.passing.bps()
    }

    /// The bytes of what was lost.
    pub(super) const fn lost_bytes(&self) -> u64 {
        self.passing.lost
    }

    fn lost(&self) -> u64 {
        self.lost + self.run.map_or(0, Run::that_count)
    }

    fn runs(&self) -> u64 {
        self.runs + u64::from(self.run.is_some_and(|run| run.that_count() > 0))
    }

    fn packets(&self) -> f64 {
        (self.arrived + self.lost()) as f64
    }

    fn part(&self) -> f64 {
        self.lost() as f64 / self.packets().max(1.0)
    }

    /// Whether more is lost than chance explains.
    fn is_excessive(&self) -> bool {
        let margin = LOSS_MARGIN.max(self.ignored / 2.0);
        let expected = self.packets() * (self.ignored + margin);
        // Two standard deviations of a Poisson distribution.
        self.runs() >= LEAST_RUNS && self.lost() as f64 > expected + 2.0 * expected.sqrt() + 1.0
    }

    pub(super) fn verdict(&mut self, now: Instant) -> Verdict {
        if let Some((before, bps)) = self.treated {
            if self.packets() * before < LOSS_CLEAR {
                return Verdict::Unclear;
            }
            self.treated = None;
            if self.part() > before * CURED && self.part() <= MOST_IGNORED {
                self.ignored = self.part().max(before).min(MOST_IGNORED);
                self.begin(now);
                return Verdict::Uncured(bps);
            }
        }
        if self.is_excessive() {
            return Verdict::Congestion;
        }
        if now < self.began + LOSS_TIME {
            return Verdict::Unclear;
        }
        // Half of the way to what is seen: a few packets are no measure.
        self.ignored = self.ignored.min((self.ignored + self.part()) / 2.0);
        Verdict::Fine
    }

    /// The rate is lowered from `bps` because of what was lost.
    pub(super) fn treat(&mut self, now: Instant, bps: f64) {
        self.treated = Some((self.part(), bps));
        self.begin(now);
    }
}

/// What passes once packets are dropped.
#[derive(Debug)]
struct Passing {
    /// When the packets that arrived last left, and their bytes: of some it is known that they arrived
    /// before it is known that an earlier one was lost.
    arrivals: VecDeque<(Instant, u64)>,
    /// When the first packet left that was lost.
    since: Option<Instant>,
    /// When the last packet left of which the end is known.
    newest: Option<Instant>,
    /// Bytes that arrived of what left after the first one lost.
    passed: u64,
    lost: u64,
}

impl Passing {
    const fn new() -> Self {
        Self { arrivals: VecDeque::new(), since: None, newest: None, passed: 0, lost: 0 }
    }

    fn begin(&mut self) {
        self.arrivals.clear();
        (self.since, self.newest, self.passed, self.lost) = (None, None, 0, 0);
    }

    fn on_arrived(&mut self, sent: Instant, bytes: u64) {
        self.newest = self.newest.max(Some(sent));
        match self.since {
            Some(since) => self.passed += if sent > since { bytes } else { 0 },
            None => {
                if self.arrivals.len() >= MOST_ARRIVALS {
                    self.arrivals.pop_front();
                }
                self.arrivals.push_back((sent, bytes));
            }
        }
    }

    fn on_lost(&mut self, sent: Instant, bytes: u64) {
        self.newest = self.newest.max(Some(sent));
        self.lost += bytes;
        if self.since.is_none() {
            self.since = Some(sent);
            let after = self.arrivals.drain(..).filter(|(at, _)| *at > sent);
            self.passed = after.map(|(_, bytes)| bytes).sum();
        }
    }

    fn bps(&self) -> Option<f64> {
        let span = self.newest?.checked_duration_since(self.since?)?;
        (span >= LEAST_PASSING).then(|| self.passed as f64 * 8.0 / span.as_secs_f64())
    }
}

/// Lost packets that left one after the other.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// When the first one left, and the last one.
    first: Instant,
    last: Instant,
    packets: u64,
}

impl Run {
    /// How many of them say something about the rate.
    fn that_count(self) -> u64 {
        if self.is_outage() { 0 } else { self.packets }
    }

    fn is_outage(self) -> bool {
        self.last.saturating_duration_since(self.first) > OUTAGE
    }
}
