//! One encoded picture for a peer: its RTP time, and whether the peer may have it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lumen_ipc::{message::packets::FrameStamps, units::MonotonicMicros, video::VideoFormat};

/// Ticks per second of every video RTP clock (RFC 6184, section 8.1).
const TICKS_PER_SECOND: u64 = 90_000;
/// Least distance between two frames: one millisecond.
const LEAST_STEP: u64 = TICKS_PER_SECOND / 1000;

/// A commit that was so long before the encoding is not when the picture appeared to whoever gets it.
const LONG_AGO: Duration = Duration::from_secs(1);

/// One access unit, shared by all peers it goes to.
#[derive(Clone, Debug)]
pub struct VideoFrame {
    /// Its bytes.
    pub data: Arc<[u8]>,
    /// Its format.
    pub format: VideoFormat,
    /// Whether a decoder can start here.
    pub keyframe: bool,
    /// Its RTP time in ticks of 90 kHz, see [`RtpClock`].
    pub rtp_ticks: u64,
    /// The instant of that RTP time.
    pub captured: Instant,
    /// Its time stamps so far.
    pub stamps: FrameStamps,
}

/// The instant of an RTP time that [`RtpClock`] made: what sender reports say of it, by which receivers keep
/// pictures and sound together.
#[must_use]
pub const fn instant_of(rtp_ticks: u64) -> MonotonicMicros {
    let micros = rtp_ticks as u128 * 1_000_000 / TICKS_PER_SECOND as u128;
    // A time that has no stamp is only a hostile media worker's.
    MonotonicMicros(if micros > u64::MAX as u128 { u64::MAX } else { micros as u64 })
}

/// Converts time stamps into RTP times.
///
/// INVARIANT: times increase strictly. A receiver would take two frames with one RTP time for one
/// frame, and a refinement carries the commit stamp of the picture it refines.
#[derive(Debug, Default)]
pub struct RtpClock {
    last: Option<u64>,
}

impl RtpClock {
    /// The RTP time of a frame: that of its commit, unless that is long ago, or a frame with this time or a
    /// later one was sent. A still desktop that somebody begins to watch was committed long ago; a receiver would
    /// take the step from there to the next picture for a line that stood still all that time.
    pub fn ticks(&mut self, stamps: &FrameStamps) -> u64 {
        let least = self.last.map_or(0, |last| last + LEAST_STEP);
        let oldest = stamps.encoded.0.saturating_sub(LONG_AGO.as_micros() as u64);
        let ticks = [stamps.committed, stamps.rendered, stamps.encoded]
            .into_iter()
            .filter(|stamp| stamp.0 >= oldest)
            .map(|stamp| (u128::from(stamp.0) * u128::from(TICKS_PER_SECOND) / 1_000_000) as u64)
            .find(|ticks| *ticks >= least)
            .unwrap_or(least);
        // A stamp years ahead would hold all later frames there. A hostile media worker may do
        // this, because it disturbs only its own session; but the sum must not overflow.
        self.last = Some(ticks.min(u64::MAX / 2));
        ticks.min(u64::MAX / 2)
    }
}

/// Which frames a peer gets: none before its first keyframe, none between a gap and the next one,
/// and none at all while too many wait.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FrameGate {
    /// Only a keyframe passes.
    AwaitingKeyframe,
    /// Nothing passes until what waits has left.
    Behind,
    /// Everything passes.
    Open,
}

impl FrameGate {
    /// Later frames do not refer to earlier ones.
    pub fn interrupt(&mut self) {
        if *self == Self::Open {
            *self = Self::AwaitingKeyframe;
        }
    }

    /// Nothing waits any more, and what has left is lost.
    pub const fn begin_anew(&mut self) {
        *self = Self::AwaitingKeyframe;
    }

    /// Whether a frame passes; a keyframe opens the gate.
    pub fn admit(&mut self, keyframe: bool) -> bool {
        if keyframe && *self == Self::AwaitingKeyframe {
            *self = Self::Open;
        }
        *self == Self::Open
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stamps(committed: u64, rendered: u64) -> FrameStamps {
        FrameStamps {
            committed: MonotonicMicros(committed),
            rendered: MonotonicMicros(rendered),
            ..FrameStamps::default()
        }
    }

    #[test]
    fn ticks_follow_commit_and_a_refinement_follows_its_own_rendering() {
        let mut clock = RtpClock::default();
        assert_eq!(clock.ticks(&stamps(1_000_000, 1_001_000)), 90_000);
        assert_eq!(clock.ticks(&stamps(1_000_000, 1_100_000)), 99_000);
        assert_eq!(clock.ticks(&stamps(1_000_000, 1_100_000)), 99_090);
    }

    #[test]
    fn instant_of_a_refinement_is_that_of_its_own_rendering() {
        let mut clock = RtpClock::default();
        let instant = |ticks| instant_of(ticks).0;
        assert_eq!(instant(clock.ticks(&stamps(1_000_000, 1_001_000))), 1_000_000);
        // Rendered nine seconds after the picture that it refines was committed.
        assert_eq!(instant(clock.ticks(&stamps(1_000_000, 10_000_000))), 10_000_000);
        assert_eq!(instant_of(u64::MAX).0, u64::MAX);
    }

    #[test]
    fn picture_of_a_desktop_that_was_still_for_long_has_the_time_of_its_encoding() {
        let encoded_at = |committed, encoded| FrameStamps {
            encoded: MonotonicMicros(encoded),
            ..stamps(committed, committed)
        };
        let mut clock = RtpClock::default();
        assert_eq!(clock.ticks(&encoded_at(1_000_000, 300_000_000)), 27_000_000);
        // The next picture is a moment later, and has the time of its commit again.
        assert_eq!(clock.ticks(&encoded_at(300_100_000, 300_105_000)), 27_009_000);
    }

    #[test]
    fn gate_opens_with_a_keyframe() {
        let mut gate = FrameGate::AwaitingKeyframe;
        assert!(!gate.admit(false));
        assert!(gate.admit(true));
        assert!(gate.admit(false));
        gate.interrupt();
        assert!(!gate.admit(false));
    }

    #[test]
    fn gate_of_a_peer_that_is_behind_lets_no_keyframe_pass() {
        let mut gate = FrameGate::Behind;
        gate.interrupt();
        assert!(!gate.admit(true));
        assert_eq!(gate, FrameGate::Behind);
    }

    proptest! {
        #[test]
        fn ticks_grow_strictly(all in prop::collection::vec(any::<(u64, u64)>(), 1..50)) {
            let mut clock = RtpClock::default();
            let mut last = None;
            for (committed, rendered) in all {
                let ticks = clock.ticks(&stamps(committed / 2, rendered / 2));
                prop_assert!(ticks >= u64::MAX / 2 || last.is_none_or(|last| ticks > last));
                last = Some(ticks);
            }
        }
    }
}
