//! Virtual time; the costs of pictures are invented, but follow measurements of x264.

use super::*;
use proptest::prelude::*;

/// Macroblocks of 1920×1080.
const TOTAL: usize = 8160;
const KEY: Ask = Ask { kind: Kind::Key, changed: 0, total: TOTAL };
const SCROLL: Ask = Ask { kind: Kind::Change, changed: TOTAL, total: TOTAL };
const LETTER: Ask = Ask { kind: Kind::Change, changed: 4, total: TOTAL };
const REFINEMENT: Ask = Ask { kind: Kind::Refinement, changed: 0, total: TOTAL };

fn rate(now: Instant) -> Rate {
    Rate::new(Kbps::clamped(8000), Fps::clamped(60), now)
}

#[test]
fn set_target_above_the_ceiling_is_capped() {
    let now = Instant::now();
    let mut rate = rate(now);
    rate.set_target(now, Kbps::clamped(50_000));
    assert_eq!(rate.target(), Kbps::clamped(8000));
    rate.set_target(now, Kbps::clamped(500));
    assert_eq!(rate.target(), Kbps::clamped(500));
}

#[test]
fn choose_letter_on_a_refined_picture_is_refined_at_once() {
    let now = Instant::now();
    let mut rate = rate(now);
    rate.encoded(now, KEY, REFINED, 1000);
    let quantizer = rate.choose(now, LETTER);
    assert_eq!(quantizer, REFINED);
    rate.encoded(now, LETTER, quantizer, 300);
    assert!(rate.is_refined());
}

#[test]
fn choose_letter_on_a_coarse_picture_leaves_the_rest_alone() {
    let now = Instant::now();
    let mut rate = rate(now);
    rate.encoded(now, KEY, Quantizer::nearest(25), 100_000);
    assert_eq!(rate.choose(now, LETTER), Quantizer::nearest(25));
}

#[test]
fn choose_refinement_reaches_refined_in_a_few_frames() {
    let mut now = Instant::now();
    let mut rate = rate(now);
    rate.encoded(now, KEY, Quantizer::nearest(26), 200_000);
    let mut frames = 0;
    while !rate.is_refined() {
        now = now.max(rate.refinable_at());
        let quantizer = rate.choose(now, REFINEMENT);
        rate.encoded(now, REFINEMENT, quantizer, 100_000);
        frames += 1;
    }
    assert!(frames <= 4, "{frames} frames");
}

#[test]
fn refinement_of_what_takes_few_bits_ends_at_the_finest_wherever_it_began() {
    for began in 20..=44 {
        let mut now = Instant::now();
        let mut rate = rate(now);
        rate.encoded(now, KEY, Quantizer::nearest(began), 20_000);
        let (mut frames, mut last) = (0, COARSEST);
        while !rate.is_final() {
            now = now.max(rate.refinable_at());
            last = rate.choose(now, REFINEMENT);
            // By a model of a nearly empty screen: twice as many bits for each six steps.
            let bytes = 20_000.0 / halved_every_six(last);
            rate.encoded(now, REFINEMENT, last, bytes as usize);
            frames += 1;
        }
        assert_eq!(last, EXACT, "from {began}");
        assert!(frames <= 8, "from {began}: {frames} frames");
    }
}

#[test]
fn choose_after_a_large_overshoot_is_coarser_and_waits() {
    let mut rate = rate(Instant::now());
    let now = Instant::now() + PAUSE;
    let first = rate.choose(now, SCROLL);
    rate.encoded(now, SCROLL, first, 600_000);
    let wait = rate.affordable_at(TOTAL);
    assert!(wait > now && wait <= now + Duration::from_secs(1));
    assert!(rate.choose(wait, SCROLL) > first);
}

/// By how much a quantizer divides the bits of a photograph.
fn halved_every_six(quantizer: Quantizer) -> f64 {
    (f64::from(quantizer.value()) / 6.0).exp2()
}

/// A page of text that scrolls at the full frame rate. Each skipped frame makes the next picture
/// more expensive: beyond the reach of the motion search everything is new.
struct Page {
    rows_per_frame: usize,
    reach: usize,
}

impl Page {
    const HEIGHT: usize = 1080;

    fn bits(&self, frames_since: usize, quantizer: Quantizer) -> f64 {
        let moved = self.rows_per_frame.saturating_mul(frames_since);
        let new_rows = if moved <= self.reach { moved } else { Self::HEIGHT };
        let new = TOTAL as f64 * (new_rows.min(Self::HEIGHT) as f64 / Self::HEIGHT as f64);
        // Measured with x264 on text: 360 bits per new macroblock at quantizer 28, halved every 12
        // steps.
        let scale = ((28.0 - f64::from(quantizer.value())) / 12.0).exp2();
        (360.0 * new + 3.0 * TOTAL as f64) * scale
    }

    /// Scrolls for five seconds at 60 frames a second, starting when a viewer joins; returns how
    /// many frames were encoded and the last quantizer.
    fn scroll(&self, rate: &mut Rate, start: Instant, kind: Kind) -> (usize, Quantizer) {
        let mut quantizer = rate.choose(start, KEY);
        rate.encoded(start, KEY, quantizer, (self.bits(usize::MAX, quantizer) / 8.0) as usize);
        let (mut shown, mut encoded) = (0, 0);
        for tick in 1..=300_usize {
            let now = start + Duration::from_micros(16_667) * u32::try_from(tick).expect("small");
            if rate.affordable_at(TOTAL) > now {
                continue;
            }
            let ask = Ask { kind, ..SCROLL };
            quantizer = rate.choose(now, ask);
            let bits = self.bits(tick - shown, quantizer);
            rate.encoded(now, ask, quantizer, (bits / 8.0) as usize);
            shown = tick;
            encoded += 1;
        }
        (encoded, quantizer)
    }
}

#[test]
fn choose_scrolled_text_keeps_the_frame_rate() {
    let start = Instant::now();
    let page = Page { rows_per_frame: 18, reach: 40 };
    for kind in [Kind::Change, Kind::Moved] {
        let (encoded, quantizer) = page.scroll(&mut rate(start), start, kind);
        assert!(encoded >= 290, "{encoded} of 300 frames, {kind:?}");
        assert!(quantizer <= Quantizer::nearest(30), "{quantizer:?}, {kind:?}");
    }
}

#[test]
fn choose_scrolled_text_on_a_thin_link_gets_coarse_instead_of_slow() {
    let start = Instant::now();
    let page = Page { rows_per_frame: 18, reach: 300 };
    // Half as much again as the coarsest pictures take.
    let carried = page.bits(1, COARSEST) * 60.0 * 1.5;
    let mut rate = Rate::new(Kbps::clamped((carried / 1000.0) as u64), Fps::clamped(60), start);
    let (encoded, quantizer) = page.scroll(&mut rate, start, Kind::Moved);
    assert!(encoded >= 270, "{encoded} of 300 frames");
    assert!(quantizer > Quantizer::nearest(36), "{quantizer:?}");
}

#[test]
fn choose_noise_on_a_thin_link_comes_to_a_quantizer_and_delays_no_picture_for_long() {
    const INTERVAL: Duration = Duration::from_millis(50);
    let start = Instant::now();
    for kbps in [800, 1600, 2400] {
        let mut rate = Rate::new(Kbps::clamped(kbps), Fps::clamped(20), start);
        let ask = Ask { kind: Kind::Fresh, changed: 900, total: 900 };
        rate.encoded(start, Ask { kind: Kind::Key, ..ask }, COARSEST, 5000);
        let (mut chosen, mut most) = (Vec::new(), 0.0_f64);
        for picture in 1..=100 {
            let now = start + INTERVAL * picture;
            let quantizer = rate.choose(now, ask);
            // Each three steps double it: nothing that text or photographs teach.
            let bits = 900.0 * 30.0 * ((44.0 - f64::from(quantizer.value())) / 3.0).exp2();
            rate.encoded(now, ask, quantizer, (bits / 8.0) as usize);
            if picture > 20 {
                chosen.push(quantizer.value());
                most = most.max(bits);
            }
        }
        let (least, greatest) = (chosen.iter().min(), chosen.iter().max());
        let spread = greatest.zip(least).map(|(greatest, least)| greatest - least);
        assert!(spread.is_some_and(|spread| spread <= 6), "{kbps}: {chosen:?}");
        let late = most / rate.bits_in(INTERVAL);
        assert!(late <= 3.0, "{kbps}: one picture takes the time of {late}");
    }
}

#[test]
fn picture_far_larger_than_foreseen_is_refused_and_fits_as_a_keyframe() {
    const FRESH: Ask = Ask { kind: Kind::Fresh, changed: 3600, total: 3600 };
    let start = Instant::now();
    for (kbps, halving) in [(700, 3.0), (700, 6.0), (2000, 9.0), (8000, 6.0)] {
        let mut rate = Rate::new(Kbps::clamped(kbps), Fps::clamped(30), start);
        // Pictures of nearly nothing.
        for _ in 0..12 {
            rate.encoded(start, Ask { kind: Kind::Key, ..FRESH }, MOTION, 300);
        }
        let bytes = |quantizer: Quantizer| {
            let coarser = f64::from(quantizer.value()) - f64::from(MOTION.value());
            (3600.0 * 200.0 * (-coarser / halving).exp2()) as usize
        };
        let now = start + Duration::from_secs(2);
        let first = rate.choose(now, FRESH);
        assert!(rate.refuses(FRESH, first, bytes(first)), "{kbps}: {first:?}");
        rate.refused(FRESH, first, bytes(first));
        let again = rate.choose(now, Ask { kind: Kind::Key, ..FRESH });
        let took = rate.time_of(bytes(again) as f64 * 8.0);
        assert!(again == COARSEST || took <= WINDOW + OWED, "{kbps}: {again:?} takes {took:?}");
        assert!(again > first);
        assert!(!rate.refuses(Ask { kind: Kind::Key, ..FRESH }, again, bytes(again)));
    }
}

#[test]
fn picture_of_the_size_foreseen_is_not_refused() {
    let now = Instant::now();
    let rate = rate(now);
    let fresh = Ask { kind: Kind::Fresh, ..SCROLL };
    assert!(!rate.refuses(fresh, MOTION, 300_000));
    assert!(rate.refuses(fresh, MOTION, 600_000));
    assert!(!rate.refuses(fresh, COARSEST, 600_000), "nothing is coarser");
    assert!(!rate.refuses(SCROLL, Quantizer::nearest(16), 600_000), "a keyframe takes more");
}

#[test]
fn affordable_small_change_in_debt_waits_for_its_own_bits_only() {
    let now = Instant::now();
    let mut rate = rate(now);
    rate.encoded(now, KEY, MOTION, 600_000);
    let key_repaid = rate.affordable_at(TOTAL);
    rate.encoded(now, LETTER, MOTION, 300);
    assert!(rate.affordable_at(LETTER.changed) <= key_repaid);
}

/// One picture of a screen whose content takes `bits` per macroblock at quantizer 0.
#[derive(Clone, Copy, Debug)]
struct Op {
    ask: Ask,
    bits: f64,
    pause_micros: u64,
    target: Option<u64>,
}

fn op() -> impl Strategy<Value = Op> {
    let ask = prop_oneof![
        1 => Just(KEY),
        4 => (1..=TOTAL).prop_map(|changed| Ask { changed, ..SCROLL }),
        1 => Just(REFINEMENT),
    ];
    (ask, 1.0..40_000.0, 0_u64..200_000, prop::option::weighted(0.1, 100_u64..20_000))
        .prop_map(|(ask, bits, pause_micros, target)| Op { ask, bits, pause_micros, target })
}

proptest! {
    /// Whatever the content does, quantizers stay legal, waiting makes the next picture affordable,
    /// and the level stays below what a window carries.
    #[test]
    fn choose_keeps_its_invariants(ops in prop::collection::vec(op(), 1..100)) {
        let mut now = Instant::now();
        let mut rate = rate(now);
        for op in ops {
            now += Duration::from_micros(op.pause_micros);
            if let Some(target) = op.target {
                rate.set_target(now, Kbps::clamped(target));
            }
            if op.ask.kind == Kind::Change {
                now = now.max(rate.affordable_at(op.ask.changed));
            }
            let quantizer = rate.choose(now, op.ask);
            prop_assert!((EXACT..=COARSEST).contains(&quantizer));
            if op.ask.kind == Kind::Change {
                prop_assert!(rate.level >= -rate.bits_in(LIMIT) - 1.0);
                prop_assert!(quantizer >= MOTION || op.ask.changed * SMALL <= TOTAL
                    || quantizer >= rate.picture);
            }
            let bytes = op.bits * op.ask.changed.max(1) as f64 / halved_every_six(quantizer) / 8.0;
            rate.encoded(now, op.ask, quantizer, bytes as usize);
            prop_assert!(rate.level <= rate.capacity());
        }
    }

    /// Motion of any steady complexity converges to the target rate, or to the finest quantizer.
    #[test]
    fn choose_steady_motion_settles_at_the_target(bits in 50.0..20_000.0) {
        let mut now = Instant::now();
        let mut rate = rate(now);
        let frame = Duration::from_micros(16_667);
        let (mut sent, mut quantizer, start) = (0.0, COARSEST, now + frame * 60);
        for _ in 0..240 {
            now = (now + frame).max(rate.affordable_at(TOTAL));
            quantizer = rate.choose(now, SCROLL);
            let bytes = bits * TOTAL as f64 / halved_every_six(quantizer) / 8.0;
            rate.encoded(now, SCROLL, quantizer, bytes as usize);
            if now >= start {
                sent += bytes * 8.0;
            }
        }
        let rate = sent / (now - start).as_secs_f64() / 8e6;
        prop_assert!(rate < 1.15, "{rate} times the target");
        prop_assert!(rate > 0.7 || quantizer == MOTION, "{rate} at {quantizer:?}");
    }
}
