//! How often keyframes may be made, whoever asks for them: the one limit there is.
//!
//! A keyframe costs many times as much as any other picture, and asking is free. This process encodes, so
//! the limit holds here even if rtc, which asks on behalf of its viewers, is taken over: [`AT_ONCE`] key
//! frames, then one in every [`FLOOR`]. A viewer that asks because it cannot go on waits until the last
//! one is as old as the floor, because that one is probably still on its way. A viewer that joins has
//! received nothing and does not wait for that. Keyframes for another size, another compositor or another
//! rtc are not limited here: the compositor limits sizes, and the supervisor restarts.

use std::time::{Duration, Instant};

/// Shortest average time between two keyframes that rtc asks for, and the shortest time between two
/// for viewers that have received one.
pub const FLOOR: Duration = Duration::from_millis(300);
/// Keyframes that may be made in a row if there was none for long: for viewers that join together.
pub const AT_ONCE: u32 = 4;

/// Why a keyframe is due; later variants are more urgent.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Reason {
    /// A viewer cannot go on without one.
    Asked,
    /// A viewer has received nothing yet.
    Joined,
    /// All earlier packets are useless, by no doing of rtc's.
    Needed,
}

/// The limit's memory of the keyframes made so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyFloor {
    /// When the last one that rtc asked for was made.
    last: Option<Instant>,
    /// From when on [`AT_ONCE`] of them may be made in a row again.
    full_at: Option<Instant>,
}

impl KeyFloor {
    /// A limit before the first keyframe.
    #[must_use]
    pub const fn new() -> Self {
        Self { last: None, full_at: None }
    }

    /// From when on a keyframe may be made for this reason; `None` if at once.
    #[must_use]
    pub fn due(&self, reason: Reason) -> Option<Instant> {
        let room = self.full_at.and_then(|full| full.checked_sub(FLOOR * (AT_ONCE - 1)));
        match reason {
            Reason::Asked => self.last.map(|last| last + FLOOR).max(room),
            Reason::Joined => room,
            Reason::Needed => None,
        }
    }

    /// Notes that one was made for this reason.
    pub fn made(&mut self, now: Instant, reason: Reason) {
        if reason != Reason::Needed {
            self.last = Some(now);
            self.full_at = Some(self.full_at.map_or(now, |at| at.max(now)) + FLOOR);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Makes one if it is due, and says whether it was.
    fn try_make(floor: &mut KeyFloor, now: Instant, reason: Reason) -> bool {
        let due = floor.due(reason).is_none_or(|at| at <= now);
        if due {
            floor.made(now, reason);
        }
        due
    }

    #[test]
    fn key_that_is_asked_for_waits_until_the_last_is_as_old_as_the_floor() {
        let (now, mut floor) = (Instant::now(), KeyFloor::new());
        assert!(try_make(&mut floor, now, Reason::Asked));
        assert!(!try_make(&mut floor, now + FLOOR / 2, Reason::Asked));
        assert_eq!(floor.due(Reason::Asked), Some(now + FLOOR));
        assert!(try_make(&mut floor, now + FLOOR, Reason::Asked));
    }

    #[test]
    fn viewers_who_join_do_not_wait_while_they_are_few() {
        let (now, mut floor) = (Instant::now(), KeyFloor::new());
        for _ in 0..AT_ONCE {
            assert!(try_make(&mut floor, now, Reason::Joined));
        }
        assert!(!try_make(&mut floor, now, Reason::Joined));
        assert!(try_make(&mut floor, now + FLOOR, Reason::Joined));
    }

    #[test]
    fn key_that_is_needed_never_waits_and_costs_nobody_anything() {
        let (now, mut floor) = (Instant::now(), KeyFloor::new());
        for _ in 0..100 {
            assert!(try_make(&mut floor, now, Reason::Needed));
        }
        assert!(try_make(&mut floor, now, Reason::Asked));
    }

    proptest! {
        #[test]
        fn keys_that_rtc_asks_for_never_exceed_the_floor(
            asked in prop::collection::vec((0_u64..200, any::<bool>()), 1..400)
        ) {
            let start = Instant::now();
            let (mut now, mut floor, mut made) = (start, KeyFloor::new(), 0);
            for (millis, joined) in asked {
                now += Duration::from_millis(millis);
                let reason = if joined { Reason::Joined } else { Reason::Asked };
                made += u128::from(try_make(&mut floor, now, reason));
                let most = u128::from(AT_ONCE) + (now - start).as_millis() / FLOOR.as_millis();
                prop_assert!(made <= most, "{made} keyframes in {:?}", now - start);
            }
        }
    }
}
