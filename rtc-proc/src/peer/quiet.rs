//! When a peer's timers may wait.
//!
//! The WebRTC implementation asks to be run for its bookkeeping many times a second for as long as a
//! peer exists. On a still screen the process would do nothing else. While nothing is queued, any
//! later moment serves these timers as well, so they are stretched, and a link that has been silent
//! for [`QUIET_AFTER`] becomes quiet: one wake-up a second for the timers hidden behind them.

use std::time::{Duration, Instant};

use str0m::{PacerReason, Reason};

/// A link becomes quiet after this silence.
pub const QUIET_AFTER: Duration = Duration::from_secs(1);
/// How long bookkeeping may wait on a busy link. It bounds the delay of timers hidden behind it
/// (retransmissions of data channels, whose shortest timeout is ten times longer).
const BUSY_INTERVAL: Duration = Duration::from_millis(100);
/// How long it may wait on a quiet link.
const QUIET_INTERVAL: Duration = Duration::from_secs(1);

/// Whether a link is in use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Activity {
    /// It was used recently.
    Busy {
        /// When it was last used.
        last: Instant,
    },
    /// It is not in use.
    Quiet,
}

impl Activity {
    /// Whether the link has been silent long enough to become quiet.
    #[must_use]
    pub fn has_faded(self, now: Instant) -> bool {
        matches!(self, Self::Busy { last } if now >= last + QUIET_AFTER)
    }

    /// When to run next, if the WebRTC machine asks for `at` because of `reason`.
    #[must_use]
    pub fn deadline(self, now: Instant, at: Instant, reason: Reason, queue_empty: bool) -> Instant {
        if !(queue_empty && is_bookkeeping(reason)) {
            return at;
        }
        match self {
            // Not after the moment at which the link may become quiet, or it would stay busy for
            // longer.
            Self::Busy { last } => at.max((now + BUSY_INTERVAL).min((last + QUIET_AFTER).max(now))),
            Self::Quiet => at.max(now + QUIET_INTERVAL),
        }
    }
}

const fn is_bookkeeping(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Pacer(PacerReason::Handle | PacerReason::Padding)
            | Reason::PauseCheck
            | Reason::Stats
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACER: Reason = Reason::Pacer(PacerReason::Handle);

    #[test]
    fn deadline_with_packets_queued_or_real_work_is_kept() {
        let now = Instant::now();
        let at = now + Duration::from_millis(40);
        assert_eq!(Activity::Quiet.deadline(now, at, PACER, false), at);
        assert_eq!(Activity::Quiet.deadline(now, at, Reason::Sctp, true), at);
    }

    #[test]
    fn deadline_of_bookkeeping_is_stretched() {
        let now = Instant::now();
        let at = now + Duration::from_millis(40);
        let busy = Activity::Busy { last: now };
        assert_eq!(busy.deadline(now, at, PACER, true), now + BUSY_INTERVAL);
        assert_eq!(Activity::Quiet.deadline(now, at, PACER, true), now + QUIET_INTERVAL);
    }

    #[test]
    fn busy_link_fades_after_silence() {
        let now = Instant::now();
        let busy = Activity::Busy { last: now };
        assert!(!busy.has_faded(now + QUIET_AFTER - Duration::from_millis(1)));
        assert!(busy.has_faded(now + QUIET_AFTER));
    }
}
