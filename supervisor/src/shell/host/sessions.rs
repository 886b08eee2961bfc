//! The host's table of sessions: which are connected, the requests that they have not answered, and
//! which of them need a signalling link.

use std::{
    cell::Cell,
    collections::BTreeMap,
    os::fd::AsRawFd,
    sync::Arc,
    time::{Duration, Instant},
};

use lumen_ipc::{
    link::Generation,
    message::session::{Answer, SessionName, TokenDigest},
    service::{AppStatus, Refusal, SessionStatus, SessionSummary, Shortages},
    text::Text,
    units::SessionId,
};
use nix::{
    sys::socket::{Shutdown, shutdown},
    unistd::Uid,
};
use tokio::sync::oneshot;

use super::super::event::{ConnectionId, HostEnd};
use crate::broker::{
    limits::{Limits, TooMany},
    state::{KeptSession, MOST_SESSIONS as MOST_REMEMBERED},
};

/// Most sessions of one host, whatever its limits.
const MOST_SESSIONS: usize = lumen_ipc::units::MOST_SESSIONS as usize;
/// Most links to sessions that have not registered.
const MOST_NEWCOMERS: usize = 16;
/// Most requests that a session has not answered.
const MOST_PENDING: usize = 64;
/// The average interval at which one session may get signalling links,
const REWIRE: Duration = Duration::from_secs(1);
/// and how many it may get at once.
const REWIRES_AT_ONCE: u32 = 10;
/// The first accusation ends the link; another one within this time ends the accused process.
const ACCUSATION: Duration = Duration::from_secs(60);

/// What the host knows about one session.
pub(super) struct Record {
    pub(super) channel: Arc<HostEnd>,
    pub(super) token: TokenDigest,
    /// Whose desktop it is.
    pub(super) owner: Uid,
    connection: ConnectionId,
    name: Option<SessionName>,
    supervisor_pid: u32,
    /// For how long it had run when this host met it,
    age: Duration,
    /// and when that was.
    known: Instant,
    pending: BTreeMap<u32, Pending>,
    questions: u32,
    /// The newest pair of the signalling link.
    generation: Generation,
    /// Whether that pair works, as far as is known.
    wired: bool,
    /// Whether a new pair has been requested.
    wanted: bool,
    /// When the full number of pairs may be made at once again.
    clear_at: Option<Instant>,
    /// When rtc was last accused.
    accused: Option<Instant>,
    /// Whether this host ended the link.
    pub(super) given_up: Cell<bool>,
    /// Whether it was asked to end.
    pub(super) ends: bool,
}

/// The caller that waits for an answer.
#[derive(Debug)]
pub(super) enum Pending {
    Answer(oneshot::Sender<Answer>),
    /// A viewer that wants the app started. Only one may wait per session: otherwise the viewers of a
    /// session that does not answer would use up the gateway's link.
    Done(oneshot::Sender<Result<(), Refusal>>),
}

impl Pending {
    /// Whether the caller has gone.
    fn is_forgotten(&self) -> bool {
        match self {
            Self::Answer(reply) => reply.is_closed(),
            Self::Done(reply) => reply.is_closed(),
        }
    }

    pub(super) fn refuse(self, reason: &str) {
        // The caller may have gone.
        match self {
            Self::Answer(_) => {}
            Self::Done(reply) => drop(reply.send(Err(Refusal::because(reason)))),
        }
    }

    fn answer(self, answer: Answer) {
        // The caller may have gone.
        match (self, answer) {
            (Self::Answer(reply), answer) => drop(reply.send(answer)),
            (Self::Done(reply), Answer::Done(done)) => drop(reply.send(done)),
            (pending, _) => pending.refuse("the desktop gives another answer"),
        }
    }
}

impl Record {
    pub(super) fn new(
        channel: Arc<HostEnd>,
        connection: ConnectionId,
        name: Option<SessionName>,
        supervisor_pid: u32,
        token: TokenDigest,
    ) -> Self {
        Self {
            channel,
            token,
            // Nobody's, until it says so.
            owner: Uid::from_raw(u32::MAX),
            connection,
            name,
            supervisor_pid,
            age: Duration::ZERO,
            known: Instant::now(),
            pending: BTreeMap::new(),
            questions: 0,
            generation: Generation::default(),
            wired: false,
            wanted: false,
            clear_at: None,
            accused: None,
            given_up: Cell::new(false),
            ends: false,
        }
    }

    /// With the user whose desktop it is.
    pub(super) fn owned_by(self, owner: Uid) -> Self {
        Self { owner, ..self }
    }

    /// Having run for so many seconds.
    pub(super) fn aged(self, seconds: u64) -> Self {
        // An age that no session can have, counted as none, breaks no list.
        let age = if seconds > u32::MAX.into() { 0 } else { seconds };
        Self { age: Duration::from_secs(age), ..self }
    }

    /// The name shown to people.
    pub(super) fn name(&self, id: SessionId) -> String {
        self.name.as_ref().map_or_else(|| id.to_string(), |name| name.as_str().to_owned())
    }

    /// The earliest time for another pair.
    fn not_before(&self) -> Option<Instant> {
        self.clear_at?.checked_sub(REWIRE * (REWIRES_AT_ONCE - 1))
    }
}

/// Closes a link in both directions, so that both sides see its end.
pub(super) fn hang_up(channel: &HostEnd) {
    // It fails only if the link has ended already.
    let _ = shutdown(channel.as_raw_fd(), Shutdown::Both);
}

/// Every session.
#[derive(Default)]
pub(super) struct Sessions {
    records: BTreeMap<SessionId, Record>,
    newcomers: BTreeMap<ConnectionId, Arc<HostEnd>>,
    /// The session's token and owner for each number given; if there are too many, the oldest are forgotten.
    given: BTreeMap<SessionId, (TokenDigest, Uid)>,
    /// The last number that was given.
    last: u32,
    /// When the timer for the next signalling link fires.
    timer: Option<Instant>,
}

impl Sessions {
    /// Adds a link that has not registered. If there are too many, the oldest is closed.
    pub(super) fn came(&mut self, connection: ConnectionId, channel: Arc<HostEnd>) {
        self.newcomers.insert(connection, channel);
        if self.newcomers.len() > MOST_NEWCOMERS
            && let Some((_, first)) = self.newcomers.pop_first()
        {
            hang_up(&first);
        }
    }

    /// Takes out a link that has not registered.
    pub(super) fn newcomer(&mut self, connection: ConnectionId) -> Option<Arc<HostEnd>> {
        self.newcomers.remove(&connection)
    }

    /// The session with this token, if its link was given up and the end of that is not known yet.
    pub(super) fn given_up(&self, token: TokenDigest) -> Option<SessionId> {
        let given_up = |record: &Record| record.token == token && record.given_up.get();
        self.records.iter().find(|(_, record)| given_up(record)).map(|(id, _)| *id)
    }

    /// Whether the limits leave room for a session. One that has been here before keeps its place.
    pub(super) fn room_for(
        &self,
        record: &Record,
        limits: &Limits,
        expected: impl Fn(SessionId) -> bool,
    ) -> Result<(), &'static str> {
        let there = |(id, _): &(&SessionId, &(TokenDigest, Uid))| {
            self.records.contains_key(*id) || expected(**id)
        };
        let present = || self.given.iter().filter(there);
        if present().any(|(_, (token, _))| *token == record.token) {
            return Ok(());
        }
        let own = present().filter(|(_, (_, owner))| *owner == record.owner).count();
        limits.permit(own, present().count()).map_err(|too_many| match too_many {
            TooMany::InAll(_) => "there are as many desktops as there may be (--sessions-total)",
            TooMany::OfUser(_) => {
                "its user has as many desktops as one may have (--sessions-per-user)"
            }
        })
    }

    /// Registers a session under its earlier number, if its token proves that, or under a new number.
    /// Sessions that are `expected` keep their places and their numbers.
    pub(super) fn register(
        &mut self,
        record: Record,
        was: Option<SessionId>,
        expected: impl Fn(SessionId) -> bool,
    ) -> Result<SessionId, &'static str> {
        let takes_place = |(id, (token, _)): &(&SessionId, &(TokenDigest, Uid))| {
            *token != record.token && (self.records.contains_key(*id) || expected(**id))
        };
        if self.given.iter().filter(takes_place).count() >= MOST_SESSIONS {
            return Err("there are too many sessions");
        }
        let same_name = |known: &Record| record.name.is_some() && known.name == record.name;
        if self.records.values().any(same_name) {
            return Err("there is a session of that name; give this one another");
        }
        if self.records.values().any(|known| known.token == record.token) {
            return Err("there is a session with that token");
        }
        let own = |was: &SessionId| {
            self.given.get(was).is_some_and(|(token, _)| *token == record.token)
                && !self.records.contains_key(was)
        };
        let session = match was.filter(own) {
            Some(was) => was,
            None => SessionId(self.last.checked_add(1).ok_or("no number is left for it")?),
        };
        self.last = self.last.max(session.0);
        self.given.retain(|_, (token, _)| *token != record.token);
        self.given.insert(session, (record.token, record.owner));
        self.records.insert(session, record);
        self.forget_oldest(expected);
        Ok(session)
    }

    /// The sessions as they are stored; those that are `expected` count as connected.
    pub(super) fn kept(&self, expected: impl Fn(SessionId) -> bool) -> (u32, Vec<KeptSession>) {
        let kept = |(id, (token, owner)): (&SessionId, &(TokenDigest, Uid))| {
            let present = self.records.contains_key(id) || expected(*id);
            KeptSession { id: *id, token: *token, owner: owner.as_raw(), present }
        };
        (self.last, self.given.iter().map(kept).collect())
    }

    /// Restores the numbers that an earlier host gave.
    pub(super) fn restore(&mut self, last: u32, kept: &[KeptSession]) {
        self.last = last;
        let given =
            |session: &KeptSession| (session.id, (session.token, Uid::from_raw(session.owner)));
        self.given = kept.iter().map(given).collect();
    }

    fn forget_oldest(&mut self, expected: impl Fn(SessionId) -> bool) {
        if self.given.len() > MOST_REMEMBERED {
            let is_gone = |id: &&SessionId| !self.records.contains_key(*id) && !expected(**id);
            let mut gone = self.given.keys().filter(is_gone);
            if let Some(oldest) = gone.next().copied() {
                self.given.remove(&oldest);
            }
        }
    }

    pub(super) fn get(&self, session: SessionId) -> Option<&Record> {
        self.records.get(&session)
    }

    /// The session is asked to end.
    pub(super) fn end(&mut self, session: SessionId) {
        if let Some(record) = self.records.get_mut(&session) {
            record.ends = true;
        }
    }

    pub(super) fn of(&self, connection: ConnectionId) -> Option<SessionId> {
        let mut records = self.records.iter();
        records.find_map(|(id, record)| (record.connection == connection).then_some(*id))
    }

    /// Removes a session whose link has ended; returns whether this host closed the link.
    pub(super) fn remove(&mut self, session: SessionId) -> bool {
        self.records.remove(&session).is_some_and(|record| record.given_up.get())
    }

    pub(super) fn all(&self) -> Vec<SessionId> {
        self.records.keys().copied().collect()
    }

    /// What the host knows about each session without asking it.
    pub(super) fn summaries(&self) -> Vec<SessionStatus> {
        let summary = |(id, record): (&SessionId, &Record)| SessionStatus {
            id: *id,
            name: Text::truncated(record.name(*id)),
            supervisor_pid: record.supervisor_pid,
            graphics: None,
            app: AppStatus { command: Text::default(), pid: None },
            control_group: None,
            shortages: Shortages::default(),
            workers: Vec::new(),
        };
        self.records.iter().map(summary).collect()
    }

    /// The same for lists of sessions. Nobody's watchers are known here.
    pub(super) fn listed(&self, now: Instant) -> Vec<SessionSummary> {
        let own_pid = std::process::id();
        let summary = |(id, record): (&SessionId, &Record)| SessionSummary {
            id: *id,
            name: Text::truncated(record.name(*id)),
            shares_log: record.supervisor_pid == own_pid,
            owner: record.owner.as_raw(),
            supervisor_pid: record.supervisor_pid,
            age_seconds: (record.age + now.saturating_duration_since(record.known)).as_secs(),
            watchers: Vec::new(),
            ends: None,
        };
        self.records.iter().map(summary).collect()
    }

    /// Numbers a request; returns the request if the session is gone or has too many. Requests whose callers
    /// have gone do not count.
    pub(super) fn asked(&mut self, session: SessionId, pending: Pending) -> Result<u32, Pending> {
        let Some(record) = self.records.get_mut(&session) else { return Err(pending) };
        record.pending.retain(|_, earlier| !earlier.is_forgotten());
        let starts = |pending: &Pending| matches!(pending, Pending::Done(_));
        let is_second = starts(&pending) && record.pending.values().any(starts);
        if is_second || record.pending.len() >= MOST_PENDING {
            return Err(pending);
        }
        record.questions = record.questions.wrapping_add(1);
        record.pending.insert(record.questions, pending);
        Ok(record.questions)
    }

    /// Passes on an answer; ignores one without a request.
    pub(super) fn answered(&mut self, session: SessionId, number: u32, answer: Answer) {
        let record = self.records.get_mut(&session);
        if let Some(pending) = record.and_then(|record| record.pending.remove(&number)) {
            pending.answer(answer);
        }
    }

    /// Whether this is the newest pair of a session's signalling link, and still in use.
    pub(super) fn is_present(&self, session: SessionId, generation: Generation) -> bool {
        self.records
            .get(&session)
            .is_some_and(|record| record.wired && record.generation == generation)
    }

    /// The gateway has closed its end. Rtc notices that, and its session requests another.
    pub(super) fn cut(&mut self, session: SessionId) {
        if let Some(record) = self.records.get_mut(&session) {
            record.wired = false;
        }
    }

    /// Records an accusation of a session's rtc; returns whether it is the first for a while.
    pub(super) fn forgive(&mut self, session: SessionId, now: Instant) -> bool {
        let Some(record) = self.records.get_mut(&session) else { return true };
        let before = record.accused.replace(now);
        before.is_none_or(|before| now.saturating_duration_since(before) > ACCUSATION)
    }

    /// Requests a new pair.
    pub(super) fn want(&mut self, session: SessionId) {
        if let Some(record) = self.records.get_mut(&session) {
            record.wanted = true;
        }
    }

    /// The sessions that have requested a pair and may have it now.
    pub(super) fn due(&self, now: Instant) -> Vec<SessionId> {
        let due = |record: &Record| {
            record.wanted && record.not_before().is_none_or(|not_before| not_before <= now)
        };
        self.records.iter().filter(|(_, record)| due(record)).map(|(id, _)| *id).collect()
    }

    /// How long until the next requested pair may be made; `None` if there is none, or a timer runs for it.
    pub(super) fn timer(&mut self, now: Instant) -> Option<Duration> {
        let wanted = self.records.values().filter(|record| record.wanted);
        let at = wanted.filter_map(Record::not_before).min()?.max(now);
        if self.timer.is_some_and(|runs| now < runs && runs <= at) {
            return None;
        }
        self.timer = Some(at);
        Some(at.saturating_duration_since(now))
    }

    /// No pair could be made for a session: delays the next attempt.
    pub(super) fn postpone(&mut self, session: SessionId, now: Instant) {
        if let Some(record) = self.records.get_mut(&session) {
            record.clear_at = Some(now + REWIRE * REWIRES_AT_ONCE);
        }
    }

    /// Records a new pair for a session; returns its generation.
    pub(super) fn wired(&mut self, session: SessionId, now: Instant) -> Option<Generation> {
        let record = self.records.get_mut(&session)?;
        record.generation = record.generation.next();
        (record.wired, record.wanted) = (true, false);
        record.clear_at = Some(record.clear_at.map_or(now, |at| at.max(now)) + REWIRE);
        Some(record.generation)
    }
}

#[cfg(test)]
mod tests;
