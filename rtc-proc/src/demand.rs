//! What all peers together ask of media: whether anybody watches, the size of the desktop,
//! keyframes, and a bit rate.
//!
//! Media encodes once for everybody, so one rate serves all and one keyframe serves everybody who
//! waits. No viewer may have too much of either at the others' cost:
//!
//! - The slowest network decides the rate, unless it is an outlier: it carries less than a quarter
//!   (`OUTLIER_PART`) of what the network does of the viewer who works on the desktop, or of what
//!   the median network does while nobody works. The rate then follows the slowest of the others, and
//!   the outlier's viewer gets as many of the pictures as its network carries.
//! - A viewer may ask for a few keyframes at once, and then for one every few seconds
//!   ([`KeyframeAllowance`]). A request that comes too soon waits, and the next keyframe serves it,
//!   whoever asked for that.
//!
//! While a requested keyframe has not come, another request is for the same one. Media decides how soon
//! after another a keyframe is made, and the highest bit rate: there both limits hold even if this process
//! is taken over.

use std::time::{Duration, Instant};

use lumen_ipc::{
    demand::Demand,
    units::{Kbps, OutputSize, StreamId},
    video::{VideoFormat, VideoFormats},
};

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
    /// Whether media has not been told yet.
    is_news: bool,
    /// Whether a keyframe was requested and none has come.
    is_keyframe_due: bool,
    rate: RateControl,
    /// What media can encode; unknown until it has said so.
    offered: Option<VideoFormats>,
    /// Kept to reuse its memory: estimates are read with every datagram.
    networks: Vec<Network>,
}

impl Wanted {
    /// A demand while nobody watches; see `RateControl::new`.
    #[must_use]
    pub fn new(least: Kbps, most: Kbps) -> Self {
        let (stream, rate) = (StreamId::VIDEO, RateControl::new(least, most));
        let demand = Demand {
            stream,
            watchers: 0,
            size: None,
            format: None,
            bitrate: rate.told(),
            keyframes: 0,
        };
        let networks = Vec::new();
        Self { demand, is_news: false, is_keyframe_due: false, rate, offered: None, networks }
    }

    /// What is wanted.
    #[must_use]
    pub const fn demand(&self) -> Demand {
        self.demand
    }

    /// What is wanted, if it has changed since the last call.
    pub fn news(&mut self) -> Option<Demand> {
        std::mem::take(&mut self.is_news).then_some(self.demand)
    }

    /// Handles a peer that joined: it sees nothing before a keyframe. One is requested even if one is
    /// due, because media may make that one wait, and none for a newcomer.
    pub const fn joined(&mut self) {
        self.want_keyframe();
    }

    /// Handles a peer that cannot go on without a keyframe.
    pub const fn keyframe_asked(&mut self) {
        if !self.is_keyframe_due {
            self.want_keyframe();
        }
    }

    /// Handles a keyframe, which serves everybody who waited for one.
    pub const fn keyframe_came(&mut self) {
        self.is_keyframe_due = false;
    }

    /// Takes the networks of all viewers that watch.
    pub fn watched(&mut self, now: Instant, networks: impl IntoIterator<Item = Network>) {
        self.networks.clear();
        self.networks.extend(networks);
        let watchers = u16::try_from(self.networks.len()).unwrap_or(u16::MAX);
        let deciding = deciding(&mut self.networks);
        let bitrate = self.rate.update(now, deciding).unwrap_or(self.demand.bitrate);
        self.set(Demand { watchers, bitrate, ..self.demand });
    }

    /// Sets the size of the desktop; `None` keeps the one it has.
    pub fn resized(&mut self, size: Option<OutputSize>) {
        self.set(Demand { size, ..self.demand });
    }

    /// Takes what media can encode.
    pub fn offered(&mut self, formats: VideoFormats) {
        self.offered = Some(formats);
    }

    /// Chooses the format that most viewers can decode, as `takers` counts them; of several, the
    /// one that media prefers. While nobody watches, it chooses nothing.
    pub fn choose(&mut self, takers: impl Fn(VideoFormat) -> usize) {
        let (Some(offered), 1..) = (&self.offered, self.demand.watchers) else { return };
        // `max_by_key` takes the last of equals, and media lists the best first.
        let format = offered.iter().rev().max_by_key(|format| takers(*format));
        self.set(Demand { format, ..self.demand });
    }

    fn set(&mut self, demand: Demand) {
        self.is_news |= demand != self.demand;
        self.demand = demand;
    }

    const fn want_keyframe(&mut self) {
        self.demand.keyframes = self.demand.keyframes.wrapping_add(1);
        (self.is_keyframe_due, self.is_news) = (true, true);
    }
}

/// The network of one viewer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network {
    /// What it leaves to the encoder, in bit/s.
    pub bps: u64,
    /// Whether its viewer is the one who works on the desktop.
    pub works: bool,
}

/// A network that carries less than this part of another decides for its own viewer only.
const OUTLIER_PART: u64 = 4;
/// Keyframes one viewer may ask for at once…
const ALLOWED_AT_ONCE: u32 = 3;
/// …and how soon it may ask for one more.
const ALLOWED_EVERY: Duration = Duration::from_secs(2);

/// What decides the rate for all, in bit/s; `None` without networks.
fn deciding(networks: &mut [Network]) -> Option<u64> {
    networks.sort_unstable_by_key(|network| network.bps);
    // Of two networks the faster counts as the median: a single slow viewer does not decide for a
    // single fast one.
    let middle = networks.get(networks.len() / 2)?;
    let reference = networks.iter().find(|network| network.works).unwrap_or(middle).bps;
    networks.iter().map(|network| network.bps).find(|bps| *bps >= reference / OUTLIER_PART)
}

/// How many keyframes one viewer may still request.
#[derive(Debug, Default)]
pub struct KeyframeAllowance {
    /// When the full allowance is available again.
    full_at: Option<Instant>,
    waiting: bool,
    /// Whether one was requested and none has come.
    under_way: bool,
}

impl KeyframeAllowance {
    /// Handles the viewer's joining: a keyframe is requested on its behalf, at no cost to it.
    pub const fn joined(&mut self) {
        self.under_way = true;
    }

    /// Handles a request of the viewer; returns whether it counts now. If it is too soon,
    /// [`KeyframeAllowance::due`] counts it later. While a keyframe is on its way, another request
    /// is for the same one.
    pub fn request(&mut self, now: Instant) -> bool {
        if self.under_way {
            return false;
        }
        self.waiting = true;
        self.due(now)
    }

    /// Returns whether a request that came too soon counts now.
    pub fn due(&mut self, now: Instant) -> bool {
        let due = self.waiting && self.deadline().is_none_or(|at| now >= at);
        if due {
            (self.waiting, self.under_way) = (false, true);
            let full_at = self.full_at.map_or(now, |at| at.max(now));
            self.full_at = Some(full_at + ALLOWED_EVERY);
        }
        due
    }

    /// Handles a keyframe, which the viewer receives.
    pub const fn served(&mut self) {
        (self.waiting, self.under_way) = (false, false);
    }

    /// When to call [`KeyframeAllowance::due`] again.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let full_at = self.full_at.filter(|_| self.waiting)?;
        full_at.checked_sub(ALLOWED_EVERY * (ALLOWED_AT_ONCE - 1))
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
    /// Media starts at `most`, which is never exceeded; never asks for less than `least`.
    fn new(least: Kbps, most: Kbps) -> Self {
        Self { most, least: least.min(most), told: most, changed: None }
    }

    /// Takes the deciding estimate in bit/s (`None`: nobody watches); returns the rate to ask for,
    /// if it is a new one.
    fn update(&mut self, now: Instant, deciding_bps: Option<u64>) -> Option<Kbps> {
        let wanted = deciding_bps.map_or(self.most, |bps| self.usable(bps));
        if !self.is_worth_telling(now, wanted) {
            return None;
        }
        self.told = wanted;
        self.changed = Some(now);
        Some(wanted)
    }

    /// The rate asked for last.
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
    use lumen_ipc::units::Scale;
    use proptest::prelude::*;

    const fn watching(bps: u64) -> Network {
        Network { bps, works: false }
    }

    fn kbps(value: u64) -> Kbps {
        Kbps::new(value).expect("legal")
    }

    #[test]
    fn demand_is_news_once_and_whole() {
        let start = Instant::now();
        let mut wanted = Wanted::new(kbps(500), kbps(8000));
        assert_eq!(wanted.news(), None);
        wanted.joined();
        wanted.watched(start, [watching(4_000_000)]);
        let (stream, bitrate) = (StreamId::VIDEO, kbps(3600));
        let expected =
            Demand { stream, watchers: 1, size: None, format: None, bitrate, keyframes: 1 };
        assert_eq!((wanted.news(), wanted.news()), (Some(expected), None));
        wanted.watched(start, [watching(4_000_000)]);
        assert_eq!(wanted.news(), None);
        wanted.keyframe_came();
        wanted.keyframe_asked();
        let expected = Demand { keyframes: 2, ..expected };
        assert_eq!(wanted.news(), Some(expected));
        let size = Some(OutputSize::nearest(800, 600, Scale::ONE));
        wanted.resized(size);
        wanted.resized(size);
        assert_eq!((wanted.news(), wanted.news()), (Some(Demand { size, ..expected }), None));
    }

    #[test]
    fn format_is_chosen_from_what_media_offers_for_those_who_watch() {
        let start = Instant::now();
        let mut wanted = Wanted::new(kbps(500), kbps(8000));
        wanted.watched(start, [watching(9_000_000)]);
        wanted.choose(|_| 1);
        assert_eq!(wanted.demand().format, None);
        wanted.watched(start, []);
        wanted.offered(VideoFormats::all());
        wanted.choose(|_| 0);
        assert_eq!(wanted.demand().format, None);
        wanted.news();
        wanted.watched(start, [watching(9_000_000)]);
        wanted.choose(|_| 1);
        let best = VideoFormats::all().iter().next();
        assert_eq!(wanted.news().and_then(|demand| demand.format), best);
        // One format serves all, so what more of them take is better.
        let baseline = VideoFormat::H264ConstrainedBaseline;
        wanted.choose(|format| if format == baseline { 2 } else { 1 });
        assert_eq!(wanted.news().and_then(|demand| demand.format), Some(baseline));
    }

    #[test]
    fn keyframe_that_is_due_serves_all_who_ask_for_one() {
        let mut wanted = Wanted::new(kbps(500), kbps(8000));
        let asked = |wanted: &mut Wanted| wanted.news().map(|demand| demand.keyframes);
        for _ in 0..3 {
            wanted.keyframe_asked();
        }
        assert_eq!((asked(&mut wanted), asked(&mut wanted)), (Some(1), None));
        wanted.joined();
        assert_eq!(asked(&mut wanted), Some(2), "media lets no newcomer wait");
        wanted.keyframe_asked();
        assert_eq!(asked(&mut wanted), None);
        wanted.keyframe_came();
        wanted.keyframe_asked();
        assert_eq!(asked(&mut wanted), Some(3));
    }

    #[test]
    fn viewer_that_keeps_asking_for_keyframes_gets_a_few_and_then_one_now_and_then() {
        let start = Instant::now();
        let mut allowance = KeyframeAllowance::default();
        let mut granted = 0;
        for millis in (0..60_000).step_by(100) {
            if allowance.request(start + Duration::from_millis(millis)) {
                granted += 1;
                allowance.served();
            }
        }
        assert!((30..=33).contains(&granted), "{granted} keyframes in a minute");
        let later = start + Duration::from_secs(120);
        for _ in 0..ALLOWED_AT_ONCE {
            assert!(allowance.request(later));
            assert!(!allowance.request(later), "the keyframe is on its way");
            allowance.served();
        }
        assert!(!allowance.request(later));
        assert_eq!(allowance.deadline(), Some(later + ALLOWED_EVERY));
        assert!(allowance.due(later + ALLOWED_EVERY));
        assert!(!allowance.request(later + ALLOWED_EVERY));
        allowance.served();
        assert_eq!(allowance.deadline(), None, "it received the keyframe");
    }

    #[test]
    fn deciding_is_the_slowest_network_that_is_no_outlier() {
        for (estimates, decides) in [
            (vec![], None),
            (vec![500_000], Some(500_000)),
            (vec![500_000, 8_000_000], Some(8_000_000)),
            (vec![3_000_000, 8_000_000], Some(3_000_000)),
            (vec![500_000, 600_000, 8_000_000], Some(500_000)),
            (vec![8_000_000, 500_000, 6_000_000], Some(6_000_000)),
            (vec![2_000_000, 8_000_000, 500_000, 9_000_000], Some(2_000_000)),
        ] {
            let mut networks: Vec<_> = estimates.iter().copied().map(watching).collect();
            assert_eq!(deciding(&mut networks), decides, "{estimates:?}");
        }
    }

    #[test]
    fn deciding_is_never_above_the_network_of_the_viewer_who_works() {
        for (works, others, decides) in [
            (500_000, vec![8_000_000, 9_000_000, 8_000_000], 500_000),
            (8_000_000, vec![500_000, 600_000, 700_000], 8_000_000),
            (8_000_000, vec![2_500_000, 600_000], 2_500_000),
        ] {
            let mut networks: Vec<_> = others.iter().copied().map(watching).collect();
            networks.push(Network { bps: works, works: true });
            assert_eq!(deciding(&mut networks), Some(decides), "{works} beside {others:?}");
        }
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
