//! The whole of rate control against simulated networks.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{
    super::{
        End,
        line::{Limit, Line},
        world::{MOST, MS, SECOND, World},
    },
    *,
};

fn policed(bps: u64) -> Line {
    Line::new(MS * 10, Limit::Policed { bps, bucket: 15_000 })
}

fn open_line() -> Line {
    Line::new(MS * 10, Limit::None)
}

#[test]
fn picture_flows_through_lines_that_drop_what_exceeds_their_rate() {
    for (demand, bps) in [
        (1_600_000, 1_600_000),
        (1_600_000, 800_000),
        (8_000_000, 4_000_000),
        (8_000_000, 2_400_000),
        (8_000_000, 1_600_000),
        (8_000_000, 800_000),
    ] {
        let mut world = World::new(policed(bps), demand);
        world.run(SECOND * 10);
        let mut rate = 0.0;
        for _ in 0..100 {
            world.run(MS * 100);
            rate += world.control.bps() as f64 / 100.0;
        }
        let (fps, gap) = world.seen(SECOND * 2);
        let case = format!("{demand} through {bps}: {fps:.1} fps, gap {gap:?}, rate {rate:.0}");
        assert!(fps >= 29.0 && gap <= MS * 250, "{case}");
        let used = rate / bps as f64;
        assert!(demand <= bps || (0.7..=1.15).contains(&used), "{case}");
    }
}

/// As providers do it: the bucket holds a tenth of a second, and ten packets at least.
fn policed_by_a_provider(bps: u64) -> Line {
    Line::new(MS * 10, Limit::Policed { bps, bucket: (bps / 80).max(15_000) })
}

#[test]
fn picture_on_a_line_far_narrower_than_guessed_comes_soon_and_flows() {
    for guess in [MOST, 50_000_000] {
        for bps in [800_000, 1_600_000, 2_400_000] {
            let mut world = World::guessing(guess, policed_by_a_provider(bps), MOST);
            world.run(MS * 1300);
            let (shown, _) = world.seen(Duration::ZERO);
            let case = format!("guess {guess} of {bps}");
            assert!(shown > 0.0, "{case}: no picture");
            world.run(SECOND * 9);
            let (fps, gap) = world.seen(SECOND * 2);
            let case = format!("{case}: {fps:.1} fps, gap {gap:?}, {}", world.begun_anew);
            assert!(fps >= 27.0 && gap <= MS * 250 && world.begun_anew <= 2, "{case}");
        }
    }
}

#[test]
fn line_that_becomes_far_narrower_has_its_pictures_flow_again_within_a_second() {
    for bps in [800_000, 1_600_000, 2_400_000] {
        let mut world = World::new(open_line(), MOST);
        world.run(SECOND * 5);
        world.line.limit = policed_by_a_provider(bps).limit;
        world.run(MS * 1000);
        world.run(SECOND * 5);
        let (fps, gap) = world.seen(SECOND * 6);
        let (_, all) = world.seen(SECOND * 5);
        let case = format!("{bps}: {fps:.1} fps, gaps {all:?} and {gap:?}, {}", world.begun_anew);
        assert!(fps >= 27.0 && gap <= MS * 300 && all <= MS * 900, "{case}");
    }
}

#[test]
fn policed_line_drops_little_of_an_encoder_whose_pictures_differ() {
    for bps in [800_000, 1_600_000, 2_400_000] {
        for uneven in [0.2, 0.6, 1.0] {
            for uses in [0.6, 0.8, 1.0] {
                let mut world = World::new(policed_by_a_provider(bps), MOST);
                (world.uneven, world.uses) = (uneven, uses);
                world.run(SECOND * 5);
                let (sent, passed) = (world.sent, world.passed);
                world.run(SECOND * 20);
                let (sent, passed) = (world.sent - sent, world.passed - passed);
                let lost = (sent - passed) as f64 / sent as f64;
                let case = format!("{bps}, {uses} used, {uneven} uneven");
                assert!(lost <= 0.05, "{case}: {lost} lost");
            }
        }
    }
}

#[test]
fn loss_by_chance_lowers_no_rate() {
    for loss in [0.005, 0.02, 0.05, 0.1] {
        for demand in [1_600_000, MOST] {
            let mut line = open_line();
            line.loss = loss;
            let mut world = World::new(line, demand);
            world.run(SECOND * 20);
            let (fps, gap) = world.seen(SECOND * 2);
            let rate = world.control.bps();
            assert!(rate >= demand * 8 / 10, "{rate} at {loss}");
            assert!(
                fps >= 29.0 && gap <= MS * 350,
                "{demand} at {loss}: {fps:.1} fps, gap {gap:?}"
            );
        }
    }
}

#[test]
fn far_line_that_loses_packets_shows_nearly_all_pictures_in_time() {
    for (delay, loss) in [(50, 0.02), (50, 0.05), (50, 0.1), (150, 0.02), (150, 0.05)] {
        let mut line = Line::new(MS * delay, Limit::None);
        line.loss = loss;
        let mut world = World::new(line, 1_100_000);
        world.run(SECOND * 30);
        let (fps, gap) = world.seen(SECOND * 5);
        let (late, rate) = (world.late(SECOND * 5), world.control.bps());
        let case =
            format!("{loss} lost at {delay} ms: {fps:.1} fps, gap {gap:?}, {late} late, {rate}");
        assert!(fps >= 28.0 && late <= 0.05 && rate >= MOST * 8 / 10, "{case}");
    }
}

#[test]
fn queue_of_a_second_stays_nearly_empty() {
    for bps in [4_000_000, 1_600_000, 800_000] {
        let limit = Limit::Queued { bps, longest: SECOND };
        let mut world = World::new(Line::new(MS * 20, limit), MOST);
        world.run(SECOND * 20);
        let mut lags = Vec::new();
        for _ in 0..200 {
            world.run(MS * 50);
            lags.push(world.lag());
        }
        lags.sort();
        let p95 = lags[190];
        let rate = world.control.bps();
        assert!(p95 <= MS * 170, "{bps}: p95 {p95:?}");
        assert!(rate as f64 >= bps as f64 * 0.6, "{rate} through {bps}");
    }
}

/// What a viewer does is seen with the next picture, so its age is what counts.
#[test]
fn pictures_are_young_behind_a_queue_whatever_part_of_its_rate_the_encoder_uses() {
    for (bps, uses) in
        [4_000_000, 1_600_000].into_iter().flat_map(|bps| [0.7, 0.85, 1.0].map(|uses| (bps, uses)))
    {
        let limit = Limit::Queued { bps, longest: SECOND };
        let mut world = World::new(Line::new(MS * 10, limit), MOST);
        world.uses = uses;
        world.run(SECOND * 60);
        let ages = world.ages(SECOND * 20);
        let (median, p95) = (ages[ages.len() / 2], ages[ages.len() * 95 / 100]);
        let case = format!("{uses} of {bps}: {median:?}, p95 {p95:?}");
        assert!(median <= MS * 45 && p95 <= MS * 80, "{case}");
    }
}

#[test]
fn pictures_are_younger_still_while_the_viewer_acts() {
    let limit = Limit::Queued { bps: 4_000_000, longest: SECOND };
    let [watching, acting] = [false, true].map(|acts| {
        let mut world = World::new(Line::new(MS * 10, limit), MOST);
        world.run(SECOND * 20);
        world.acts = acts;
        world.run(SECOND * 40);
        let ages = world.ages(SECOND * 21);
        (ages[ages.len() / 2], ages[ages.len() * 95 / 100])
    });
    let case = format!("{acting:?}, while only watching {watching:?}");
    assert!(acting.0 + MS * 4 <= watching.0 && acting.1 <= watching.1, "{case}");
}

/// Who acts all day long still gets what a line carries that has become better.
#[test]
fn rate_returns_while_the_viewer_acts() {
    let mut world = World::new(policed(800_000), MOST);
    world.acts = true;
    world.run(SECOND * 10);
    world.line.limit = Limit::None;
    world.run(SECOND * 60);
    assert!(world.control.bps() >= MOST, "{}", world.control.bps());
}

#[test]
fn rate_returns_when_the_line_does() {
    let mut world = World::new(policed(800_000), MOST);
    world.run(SECOND * 10);
    world.line.limit = Limit::None;
    world.run(SECOND * 45);
    assert!(world.control.bps() >= MOST, "{}", world.control.bps());
}

#[test]
fn outage_changes_no_rate() {
    for millis in [200, 1000, 5000] {
        let mut world = World::new(policed(2_000_000), 1_600_000);
        world.run(SECOND * 10);
        world.line.outage = Some((world.now, world.now + MS * millis));
        world.run(MS * millis + SECOND * 3);
        let rate = world.control.bps();
        assert!(rate >= 1_600_000, "{rate} after {millis} ms");
    }
}

#[test]
fn jitter_and_distance_lower_no_rate() {
    for (delay, jitter) in [(10, 20), (50, 20), (150, 20)] {
        let mut line = Line::new(MS * delay, Limit::None);
        line.jitter = MS * jitter;
        let mut world = World::new(line, MOST);
        world.run(SECOND * 20);
        let (fps, _) = world.seen(SECOND * 2);
        let rate = world.control.bps();
        assert!(rate >= MOST * 9 / 10 && fps >= 29.0, "{rate}, {fps} fps at {delay} ms");
    }
}

#[test]
fn reports_that_are_lost_lower_no_rate() {
    for loss in [0.02, 0.1] {
        for demand in [1_600_000, MOST] {
            let mut world = World::new(open_line(), demand);
            world.back.loss = loss;
            world.run(SECOND * 2);
            let before = world.control.bps();
            world.run(SECOND * 20);
            let rate = world.control.bps();
            assert!(rate >= before, "{rate} after {before} with {loss} of reports lost");
        }
    }
}

#[test]
fn longer_way_lowers_the_rate_for_a_moment_only() {
    for step in [50, 80, 150] {
        for demand in [400_000, 1_600_000, MOST] {
            let mut world = World::new(open_line(), demand);
            world.run(SECOND * 5);
            world.line.delay += MS * step;
            world.run(SECOND * 5);
            let (needed, rate) = (demand.min(MOST), world.control.bps());
            assert!(rate >= needed, "{rate} of {needed} after {step} ms more");
        }
    }
}

#[test]
fn radio_that_stands_still_now_and_then_leaves_enough() {
    for stall in [100, 150, 200] {
        for demand in [300_000, 1_600_000] {
            let mut world = World::new(open_line(), demand);
            for _ in 0..6 {
                world.run(SECOND * 10);
                world.line.held = Some(world.now + MS * stall);
                world.run(MS * stall);
                world.line.held = None;
                world.run(MS * 1500);
                let rate = world.control.bps();
                assert!(rate >= demand, "{rate} of {demand} after {stall} ms");
            }
        }
    }
}

#[test]
fn radio_that_fades_now_and_then_lowers_no_rate() {
    for demand in [1_600_000, MOST] {
        let mut world = World::new(open_line(), demand);
        for _ in 0..6 {
            world.run(SECOND * 10);
            let before = world.control.bps();
            world.line.outage = Some((world.now, world.now + MS * 60));
            world.run(SECOND);
            assert!(world.control.bps() >= before, "{} after {before}", world.control.bps());
        }
    }
}

#[test]
fn rate_returns_whatever_part_of_it_the_encoder_uses() {
    for uses in [0.7, 0.8, 0.9, 1.0] {
        let mut world = World::new(policed(800_000), MOST);
        world.uses = uses;
        world.run(SECOND * 10);
        world.line.limit = Limit::None;
        world.run(SECOND * 45);
        let rate = world.control.bps();
        assert!(rate >= MOST, "{rate} with an encoder that uses {uses}");
    }
}

#[test]
fn other_network_is_judged_by_its_own_packets() {
    let mut world = World::new(policed(800_000), MOST);
    world.run(SECOND * 10);
    world.line = Line::new(MS * 200, Limit::None);
    world.control.assume(world.now, MOST);
    world.run(SECOND * 10);
    assert!(world.control.bps() >= MOST, "{}", world.control.bps());
}

#[test]
fn measures_say_what_limits_the_rate() {
    let queued = Line::new(MS * 10, Limit::Queued { bps: 1_000_000, longest: SECOND });
    for (line, cause) in
        [(open_line(), None), (policed(1_000_000), Some(Cause::Loss)), (queued, Some(Cause::Queue))]
    {
        let mut world = World::new(line, MOST);
        world.run(SECOND * 2);
        let measures = world.control.take_measures();
        assert_eq!(measures.cause, cause);
        assert!(measures.arrived > 100, "{measures:?}");
        assert!(measures.lost > 0 || cause != Some(Cause::Loss), "{measures:?}");
        assert_eq!(world.control.take_measures().arrived, 0);
    }
}

#[test]
fn picture_beside_music_flows_through_narrow_lines_and_costs_it_no_packet() {
    let queued = |bps| Line::new(MS * 20, Limit::Queued { bps, longest: SECOND });
    for (line, bps) in [4_000_000, 1_600_000, 800_000]
        .into_iter()
        .flat_map(|bps| [(policed(bps), bps), (queued(bps), bps)])
    {
        let mut world = World::new(line, MOST);
        world.plays = true;
        world.run(SECOND * 10);
        let heard = world.heard;
        world.run(SECOND * 10);
        let (fps, gap) = world.seen(SECOND * 10);
        let heard = world.heard - heard;
        let case = format!("{bps}: {fps:.1} fps, gap {gap:?}, {heard} of 1000 packets of sound");
        assert!(fps >= 29.0 && gap <= MS * 250 && heard >= 990, "{case}");
    }
}

#[test]
fn music_alone_leaves_enough_for_pictures_on_a_line_that_stumbles() {
    type Stumble = fn(&mut World);
    let stumbles: [(&str, Stumble); 4] = [
        ("stands still", |world| world.line.held = Some(world.now + MS * 150)),
        ("fades", |world| world.line.outage = Some((world.now, world.now + MS * 60))),
        ("becomes longer", |world| world.line.delay += MS * 60),
        ("loses one in twenty", |world| world.line.loss = 0.05),
    ];
    for (how, stumble) in stumbles {
        let mut world = World::new(open_line(), 0);
        world.plays = true;
        for _ in 0..6 {
            world.run(SECOND * 10);
            stumble(&mut world);
            world.run(SECOND * 2);
            world.line.held = None;
            world.line.loss = 0.0;
            let rate = world.control.bps();
            assert!(rate >= 1_600_000, "{rate} bit/s on a line that {how}");
        }
    }
}

#[test]
fn music_that_a_line_does_not_carry_lowers_the_rate_to_the_least() {
    let line = Line::new(MS * 20, Limit::Queued { bps: 120_000, longest: SECOND });
    let mut world = World::new(line, 0);
    world.plays = true;
    world.run(SECOND * 10);
    assert!(world.control.bps() <= FLOOR_BPS * 2, "{}", world.control.bps());
}

proptest! {
    #[test]
    fn rate_stays_in_its_bounds(
        start in any::<u64>(),
        steps in prop::collection::vec(
            (0_u64..2000, 0_u64..3000, any::<u64>(), prop::option::of(0_u64..u64::from(u32::MAX))), 1..60
        ),
    ) {
        let mut now = Instant::now();
        let mut control = Control::new(now, start);
        for (millis, before, bytes, arrived) in steps {
            now += MS * millis as u32;
            control.on_sent(now, bytes >> 32);
            let sent = now.checked_sub(Duration::from_millis(before)).unwrap_or(now);
            let lost = End::Lost { follows_lost: bytes % 2 == 0 };
            let end = arrived.map_or(lost, |at| End::Arrived(Duration::from_millis(at)));
            control.on_fates(now, &[Fate { sent, bytes: bytes >> 32, end, is_sound: millis % 2 == 0 }]);
            prop_assert!((FLOOR_BPS..=CEILING_BPS).contains(&control.bps()));
        }
    }
}
