//! A token bucket over virtual time.

use std::time::{Duration, Instant};

/// Allows `rate` events a second after a burst of `burst`.
#[derive(Debug)]
pub struct TokenBucket {
    per_token: Duration,
    burst: u32,
    tokens: u32,
    counted_until: Instant,
}

impl TokenBucket {
    /// A full bucket. `rate` must not be zero.
    #[must_use]
    pub fn new(now: Instant, rate: u32, burst: u32) -> Self {
        let per_token = Duration::from_secs(1) / rate.max(1);
        Self { per_token, burst, tokens: burst, counted_until: now }
    }

    /// Takes one token; `false` when there is none.
    pub fn take(&mut self, now: Instant) -> bool {
        self.refill(now);
        let Some(left) = self.tokens.checked_sub(1) else { return false };
        self.tokens = left;
        true
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.counted_until);
        let earned = elapsed.as_nanos() / self.per_token.as_nanos().max(1);
        let room = u128::from(self.burst - self.tokens);
        match u32::try_from(earned) {
            // The remainder of a token's time is kept.
            Ok(earned) if u128::from(earned) < room => {
                self.tokens += earned;
                self.counted_until += self.per_token * earned;
            }
            _ => {
                self.tokens = self.burst;
                self.counted_until = now;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn take_after_a_burst_follows_the_rate() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(start, 10, 3);
        let mut taken = |millis| {
            let now = start + Duration::from_millis(millis);
            (0..100).take_while(|_| bucket.take(now)).count()
        };
        assert_eq!(taken(0), 3);
        assert_eq!(taken(99), 0);
        assert_eq!(taken(250), 2);
        assert_eq!(taken(300), 1);
        assert_eq!(taken(60_000), 3);
    }
}
