//! What a host's process knows of the one before it and leaves to the next: the file it is kept in, and
//! which sessions are expected to come again.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime},
};

use lumen_ipc::{relay::UnixSeconds, units::SessionId};

use super::super::keeper::Keeper;
use crate::broker::state::{KeptRelay, State};

/// How long a session whose link is lost may take to come again before it counts as ended. It looks for
/// its host every two seconds at least.
pub(super) const EXPECTED: Duration = Duration::from_secs(60);
/// How old the times at which logins were used may become in the file at most…
const LONGEST_AGE: Duration = Duration::from_secs(60);
/// …and as a share of the time after which an unused login ends.
const SHARE_OF_IDLE: u32 = 4;

/// The file, and who is expected.
pub(in super::super) struct Memory {
    keeper: Keeper,
    relay: Option<KeptRelay>,
    /// How old what the file says of the use of logins may become.
    longest_age: Duration,
    /// When the newest state was given to the keeper.
    kept: Option<Instant>,
    /// Sessions that were there and may come again, and until when.
    expected: BTreeMap<SessionId, Instant>,
}

impl Memory {
    /// `idle` is how long a login lasts unused.
    pub(in super::super) fn new(keeper: Keeper, relay: Option<KeptRelay>, idle: Duration) -> Self {
        let longest_age = LONGEST_AGE.min(idle / SHARE_OF_IDLE);
        Self { keeper, relay, longest_age, kept: None, expected: BTreeMap::new() }
    }

    /// Keeps a state, to which the relay's part is added; `then` follows when that is done.
    pub(super) fn keep(
        &mut self,
        now: Instant,
        state: State,
        then: impl FnOnce() + Send + 'static,
    ) {
        self.kept = Some(now);
        self.keeper.keep(&State { relay: self.relay.clone(), ..state }, then);
    }

    /// Whether the file's times are so old that they are to be kept anew.
    pub(super) fn is_old(&self, now: Instant) -> bool {
        self.kept.is_none_or(|kept| now.saturating_duration_since(kept) >= self.longest_age)
    }

    pub(super) fn expect(&mut self, session: SessionId, now: Instant) {
        self.expected.insert(session, now + EXPECTED);
    }

    pub(super) fn expects(&self, session: SessionId) -> bool {
        self.expected.contains_key(&session)
    }

    /// It is there.
    pub(super) fn met(&mut self, session: SessionId) {
        self.expected.remove(&session);
    }

    /// Takes out those that have not come in time.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<SessionId> {
        let late = |(session, until): (&SessionId, &Instant)| (*until <= now).then_some(*session);
        let late: Vec<SessionId> = self.expected.iter().filter_map(late).collect();
        self.expected.retain(|session, _| !late.contains(session));
        late
    }
}

/// What time it is; before 1970 nothing that was kept is believed.
pub(super) fn unix() -> UnixSeconds {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixSeconds(since.map_or(0, |since| since.as_secs()))
}
