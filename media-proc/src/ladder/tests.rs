//! Motions and networks in virtual time. A picture takes as many bits as a power of its samples, halved
//! every so many steps of the quantizer; the quantizer is the finest that the network carries.

use proptest::prelude::*;

use super::*;

/// A motion of some content over some network.
#[derive(Clone, Copy, Debug)]
struct Content {
    /// How often it changes a second.
    fps: u32,
    /// Bits that a whole picture takes at quantizer 40.
    bits: f64,
    /// By which power of the samples they grow.
    power: f64,
    /// How many steps of the quantizer halve them.
    halving: f64,
    /// How far each picture is from the mean, in percent.
    noise: u32,
}

/// At [`COARSE`] it takes 11.4 Mbit/s.
const NOISE: Content = Content { fps: 30, bits: 500_000.0, power: 1.2, halving: 7.5, noise: 10 };

struct Rig {
    ladder: Ladder,
    start: Instant,
    now: Instant,
    content: Content,
    kbps: u32,
    /// The numbers of the rungs, with when each was entered.
    path: Vec<(Duration, usize)>,
    pictures: usize,
    quantizer: u8,
    seed: u32,
}

impl Rig {
    fn new(max_fps: u16, content: Content, kbps: u32) -> Self {
        let start = Instant::now();
        let ladder = Ladder::new(Fps::clamped(max_fps.into()));
        let path = vec![(Duration::ZERO, 0)];
        Self { ladder, start, now: start, content, kbps, path, pictures: 0, quantizer: 0, seed: 1 }
    }

    fn run(&mut self, time: Duration) -> &mut Self {
        let end = self.now + time;
        let interval = Duration::from_secs(1) / self.content.fps;
        // What the network has carried of the pictures so far.
        let mut paid = self.now;
        while self.now < end {
            self.now += interval;
            self.ladder.changed(self.now);
            self.ladder.consider(self.now, Kbps::clamped(self.kbps.into()));
            let number = self.ladder.number();
            if self.path.last().is_none_or(|(_, last)| *last != number) {
                self.path.push((self.now - self.start, number));
            }
            if self.ladder.due().is_none_or(|due| due <= self.now) && paid <= self.now {
                paid = self.now + self.encode();
            }
        }
        self
    }

    /// Encodes a picture; returns how long it takes on the network beyond its own interval.
    fn encode(&mut self) -> Duration {
        self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let rung = self.ladder.rung();
        let spread = f64::from(self.seed >> 16) / 32768.0 - 1.0;
        let at_40 = self.content.bits
            * rung.reduction.part().powf(self.content.power)
            * (1.0 + spread * f64::from(self.content.noise) / 100.0);
        let fps = self.content.fps.min(rung.fps.value().into());
        let carried = f64::from(self.kbps) * 1000.0 / f64::from(fps);
        let coarser = (at_40 / carried).log2() * self.content.halving;
        let quantizer = (40.0 + coarser).clamp(23.0, 44.0).round() as u8;
        let bits = at_40 * ((40.0 - f64::from(quantizer)) / self.content.halving).exp2();
        self.ladder.encoded(self.now, Quantizer::nearest(quantizer), (bits / 8.0) as usize);
        self.pictures += 1;
        self.quantizer = quantizer;
        let interval = 1.0 / f64::from(fps);
        Duration::from_secs_f64((bits / (f64::from(self.kbps) * 1000.0) - interval).max(0.0))
    }

    fn number(&self) -> usize {
        self.ladder.number()
    }
}

#[test]
fn ladder_with_bits_to_spare_is_never_descended() {
    let mut rig = Rig::new(30, NOISE, 20_000);
    rig.run(Duration::from_secs(60));
    assert_eq!(rig.path, [(Duration::ZERO, 0)]);
}

#[test]
fn ladder_when_bits_are_short_lowers_the_frame_rate_to_thirty_then_the_size_then_the_rate_again() {
    let reached = |max_fps: u16, kbps| {
        let content = Content { fps: max_fps.into(), ..NOISE };
        let mut rig = Rig::new(max_fps, content, kbps);
        rig.run(Duration::from_secs(10));
        (rig.ladder.rung().fps.value(), rig.ladder.rung().reduction)
    };
    assert_eq!(reached(30, 11_000), (30, Reduction::WHOLE));
    assert_eq!(reached(30, 9_000), (30, Reduction::SLIGHT));
    assert_eq!(reached(30, 5_000), (30, Reduction::HALF));
    assert_eq!(reached(30, 2_000), (30, Reduction::STRONG));
    assert_eq!(reached(30, 800), (30, Reduction::QUARTER));
    assert_eq!(reached(30, 400), (20, Reduction::QUARTER));
    assert_eq!(reached(60, 18_000), (40, Reduction::WHOLE));
    assert_eq!(reached(60, 10_000), (40, Reduction::SLIGHT));
    assert_eq!(reached(60, 6_000), (60, Reduction::HALF));
    assert_eq!(reached(15, 200), (15, Reduction::QUARTER));
}

#[test]
fn ladder_at_sixty_pictures_a_second_keeps_more_than_thirty() {
    let content = Content { fps: 60, bits: 680_000.0, ..NOISE };
    let mut rig = Rig::new(60, content, 8000);
    rig.run(Duration::from_secs(4));
    let before = rig.pictures;
    rig.run(Duration::from_secs(10));
    let fps = (rig.pictures - before) / 10;
    assert!(fps >= 30, "{fps} pictures a second");
    assert!(rig.quantizer <= 41, "quantizer {}", rig.quantizer);
}

#[test]
fn ladder_on_a_line_that_fails_is_descended_within_a_second_and_a_half_and_keeps_fifteen_a_second()
{
    for kbps in [2400, 1600, 800] {
        let mut rig = Rig::new(30, NOISE, 12_000);
        rig.run(Duration::from_secs(5));
        assert_eq!(rig.number(), 0);
        rig.kbps = kbps;
        rig.run(Duration::from_millis(1500));
        assert!(rig.number() >= 3, "{kbps}: {:?}", rig.path);
        rig.run(Duration::from_secs(2));
        let before = rig.pictures;
        rig.run(Duration::from_secs(10));
        let fps = (rig.pictures - before) / 10;
        assert!(fps >= 15, "{kbps} kbit/s: {fps} pictures a second, {:?}", rig.path);
    }
}

#[test]
fn ladder_is_climbed_to_the_top_within_seconds_when_the_line_is_back() {
    let mut rig = Rig::new(30, NOISE, 800);
    rig.run(Duration::from_secs(30));
    assert!(rig.number() >= 4);
    rig.kbps = 20_000;
    rig.run(Duration::from_secs(5));
    assert_eq!(rig.number(), 0, "{:?}", rig.path);
}

#[test]
fn ladder_is_climbed_within_seconds_when_the_motion_becomes_gentle() {
    let mut rig = Rig::new(30, Content { power: 2.5, ..NOISE }, 800);
    rig.run(Duration::from_secs(30));
    assert!(rig.number() >= 2);
    rig.content = Content { bits: 10_000.0, power: 1.0, ..NOISE };
    rig.run(Duration::from_secs(5));
    assert_eq!(rig.number(), 0, "{:?}", rig.path);
}

#[test]
fn ladder_is_climbed_to_the_top_although_what_is_foretold_of_noise_is_wrong() {
    // Little is left of it in a small picture, and its bits fall far faster with the quantizer.
    let content = Content { bits: 300_000.0, power: 3.0, halving: 3.0, ..NOISE };
    let mut rig = Rig::new(30, content, 400);
    rig.run(Duration::from_secs(30));
    assert!(rig.number() >= 2, "{:?}", rig.path);
    rig.kbps = 20_000;
    rig.run(Duration::from_secs(20));
    assert_eq!(rig.number(), 0, "{:?}", rig.path);
}

#[test]
fn picture_that_rests_is_whole_and_descends_again_only_when_it_moves() {
    let mut rig = Rig::new(30, NOISE, 800);
    rig.run(Duration::from_secs(5));
    rig.ladder.rest();
    assert_eq!(rig.ladder.rung().reduction, Reduction::WHOLE);
    assert_eq!(rig.ladder.due(), None, "the next change is encoded at once");
    rig.now += Duration::from_secs(5);
    // A letter now and then is no motion.
    for _ in 0..20 {
        rig.now += Duration::from_millis(250);
        rig.ladder.changed(rig.now);
        rig.ladder.consider(rig.now, Kbps::clamped(100));
        rig.ladder.encoded(rig.now, Quantizer::FINEST, 100_000);
    }
    assert_eq!(rig.number(), 0);
}

#[test]
fn keyframe_that_would_take_long_is_smaller_and_whole_when_it_rests() {
    let begun = |bits: f64, kbps: u64| {
        let mut ladder = Ladder::new(Fps::clamped(30));
        ladder.begin(bits, Kbps::clamped(kbps));
        ladder
    };
    assert_eq!(begun(210_000.0, 8000).number(), 0);
    assert_eq!(begun(210_000.0, 700).number(), 0);
    let mut ladder = begun(210_000.0, 350);
    assert_eq!(ladder.rung().reduction, Reduction::SLIGHT);
    ladder.begin(210_000.0, Kbps::clamped(8000));
    assert!(ladder.number() > 0, "no keyframe makes the picture larger");
    ladder.rest();
    assert_eq!(ladder.number(), 0);
    assert_eq!(begun(1e9, 300).rung().reduction, Reduction::QUARTER);
}

#[test]
fn text_that_scrolls_is_whole_whatever_the_network_carries() {
    let mut ladder = Ladder::new(Fps::clamped(30));
    let mut now = Instant::now();
    ladder.begin(1e9, Kbps::clamped(300));
    assert!(ladder.number() > 0);
    for picture in 0..300 {
        now += Duration::from_millis(33);
        ladder.changed(now);
        ladder.consider(now, Kbps::clamped(300));
        // Now and then one moves too far to be found.
        if picture % 7 == 6 {
            ladder.encoded(now, COARSE, 100_000);
        } else {
            ladder.moved(now);
        }
        assert!(picture < 90 || ladder.number() == 0, "picture {picture}");
    }
}

#[test]
fn motion_that_becomes_a_change_now_and_then_is_whole_within_seconds() {
    let mut rig = Rig::new(30, NOISE, 800);
    rig.run(Duration::from_secs(5));
    assert!(rig.number() >= 3);
    rig.content = Content { fps: 2, ..NOISE };
    rig.run(Duration::from_secs(5));
    assert_eq!(rig.number(), 0, "{:?}", rig.path);
}

#[test]
fn lower_frame_rate_is_kept_on_average_whatever_the_rate_of_the_screen() {
    for fps in [41, 47, 60, 90] {
        let mut rig = Rig::new(60, Content { fps, bits: 1e6, ..NOISE }, 20_000);
        rig.run(Duration::from_secs(5));
        rig.pictures = 0;
        rig.run(Duration::from_secs(10));
        assert!((390..=410).contains(&rig.pictures), "{} of {fps} a second", rig.pictures);
    }
}

prop_compose! {
    fn content()(
        fps in prop_oneof![Just(20_u32), Just(30), Just(60)],
        bits in 5_000.0..2_000_000.0_f64,
        power in 0.7..3.0_f64,
        // Where fewer steps halve the bits than in anything that was measured, too much is foretold of a picture
        // that is much finer than the coarsest, and it may stay on a lower rung than need be.
        halving in 5.0..9.0_f64,
        noise in 0..20_u32,
    ) -> Content {
        Content { fps, bits, power, halving, noise }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn steady_motion_over_a_steady_network_comes_to_stand(content in content(), kbps in 300_u32..20_000) {
        let mut rig = Rig::new(60, content, kbps);
        rig.run(Duration::from_secs(60));
        let settled = rig.path.len();
        rig.run(Duration::from_secs(120));
        prop_assert!(rig.path.len() - settled <= 2, "{:?}", rig.path);
    }

    #[test]
    fn ladder_is_climbed_in_bounded_time(content in content(), kbps in 300_u32..2000) {
        let mut rig = Rig::new(60, content, kbps);
        rig.run(Duration::from_secs(30));
        // As much as the whole motion takes, and more.
        let whole = content.bits * f64::from(content.fps) / 1000.0 * 2.0;
        prop_assume!(whole < f64::from(Kbps::MAX.value()));
        rig.kbps = (whole as u32).max(2000);
        rig.run(MOST_PATIENCE + Duration::from_secs(4));
        prop_assert_eq!(rig.number(), 0, "{:?}", rig.path);
    }

    #[test]
    fn more_bits_never_mean_a_lower_rung(content in content(), kbps in 300_u32..10_000, more in 3_u32..8) {
        let content = Content { noise: 0, ..content };
        let settled = |kbps| {
            let mut rig = Rig::new(60, content, kbps);
            rig.run(Duration::from_secs(60));
            rig.number()
        };
        // As many as lie between descending and climbing.
        prop_assert!(settled(kbps * more / 2) <= settled(kbps));
    }
}
