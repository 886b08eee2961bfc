//! How long sessions last, and how many there may be: a state machine in virtual time.
//!
//! Decides: when a session ends because nobody watches it, when one ends because those who watch do nothing,
//! and whether another may begin. Before a session ends for want of input its pages are warned, and any input
//! keeps it; whoever comes to watch counts as somebody who acts. Of a session that nobody watches only the
//! first limit counts, because leaving a desktop to its work is no idleness. Time before this host knew a
//! session does not count: a restart of the host begins anew.
//!
//! Trusts a session's own compositor to say that somebody acts, which checks whose input counts: one that was
//! taken over can keep its own session alive. Trusts the gateway to say who watches.
//!
//! INVARIANT: a session that somebody watches is never ended before it was warned, a whole warning before.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use lumen_ipc::units::SessionId;

use super::in_use::InUse;

/// How long before its end a session is warned, unless its limit is so short that it is half of that.
const WARNING: Duration = Duration::from_secs(60);

/// The limits of a host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// How long a session lasts that nobody watches; `None` for ever.
    pub unwatched: Option<Duration>,
    /// How long one lasts whose viewers give no input; `None` for ever.
    pub idle: Option<Duration>,
    /// Most sessions of one user.
    pub per_user: u16,
    /// Most sessions of all users.
    pub in_all: u16,
    /// What an account gets that signs in while its session is watched.
    pub in_use: InUse,
}

/// Why a session ends by itself, and the limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cause {
    /// Those who watched gave no input for so long.
    Idle(Duration),
    /// Nobody watched it for so long.
    Unwatched(Duration),
}

/// Why no other session may begin, and the limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TooMany {
    /// There are as many as there may be.
    InAll(u16),
    /// The user has as many as they may have.
    OfUser(u16),
}

/// What is to be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// End a session.
    End(SessionId, Cause),
    /// Tell the pages of a session that was to end that it stays.
    Stays(SessionId),
    /// Tell the pages of a session that it ends after this time unless somebody acts.
    Warn(SessionId, Duration),
}

/// When a session will end unless something changes, and why.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ending {
    /// So long from now.
    pub after: Duration,
    /// Why.
    pub cause: Cause,
}

/// One session.
#[derive(Clone, Copy, Debug)]
struct Stay {
    watched: bool,
    /// Since when it is watched, or not.
    since: Instant,
    /// When somebody acted last, or came.
    acted: Instant,
    /// When its pages were warned.
    warned: Option<Instant>,
    /// Whether it was told to end.
    ends: bool,
}

/// All sessions, and their limits.
#[derive(Debug)]
pub struct Stays {
    limits: Limits,
    stays: BTreeMap<SessionId, Stay>,
}

impl Limits {
    /// None but those of numbers of sixteen bits.
    pub const NONE: Self = Self {
        unwatched: None,
        idle: None,
        per_user: u16::MAX,
        in_all: u16::MAX,
        in_use: InUse::Attach,
    };

    /// Whether a user who has `own` sessions may begin another, where there are `all` in all.
    ///
    /// # Errors
    /// [`TooMany`] when that would be more than there may be.
    pub fn permit(&self, own: usize, all: usize) -> Result<(), TooMany> {
        match (own < self.per_user.into(), all < self.in_all.into()) {
            (false, _) => Err(TooMany::OfUser(self.per_user)),
            (true, false) => Err(TooMany::InAll(self.in_all)),
            (true, true) => Ok(()),
        }
    }

    /// The limit that counts for a session at the moment.
    fn of(&self, stay: &Stay) -> Option<Cause> {
        match stay.watched {
            true => self.idle.map(Cause::Idle),
            false => self.unwatched.map(Cause::Unwatched),
        }
    }
}

impl Cause {
    const fn limit(self) -> Duration {
        let (Self::Idle(limit) | Self::Unwatched(limit)) = self;
        limit
    }

    /// How long before the end pages are warned; nothing where there are none.
    fn warning(self) -> Duration {
        match self {
            Self::Idle(limit) => WARNING.min(limit / 2),
            Self::Unwatched(_) => Duration::ZERO,
        }
    }

    /// In a word, for records and lists.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle(_) => "idle",
            Self::Unwatched(_) => "unwatched",
        }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let time = in_words(self.limit());
        match self {
            Self::Idle(_) => write!(f, "nobody used it for {time}"),
            Self::Unwatched(_) => write!(f, "nobody watched it for {time}"),
        }
    }
}

/// A time in the largest unit that gives a whole number.
fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [(86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")];
    let whole = units.into_iter().find(|(unit, _)| seconds.is_multiple_of(*unit));
    let (unit, name) = whole.unwrap_or((1, "second"));
    match seconds / unit {
        1 => format!("a{} {name}", if name == "hour" { "n" } else { "" }),
        count => format!("{count} {name}s"),
    }
}

impl Stay {
    /// When it is to end for this cause.
    fn due(&self, cause: Cause) -> Instant {
        // A page whose signalling is lost may still be used.
        let from = if self.watched { self.acted } else { self.since.max(self.acted) };
        let due = from + cause.limit();
        match self.warned {
            Some(warned) => due.max(warned + cause.warning()),
            None => due,
        }
    }

    fn poll(&mut self, session: SessionId, limits: &Limits, now: Instant) -> Option<Step> {
        // Also where its pages have gone: the gateway may tell those that come.
        let stays = self.warned.map(|_| Step::Stays(session));
        let Some(cause) = limits.of(self) else {
            self.warned = None;
            return stays;
        };
        let (due, warning) = (self.due(cause), cause.warning());
        if now + warning < due {
            self.warned = None;
            return stays;
        }
        if self.watched && self.warned.is_none() {
            self.warned = Some(now);
            return Some(Step::Warn(session, warning));
        }
        if now < due {
            return None;
        }
        self.ends = true;
        Some(Step::End(session, cause))
    }
}

impl Stays {
    /// No sessions.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self { limits, stays: BTreeMap::new() }
    }

    /// The limits.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// These are the limits from now on, for the sessions that there are, too.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// A session is there, or there again: then its time goes on, unless it was told to end.
    pub fn came(&mut self, now: Instant, session: SessionId) {
        if self.stays.get(&session).is_none_or(|stay| stay.ends) {
            let stay = Stay { watched: false, since: now, acted: now, warned: None, ends: false };
            self.stays.insert(session, stay);
        }
    }

    /// A session is gone.
    pub fn left(&mut self, session: SessionId) {
        self.stays.remove(&session);
    }

    /// These sessions are watched, and no others.
    pub fn watched(&mut self, now: Instant, is_watched: impl Fn(SessionId) -> bool) {
        for (session, stay) in &mut self.stays {
            let watched = is_watched(*session);
            if watched != stay.watched {
                (stay.watched, stay.since) = (watched, now);
                if watched {
                    stay.acted = now;
                }
            }
        }
    }

    /// Somebody acts in a session.
    pub fn acted(&mut self, now: Instant, session: SessionId) {
        if let Some(stay) = self.stays.get_mut(&session) {
            stay.acted = now;
        }
    }

    /// What is to be done by `now`.
    pub fn poll(&mut self, now: Instant) -> Vec<Step> {
        let Self { limits, stays } = self;
        let lasting = stays.iter_mut().filter(|(_, stay)| !stay.ends);
        lasting.filter_map(|(session, stay)| stay.poll(*session, limits, now)).collect()
    }

    /// When to poll next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let next = |stay: &Stay| {
            let cause = self.limits.of(stay)?;
            let due = stay.due(cause);
            let early = if stay.warned.is_some() { Duration::ZERO } else { cause.warning() };
            Some(due.checked_sub(early).unwrap_or(due))
        };
        self.stays.values().filter(|stay| !stay.ends).filter_map(next).min()
    }

    /// When a session will end unless something changes.
    #[must_use]
    pub fn ending(&self, now: Instant, session: SessionId) -> Option<Ending> {
        let stay = self.stays.get(&session)?;
        let cause = self.limits.of(stay)?;
        let after = stay.due(cause).saturating_duration_since(now);
        Some(Ending { after, cause })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const ONE: SessionId = SessionId(1);
    const OTHER: SessionId = SessionId(2);
    const LIMITS: Limits = Limits {
        unwatched: Some(Duration::from_secs(600)),
        idle: Some(Duration::from_secs(1800)),
        per_user: 2,
        in_all: 3,
        in_use: InUse::Attach,
    };

    fn stays(now: Instant, limits: Limits) -> Stays {
        let mut stays = Stays::new(limits);
        stays.came(now, ONE);
        stays
    }

    #[test]
    fn session_that_nobody_watches_ends_after_its_limit_and_only_once() {
        let start = Instant::now();
        let mut stays = stays(start, LIMITS);
        stays.watched(start + MINUTE, |session| session == ONE);
        stays.came(start + 2 * MINUTE, OTHER);
        stays.watched(start + 5 * MINUTE, |_| false);
        assert_eq!(stays.deadline(), Some(start + 12 * MINUTE), "that of the other, never watched");
        assert_eq!(stays.poll(start + 12 * MINUTE - Duration::from_millis(1)), []);
        let ten = Cause::Unwatched(10 * MINUTE);
        assert_eq!(stays.poll(start + 12 * MINUTE), [Step::End(OTHER, ten)]);
        stays.left(OTHER);
        let ending = stays.ending(start + 13 * MINUTE, ONE);
        assert_eq!(ending, Some(Ending { after: 2 * MINUTE, cause: ten }));
        assert_eq!(stays.poll(start + 15 * MINUTE), [Step::End(ONE, ten)]);
        assert_eq!((stays.poll(start + 16 * MINUTE), stays.deadline()), (Vec::new(), None));
    }

    #[test]
    fn session_that_somebody_watches_in_time_stays_and_leaving_a_desktop_is_no_idleness() {
        let start = Instant::now();
        let mut stays = stays(start, Limits { unwatched: None, ..LIMITS });
        assert_eq!((stays.deadline(), stays.ending(start, ONE)), (None, None));
        assert_eq!(stays.poll(start + 1000 * MINUTE), []);
        let back = start + 1000 * MINUTE;
        stays.watched(back, |_| true);
        assert_eq!(stays.deadline(), Some(back + 29 * MINUTE), "coming counts as input");
    }

    #[test]
    fn idle_session_is_warned_a_minute_before_its_end_and_any_input_keeps_it() {
        let start = Instant::now();
        let mut stays = stays(start, LIMITS);
        stays.watched(start, |_| true);
        stays.acted(start + MINUTE, ONE);
        assert_eq!(stays.poll(start + 30 * MINUTE - Duration::from_millis(1)), []);
        assert_eq!(stays.deadline(), Some(start + 30 * MINUTE));
        assert_eq!(stays.poll(start + 30 * MINUTE), [Step::Warn(ONE, MINUTE)]);
        assert_eq!(stays.poll(start + 30 * MINUTE), [], "once");
        stays.acted(start + 31 * MINUTE - Duration::from_millis(1), ONE);
        let kept = stays.poll(start + 31 * MINUTE);
        assert_eq!(kept, [Step::Stays(ONE)]);
        let again = stays.deadline().expect("it may idle again");
        assert_eq!(stays.poll(again), [Step::Warn(ONE, MINUTE)]);
        let half = Cause::Idle(30 * MINUTE);
        assert_eq!(stays.poll(again + MINUTE), [Step::End(ONE, half)]);
    }

    #[test]
    fn warning_that_comes_late_is_a_whole_one_and_a_short_limit_has_a_short_one() {
        let start = Instant::now();
        let mut late = stays(start, LIMITS);
        late.watched(start, |_| true);
        let now = start + 300 * MINUTE;
        assert_eq!(late.poll(now), [Step::Warn(ONE, MINUTE)]);
        assert_eq!(late.poll(now + MINUTE - Duration::from_millis(1)), []);
        assert_eq!(late.poll(now + MINUTE).len(), 1);
        let idle = Some(Duration::from_secs(8));
        let mut short = stays(start, Limits { idle, ..LIMITS });
        short.watched(start, |_| true);
        let warning = Duration::from_secs(4);
        assert_eq!(short.poll(start + warning), [Step::Warn(ONE, warning)]);
    }

    #[test]
    fn limit_that_is_lifted_takes_the_warning_back_and_one_that_is_set_counts_at_once() {
        let start = Instant::now();
        let mut stays = stays(start, LIMITS);
        stays.watched(start, |_| true);
        stays.poll(start + 29 * MINUTE);
        stays.set_limits(Limits { idle: None, ..LIMITS });
        assert_eq!(stays.poll(start + 29 * MINUTE), [Step::Stays(ONE)]);
        assert_eq!(stays.deadline(), None);
        stays.set_limits(Limits { idle: Some(5 * MINUTE), ..LIMITS });
        assert_eq!(stays.poll(start + 30 * MINUTE), [Step::Warn(ONE, MINUTE)]);
    }

    #[test]
    fn another_session_begins_while_neither_its_user_nor_the_machine_has_too_many() {
        assert_eq!(LIMITS.permit(1, 2), Ok(()));
        assert_eq!(LIMITS.permit(2, 2), Err(TooMany::OfUser(2)));
        assert_eq!(LIMITS.permit(0, 3), Err(TooMany::InAll(3)));
        assert_eq!(LIMITS.permit(9, 9), Err(TooMany::OfUser(2)), "what the user can change");
    }

    #[test]
    fn cause_says_the_limit_in_whole_units() {
        let said = [1, 90, 3600, 7200, 86_400, 259_200]
            .map(|seconds| Cause::Unwatched(Duration::from_secs(seconds)).to_string());
        let times = ["a second", "90 seconds", "an hour", "2 hours", "a day", "3 days"];
        assert_eq!(said, times.map(|time| format!("nobody watched it for {time}")));
    }

    proptest! {
        #[test]
        fn watched_session_ends_a_whole_warning_after_it_was_warned_and_nobody_acted_in_between(
            steps in prop::collection::vec((0_u8..5, 0_u64..2000), 1..80),
        ) {
            let start = Instant::now();
            let (mut now, mut stays) = (start, stays(start, LIMITS));
            let (mut watched, mut warned, mut quiet_since) = (false, None::<Instant>, start);
            for (step, seconds) in steps {
                now += Duration::from_secs(seconds);
                match step {
                    0 => {
                        let comes = !watched;
                        stays.watched(now, |_| comes);
                        (watched, quiet_since) = (comes, now);
                    }
                    1 => { stays.acted(now, ONE); quiet_since = now; }
                    2 => if let Some(due) = stays.deadline() { now = now.max(due); },
                    _ => {}
                }
                for step in stays.poll(now) {
                    match step {
                        Step::Warn(_, time) => {
                            prop_assert!(watched && warned.is_none() && time == MINUTE);
                            prop_assert!(now >= quiet_since + 29 * MINUTE);
                            warned = Some(now);
                        }
                        Step::Stays(_) => prop_assert!(warned.take().is_some()),
                        Step::End(_, Cause::Idle(_)) => {
                            prop_assert!(watched && now >= quiet_since + 30 * MINUTE);
                            prop_assert!(warned.is_some_and(|warned| now >= warned + MINUTE));
                        }
                        Step::End(_, Cause::Unwatched(_)) => {
                            prop_assert!(!watched && now >= quiet_since + 10 * MINUTE);
                        }
                    }
                }
                let due = stays.deadline();
                prop_assert!(due.is_none_or(|due| due > now), "it would be polled for ever");
            }
        }
    }
}
