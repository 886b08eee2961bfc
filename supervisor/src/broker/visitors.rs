//! Who watches which session: the pages that are connected, as the gateway reports them. Pure.
//!
//! Decides: when somebody has come, and when they have left. A page that loses its WebSocket keeps its
//! picture and opens another one, so somebody has left only when they have been away for a while. Trusts
//! the gateway: one that was taken over can leave visitors out and invent some, which is shown and logged
//! and has no other effect.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use lumen_ipc::{
    login::{LoginId, Visitor},
    service::Watcher,
    units::SessionId,
};

/// How long somebody may be away without having left.
const ABSENCE: Duration = Duration::from_secs(20);
/// Most visitors that are known; more are not counted.
const MOST: usize = 4096;

/// A change among the visitors.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Visit {
    /// Somebody watches.
    Began(Visitor),
    /// Somebody has left, who had watched for so long.
    Ended(Visitor, Duration),
}

#[derive(Clone, Copy, Debug)]
struct Presence {
    pages: u32,
    since: Instant,
    /// Since when no page of theirs is connected.
    away: Option<Instant>,
}

/// All visitors.
#[derive(Debug, Default)]
pub struct Visitors(BTreeMap<Visitor, Presence>);

impl Visitors {
    /// Takes in all pages that are connected, one entry for each; returns what changed.
    pub fn report(&mut self, now: Instant, pages: &[Visitor]) -> Vec<Visit> {
        let mut changes = self.poll(now);
        for presence in self.0.values_mut() {
            presence.pages = 0;
        }
        for page in pages {
            let room = self.0.len() < MOST;
            match self.0.get_mut(page) {
                Some(presence) => presence.pages += 1,
                None if room => {
                    self.0.insert(*page, Presence { pages: 1, since: now, away: None });
                    changes.push(Visit::Began(*page));
                }
                None => {}
            }
        }
        for presence in self.0.values_mut() {
            presence.away = match presence.pages {
                0 => presence.away.or(Some(now)),
                _ => None,
            };
        }
        changes
    }

    /// The visitors who have left by `now`.
    pub fn poll(&mut self, now: Instant) -> Vec<Visit> {
        let mut left = Vec::new();
        self.0.retain(|visitor, presence| {
            let Some(away) = presence.away.filter(|away| now >= *away + ABSENCE) else {
                return true;
            };
            left.push(Visit::Ended(*visitor, away.saturating_duration_since(presence.since)));
            false
        });
        left
    }

    /// When to poll next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.0.values().filter_map(|presence| presence.away).min().map(|away| away + ABSENCE)
    }

    /// Who watches a session.
    #[must_use]
    pub fn of(&self, session: SessionId, now: Instant) -> Vec<Watcher> {
        let own = self.0.iter().filter(|(visitor, _)| visitor.session == session);
        let present = own.filter(|(_, presence)| presence.pages > 0);
        let watcher = |(visitor, presence): (&Visitor, &Presence)| Watcher {
            from: visitor.from,
            since_seconds: now.saturating_duration_since(presence.since).as_secs(),
            pages: presence.pages,
        };
        present.map(watcher).collect()
    }

    /// Whether anybody watches a session.
    #[must_use]
    pub fn watch(&self, session: SessionId) -> bool {
        self.0.iter().any(|(visitor, presence)| visitor.session == session && presence.pages > 0)
    }

    /// How many pages of a login are connected.
    #[must_use]
    pub fn pages(&self, login: LoginId) -> u32 {
        let own = self.0.iter().filter(|(visitor, _)| visitor.login == login);
        own.map(|(_, presence)| presence.pages).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn visitor(session: u32, login: u64) -> Visitor {
        Visitor { session: SessionId(session), login: LoginId(login), from: [192, 0, 2, 7].into() }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn visitor_with_several_pages_comes_once_and_leaves_with_the_last() {
        let (start, mut visitors) = (Instant::now(), Visitors::default());
        let (one, other) = (visitor(1, 1), visitor(2, 2));
        assert_eq!(visitors.report(start, &[one, one]), [Visit::Began(one)]);
        assert_eq!(visitors.report(start + SECOND, &[one, other]), [Visit::Began(other)]);
        assert_eq!((visitors.pages(one.login), visitors.pages(other.login)), (1, 1));
        assert!(visitors.watch(SessionId(1)) && !visitors.watch(SessionId(3)));
        assert_eq!(visitors.of(SessionId(1), start + 3 * SECOND)[0].since_seconds, 3);
        assert_eq!(visitors.report(start + 5 * SECOND, &[other]), []);
        assert_eq!(visitors.of(SessionId(1), start + 5 * SECOND), []);
        assert!(!visitors.watch(SessionId(1)));
        let due = visitors.deadline().expect("one is away");
        assert_eq!(due, start + 5 * SECOND + ABSENCE);
        assert_eq!(visitors.poll(due - SECOND), []);
        assert_eq!(visitors.poll(due), [Visit::Ended(one, 5 * SECOND)]);
        assert_eq!(visitors.deadline(), None);
    }

    #[test]
    fn page_that_opens_another_socket_in_time_has_not_left() {
        let (start, mut visitors) = (Instant::now(), Visitors::default());
        let one = visitor(1, 1);
        visitors.report(start, &[one]);
        visitors.report(start + SECOND, &[]);
        assert_eq!(visitors.report(start + ABSENCE, &[one]), [], "19 s later");
        assert_eq!(visitors.of(SessionId(1), start + ABSENCE)[0].since_seconds, ABSENCE.as_secs());
        assert_eq!(visitors.deadline(), None);
    }

    proptest! {
        #[test]
        fn visits_begin_and_end_in_turn_and_all_end_when_nobody_is_there(
            reports in prop::collection::vec((prop::collection::vec((1_u32..3, 1_u64..4), 0..6), 0_u64..30), 0..40),
        ) {
            let (mut now, mut visitors) = (Instant::now(), Visitors::default());
            let mut present = std::collections::BTreeSet::new();
            let mut check = |changes: Vec<Visit>| {
                changes.into_iter().all(|change| match change {
                    Visit::Began(visitor) => present.insert(visitor),
                    Visit::Ended(visitor, _) => present.remove(&visitor),
                })
            };
            for (pages, seconds) in reports {
                now += Duration::from_secs(seconds);
                let pages: Vec<Visitor> =
                    pages.into_iter().map(|(session, login)| visitor(session, login)).collect();
                prop_assert!(check(visitors.report(now, &pages)));
            }
            prop_assert!(check(visitors.report(now, &[])));
            prop_assert!(check(visitors.poll(now + ABSENCE)));
            prop_assert!(present.is_empty() && visitors.0.is_empty());
        }
    }
}
