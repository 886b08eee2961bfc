//! Pacing through whole histories in virtual time.

use proptest::prelude::*;

use super::*;
use crate::key_floor::FLOOR;

/// A budget that never delays anything.
fn rich(now: Instant) -> Budget {
    Budget { change_at: now, refinement_at: now }
}

/// Watched, connected, first keyframe sent at `now`.
fn running(now: Instant) -> Pacing {
    let mut pacing = Pacing::new();
    pacing.set_watched(true);
    pacing.set_outlet(true);
    pacing.screen_changed(now);
    assert_eq!(pacing.step(now, rich(now)), Step::Encode(Work::Key));
    pacing.encoded(now, Work::Key, false);
    pacing
}

#[test]
fn step_without_viewer_picture_or_outlet_sleeps_forever() {
    let now = Instant::now();
    let mut pacing = Pacing::new();
    assert_eq!(pacing.step(now, rich(now)), Step::Wait(None));
    pacing.screen_changed(now);
    pacing.set_outlet(true);
    assert_eq!(pacing.step(now, rich(now)), Step::Wait(None));
    pacing.set_watched(true);
    assert_eq!(pacing.step(now, rich(now)), Step::Encode(Work::Key));
    pacing.set_outlet(false);
    assert_eq!(pacing.step(now, rich(now)), Step::Wait(None));
}

#[test]
fn step_change_is_encoded_at_once() {
    let now = Instant::now();
    let mut pacing = running(now);
    let later = now + Duration::from_millis(1);
    pacing.screen_changed(later);
    assert_eq!(pacing.step(later, rich(later)), Step::Encode(Work::Change));
}

#[test]
fn step_change_in_debt_waits_for_the_bucket() {
    let now = Instant::now();
    let mut pacing = running(now);
    pacing.screen_changed(now);
    let at = now + Duration::from_millis(40);
    let budget = Budget { change_at: at, refinement_at: at };
    assert_eq!(pacing.step(now, budget), Step::Wait(Some(at)));
    assert_eq!(pacing.step(at, budget), Step::Encode(Work::Change));
}

#[test]
fn step_still_screen_is_refined_and_then_left_alone() {
    let now = Instant::now();
    let mut pacing = running(now);
    let still = now + STILL_AFTER;
    assert_eq!(pacing.step(now, rich(now)), Step::Wait(Some(still)));
    assert_eq!(pacing.step(still, rich(still)), Step::Encode(Work::Refinement));
    pacing.encoded(still, Work::Refinement, true);
    assert_eq!(pacing.step(still, rich(still)), Step::Wait(None));
}

#[test]
fn step_key_needed_comes_at_once_on_a_still_screen_and_right_after_another() {
    let now = Instant::now();
    let mut pacing = running(now);
    pacing.encoded(now, Work::Refinement, true);
    pacing.key_needed();
    assert_eq!(pacing.step(now, rich(now)), Step::Encode(Work::Key));
    pacing.encoded(now, Work::Key, true);
    pacing.key_needed();
    assert_eq!(pacing.step(now, rich(now)), Step::Encode(Work::Key));
}

#[test]
fn step_returning_first_viewer_gets_a_key_at_once() {
    let now = Instant::now();
    let mut pacing = running(now);
    pacing.set_watched(false);
    pacing.set_watched(true);
    assert_eq!(pacing.step(now, rich(now)), Step::Encode(Work::Key));
}

#[test]
fn step_key_asked_for_again_keeps_the_floor_and_changes_go_on() {
    let now = Instant::now();
    let mut pacing = running(now);
    pacing.key_asked(false);
    assert_eq!(pacing.step(now, rich(now)), Step::Encode(Work::Key));
    pacing.encoded(now, Work::Key, true);
    pacing.key_asked(false);
    assert_eq!(pacing.step(now, rich(now)), Step::Wait(Some(now + FLOOR)));
    let soon = now + FLOOR / 2;
    pacing.screen_changed(soon);
    assert_eq!(pacing.step(soon, rich(soon)), Step::Encode(Work::Change));
    pacing.encoded(soon, Work::Change, true);
    assert_eq!(pacing.step(now + FLOOR, rich(now + FLOOR)), Step::Encode(Work::Key));
}

#[test]
fn step_viewer_who_joins_right_after_a_key_was_asked_for_gets_one_at_once() {
    let now = Instant::now();
    let mut pacing = running(now);
    pacing.key_asked(false);
    pacing.encoded(now, Work::Key, true);
    pacing.key_asked(false);
    pacing.key_asked(true);
    assert_eq!(pacing.step(now, rich(now)), Step::Encode(Work::Key));
}

#[test]
fn step_rtc_that_has_no_room_is_sent_nothing_before_the_next_key() {
    let now = Instant::now();
    let mut pacing = running(now);
    pacing.key_asked(false);
    pacing.encoded(now, Work::Key, false);
    pacing.dropped();
    pacing.screen_changed(now);
    assert_eq!(pacing.step(now, rich(now)), Step::Wait(Some(now + FLOOR)));
    assert_eq!(pacing.step(now + FLOOR, rich(now + FLOOR)), Step::Encode(Work::Key));
}

/// Whatever an rtc that was taken over says, it does not get a keyframe each time.
#[test]
fn step_rtc_that_does_all_it_can_for_keyframes_gets_no_more_than_the_floor_allows() {
    for trick in 0..4 {
        let (mut now, mut keys) = (Instant::now(), 0);
        let mut pacing = running(now);
        for _ in 0..10_000 {
            now += Duration::from_millis(1);
            match trick {
                0 => pacing.key_asked(false),
                1 => pacing.key_asked(true),
                2 => pacing.dropped(),
                _ => {
                    pacing.set_watched(false);
                    pacing.set_watched(true);
                }
            }
            if let Step::Encode(work) = pacing.step(now, rich(now)) {
                keys += u32::from(work == Work::Key);
                pacing.encoded(now, work, true);
            }
        }
        assert!((20..=38).contains(&keys), "trick {trick}: {keys} keyframes in ten seconds");
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    AskKey(bool),
    Change,
    Drop,
    NeedKey,
    Watch(bool),
    Outlet(bool),
    Sleep(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        any::<bool>().prop_map(Op::AskKey),
        Just(Op::Change),
        Just(Op::Drop),
        Just(Op::NeedKey),
        any::<bool>().prop_map(Op::Watch),
        any::<bool>().prop_map(Op::Outlet),
        (0_u64..400_000).prop_map(Op::Sleep),
    ]
}

proptest! {
    /// After any events, following `step` comes to rest in a bounded number of steps, and at rest
    /// all that was wanted has been done or cannot be.
    #[test]
    fn step_always_comes_to_rest(ops in prop::collection::vec(op(), 1..60)) {
        let mut now = Instant::now();
        let mut pacing = Pacing::new();
        for op in ops {
            match op {
                Op::AskKey(joined) => pacing.key_asked(joined),
                Op::Change => pacing.screen_changed(now),
                Op::Drop => pacing.dropped(),
                Op::NeedKey => pacing.key_needed(),
                Op::Watch(watched) => pacing.set_watched(watched),
                Op::Outlet(open) => pacing.set_outlet(open),
                Op::Sleep(micros) => now += Duration::from_micros(micros),
            }
            if let Step::Encode(work) = pacing.step(now, rich(now)) {
                prop_assert!(pacing.picture && pacing.watched && pacing.outlet);
                prop_assert!(work == Work::Key || !pacing.cut);
                prop_assert!(work == Work::Key || pacing.key != Some(Reason::Needed));
                pacing.encoded(now, work, work == Work::Refinement);
            }
        }
        for _ in 0..6 {
            match pacing.step(now, rich(now)) {
                Step::Encode(work) => pacing.encoded(now, work, work == Work::Refinement),
                Step::Wait(Some(at)) => {
                    prop_assert!(at > now, "a wait that is over");
                    now = at;
                }
                Step::Wait(None) => break,
            }
        }
        prop_assert_eq!(pacing.step(now, rich(now)), Step::Wait(None));
        let able = pacing.picture && pacing.watched && pacing.outlet;
        prop_assert!(!able || (!pacing.changed && pacing.key.is_none() && pacing.refined));
    }
}
