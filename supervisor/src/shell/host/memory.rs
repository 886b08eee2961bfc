//! What a host's process knows about its predecessor and leaves to its successor: the state file,
//! and the sessions that are expected to come back.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime},
};

use lumen_ipc::{relay::UnixSeconds, units::SessionId};

use super::super::keeper::Keeper;
use crate::broker::state::{KeptRelay, State};

/// How long a session whose link is lost may take to come back before it counts as ended. It looks
/// for its host at least every two seconds.
pub(super) const EXPECTED: Duration = Duration::from_secs(60);
/// How old the stored times of logins' last use may become at most,
const LONGEST_AGE: Duration = Duration::from_secs(60);
/// also as a share of the time after which an unused login ends.
const SHARE_OF_IDLE: u32 = 4;

/// The state file, and the expected sessions.
pub(in super::super) struct Memory {
    keeper: Keeper,
    relay: Option<KeptRelay>,
    /// How old the stored times of logins' last use may become.
    longest_age: Duration,
    /// When the newest state was given to the keeper.
    kept: Option<Instant>,
    /// Sessions that may come back, and until when.
    expected: BTreeMap<SessionId, Instant>,
}

impl Memory {
    /// `idle` is how long a login lasts unused.
    pub(in super::super) fn new(keeper: Keeper, relay: Option<KeptRelay>, idle: Duration) -> Self {
        let longest_age = longest_age(idle);
        Self { keeper, relay, longest_age, kept: None, expected: BTreeMap::new() }
    }

    /// `idle` is how long a login lasts unused from now on.
    pub(super) fn set_idle(&mut self, idle: Duration) {
        self.longest_age = longest_age(idle);
    }

    /// Stores a state, to which it adds the relay's part; `then` is called when that is done.
    pub(super) fn keep(
        &mut self,
        now: Instant,
        state: State,
        then: impl FnOnce() + Send + 'static,
    ) {
        self.kept = Some(now);
        self.keeper.keep(&State { relay: self.relay.clone(), ..state }, then);
    }

    /// Whether the stored times are so old that they must be stored again.
    pub(super) fn is_old(&self, now: Instant) -> bool {
        self.kept.is_none_or(|kept| now.saturating_duration_since(kept) >= self.longest_age)
    }

    pub(super) fn expect(&mut self, session: SessionId, now: Instant) {
        self.expected.insert(session, now + EXPECTED);
    }

    /// Expects a session for no longer than until then, if it does.
    pub(super) fn hurry(&mut self, session: SessionId, until: Instant) {
        if let Some(expected) = self.expected.get_mut(&session) {
            *expected = until.min(*expected);
        }
    }

    pub(super) fn expects(&self, session: SessionId) -> bool {
        self.expected.contains_key(&session)
    }

    /// Handles the loss of a session's link; returns whether the session may come back. It may if this host
    /// closed the link, or if it has not been welcomed yet after a restart.
    pub(super) fn may_return(&mut self, session: SessionId, gave_up: bool, now: Instant) -> bool {
        if gave_up {
            self.expect(session, now);
        }
        self.expects(session)
    }

    /// The session has come back.
    pub(super) fn met(&mut self, session: SessionId) {
        self.expected.remove(&session);
    }

    /// Removes and returns the sessions that have not come back in time.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<SessionId> {
        let late = |(session, until): (&SessionId, &Instant)| (*until <= now).then_some(*session);
        let late: Vec<SessionId> = self.expected.iter().filter_map(late).collect();
        self.expected.retain(|session, _| !late.contains(session));
        late
    }
}

fn longest_age(idle: Duration) -> Duration {
    LONGEST_AGE.min(idle / SHARE_OF_IDLE)
}

/// The wall-clock time; before 1970 no stored time is trusted.
pub(super) fn unix() -> UnixSeconds {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixSeconds(since.map_or(0, |since| since.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_that_was_not_welcomed_again_is_still_expected_when_its_link_is_lost() {
        let path = std::env::temp_dir().join(format!("lumen-memory-{}", std::process::id()));
        let keeper = Keeper::start(path).expect("a thread");
        let (mut memory, now) = (Memory::new(keeper, None, EXPECTED), Instant::now());
        let (expected, other) = (SessionId(1), SessionId(2));
        memory.expect(expected, now);
        assert!(memory.may_return(expected, false, now));
        assert!(!memory.may_return(other, false, now));
        assert!(memory.may_return(other, true, now), "its link was given up");
        memory.met(expected);
        assert!(!memory.may_return(expected, false, now), "it has ended");
    }

    #[test]
    fn session_that_somebody_waits_for_is_given_up_sooner_and_none_is_expected_for_that() {
        let path = std::env::temp_dir().join(format!("lumen-hurry-{}", std::process::id()));
        let keeper = Keeper::start(path).expect("a thread");
        let (mut memory, now) = (Memory::new(keeper, None, EXPECTED), Instant::now());
        let (expected, other) = (SessionId(1), SessionId(2));
        memory.expect(expected, now);
        let soon = now + EXPECTED / 10;
        memory.hurry(expected, soon);
        memory.hurry(expected, now + EXPECTED * 2);
        memory.hurry(other, soon);
        assert!(!memory.expects(other));
        assert_eq!(memory.overdue(now), []);
        assert_eq!(memory.overdue(soon), [expected]);
    }
}
