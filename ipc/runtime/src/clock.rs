//! The monotonic clock. All processes of a machine read the same one, so stamps of different
//! processes can be subtracted.

use std::time::{Duration, Instant};

use lumen_ipc::units::MonotonicMicros;
use rustix::time::{ClockId, clock_gettime};

/// The present on `CLOCK_MONOTONIC`.
#[must_use]
pub fn now() -> MonotonicMicros {
    let now = clock_gettime(ClockId::Monotonic);
    // The kernel's monotonic clock counts from boot: both parts are non-negative.
    let micros = now.tv_sec.unsigned_abs() * 1_000_000 + now.tv_nsec.unsigned_abs() / 1_000;
    MonotonicMicros(micros)
}

/// Converts between [`Instant`], which pure code uses, and [`MonotonicMicros`], which crosses
/// links. Both are readings of the same clock; one pair of readings fixes their relation.
#[derive(Clone, Copy, Debug)]
pub struct Anchor {
    instant: Instant,
    micros: MonotonicMicros,
}

impl Anchor {
    /// Reads both clocks.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a default that reads the clock would surprise")]
    pub fn new() -> Self {
        Self { instant: Instant::now(), micros: now() }
    }

    /// `at` as an [`Instant`]. A stamp that an `Instant` cannot express becomes the anchor itself:
    /// only a hostile stamp is so far away.
    #[must_use]
    pub fn instant_of(&self, at: MonotonicMicros) -> Instant {
        let later = Duration::from_micros(at.since(self.micros));
        let earlier = Duration::from_micros(self.micros.since(at));
        let shifted = self.instant.checked_add(later).and_then(|at| at.checked_sub(earlier));
        shifted.unwrap_or(self.instant)
    }

    /// `at` as a stamp for other processes.
    #[must_use]
    pub fn micros_of(&self, at: Instant) -> MonotonicMicros {
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let later = micros(at.saturating_duration_since(self.instant));
        let earlier = micros(self.instant.saturating_duration_since(at));
        MonotonicMicros(self.micros.0.saturating_add(later).saturating_sub(earlier))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchor_there_and_back_is_the_same_stamp() {
        let anchor = Anchor::new();
        for stamp in [anchor.micros.0 + 7, anchor.micros.0, anchor.micros.0.saturating_sub(9)] {
            let stamp = MonotonicMicros(stamp);
            assert_eq!(anchor.micros_of(anchor.instant_of(stamp)), stamp);
        }
    }

    #[test]
    fn instant_of_absurd_stamp_is_that_stamp_or_the_anchor() {
        let anchor = Anchor::new();
        for stamp in [u64::MAX, u64::MAX - 1, 1, 0].map(MonotonicMicros) {
            let back = anchor.micros_of(anchor.instant_of(stamp));
            assert!(back == stamp || back == anchor.micros, "{stamp:?} became {back:?}");
        }
        let (long_ago, far) =
            (anchor.instant_of(MonotonicMicros(0)), anchor.instant_of(MonotonicMicros(u64::MAX)));
        assert!(long_ago <= anchor.instant && anchor.instant <= far);
    }

    #[test]
    fn now_never_goes_back() {
        let earlier = now();
        assert!(now() >= earlier);
    }
}
