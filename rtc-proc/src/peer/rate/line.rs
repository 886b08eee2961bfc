//! A network in virtual time, for tests: it limits, delays and loses packets.

use std::time::{Duration, Instant};

/// What happens to packets in one direction.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// How long a packet travels.
    pub(crate) delay: Duration,
    /// Up to this much longer, by chance, without overtaking.
    pub(crate) jitter: Duration,
    /// The part of packets that is lost by chance.
    pub(crate) loss: f64,
    /// What exceeds the rate is dropped at once, or waits.
    pub(crate) limit: Limit,
    /// Nothing arrives from the first instant to the second.
    pub(crate) outage: Option<(Instant, Instant)>,
    /// What enters waits until then.
    pub(crate) held: Option<Instant>,
    chance: u64,
    free_at: Option<Instant>,
    last: Option<Instant>,
}

/// How a line limits the rate.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// Not at all.
    None,
    /// What exceeds the rate by more than the bucket holds is dropped.
    Policed { bps: u64, bucket: u64 },
    /// Packets wait, at most so long.
    Queued { bps: u64, longest: Duration },
}

impl Line {
    pub(crate) fn new(delay: Duration, limit: Limit) -> Self {
        Self {
            delay,
            jitter: Duration::ZERO,
            loss: 0.0,
            limit,
            outage: None,
            held: None,
            chance: 1,
            free_at: None,
            last: None,
        }
    }

    /// When a packet that enters now arrives; `None`: never.
    pub(crate) fn carry(&mut self, now: Instant, bytes: u64) -> Option<Instant> {
        if self.outage.is_some_and(|(from, until)| (from..until).contains(&now)) {
            return None;
        }
        if self.random() < self.loss {
            return None;
        }
        let out = self.limit(now, bytes)?;
        let out = self.held.map_or(out, |held| held.max(out));
        let jitter = self.jitter.mul_f64(self.random());
        let arrival = out + self.delay + jitter;
        let arrival = self.last.map_or(arrival, |last| last.max(arrival));
        self.last = Some(arrival);
        Some(arrival)
    }

    fn limit(&mut self, now: Instant, bytes: u64) -> Option<Instant> {
        let time = |bytes: u64, bps: u64| Duration::from_nanos(bytes * 8_000_000_000 / bps);
        let free_at = self.free_at.map_or(now, |at| at.max(now));
        match self.limit {
            Limit::None => Some(now),
            Limit::Policed { bps, bucket } => {
                let after = free_at + time(bytes, bps);
                if after > now + time(bucket, bps) {
                    return None;
                }
                self.free_at = Some(after);
                Some(now)
            }
            Limit::Queued { bps, longest } => {
                if free_at > now + longest {
                    return None;
                }
                self.free_at = Some(free_at + time(bytes, bps));
                self.free_at
            }
        }
    }

    /// From 0 to 1, the same in every run (xorshift64).
    pub(crate) fn random(&mut self) -> f64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        (self.chance >> 11) as f64 / (1_u64 << 53) as f64
    }
}
