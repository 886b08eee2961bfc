//! How a direction of a line treats packets, in the units in which lines are described.

use std::time::Duration;

/// Bits of IP packets, headers included, in a second.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate(u64);

impl Rate {
    /// So many thousand bits a second.
    ///
    /// # Panics
    /// When it is none: nothing would ever pass.
    #[must_use]
    pub const fn kilobits(kilobits: u32) -> Self {
        assert!(kilobits > 0, "a rate above zero");
        Self(kilobits as u64 * 1000)
    }

    /// How long so many bytes take.
    #[must_use]
    pub const fn time_of(self, bytes: usize) -> Duration {
        Duration::from_nanos(bytes as u64 * 8 * 1_000_000_000 / self.0)
    }

    /// How many bytes pass in this time.
    #[must_use]
    pub const fn bytes_in(self, time: Duration) -> usize {
        (self.0 as u128 * time.as_micros() / 8_000_000) as usize
    }
}

/// What happens to packets that come faster than the line's rate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Limit {
    /// They are dropped: a token bucket that holds `burst` bytes.
    Policed {
        /// The rate at which the bucket is filled.
        rate: Rate,
        /// Bytes that may follow each other at once after silence.
        burst: usize,
    },
    /// They wait, and those that would wait longer than `depth` are dropped.
    Queued {
        /// The rate at which they leave.
        rate: Rate,
        /// The longest wait.
        depth: Duration,
    },
}

impl Limit {
    /// Policed as providers do it: the bucket holds a tenth of a second, and ten full packets at
    /// least, without which no picture larger than that would ever pass whole.
    #[must_use]
    pub fn policed(rate: Rate) -> Self {
        const TEN_PACKETS: usize = 15_000;
        Self::Policed { rate, burst: rate.bytes_in(Duration::from_millis(100)).max(TEN_PACKETS) }
    }
}

/// A packet's chance to be lost, in parts of ten thousand.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Loss(u16);

impl Loss {
    /// The parts of a whole.
    pub(super) const WHOLE: usize = 10_000;

    /// So many packets of a thousand.
    #[must_use]
    pub const fn per_mille(packets: u16) -> Self {
        Self(packets * 10)
    }

    pub(super) const fn parts(self) -> usize {
        self.0 as usize
    }
}

/// One direction of a line. The default lets everything pass at once.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Shape {
    /// Packets that get lost by chance.
    pub loss: Loss,
    /// The narrowest place, if there is one.
    pub limit: Option<Limit>,
    /// What each packet takes at least.
    pub delay: Duration,
    /// What each takes more, at most: every packet another part of it, by chance. None overtakes an
    /// earlier one, as on real routes nearly none does.
    pub jitter: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_turns_bytes_into_time_and_back() {
        let rate = Rate::kilobits(1600);
        assert_eq!(rate.time_of(1500), Duration::from_micros(7500));
        assert_eq!(rate.bytes_in(Duration::from_micros(7500)), 1500);
    }

    #[test]
    fn policed_slow_line_lets_ten_packets_pass_at_once() {
        let burst_at = |kilobits| match Limit::policed(Rate::kilobits(kilobits)) {
            Limit::Policed { burst, .. } => burst,
            Limit::Queued { .. } => 0,
        };
        assert_eq!(burst_at(800), 15_000);
        assert_eq!(burst_at(4000), 50_000);
    }
}
