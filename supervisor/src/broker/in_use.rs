//! What an account gets that signs in while its desktop is watched. Pure.
//!
//! Where nobody watches, it gets the desktop that it has, whatever the policy: so nobody loses one by closing a page.
//! Whoever has just signed in counts as watching, because a page takes a moment to show anything.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use lumen_ipc::units::SessionId;

/// How long a page may take from its sign-in until it watches.
const ON_THE_WAY: Duration = Duration::from_secs(10);

/// What `--session-in-use` says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InUse {
    /// The sign-in gets to that desktop, too.
    Attach,
    /// It gets another desktop.
    New,
    /// It is refused.
    Refuse,
}

/// The desktop that an account has for a sign-in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Own {
    /// It is about to end.
    Ending(SessionId),
    /// Somebody watches it, and no second one may.
    InUse,
    /// It has none, or is to have another.
    None,
    /// It runs.
    There(SessionId),
}

impl Own {
    /// The one that is about to end.
    #[must_use]
    pub const fn ending(self) -> Option<SessionId> {
        match self {
            Self::Ending(session) => Some(session),
            Self::InUse | Self::None | Self::There(_) => None,
        }
    }
}

/// One of the desktops of an account.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Which.
    pub session: SessionId,
    /// Whether it is about to end.
    pub ends: bool,
    /// Whether somebody watches it, or is on the way.
    pub watched: bool,
}

impl InUse {
    /// What a sign-in gets of the desktops that its account has, the newest first; rather one that stays.
    pub fn choose(self, desktops: impl Iterator<Item = Candidate>) -> Own {
        let (mut stays, mut ends) = (None, None);
        for Candidate { session, ends: will_end, watched } in desktops {
            match will_end {
                true => ends = ends.or(Some(session)),
                false if self == Self::Attach || !watched => return Own::There(session),
                false => stays = Some(session),
            }
        }
        match (stays, self) {
            (Some(_), Self::Refuse) => Own::InUse,
            // Beside those that there are.
            (Some(_), _) => Own::None,
            (None, _) => ends.map_or(Own::None, Own::Ending),
        }
    }
}

/// Sessions to which somebody has just signed in.
#[derive(Debug, Default)]
pub struct OnTheWay(BTreeMap<SessionId, Instant>);

impl OnTheWay {
    /// Somebody has signed in.
    pub fn sent(&mut self, now: Instant, session: SessionId) {
        self.0.retain(|_, since| now.saturating_duration_since(*since) < ON_THE_WAY);
        self.0.insert(session, now);
    }

    /// Forgets those who watch now, so that what they leave is free at once.
    pub fn arrived(&mut self, is_watched: impl Fn(SessionId) -> bool) {
        self.0.retain(|session, _| !is_watched(*session));
    }

    /// Whether somebody is on the way to this session.
    #[must_use]
    pub fn is_to(&self, now: Instant, session: SessionId) -> bool {
        let since = self.0.get(&session);
        since.is_some_and(|since| now.saturating_duration_since(*since) < ON_THE_WAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn desktop(number: u32, ends: bool, watched: bool) -> Candidate {
        Candidate { session: SessionId(number), ends, watched }
    }

    #[test]
    fn desktop_that_nobody_watches_is_the_accounts_whatever_the_policy() {
        for policy in [InUse::Attach, InUse::New, InUse::Refuse] {
            let choose = |desktops: &[Candidate]| policy.choose(desktops.iter().copied());
            assert_eq!(choose(&[]), Own::None, "{policy:?}");
            let free = desktop(1, false, false);
            assert_eq!(choose(&[desktop(3, true, false), free]), Own::There(free.session));
            assert_eq!(choose(&[desktop(3, true, true)]), Own::Ending(SessionId(3)));
        }
    }

    #[test]
    fn desktop_that_is_watched_is_shared_left_alone_or_closed_to_others() {
        let all = [desktop(5, true, false), desktop(4, false, true), desktop(2, false, true)];
        let choose = |policy: InUse| policy.choose(all.into_iter());
        assert_eq!(choose(InUse::Attach), Own::There(SessionId(4)), "the newest that stays");
        assert_eq!(choose(InUse::New), Own::None);
        assert_eq!(choose(InUse::Refuse), Own::InUse);
        let older = all.into_iter().chain([desktop(1, false, false)]);
        assert_eq!(InUse::New.choose(older.clone()), Own::There(SessionId(1)));
        assert_eq!(InUse::Refuse.choose(older), Own::There(SessionId(1)));
    }

    #[test]
    fn whoever_has_signed_in_is_on_the_way_for_a_moment() {
        let (mut on_the_way, start) = (OnTheWay::default(), Instant::now());
        on_the_way.sent(start, SessionId(1));
        assert!(on_the_way.is_to(start, SessionId(1)) && !on_the_way.is_to(start, SessionId(2)));
        assert!(!on_the_way.is_to(start + ON_THE_WAY, SessionId(1)));
        on_the_way.sent(start + ON_THE_WAY, SessionId(2));
        assert_eq!(on_the_way.0.len(), 1, "what is over is forgotten");
        on_the_way.arrived(|session| session == SessionId(2));
        assert!(!on_the_way.is_to(start + ON_THE_WAY, SessionId(2)));
    }
}
