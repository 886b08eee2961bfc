//! What is measured of a network: how long packets queue, and how much leaves and arrives.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Delays above the least one that are a queue. Busy machines and radio links delay packets by less.
const QUEUE: Duration = Duration::from_millis(40);
/// Near a limit that is known such a delay is the beginning of a queue, if it lasts…
const SHORT_QUEUE: Duration = Duration::from_millis(15);
/// …for so many rounds.
const SHORT_ROUNDS: u32 = 2;
/// As few packets as this do not show a queue, unless the round before did too.
pub(super) const FEW_PACKETS: u64 = 5;

/// How much longer than the fastest packets others take.
#[derive(Debug, Default)]
pub(super) struct Delays {
    /// The first packet: sent, and arrived by the browser's clock.
    origin: Option<(Instant, Duration)>,
    /// The least delay, relative to the first packet's, of this span of time and of the one before.
    least: Option<f64>,
    least_before: Option<f64>,
    span_began: Option<Instant>,
}

/// For so long a least delay counts, and as long again: clocks drift, and routes change.
const SPAN: Duration = Duration::from_secs(10);

impl Delays {
    /// What packets take from now on is the least.
    pub(super) const fn begin(&mut self) {
        (self.least, self.least_before) = (None, None);
    }

    /// The delay of a packet beyond the least one.
    pub(super) fn of(&mut self, now: Instant, sent: Instant, arrived: Duration) -> Duration {
        let (first_sent, first_arrived) = *self.origin.get_or_insert((sent, arrived));
        let travelled = arrived.as_secs_f64() - first_arrived.as_secs_f64();
        let waited = if sent >= first_sent {
            (sent - first_sent).as_secs_f64()
        } else {
            -(first_sent - sent).as_secs_f64()
        };
        let delay = travelled - waited;
        if self.span_began.is_none_or(|began| now >= began + SPAN) {
            self.span_began = Some(now);
            self.least_before = self.least.take();
        }
        let least = self.least.map_or(delay, |least| least.min(delay));
        self.least = Some(least);
        let least = self.least_before.map_or(least, |before| before.min(least));
        Duration::try_from_secs_f64((delay - least).max(0.0)).unwrap_or_default()
    }
}

/// What arrived since a moment.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) began: Instant,
    pub(super) packets: u64,
    /// When the first of them left.
    pub(super) first_sent: Option<Instant>,
    /// The least of their delays beyond the least one.
    pub(super) queued: Option<Duration>,
    /// Whether the round before had a queue, by too few packets to act.
    suspicious: bool,
    /// For how many rounds before this one all packets took longer than [`SHORT_QUEUE`].
    short: u32,
}

impl Round {
    pub(super) const fn new(now: Instant) -> Self {
        Self { began: now, packets: 0, first_sent: None, queued: None, suspicious: false, short: 0 }
    }

    pub(super) fn begin(&mut self, now: Instant) {
        let suspicious = self.is_suspicious();
        let short = if self.is_delayed() { self.short + 1 } else { 0 };
        *self = Self { suspicious, short, ..Self::new(now) };
    }

    pub(super) fn arrived(&mut self, sent: Instant, queued: Duration) {
        self.packets += 1;
        self.first_sent.get_or_insert(sent);
        self.queued = Some(self.queued.map_or(queued, |least| least.min(queued)));
    }

    /// Whether all packets were queued, however few they were.
    pub(super) fn is_suspicious(&self) -> bool {
        self.queued.is_some_and(|queued| queued > QUEUE)
    }

    fn is_delayed(&self) -> bool {
        self.packets >= FEW_PACKETS && self.queued.is_some_and(|queued| queued > SHORT_QUEUE)
    }

    /// Whether all packets were queued, and they were enough to tell. Where a limit of the network is known,
    /// a short queue is enough.
    pub(super) fn has_queue(&self, is_limit_known: bool) -> bool {
        let lasts = self.is_delayed() && self.short + 1 >= SHORT_ROUNDS;
        let is_long = self.is_suspicious() && (self.packets >= FEW_PACKETS || self.suspicious);
        is_long || (is_limit_known && lasts)
    }
}

/// What left recently.
#[derive(Debug, Default)]
pub(super) struct Sent {
    began: Option<Instant>,
    bytes: u64,
    /// Of the window before, in bit/s.
    before: f64,
}

/// Several frames, and soon full.
const WINDOW: Duration = Duration::from_millis(500);

impl Sent {
    /// So many bytes leave.
    pub(super) fn add(&mut self, now: Instant, bytes: u64) {
        self.roll(now);
        self.bytes += bytes;
    }

    fn roll(&mut self, now: Instant) {
        let began = *self.began.get_or_insert(now);
        if now >= began + WINDOW {
            self.before = self.full_window(now, began);
            (self.began, self.bytes) = (Some(now), 0);
        }
    }

    /// In the last full window, which has just ended; nothing after a pause.
    fn full_window(&self, now: Instant, began: Instant) -> f64 {
        let elapsed = now.saturating_duration_since(began);
        let bits = self.bytes as f64 * 8.0 / elapsed.as_secs_f64();
        if elapsed < WINDOW * 2 { bits } else { 0.0 }
    }

    /// In bit/s.
    pub(super) fn recent(&self, now: Instant) -> f64 {
        match self.began {
            Some(began) if now >= began + WINDOW => self.full_window(now, began),
            _ => self.before.max(self.bytes as f64 * 8.0 / WINDOW.as_secs_f64()),
        }
    }
}

/// What arrived recently, by the browser's clock.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    packets: VecDeque<(Duration, u64)>,
    newest: Duration,
    bytes: u64,
}

/// Frames are bursts: a shorter time would measure how fast they follow each other.
const ARRIVED_WINDOW: Duration = Duration::from_millis(300);
const LEAST_ARRIVED_WINDOW: Duration = Duration::from_millis(80);
/// More packets than arrive in that time at the highest rate. A browser may report any times.
const MOST_ARRIVED: usize = 4096;

impl Arrived {
    pub(super) fn add(&mut self, at: Duration, bytes: u64) {
        // Clocks of reports wrap around after twelve days.
        if at + SPAN < self.newest {
            *self = Self::default();
        }
        self.newest = self.newest.max(at);
        self.bytes += bytes;
        self.packets.push_back((at, bytes));
        while let Some((at, bytes)) = self.packets.front()
            && (*at + ARRIVED_WINDOW < self.newest || self.packets.len() > MOST_ARRIVED)
        {
            self.bytes -= bytes;
            self.packets.pop_front();
        }
    }

    /// In bit/s; `None` if too little arrived.
    pub(super) fn bps(&self) -> Option<f64> {
        let (first, first_bytes) = self.packets.front()?;
        let span = self.newest.checked_sub(*first)?;
        // The first packet took its time before the span.
        let bits = (self.bytes - first_bytes) as f64 * 8.0;
        (span >= LEAST_ARRIVED_WINDOW).then(|| bits / span.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_that_are_all_reported_for_one_time_are_bounded() {
        let mut arrived = Arrived::default();
        (0..100_000).for_each(|_| arrived.add(SPAN, 1200));
        assert!(arrived.packets.len() <= MOST_ARRIVED);
        assert_eq!(arrived.bytes, 1200 * MOST_ARRIVED as u64);
    }
}
