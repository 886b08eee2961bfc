//! Whose desktop is started at a sign-in, and who waits for it. Pure.
//!
//! An account that signs in gets to the desktop that it has; `in_use` decides what it gets where somebody watches that
//! one. Where it has none, one is started, and everybody
//! who signs in to the same account meanwhile waits for that one; where it is about to end, the next one
//! begins when it has ended.
//!
//! INVARIANT: of an account at most one desktop is being started. Whoever waits is told the outcome once.

use std::collections::BTreeMap;

use lumen_ipc::units::SessionId;
use nix::unistd::Uid;

use super::{AttemptId, in_use::Own, limits::TooMany};

/// Most desktops that are being started.
const MOST: usize = 16;
/// Most sign-ins that wait for one of them.
const MOST_WAITING: usize = 8;

/// Identifies the start of a desktop.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct OpeningId(pub u64);

/// What becomes of a sign-in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Course {
    /// It gets to this desktop.
    Attach(SessionId),
    /// Somebody watches the account's desktop, and no second one may.
    InUse,
    /// A desktop is to be started when another one has ended, and it waits for that.
    Queue(OpeningId),
    /// Too many wait already.
    Refuse,
    /// There may be no other desktop.
    TooMany(TooMany),
    /// A desktop is to be started, and it waits for that.
    Start(OpeningId),
    /// It waits for the desktop that is being started.
    Wait,
}

#[derive(Debug)]
struct Opening {
    id: OpeningId,
    waiting: Vec<AttemptId>,
    /// The session that ends before.
    after: Option<SessionId>,
}

/// The desktops that are being started, by the users whose they are.
#[derive(Debug, Default)]
pub struct Desktops {
    openings: BTreeMap<u32, Opening>,
    last: u64,
}

impl Desktops {
    /// How many there are.
    #[must_use]
    pub fn starting(&self) -> usize {
        self.openings.len()
    }

    /// Whether somebody waits for a desktop of this user.
    #[must_use]
    pub fn are_awaited(&self, user: Uid) -> bool {
        self.openings.contains_key(&user.as_raw())
    }

    /// An account has signed in; `permitted` is whether a desktop may be started for it.
    pub fn arrive(
        &mut self,
        attempt: AttemptId,
        user: Uid,
        own: Own,
        permitted: Result<(), TooMany>,
    ) -> Course {
        match own {
            Own::InUse => return Course::InUse,
            Own::There(session) => return Course::Attach(session),
            Own::Ending(_) | Own::None => {}
        }
        let count = self.openings.len();
        if let Some(opening) = self.openings.get_mut(&user.as_raw()) {
            if opening.waiting.len() >= MOST_WAITING {
                return Course::Refuse;
            }
            opening.waiting.push(attempt);
            return Course::Wait;
        }
        if let Err(too_many) = permitted {
            return Course::TooMany(too_many);
        }
        if count >= MOST {
            return Course::Refuse;
        }
        self.last += 1;
        let id = OpeningId(self.last);
        let (after, course) = match own {
            Own::Ending(session) => (Some(session), Course::Queue(id)),
            Own::InUse | Own::None | Own::There(_) => (None, Course::Start(id)),
        };
        self.openings.insert(user.as_raw(), Opening { id, waiting: vec![attempt], after });
        course
    }

    /// A desktop of this user is there: who waited for it.
    pub fn there(&mut self, user: Uid) -> Vec<AttemptId> {
        self.openings.remove(&user.as_raw()).map(|opening| opening.waiting).unwrap_or_default()
    }

    /// A desktop could not be started: who waited for it; nobody if it is there, or has failed already.
    pub fn failed(&mut self, id: OpeningId) -> Vec<AttemptId> {
        let user =
            self.openings.iter().find(|(_, opening)| opening.id == id).map(|(user, _)| *user);
        let opening = user.and_then(|user| self.openings.remove(&user));
        opening.map(|opening| opening.waiting).unwrap_or_default()
    }

    /// A session has ended: which desktop is to be started now.
    pub fn gone(&mut self, session: SessionId) -> Option<OpeningId> {
        let opening = self.openings.values_mut().find(|opening| opening.after == Some(session))?;
        opening.after = None;
        Some(opening.id)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const SESSION: SessionId = SessionId(7);

    fn user(number: u32) -> Uid {
        Uid::from_raw(4000 + number)
    }

    fn attempt(number: u64) -> AttemptId {
        AttemptId::for_test(number)
    }

    #[test]
    fn account_with_a_desktop_is_attached_and_another_gets_one_started_that_all_wait_for() {
        let mut desktops = Desktops::default();
        let attached = desktops.arrive(attempt(1), user(1), Own::There(SESSION), Ok(()));
        assert_eq!(attached, Course::Attach(SESSION));
        let refused = desktops.arrive(attempt(1), user(1), Own::InUse, Ok(()));
        assert_eq!((refused, desktops.are_awaited(user(1))), (Course::InUse, false));
        let Course::Start(id) = desktops.arrive(attempt(2), user(1), Own::None, Ok(())) else {
            panic!("nothing is started")
        };
        assert_eq!(desktops.arrive(attempt(3), user(1), Own::None, Ok(())), Course::Wait);
        assert!(desktops.are_awaited(user(1)));
        let other = desktops.arrive(attempt(4), user(2), Own::None, Ok(()));
        assert!(matches!(other, Course::Start(other) if other != id));
        assert_eq!(desktops.there(user(1)), [attempt(2), attempt(3)]);
        assert_eq!(desktops.failed(id), [], "it is there");
        assert_eq!(desktops.there(user(1)), []);
    }

    #[test]
    fn start_that_fails_is_told_to_those_who_wait_and_the_next_sign_in_tries_again() {
        let mut desktops = Desktops::default();
        let Course::Start(first) = desktops.arrive(attempt(1), user(1), Own::None, Ok(())) else {
            panic!("nothing is started")
        };
        assert_eq!(desktops.failed(first), [attempt(1)]);
        let again = desktops.arrive(attempt(2), user(1), Own::None, Ok(()));
        assert!(matches!(again, Course::Start(again) if again != first));
        assert_eq!(desktops.failed(first), [], "the second start is another one");
    }

    #[test]
    fn desktop_that_ends_is_followed_by_one_that_starts_when_it_has_ended() {
        let mut desktops = Desktops::default();
        let Course::Queue(id) = desktops.arrive(attempt(1), user(1), Own::Ending(SESSION), Ok(()))
        else {
            panic!("it does not wait")
        };
        assert_eq!(
            desktops.arrive(attempt(2), user(1), Own::Ending(SESSION), Ok(())),
            Course::Wait
        );
        assert_eq!(desktops.gone(SessionId(8)), None);
        assert_eq!(desktops.gone(SESSION), Some(id));
        assert_eq!(desktops.gone(SESSION), None, "it is started once");
        assert_eq!(desktops.there(user(1)), [attempt(1), attempt(2)]);
    }

    #[test]
    fn desktop_that_may_not_be_started_is_refused_and_one_that_is_there_is_not() {
        let (mut desktops, full) = (Desktops::default(), Err(TooMany::InAll(1)));
        let refused = desktops.arrive(attempt(1), user(1), Own::None, full);
        assert_eq!((refused, desktops.starting()), (Course::TooMany(TooMany::InAll(1)), 0));
        let attached = desktops.arrive(attempt(2), user(1), Own::There(SESSION), full);
        assert_eq!(attached, Course::Attach(SESSION));
        assert!(matches!(
            desktops.arrive(attempt(3), user(1), Own::None, Ok(())),
            Course::Start(_)
        ));
        let waits = desktops.arrive(attempt(4), user(1), Own::None, full);
        assert_eq!(waits, Course::Wait, "for the one that is being started");
    }

    proptest! {
        #[test]
        fn whoever_waits_is_told_once_and_one_start_of_an_account_runs_at_a_time(
            steps in prop::collection::vec((0_u8..5, 0_u32..40), 0..300),
        ) {
            let (mut desktops, mut waiting) = (Desktops::default(), BTreeSet::new());
            let told = |waiting: &mut BTreeSet<u64>, attempts: Vec<AttemptId>| {
                attempts.into_iter().all(|told| {
                    let number = waiting.iter().find(|number| attempt(**number) == told).copied();
                    number.is_some_and(|number| waiting.remove(&number))
                })
            };
            for (number, (step, who)) in (1_u64..).zip(steps) {
                let own = if who % 3 == 0 { Own::Ending(SessionId(who)) } else { Own::None };
                match step {
                    0 | 1 => match desktops.arrive(attempt(number), user(who), own, Ok(())) {
                        Course::Refuse | Course::Attach(_) => {}
                        _ => prop_assert!(waiting.insert(number)),
                    },
                    2 => prop_assert!(told(&mut waiting, desktops.there(user(who)))),
                    3 => {
                        let left = desktops.failed(OpeningId(u64::from(who)));
                        prop_assert!(told(&mut waiting, left));
                    }
                    _ => { desktops.gone(SessionId(who)); },
                }
                prop_assert!(desktops.openings.len() <= MOST);
                let count: usize = desktops.openings.values().map(|one| one.waiting.len()).sum();
                prop_assert_eq!(count, waiting.len());
            }
            for who in 0..40 {
                prop_assert!(told(&mut waiting, desktops.there(user(who))));
            }
            prop_assert!(waiting.is_empty());
        }
    }
}
