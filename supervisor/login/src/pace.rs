//! The times of an attempt: how long it may take, and when a refusal is answered. Pure.
//!
//! How long PAM takes to refuse tells strangers whether an account exists, so the refusal waits: it leaves
//! at a whole multiple of [`BEAT`] since the last answer (or the beginning), whatever PAM did meanwhile. PAM's
//! own delay after a failure is switched off, because it is drawn at random and so would blur nothing that
//! this leaves.

use std::time::{Duration, Instant};

/// How long an attempt may take in all.
pub const WHOLE: Duration = Duration::from_secs(120);
/// A refusal is answered at a multiple of this.
pub const BEAT: Duration = Duration::from_secs(2);

/// The times of one attempt.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    began: Instant,
    answered: Instant,
}

impl Pace {
    /// Of an attempt that begins now.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self { began: now, answered: now }
    }

    /// The person has answered.
    pub const fn answered(&mut self, now: Instant) {
        self.answered = now;
    }

    /// When the attempt is given up.
    #[must_use]
    pub fn deadline(self) -> Instant {
        self.began + WHOLE
    }

    /// When a refusal that PAM has decided by `now` is answered.
    #[must_use]
    pub fn refusal_at(self, now: Instant) -> Instant {
        let spent = now.saturating_duration_since(self.answered);
        let beats = spent.as_millis().div_ceil(BEAT.as_millis()).max(1);
        // No more beats than fit: an attempt is ended long before.
        self.answered + BEAT * u32::try_from(beats).unwrap_or(u32::MAX / 4)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn refusal_leaves_at_the_same_time_however_long_pam_took(
            before in 0_u64..60_000,
            one in 0_u64..=2000,
            other in 0_u64..=2000,
        ) {
            let now = Instant::now();
            let mut pace = Pace::new(now);
            let answered = now + Duration::from_millis(before);
            pace.answered(answered);
            let at = |millis| pace.refusal_at(answered + Duration::from_millis(millis));
            prop_assert_eq!(at(one), at(other));
            prop_assert_eq!(at(one), answered + BEAT);
        }

        #[test]
        fn refusal_is_never_early_and_at_most_a_beat_late(spent in 0_u64..120_000) {
            let answered = Instant::now();
            let now = answered + Duration::from_millis(spent);
            let at = Pace::new(answered).refusal_at(now);
            prop_assert!(at >= now && at <= now + BEAT);
            let beats = at.duration_since(answered).as_millis();
            prop_assert_eq!(beats % BEAT.as_millis(), 0);
        }
    }
}
