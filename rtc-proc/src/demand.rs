//! What all peers together want of media: whether anybody watches, keyframes, and a bit rate.
//!
//! Media encodes once for everybody, so the slowest network decides the rate, and one keyframe
//! serves all who wait. Here, and nowhere else, is decided how often keyframes are asked for and how
//! much is ever asked for.

use std::time::{Duration, Instant};

use lumen_ipc::{
    demand::Demand,
    units::{Kbps, StreamId},
};

/// Least time between two keyframes that browsers ask for: each costs many times a usual frame, and
/// asking is free. A peer that joins does not wait for it.
pub const KEYFRAME_FLOOR: Duration = Duration::from_millis(300);
/// The rate is lowered at once if the network carries this much less, in percent…
const LOWER_PERCENT: u64 = 5;
/// …and raised if it carries this much more, in percent…
const RAISE_PERCENT: u64 = 15;
/// …but not sooner than this after the last change.
const RAISE_GAP: Duration = Duration::from_secs(1);
/// The part of the network the encoder may use, in percent: the rest is for headers,
/// retransmissions and data channels.
const ENCODER_PERCENT: u64 = 90;

/// What is wanted of the one stream.
#[derive(Debug)]
pub struct Wanted {
    demand: Demand,
    /// Whether media has not been told of it.
    is_news: bool,
    keyframes: KeyframeFloor,
    rate: RateControl,
}

impl Wanted {
    /// Nobody watches; see [`RateControl::new`].
    #[must_use]
    pub fn new(least: Kbps, most: Kbps) -> Self {
        let (stream, rate) = (StreamId::VIDEO, RateControl::new(least, most));
        let demand = Demand { stream, watchers: 0, bitrate: rate.told(), keyframes: 0 };
        Self { demand, is_news: false, keyframes: KeyframeFloor::default(), rate }
    }

    /// What is wanted.
    #[must_use]
    pub const fn demand(&self) -> Demand {
        self.demand
    }

    /// What is wanted, if that has changed since this was asked.
    pub fn news(&mut self) -> Option<Demand> {
        std::mem::take(&mut self.is_news).then_some(self.demand)
    }

    /// A peer joined, which sees nothing before a keyframe.
    pub fn joined(&mut self, now: Instant) {
        if self.keyframes.join(now) {
            self.want_keyframe();
        }
    }

    /// A peer cannot go on without a keyframe.
    pub fn keyframe_asked(&mut self, now: Instant) {
        if self.keyframes.request(now) {
            self.want_keyframe();
        }
    }

    /// A keyframe came: whoever waited has it.
    pub fn keyframe_came(&mut self) {
        self.keyframes.served();
    }

    /// So many peers watch, and the slowest of their networks carries so many bit/s.
    pub fn watched(&mut self, now: Instant, watchers: u16, slowest_bps: Option<u64>) {
        let bitrate = self.rate.update(now, slowest_bps).unwrap_or(self.demand.bitrate);
        let demand = Demand { watchers, bitrate, ..self.demand };
        self.is_news |= demand != self.demand;
        self.demand = demand;
    }

    /// Time has come.
    pub fn timeout(&mut self, now: Instant) {
        if self.keyframes.due(now) {
            self.want_keyframe();
        }
    }

    /// When to call [`Wanted::timeout`].
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.keyframes.deadline()
    }

    const fn want_keyframe(&mut self) {
        self.demand.keyframes = self.demand.keyframes.wrapping_add(1);
        self.is_news = true;
    }
}

/// Decides when media is asked for a keyframe.
#[derive(Debug, Default)]
struct KeyframeFloor {
    last: Option<Instant>,
    waiting: bool,
}

impl KeyframeFloor {
    /// A peer joined; returns whether to ask. Always: it sees nothing before.
    fn join(&mut self, now: Instant) -> bool {
        self.last = Some(now);
        self.waiting = false;
        true
    }

    /// A browser asked; returns whether to ask media. If it is too soon, [`KeyframeFloor::due`]
    /// says so later.
    fn request(&mut self, now: Instant) -> bool {
        self.waiting = true;
        self.due(now)
    }

    /// Returns whether a request that came too soon is to be made now.
    fn due(&mut self, now: Instant) -> bool {
        let due = self.waiting && self.deadline().is_none_or(|at| now >= at);
        if due {
            self.join(now);
        }
        due
    }

    /// A keyframe came: whoever waited has it.
    fn served(&mut self) {
        self.waiting = false;
    }

    /// When to look at [`KeyframeFloor::due`] again.
    fn deadline(&self) -> Option<Instant> {
        self.last.filter(|_| self.waiting).map(|last| last + KEYFRAME_FLOOR)
    }
}

/// Decides the bit rate asked of media.
#[derive(Debug)]
struct RateControl {
    most: Kbps,
    least: Kbps,
    told: Kbps,
    changed: Option<Instant>,
}

impl RateControl {
    /// Media starts at `most`, which is never exceeded; below `least` nothing is asked.
    fn new(least: Kbps, most: Kbps) -> Self {
        Self { most, least: least.min(most), told: most, changed: None }
    }

    /// Takes the slowest network's estimate in bit/s (`None`: nobody watches); returns the rate to
    /// ask for, if it is another one.
    fn update(&mut self, now: Instant, slowest_bps: Option<u64>) -> Option<Kbps> {
        let wanted = slowest_bps.map_or(self.most, |bps| self.usable(bps));
        if !self.is_worth_telling(now, wanted) {
            return None;
        }
        self.told = wanted;
        self.changed = Some(now);
        Some(wanted)
    }

    /// What was asked last.
    const fn told(&self) -> Kbps {
        self.told
    }

    fn usable(&self, bps: u64) -> Kbps {
        if bps >= u64::from(self.most.value()) * 1000 {
            return self.most;
        }
        Kbps::clamped(bps / 1000 * ENCODER_PERCENT / 100).clamp(self.least, self.most)
    }

    fn is_worth_telling(&self, now: Instant, wanted: Kbps) -> bool {
        let (told, new) = (u64::from(self.told.value()), u64::from(wanted.value()));
        if new < told {
            return new * 100 <= told * (100 - LOWER_PERCENT) || wanted == self.least;
        }
        let rested = self.changed.is_none_or(|changed| now >= changed + RAISE_GAP);
        let enough = new * 100 >= told * (100 + RAISE_PERCENT) || wanted == self.most;
        new > told && rested && enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kbps(value: u64) -> Kbps {
        Kbps::new(value).expect("legal")
    }

    #[test]
    fn demand_is_news_once_and_whole() {
        let start = Instant::now();
        let mut wanted = Wanted::new(kbps(500), kbps(8000));
        assert_eq!(wanted.news(), None);
        wanted.joined(start);
        wanted.watched(start, 1, Some(4_000_000));
        let (stream, bitrate) = (StreamId::VIDEO, kbps(3600));
        let expected = Demand { stream, watchers: 1, bitrate, keyframes: 1 };
        assert_eq!((wanted.news(), wanted.news()), (Some(expected), None));
        wanted.watched(start, 1, Some(4_000_000));
        assert_eq!(wanted.news(), None);
        wanted.keyframe_asked(start);
        assert_eq!(wanted.news(), None, "the floor");
        let at = wanted.deadline().expect("a keyframe that waits");
        wanted.timeout(at);
        assert_eq!(wanted.news(), Some(Demand { keyframes: 2, ..expected }));
    }

    #[test]
    fn keyframe_requests_keep_the_floor_and_none_is_lost() {
        let start = Instant::now();
        let mut floor = KeyframeFloor::default();
        assert!(floor.request(start));
        let soon = start + Duration::from_millis(1);
        assert!(!floor.request(soon));
        assert_eq!(floor.deadline(), Some(start + KEYFRAME_FLOOR));
        assert!(!floor.due(soon));
        assert!(floor.due(start + KEYFRAME_FLOOR));
        assert_eq!(floor.deadline(), None);
    }

    #[test]
    fn keyframe_for_a_joining_peer_does_not_wait() {
        let start = Instant::now();
        let mut floor = KeyframeFloor::default();
        assert!(floor.join(start));
        assert!(floor.join(start));
        assert!(!floor.request(start));
        floor.served();
        assert!(!floor.due(start + KEYFRAME_FLOOR));
    }

    #[test]
    fn rate_falls_at_once_and_rises_later() {
        let start = Instant::now();
        let mut rate = RateControl::new(kbps(500), kbps(8000));
        assert_eq!(rate.update(start, Some(20_000_000)), None);
        assert_eq!(rate.update(start, Some(4_000_000)), Some(kbps(3600)));
        assert_eq!(rate.update(start, Some(4_050_000)), None);
        assert_eq!(rate.update(start, Some(9_000_000)), None);
        assert_eq!(rate.update(start + RAISE_GAP, Some(9_000_000)), Some(kbps(8000)));
    }

    #[test]
    fn rate_never_falls_below_the_floor() {
        let start = Instant::now();
        let mut rate = RateControl::new(kbps(500), kbps(8000));
        assert_eq!(rate.update(start, Some(57_000)), Some(kbps(500)));
    }

    proptest! {
        #[test]
        fn rate_stays_in_its_bounds(
            steps in prop::collection::vec((0_u64..3000, prop::option::of(any::<u64>())), 1..50)
        ) {
            let mut now = Instant::now();
            let mut rate = RateControl::new(kbps(500), kbps(8000));
            for (millis, bps) in steps {
                now += Duration::from_millis(millis);
                let told = rate.told();
                let update = rate.update(now, bps);
                prop_assert!(update != Some(told));
                prop_assert!((kbps(500)..=kbps(8000)).contains(&rate.told()));
            }
        }
    }
}
