//! What a peer's network carries, judged by what became of the packets.
//!
//! Evidence counts at any sending rate: packets that queue up or are lost are facts, however little
//! was sent. The rest of the time nothing is known but that the network carries what it has carried.
//!
//! - **A queue** is a delay above the least one of the last seconds, for all packets of a round; a short one
//!   counts only where the network's limit was met before, because whoever tries it again soon fills it. The
//!   network then carries what arrives, and the rate goes below that until the queue is gone. One
//!   that does not shrink meanwhile is not ours: the way has become longer, or others fill it.
//! - **Loss** has two causes. A network that drops what exceeds its rate carries what arrives. One
//!   that loses packets by chance loses the same part of them at any rate. So the rate is lowered to
//!   what arrived, and if that cures nothing, it is restored, and loss of this extent is ignored.
//! - **An outage** (nothing arrives for a while) says nothing about the rate.
//! - **Sound alone** keeps no network busy. What arrives of it says what was sent, and not what the
//!   network carries, unless less arrives.
//! - **Growth** needs a sender that uses the rate it has. It begins slowly, becomes faster while
//!   nothing speaks against it, and waits longer each time that the same limit is met again.
//! - **A viewer who acts** waits for what the next picture shows of it. Where the network's limit is known,
//!   pictures get less of the rate then, and the limit is tried less often.
//!
//! INVARIANT: the rate lies between [`FLOOR_BPS`] and [`CEILING_BPS`].

use std::{
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use super::{
    End, Fate,
    growth::Growth,
    losses::{Losses, Verdict},
    measure::{Arrived, Delays, FEW_PACKETS, Round, Sent},
    pacer::Pace,
};

/// The lowest rate, in bit/s. Below this a desktop is unusable anyway.
pub const FLOOR_BPS: u64 = 200_000;
/// The highest rate, in bit/s; it bounds bursts.
pub const CEILING_BPS: u64 = 100_000_000;

/// The shortest time over which reports are judged together.
const ROUND: Duration = Duration::from_millis(100);
/// With delays above this the rate does not grow.
const NEAR_QUEUE: Duration = Duration::from_millis(15);

/// The part of what the network carries that is used.
const USED: f64 = 0.95;
/// The part that is used while a queue drains: the less, the longer the queue.
const DRAINING: RangeInclusive<f64> = 0.5..=0.85;
/// A queue of this length is drained with the least rate.
const LONG_QUEUE: Duration = Duration::from_millis(500);
/// The least part of the rate that one round leaves, of what was tried of it.
const LEAST_CUT: f64 = 0.1;
/// What was lost is not worth sending again if that would take longer than a new picture does.
const HOPELESS: Duration = Duration::from_millis(300);
/// By so much more than believed the network may turn out to carry while a queue drains.
const MOST_CORRECTION: f64 = 1.25;

/// While no limit was met, packets leave this many times as fast.
const FREE_PACE: u64 = 2;

/// A queue whose length stays within these parts of what it was…
const SAME_QUEUE: RangeInclusive<f64> = 0.75..=1.25;
/// …until packets arrive that left this long after the rate was lowered is not ours.
const STANDING: Duration = Duration::from_secs(1);

/// The part of the rate that must be used for it to grow. An encoder that follows the rate uses no
/// more of it than this: it gets nine tenths, in steps of 15 percent, and stays below what it gets.
const FILLED: f64 = 0.5;
/// The rate never exceeds what was sent by more than this. With less an encoder that uses so little
/// could hold the rate down.
const AHEAD: f64 = 2.2;

/// Why the rate is as low as it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cause {
    /// More was lost than chance explains.
    Loss,
    /// Packets queued up.
    Queue,
}

/// A viewer acts for so long after the last key, button or motion.
const ACTS: Duration = Duration::from_secs(1);
/// The part of the rate that pictures get while the viewer acts, in percent. A picture that takes as long to
/// leave as there is until the next one is seen that much later, and one that is larger delays those behind it;
/// that a key shows late is noticed sooner than a little more noise.
const ACTING_PERCENT: u64 = 75;
/// While the viewer acts, a limit is not tried again for so long: that makes a queue, if it still is the limit.
const UNTRIED: Duration = Duration::from_secs(8);

/// With so little else, in parts of what is sent, sound is alone.
const ALONE: f64 = 0.9;
/// Less of it must arrive for so long: where packets stood still for a moment, less arrived in that
/// moment.
const THIN: Duration = Duration::from_millis(600);

/// What is measured of a peer's network.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Measures {
    /// The packets that arrived, and those that were lost, since it was last asked for.
    pub arrived: u64,
    /// See `arrived`.
    pub lost: u64,
    /// How much longer than the fastest packets those of the last reports took.
    pub queued: Duration,
    /// What limits the rate, if anything does.
    pub cause: Option<Cause>,
}

/// The rate for one peer.
#[derive(Debug)]
pub struct Control {
    /// What the network carries, in bit/s, as far as it is known.
    carries: f64,
    /// The part of it that is used.
    used: f64,
    delays: Delays,
    round: Round,
    losses: Losses,
    sent: Sent,
    /// Of that, sound.
    sound: Sent,
    arrived: Arrived,
    growth: Growth,
    /// A queue that does not end.
    standing: Option<Standing>,
    /// When the viewer acted last.
    acted: Option<Instant>,
    /// Since when less sound arrives than is sent.
    thin: Option<Instant>,
    measures: Measures,
    /// Whether more was lost than is worth sending again.
    is_hopeless: bool,
    /// Packets that left before were sent at another rate, and say nothing about this one.
    since: Instant,
}

impl Control {
    /// Starts with a rate of `start_bps`.
    #[must_use]
    pub fn new(now: Instant, start_bps: u64) -> Self {
        Self {
            carries: legal(start_bps as f64),
            used: 1.0,
            delays: Delays::default(),
            round: Round::new(now),
            losses: Losses::new(now),
            sent: Sent::default(),
            sound: Sent::default(),
            arrived: Arrived::default(),
            growth: Growth::new(now),
            standing: None,
            acted: None,
            thin: None,
            measures: Measures::default(),
            is_hopeless: false,
            since: now,
        }
    }

    /// The rate, in bit/s.
    #[must_use]
    pub const fn bps(&self) -> u64 {
        (self.carries * self.used).max(FLOOR_BPS as f64) as u64
    }

    /// The rate, and whether it was measured.
    #[must_use]
    pub const fn pace(&self) -> Pace {
        let is_limit = self.growth.has_met_limit();
        let times = if is_limit { 1 } else { FREE_PACE };
        Pace { bps: self.bps() * times, is_limit }
    }

    /// What was measured; what is counted begins anew.
    pub fn take_measures(&mut self) -> Measures {
        let cause = self.measures.cause.filter(|_| self.growth.has_met_limit());
        let measures = Measures { cause, ..self.measures };
        (self.measures.arrived, self.measures.lost) = (0, 0);
        measures
    }

    /// Whether so much was lost, before the rate was lowered for it, that the browser is better served
    /// with a new picture than with all that it misses. Says so once.
    pub fn take_hopeless(&mut self) -> bool {
        std::mem::take(&mut self.is_hopeless)
    }

    /// Begins anew with a rate from another source: what was learned is of no use, because the
    /// network is another one.
    pub fn assume(&mut self, now: Instant, bps: u64) {
        let (sent, sound) = (std::mem::take(&mut self.sent), std::mem::take(&mut self.sound));
        *self = Self { sent, sound, ..Self::new(now, bps) };
    }

    /// Something was sent, of so many bytes.
    pub fn on_sent(&mut self, now: Instant, bytes: u64) {
        self.sent.add(now, bytes);
    }

    /// Something that was sent is sound.
    pub fn on_sound(&mut self, now: Instant, bytes: u64) {
        self.sound.add(now, bytes);
    }

    /// The viewer has acted, and waits for what the next pictures show of it.
    pub const fn acted(&mut self, now: Instant) {
        self.acted = Some(now);
    }

    fn acts(&self, now: Instant) -> bool {
        self.acted.is_some_and(|acted| now < acted + ACTS)
    }

    /// The part of the rate that is left for pictures, in bit/s: all of it while no limit is known, then
    /// what sound leaves. While the viewer acts it is less.
    #[must_use]
    pub fn picture_bps(&self, now: Instant) -> u64 {
        if !self.growth.has_met_limit() {
            return self.bps();
        }
        let left = self.bps().saturating_sub(self.sound.recent(now) as u64);
        if self.acts(now) { left * ACTING_PERCENT / 100 } else { left }
    }

    /// Takes fates, in the order in which the packets left.
    pub fn on_fates(&mut self, now: Instant, fates: &[Fate]) {
        for fate in fates {
            let counts = fate.sent >= self.since;
            match fate.end {
                End::Lost { follows_lost } => {
                    self.measures.lost += 1;
                    self.losses.on_lost(fate.sent, fate.bytes, follows_lost, counts);
                }
                End::Arrived(arrived) => {
                    let queued = self.delays.of(now, fate.sent, arrived);
                    self.arrived.add(arrived, fate.bytes);
                    self.measures.arrived += 1;
                    if counts {
                        self.round.arrived(fate.sent, queued);
                        self.losses.on_arrived(fate.sent, fate.bytes);
                    }
                }
            }
        }
        if now >= self.round.began + ROUND {
            self.judge(now);
        }
    }

    fn judge(&mut self, now: Instant) {
        let elapsed = now - self.round.began;
        let (queued, packets) = (self.round.queued.unwrap_or_default(), self.round.packets);
        self.measures.queued = queued;
        if self.round.has_queue(self.growth.has_met_limit()) {
            return self.yield_to_queue(now, queued);
        }
        if packets > 0 && !self.round.is_suspicious() {
            self.standing = None;
        }
        match self.losses.verdict(now) {
            Verdict::Uncured(bps) => return self.change(now, bps, 1.0),
            Verdict::Congestion => return self.yield_to_loss(now),
            Verdict::Fine => {
                self.thin = None;
                self.losses.begin(now);
            }
            Verdict::Unclear => {}
        }
        if packets > 0 && self.used < USED {
            return self.change(now, self.carries, USED);
        }
        self.round.begin(now);
        if queued <= NEAR_QUEUE {
            self.grow(now, elapsed);
        }
    }

    fn yield_to_queue(&mut self, now: Instant, queued: Duration) {
        let anew = Standing { since: now, length: queued, carries: self.carries };
        let standing = *self.standing.get_or_insert(anew);
        if standing.changes_to(queued) {
            self.standing = Some(anew);
        } else if self.round.first_sent.is_some_and(|sent| sent >= standing.since + STANDING) {
            return self.accept_delay(now, standing.carries);
        }
        let length = queued.as_secs_f64() / LONG_QUEUE.as_secs_f64();
        let part = DRAINING.end() - length * (DRAINING.end() - DRAINING.start());
        self.losses.begin(now);
        self.measures.cause = Some(Cause::Queue);
        // With few packets the network was not busy, and carries more than what arrived.
        let is_blind = self.round.packets < FEW_PACKETS || self.hears_all_sound(now);
        let carried = self.arrived.bps().filter(|_| !is_blind);
        let most = if self.used < USED { self.carries * MOST_CORRECTION } else { self.carries };
        self.lower(now, carried.unwrap_or(self.carries).min(most), part.max(*DRAINING.start()));
    }

    /// Packets take longer from now on, at the rate from before.
    fn accept_delay(&mut self, now: Instant, bps: f64) {
        self.standing = None;
        self.delays.begin();
        self.losses.begin(now);
        self.growth = Growth::new(now);
        self.change(now, bps, 1.0);
    }

    fn yield_to_loss(&mut self, now: Instant) {
        let is_blind = self.hears_all_sound(now);
        let seen = [self.arrived.bps(), self.losses.passing_bps()].into_iter().flatten();
        let carried = seen.filter(|_| !is_blind).fold(self.carries, f64::min);
        let lost_bits = self.losses.lost_bytes() as f64 * 8.0;
        self.losses.treat(now, self.carries);
        self.measures.cause = Some(Cause::Loss);
        self.lower(now, carried, USED);
        self.is_hopeless = lost_bits > self.bps() as f64 * HOPELESS.as_secs_f64();
    }

    /// Whether nothing but sound is sent, and all of it arrives, but for moments. What arrives then
    /// does not say what the network carries.
    fn hears_all_sound(&mut self, now: Instant) -> bool {
        let (sent, sound) = (self.sent.recent(now), self.sound.recent(now));
        if sound <= 0.0 || sound < sent * ALONE {
            return false;
        }
        if self.arrived.bps().is_none_or(|arrived| arrived >= sound * ALONE) {
            self.thin = None;
            return true;
        }
        let since = *self.thin.get_or_insert(now);
        now < since + THIN
    }

    fn lower(&mut self, now: Instant, carried: f64, part: f64) {
        // A rate that was never used says nothing of how far it is from what the network carries.
        let tried = self.carries.min(self.sent.recent(now) * AHEAD);
        let carried = carried.max(tried * LEAST_CUT);
        self.growth.met_limit(now, carried);
        self.change(now, carried, part);
    }

    fn change(&mut self, now: Instant, carries: f64, used: f64) {
        (self.carries, self.used) = (legal(carries), used);
        self.judge_anew(now);
    }

    fn judge_anew(&mut self, now: Instant) {
        self.since = now;
        self.round.begin(now);
    }

    fn grow(&mut self, now: Instant, elapsed: Duration) {
        let sent = self.sent.recent(now);
        let waits = self.acts(now) && self.growth.met_limit_within(now, UNTRIED);
        if waits || sent < self.carries * FILLED {
            return self.growth.pause();
        }
        let growth = self.growth.rate(now, self.carries) * elapsed.as_secs_f64().min(1.0);
        let grown = (self.carries * (1.0 + growth)).min(sent * AHEAD);
        self.carries = legal(grown.max(self.carries));
    }
}

/// A queue at the time when the rate was lowered because of it.
#[derive(Clone, Copy, Debug)]
struct Standing {
    since: Instant,
    length: Duration,
    /// The rate before.
    carries: f64,
}

impl Standing {
    fn changes_to(self, length: Duration) -> bool {
        !SAME_QUEUE.contains(&(length.as_secs_f64() / self.length.as_secs_f64()))
    }
}

fn legal(bps: f64) -> f64 {
    bps.clamp(FLOOR_BPS as f64, CEILING_BPS as f64)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
