//! Estimates what the network to one peer carries, by deciding when to believe the congestion
//! controller.
//!
//! Google's congestion control assumes a sender that always fills the link. A desktop usually sends
//! next to nothing, and at such a low rate every scheduling delay looks like congestion: the
//! estimate collapses, and the next full frame would be paced over seconds. So a lower estimate
//! counts only if enough was sent to have caused congestion; otherwise the controller is restarted
//! at the previous estimate.
//!
//! INVARIANT: the estimate lies between [`FLOOR_BPS`] and [`CEILING_BPS`].

use std::time::{Duration, Instant};

/// The lowest estimate, in bit/s. Some clients report absurdly little (aiortc: 57 kbit/s); below
/// this a desktop is unusable anyway.
pub const FLOOR_BPS: u64 = 500_000;
/// The highest estimate, in bit/s; it bounds bursts.
pub const CEILING_BPS: u64 = 100_000_000;
/// Sending this share of the encoder's limit is enough to have caused congestion.
const BUSY_FRACTION: (u64, u64) = (1, 2);
/// The window over which the sent rate is measured: long enough for several frames, short enough
/// that motion soon fills it.
const WINDOW: Duration = Duration::from_millis(500);
/// Least time between two restarts of the controller, because each restarts its measurements.
const RESTART_GAP: Duration = Duration::from_millis(500);

/// If more packets than this wait for the pacer, the peer cannot follow, however fast its network
/// is: frames are dropped until the next keyframe. About 4 MB…
pub const MAX_BACKLOG_PACKETS: usize = 4000;
/// …and so if more wait than the network carries in this time, apart from one keyframe's packets.
const MAX_DELAY: Duration = Duration::from_secs(4);
const KEYFRAME_PACKETS: u64 = 400;
/// Bits of a full packet.
const PACKET_BITS: u64 = 1200 * 8;

/// The decision on a report of the congestion controller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Judgement {
    /// The report is the new estimate.
    Believed,
    /// The report is rejected, and the controller must continue from the estimate.
    Restart {
        /// The estimate, in bit/s.
        bps: u64,
    },
    /// The report is rejected, and nothing need be done yet.
    Ignored,
}

/// The estimate for one peer's network.
#[derive(Debug)]
pub struct Estimate {
    believed_bps: u64,
    encoder_bps: u64,
    window_start: Instant,
    window_bytes: u64,
    sent_bps: u64,
    last_restart: Option<Instant>,
}

impl Estimate {
    /// Starts with an estimate of `start_bps`; the encoder uses at most `encoder_bps`.
    #[must_use]
    pub fn new(now: Instant, start_bps: u64, encoder_bps: u64) -> Self {
        Self {
            believed_bps: start_bps.clamp(FLOOR_BPS, CEILING_BPS),
            encoder_bps,
            window_start: now,
            window_bytes: 0,
            sent_bps: 0,
            last_restart: None,
        }
    }

    /// The estimate, in bit/s.
    #[must_use]
    pub const fn bps(&self) -> u64 {
        self.believed_bps
    }

    /// How many packets may wait for the pacer. A viewer whose network is slower than the common
    /// stream then sees a picture now and then, instead of one that is a minute old.
    #[must_use]
    pub fn backlog_packets(&self) -> usize {
        let carried = self.believed_bps * MAX_DELAY.as_secs() / PACKET_BITS;
        let packets = carried.max(KEYFRAME_PACKETS);
        usize::try_from(packets).unwrap_or(usize::MAX).min(MAX_BACKLOG_PACKETS)
    }

    /// Whether the estimate is below what the encoder may use.
    #[must_use]
    pub const fn is_limiting(&self) -> bool {
        self.believed_bps < self.encoder_bps
    }

    /// Sets the estimate from a source that is better than the controller.
    pub fn assume(&mut self, bps: u64) {
        self.believed_bps = bps.clamp(FLOOR_BPS, CEILING_BPS);
    }

    /// Counts sent media.
    pub fn on_sent(&mut self, now: Instant, bytes: usize) {
        self.roll(now);
        self.window_bytes += bytes as u64;
    }

    /// Decides on a report of the controller.
    pub fn on_report(&mut self, now: Instant, reported_bps: u64) -> Judgement {
        self.roll(now);
        let reported = reported_bps.clamp(FLOOR_BPS, CEILING_BPS);
        if reported >= self.believed_bps || self.is_busy() {
            self.believed_bps = reported;
            if reported_bps >= FLOOR_BPS {
                return Judgement::Believed;
            }
        }
        if self.last_restart.is_some_and(|last| now < last + RESTART_GAP) {
            return Judgement::Ignored;
        }
        self.last_restart = Some(now);
        Judgement::Restart { bps: self.believed_bps }
    }

    fn is_busy(&self) -> bool {
        let current = self.window_bytes * 8_000 / WINDOW.as_millis() as u64;
        let usable = self.believed_bps.min(self.encoder_bps);
        let (part, whole) = BUSY_FRACTION;
        self.sent_bps.max(current) >= usable * part / whole
    }

    fn roll(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.window_start);
        if elapsed < WINDOW {
            return;
        }
        // After a pause of two windows or more, nothing was sent in the last full one.
        let stale = elapsed >= WINDOW * 2;
        self.sent_bps =
            if stale { 0 } else { self.window_bytes * 8_000 / WINDOW.as_millis() as u64 };
        self.window_bytes = 0;
        self.window_start = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ENCODER: u64 = 8_000_000;

    #[test]
    fn report_of_less_while_hardly_sending_restarts_the_controller() {
        let now = Instant::now();
        let mut estimate = Estimate::new(now, ENCODER, ENCODER);
        estimate.on_sent(now, 1000);
        assert_eq!(estimate.on_report(now, 90_000), Judgement::Restart { bps: ENCODER });
        assert_eq!(estimate.on_report(now, 80_000), Judgement::Ignored);
        assert_eq!(estimate.bps(), ENCODER);
    }

    #[test]
    fn report_of_less_while_sending_much_is_believed() {
        let now = Instant::now();
        let mut estimate = Estimate::new(now, ENCODER, ENCODER);
        // Half a second at the encoder's full rate.
        estimate.on_sent(now, 500_000);
        assert_eq!(estimate.on_report(now, 3_000_000), Judgement::Believed);
        assert!(estimate.is_limiting());
        assert_eq!(estimate.on_report(now, 4_000_000), Judgement::Believed);
        assert_eq!(estimate.bps(), 4_000_000);
    }

    #[test]
    fn report_below_the_floor_while_sending_much_restarts_at_the_floor() {
        let now = Instant::now();
        let mut estimate = Estimate::new(now, ENCODER, ENCODER);
        estimate.on_sent(now, 500_000);
        assert_eq!(estimate.on_report(now, 57_000), Judgement::Restart { bps: FLOOR_BPS });
    }

    #[test]
    fn backlog_is_what_the_network_carries_in_a_few_seconds() {
        let mut estimate = Estimate::new(Instant::now(), ENCODER, ENCODER);
        for (bps, packets) in [(500_000, 400), (4_800_000, 2000), (50_000_000, 4000)] {
            estimate.assume(bps);
            assert_eq!(estimate.backlog_packets(), packets, "{bps}");
        }
    }

    #[test]
    fn sending_long_ago_does_not_count() {
        let now = Instant::now();
        let mut estimate = Estimate::new(now, ENCODER, ENCODER);
        estimate.on_sent(now, 500_000);
        let later = now + Duration::from_secs(5);
        assert_eq!(estimate.on_report(later, 3_000_000), Judgement::Restart { bps: ENCODER });
    }

    proptest! {
        #[test]
        fn belief_stays_in_its_bounds(
            steps in prop::collection::vec((0_u64..2000, any::<u64>(), 0_usize..2_000_000), 1..50)
        ) {
            let mut now = Instant::now();
            let mut estimate = Estimate::new(now, ENCODER, ENCODER);
            for (millis, reported, bytes) in steps {
                now += Duration::from_millis(millis);
                estimate.on_sent(now, bytes);
                estimate.on_report(now, reported);
                prop_assert!((FLOOR_BPS..=CEILING_BPS).contains(&estimate.bps()));
            }
        }
    }
}
