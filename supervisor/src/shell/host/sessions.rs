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
    service::{AppStatus, Refusal, SessionStatus},
    text::Text,
    units::SessionId,
};
use nix::sys::socket::{Shutdown, shutdown};
use tokio::sync::oneshot;

use super::super::event::{ConnectionId, HostEnd};
use crate::broker::state::{KeptSession, MOST_SESSIONS as MOST_REMEMBERED};

/// Most sessions of one host.
const MOST_SESSIONS: usize = 64;
/// Most links to sessions that have not registered.
const MOST_NEWCOMERS: usize = 16;
/// Most requests that a session has not answered.
const MOST_PENDING: usize = 64;
/// How often signalling links of one session may be made in the long run,
const REWIRE: Duration = Duration::from_secs(1);
/// and so many at once.
const REWIRES_AT_ONCE: u32 = 10;
/// The first accusation costs the link, the next one within this time the accused process.
const ACCUSATION: Duration = Duration::from_secs(60);

/// What the host knows about one session.
pub(super) struct Record {
    pub(super) channel: Arc<HostEnd>,
    pub(super) token: TokenDigest,
    connection: ConnectionId,
    name: Option<SessionName>,
    supervisor_pid: u32,
    pending: BTreeMap<u32, Pending>,
    questions: u32,
    /// The newest pair of the signalling link.
    generation: Generation,
    /// Whether that pair works, as far as is known.
    wired: bool,
    /// Whether another is wanted.
    wanted: bool,
    /// When the full number of pairs may be made at once again.
    clear_at: Option<Instant>,
    /// When rtc was last accused.
    accused: Option<Instant>,
    /// Whether this host ended the link.
    pub(super) given_up: Cell<bool>,
}

/// The caller that waits for an answer.
#[derive(Debug)]
pub(super) enum Pending {
    Answer(oneshot::Sender<Answer>),
    Done(oneshot::Sender<Result<(), Refusal>>),
}

impl Pending {
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
            connection,
            name,
            supervisor_pid,
            pending: BTreeMap::new(),
            questions: 0,
            generation: Generation::default(),
            wired: false,
            wanted: false,
            clear_at: None,
            accused: None,
            given_up: Cell::new(false),
        }
    }

    /// Its name for people.
    pub(super) fn name(&self, id: SessionId) -> String {
        self.name.as_ref().map_or_else(|| id.to_string(), |name| name.as_str().to_owned())
    }

    /// When another pair may be made.
    fn not_before(&self) -> Option<Instant> {
        self.clear_at?.checked_sub(REWIRE * (REWIRES_AT_ONCE - 1))
    }
}

/// Closes a link: both sides see its end.
pub(super) fn hang_up(channel: &HostEnd) {
    // It fails only if the link has ended already.
    let _ = shutdown(channel.as_raw_fd(), Shutdown::Both);
}

/// Every session.
#[derive(Default)]
pub(super) struct Sessions {
    records: BTreeMap<SessionId, Record>,
    newcomers: BTreeMap<ConnectionId, Arc<HostEnd>>,
    /// The token of the session for each number given; of very many only the newest.
    given: BTreeMap<SessionId, TokenDigest>,
    /// The last number that was given.
    last: u32,
}

impl Sessions {
    /// Adds a link without a registration. Of too many, the oldest is closed.
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

    /// Registers a session under its earlier number, if its token proves that, or under a new
    /// number.
    pub(super) fn register(
        &mut self,
        record: Record,
        was: Option<SessionId>,
    ) -> Result<SessionId, &'static str> {
        if self.records.len() >= MOST_SESSIONS {
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
            self.given.get(was) == Some(&record.token) && !self.records.contains_key(was)
        };
        let session = match was.filter(own) {
            Some(was) => was,
            None => SessionId(self.last.checked_add(1).ok_or("no number is left for it")?),
        };
        self.last = self.last.max(session.0);
        self.given.retain(|_, token| *token != record.token);
        self.given.insert(session, record.token);
        self.records.insert(session, record);
        self.forget_oldest();
        Ok(session)
    }

    /// The sessions as they are stored; those that are `expected` count as connected.
    pub(super) fn kept(&self, expected: impl Fn(SessionId) -> bool) -> (u32, Vec<KeptSession>) {
        let kept = |(id, token): (&SessionId, &TokenDigest)| {
            let present = self.records.contains_key(id) || expected(*id);
            KeptSession { id: *id, token: *token, present }
        };
        (self.last, self.given.iter().map(kept).collect())
    }

    /// Restores the numbers that an earlier host gave.
    pub(super) fn restore(&mut self, last: u32, kept: &[KeptSession]) {
        self.last = last;
        self.given = kept.iter().map(|session| (session.id, session.token)).collect();
    }

    fn forget_oldest(&mut self) {
        if self.given.len() > MOST_REMEMBERED {
            let mut gone = self.given.keys().filter(|id| !self.records.contains_key(*id));
            if let Some(oldest) = gone.next().copied() {
                self.given.remove(&oldest);
            }
        }
    }

    pub(super) fn get(&self, session: SessionId) -> Option<&Record> {
        self.records.get(&session)
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

    /// What is known about each without asking it.
    pub(super) fn summaries(&self) -> Vec<SessionStatus> {
        let summary = |(id, record): (&SessionId, &Record)| SessionStatus {
            id: *id,
            name: Text::truncated(record.name(*id)),
            supervisor_pid: record.supervisor_pid,
            app: AppStatus { command: Text::default(), pid: None },
            workers: Vec::new(),
        };
        self.records.iter().map(summary).collect()
    }

    /// Numbers a request; returns it when the session is gone or has too many.
    pub(super) fn asked(&mut self, session: SessionId, pending: Pending) -> Result<u32, Pending> {
        match self.records.get_mut(&session) {
            Some(record) if record.pending.len() < MOST_PENDING => {
                record.questions = record.questions.wrapping_add(1);
                record.pending.insert(record.questions, pending);
                Ok(record.questions)
            }
            _ => Err(pending),
        }
    }

    /// Passes on an answer; ignores one without a request.
    pub(super) fn answered(&mut self, session: SessionId, number: u32, answer: Answer) {
        let record = self.records.get_mut(&session);
        if let Some(pending) = record.and_then(|record| record.pending.remove(&number)) {
            pending.answer(answer);
        }
    }

    /// Whether this is the newest pair of a session's signalling link.
    pub(super) fn is_present(&self, session: SessionId, generation: Generation) -> bool {
        self.records
            .get(&session)
            .is_some_and(|record| record.wired && record.generation == generation)
    }

    /// The gateway has given up its end. Rtc notices that, and asks for another.
    pub(super) fn cut(&mut self, session: SessionId) {
        if let Some(record) = self.records.get_mut(&session) {
            record.wired = false;
        }
    }

    /// Whether this is the first accusation of a session's rtc for a while.
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

    /// Sessions that want a pair and may have it.
    pub(super) fn due(&self, now: Instant) -> Vec<SessionId> {
        let due = |record: &Record| {
            record.wanted && record.not_before().is_none_or(|not_before| not_before <= now)
        };
        self.records.iter().filter(|(_, record)| due(record)).map(|(id, _)| *id).collect()
    }

    /// How long until the next pair may be made.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let wanted = self.records.values().filter(|record| record.wanted);
        let waits = wanted.filter_map(Record::not_before);
        waits.min().map(|at| at.saturating_duration_since(now))
    }

    /// A pair is made for a session; which.
    pub(super) fn wired(&mut self, session: SessionId, now: Instant) -> Option<Generation> {
        let record = self.records.get_mut(&session)?;
        record.generation = record.generation.next();
        (record.wired, record.wanted) = (true, false);
        record.clear_at = Some(record.clear_at.map_or(now, |at| at.max(now)) + REWIRE);
        Some(record.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(connection: u64, name: Option<&str>, token: u8) -> Record {
        let (channel, _) = HostEnd::pair().expect("socketpair");
        let name = name.map(|name| SessionName::new(name).expect("legal"));
        let token = TokenDigest([token; 32]);
        Record::new(Arc::new(channel), ConnectionId(connection), name, 1, token)
    }

    #[test]
    fn number_of_a_session_that_is_gone_is_given_to_nobody_but_itself() {
        let mut sessions = Sessions::default();
        assert_eq!(sessions.register(record(1, None, 1), None), Ok(SessionId(1)));
        assert_eq!(sessions.register(record(2, None, 2), None), Ok(SessionId(2)));
        sessions.remove(SessionId(2));
        assert_eq!(sessions.register(record(3, None, 3), None), Ok(SessionId(3)));
        assert_eq!(sessions.register(record(4, None, 2), Some(SessionId(2))), Ok(SessionId(2)));
        assert_eq!(sessions.register(record(5, None, 5), Some(SessionId(1))), Ok(SessionId(4)));
    }

    #[test]
    fn number_that_another_had_or_that_nobody_was_given_is_not_had_by_claiming_it() {
        let mut sessions = Sessions::default();
        assert_eq!(sessions.register(record(1, None, 1), Some(SessionId(7))), Ok(SessionId(1)));
        sessions.remove(SessionId(1));
        assert_eq!(sessions.register(record(2, None, 2), Some(SessionId(1))), Ok(SessionId(2)));
        assert_eq!(sessions.register(record(3, None, 1), Some(SessionId(1))), Ok(SessionId(1)));
    }

    #[test]
    fn number_outlives_the_host_with_the_token_that_proves_it() {
        let mut before = Sessions::default();
        for number in 1..=3 {
            assert!(before.register(record(number, None, number as u8), None).is_ok());
        }
        before.remove(SessionId(3));
        let (last, kept) = before.kept(|_| false);
        let present: Vec<bool> = kept.iter().map(|session| session.present).collect();
        assert_eq!((last, present), (3, vec![true, true, false]));
        let mut after = Sessions::default();
        after.restore(last, &kept);
        assert_eq!(after.register(record(1, None, 9), Some(SessionId(2))), Ok(SessionId(4)));
        assert_eq!(after.register(record(2, None, 2), Some(SessionId(2))), Ok(SessionId(2)));
        assert_eq!(after.register(record(3, None, 1), None), Ok(SessionId(5)), "does not say so");
    }

    #[test]
    fn numbers_remembered_are_the_newest_and_those_of_the_living() {
        let mut sessions = Sessions::default();
        assert_eq!(sessions.register(record(0, None, 255), None), Ok(SessionId(1)));
        for number in 0..2 * MOST_REMEMBERED {
            let (connection, token) = (1 + number as u64, TokenDigest([0; 32]));
            let mut record = record(connection, None, 0);
            record.token = TokenDigest(std::array::from_fn(|at| {
                if at < 8 { number.to_be_bytes()[at] } else { token.0[at] }
            }));
            let id = sessions.register(record, None).expect("room");
            sessions.remove(id);
        }
        let (last, kept) = sessions.kept(|_| false);
        assert_eq!(last, 1 + 2 * MOST_REMEMBERED as u32);
        assert_eq!(kept.len(), MOST_REMEMBERED);
        assert!(kept[0].present && kept[0].id == SessionId(1));
    }

    #[test]
    fn name_or_token_that_another_session_has_is_refused() {
        let mut sessions = Sessions::default();
        assert!(sessions.register(record(1, Some("work"), 1), None).is_ok());
        assert!(sessions.register(record(2, Some("work"), 2), None).is_err());
        assert!(sessions.register(record(3, Some("play"), 1), None).is_err());
        assert!(sessions.register(record(4, Some("play"), 4), None).is_ok());
    }

    #[test]
    fn signalling_links_are_made_at_once_but_not_without_end() {
        let (mut sessions, now) = (Sessions::default(), Instant::now());
        let id = sessions.register(record(1, None, 1), None).expect("room");
        let mut made = 0;
        let mut make = |now| {
            sessions.want(id);
            let due = sessions.due(now);
            made += due.len();
            due.first().map(|id| sessions.wired(*id, now));
            sessions.wait(now)
        };
        let waits: Vec<_> = (0..100).map(|_| make(now)).collect();
        assert_eq!(waits.last(), Some(&Some(REWIRE)));
        make(now + REWIRE);
        assert_eq!(made, 11, "ten at once, then one a second");
    }

    #[test]
    fn word_about_a_replaced_pair_is_about_nothing() {
        let (mut sessions, now) = (Sessions::default(), Instant::now());
        let id = sessions.register(record(1, None, 1), None).expect("room");
        let first = sessions.wired(id, now).expect("made");
        let second = sessions.wired(id, now).expect("made");
        assert!(!sessions.is_present(id, first) && sessions.is_present(id, second));
        sessions.cut(id);
        assert!(!sessions.is_present(id, second));
    }
}
