//! The logins: the digests of their keys, what each key opens, and when it ends.
//!
//! A login ends when it has not been used for a time ([`Lifetimes::idle`]), after a longer time in
//! any case ([`Lifetimes::whole`]), and when it is signed out of. An open page uses its login. Its key changes
//! ([`chain`]) once a part of its idle time has passed.
//!
//! INVARIANT: no key is stored, only its digest; and an ended login is never found, whether it has
//! been removed or not. `ids` has every key of every login, and no other.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use lumen_ipc::{
    login::{Login, LoginId, Rights, SignIn, SignInMethod},
    relay::UnixSeconds,
    text::Secret,
    units::SessionId,
};

use self::chain::{Chain, Standing};
use super::{
    secret::{Digest, Key, NoRandomness, random_number},
    state::KeptLogin,
};

/// Most logins of one session; a new one replaces the one unused for longest. Sessions do not
/// compete.
const MOST_LOGINS: usize = 64;

/// The part of a login's idle time after which its key is replaced.
const KEY_LIFE: u32 = 8;

mod chain;

/// How long logins last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lifetimes {
    /// Since the last use.
    pub idle: Duration,
    /// Since the sign-in.
    pub whole: Duration,
}

/// How and from where a browser has signed in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Origin {
    pub(super) method: SignInMethod,
    pub(super) from: IpAddr,
}

/// One login.
#[derive(Clone, Debug)]
struct Entry {
    keys: Chain,
    session: SessionId,
    rights: Rights,
    origin: Origin,
    given: Instant,
    used: Instant,
}

/// All logins.
#[derive(Debug)]
pub(super) struct Logins {
    lifetimes: Lifetimes,
    entries: BTreeMap<LoginId, Entry>,
    /// Whose each key is.
    ids: BTreeMap<Digest, LoginId>,
    /// Logins that have ended and of which nobody has been told.
    ended: Vec<(SessionId, LoginId)>,
    /// Those of them that ended because a request showed a former key.
    copied: Vec<(SessionId, LoginId)>,
}

/// How a key came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Shown {
    /// With a request of a browser.
    ByRequest,
    /// By a page that was admitted with it, and has been connected since.
    ByPage,
}

impl Logins {
    /// No logins.
    pub(super) const fn new(lifetimes: Lifetimes) -> Self {
        Self {
            lifetimes,
            entries: BTreeMap::new(),
            ids: BTreeMap::new(),
            ended: Vec::new(),
            copied: Vec::new(),
        }
    }

    /// How long logins last from now on, those that there are included.
    pub(super) const fn set_lifetimes(&mut self, lifetimes: Lifetimes) {
        self.lifetimes = lifetimes;
    }

    /// Makes a login for `session` and its key.
    pub(super) fn give(
        &mut self,
        now: Instant,
        session: SessionId,
        rights: Rights,
        origin: Origin,
    ) -> Result<(Login, Secret), NoRandomness> {
        let (id, key) = (self.unused_id()?, Key::of_login()?.to_secret());
        self.forget_ended(now);
        let own = || self.entries.iter().filter(|(_, entry)| entry.session == session);
        if own().count() >= MOST_LOGINS {
            let longest = own().min_by_key(|(_, entry)| entry.used);
            if let Some(id) = longest.map(|(id, _)| *id) {
                self.end(id);
            }
        }
        let keys = Chain::new(Digest::of(&key), now, None);
        let entry = Entry { keys, session, rights, origin, given: now, used: now };
        let login = self.login(now, id, &entry);
        self.insert(id, entry);
        Ok((login, key))
    }

    /// The login of a key, which then counts as used. A request that shows a key which its browser has replaced ends
    /// the login.
    pub(super) fn resume(&mut self, now: Instant, key: &Secret, shown: Shown) -> Option<Login> {
        self.forget_ended(now);
        let digest = Digest::of(key);
        let id = *self.ids.get(&digest)?;
        let entry = self.entries.get_mut(&id)?;
        let (standing, forgotten) = entry.keys.show(now, digest);
        if (standing, shown) == (Standing::Former, Shown::ByRequest) {
            self.copied.push((entry.session, id));
            self.end(id);
            return None;
        }
        entry.used = now;
        if let Some(forgotten) = forgotten {
            self.ids.remove(&forgotten);
        }
        self.entries.get(&id).map(|entry| self.login(now, id, entry))
    }

    /// Another key for the login of this one, if it is time: with another half for the cookie, and the same for the
    /// page. The present key stays good until the other has been shown.
    pub(super) fn renew(
        &mut self,
        now: Instant,
        key: &Secret,
    ) -> Result<Option<Secret>, NoRandomness> {
        let (age, digest) = (self.lifetimes.idle / KEY_LIFE, Digest::of(key));
        let Some(id) = self.ids.get(&digest).copied() else { return Ok(None) };
        let Some(entry) = self.entries.get_mut(&id) else { return Ok(None) };
        if entry.keys.present() != digest || !entry.keys.is_due(now, age) {
            return Ok(None);
        }
        let other = Key::of_login()?.with_stored_half_of(key);
        let Some(other) = other else { return Ok(None) };
        if let Some(lost) = entry.keys.offer(Digest::of(&other)) {
            self.ids.remove(&lost);
        }
        self.ids.insert(Digest::of(&other), id);
        Ok(Some(other))
    }

    /// The logins that have ended since the last call because a request showed a key that had been replaced.
    pub(super) fn take_copied(&mut self) -> Vec<(SessionId, LoginId)> {
        std::mem::take(&mut self.copied)
    }

    /// The logins to a session.
    pub(super) fn of_session(&self, session: SessionId) -> impl Iterator<Item = LoginId> {
        let own = move |(_, entry): &(&LoginId, &Entry)| entry.session == session;
        self.entries.iter().filter(own).map(|(id, _)| *id)
    }

    /// The logins that have ended since the last call, except those that ended with their session.
    pub(super) fn take_ended(&mut self) -> Vec<(SessionId, LoginId)> {
        std::mem::take(&mut self.ended)
    }

    /// The logins that last, as they are shown; nobody has counted their pages yet.
    pub(super) fn sign_ins(&mut self, now: Instant) -> Vec<SignIn> {
        self.forget_ended(now);
        let ago = |then: Instant| now.saturating_duration_since(then).as_secs();
        let sign_in = |(id, entry): (&LoginId, &Entry)| SignIn {
            id: *id,
            session: entry.session,
            method: entry.origin.method,
            from: entry.origin.from,
            given_seconds: ago(entry.given),
            used_seconds: ago(entry.used),
            pages: 0,
        };
        let mut all: Vec<SignIn> = self.entries.iter().map(sign_in).collect();
        all.sort_by_key(|sign_in| (sign_in.session, sign_in.used_seconds, sign_in.id));
        all
    }

    /// Ends the logins that are `meant`; returns which.
    pub(super) fn revoke(
        &mut self,
        meant: impl Fn(SessionId, LoginId) -> bool,
    ) -> Vec<(SessionId, LoginId)> {
        let entries = self.entries.iter();
        let meant = entries.filter(|(id, entry)| meant(entry.session, **id));
        let meant: Vec<LoginId> = meant.map(|(id, _)| *id).collect();
        let end = |id| self.end(id).map(|ended| (ended.session, id));
        meant.into_iter().filter_map(end).collect()
    }

    fn insert(&mut self, id: LoginId, entry: Entry) {
        self.ids.extend(entry.keys.keys().map(|key| (key, id)));
        self.entries.insert(id, entry);
    }

    fn end(&mut self, id: LoginId) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        for key in entry.keys.keys() {
            self.ids.remove(&key);
        }
        self.ended.push((entry.session, id));
        Some(entry)
    }

    /// Ends every login for a session.
    pub(super) fn end_of_session(&mut self, session: SessionId) {
        let Self { entries, ids, .. } = self;
        entries.retain(|_, entry| entry.session != session);
        ids.retain(|_, id| entries.contains_key(id));
    }

    /// Ends a login; returns which it was, and how and from where its browser had signed in.
    pub(super) fn take_back(&mut self, key: &Secret) -> Option<(SessionId, LoginId, Origin)> {
        let id = *self.ids.get(&Digest::of(key))?;
        let entry = self.end(id)?;
        Some((entry.session, id, entry.origin))
    }

    /// The logins as they are stored, where `unix` is the time at `now`.
    pub(super) fn kept(&self, now: Instant, unix: UnixSeconds) -> Vec<KeptLogin> {
        let at = |then: Instant| {
            let ago = now.saturating_duration_since(then).as_secs();
            UnixSeconds(unix.0.saturating_sub(ago))
        };
        let kept = |(id, entry): (&LoginId, &Entry)| KeptLogin {
            key: entry.keys.present(),
            offered: entry.keys.offered(),
            since: at(entry.keys.since()),
            id: *id,
            session: entry.session,
            rights: entry.rights,
            method: entry.origin.method,
            from: entry.origin.from,
            given: at(entry.given),
            used: at(entry.used),
        };
        self.entries.iter().map(kept).collect()
    }

    /// Restores stored logins, except those that have ended meanwhile and those whose times are in
    /// the future: if the clock was set back, their age is unknown.
    pub(super) fn restore(&mut self, now: Instant, unix: UnixSeconds, kept: &[KeptLogin]) {
        let at =
            |then: UnixSeconds| now.checked_sub(Duration::from_secs(unix.0.checked_sub(then.0)?));
        for login in kept {
            let times = (at(login.given), at(login.used), at(login.since));
            let (Some(given), Some(used), Some(since)) = times else { continue };
            let KeptLogin { key, offered, id, session, rights, method, from, .. } = *login;
            let (keys, origin) = (Chain::new(key, since, offered), Origin { method, from });
            self.insert(id, Entry { keys, session, rights, origin, given, used });
        }
        self.forget_ended(now);
    }

    fn login(&self, now: Instant, id: LoginId, entry: &Entry) -> Login {
        let left = self.end_of(entry).saturating_duration_since(now).as_secs();
        let expires_in_seconds = Some(u32::try_from(left).unwrap_or(u32::MAX));
        Login { id, session: entry.session, rights: entry.rights, expires_in_seconds }
    }

    fn end_of(&self, entry: &Entry) -> Instant {
        (entry.used + self.lifetimes.idle).min(entry.given + self.lifetimes.whole)
    }

    fn forget_ended(&mut self, now: Instant) {
        let Lifetimes { idle, whole } = self.lifetimes;
        let over = |entry: &Entry| now >= (entry.used + idle).min(entry.given + whole);
        let over = self.entries.iter().filter(|(_, entry)| over(entry)).map(|(id, _)| *id);
        for id in over.collect::<Vec<_>>() {
            self.end(id);
        }
    }

    /// A number that no login has, other than the one for everybody.
    fn unused_id(&self) -> Result<LoginId, NoRandomness> {
        loop {
            let id = LoginId(random_number()?);
            if id != LoginId::OPEN && !self.entries.contains_key(&id) {
                return Ok(id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, net::Ipv4Addr};

    use proptest::prelude::*;

    use super::{Shown::*, *};

    const LIFETIMES: Lifetimes =
        Lifetimes { idle: Duration::from_secs(100), whole: Duration::from_secs(250) };
    const RIGHTS: Rights = Rights { control: true };
    const ORIGIN: Origin =
        Origin { method: SignInMethod::Token, from: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)) };

    fn give(logins: &mut Logins, now: Instant) -> (Login, Secret) {
        logins.give(now, SessionId::SOLE, RIGHTS, ORIGIN).expect("random")
    }

    #[test]
    fn login_that_is_not_used_ends_after_the_idle_time() {
        let (now, mut logins) = (Instant::now(), Logins::new(LIFETIMES));
        let (login, key) = give(&mut logins, now);
        assert_eq!(login.expires_in_seconds, Some(100));
        let resumed = logins.resume(now + Duration::from_secs(99), &key, ByRequest).expect("alive");
        assert_eq!((resumed.id, resumed.expires_in_seconds), (login.id, Some(100)));
        assert_eq!(logins.resume(now + Duration::from_secs(199), &key, ByRequest), None);
    }

    #[test]
    fn login_that_is_used_all_the_time_ends_after_the_whole_time() {
        let (start, mut logins) = (Instant::now(), Logins::new(LIFETIMES));
        let (_, key) = give(&mut logins, start);
        let left = |logins: &mut Logins, second| {
            let login = logins.resume(start + Duration::from_secs(second), &key, ByRequest);
            login.and_then(|login| login.expires_in_seconds)
        };
        assert_eq!(left(&mut logins, 90), Some(100));
        assert_eq!(left(&mut logins, 180), Some(70));
        assert_eq!(left(&mut logins, 249), Some(1));
        assert_eq!(left(&mut logins, 250), None);
    }

    #[test]
    fn login_is_named_once_when_it_ends_in_any_way() {
        let (now, mut logins) = (Instant::now(), Logins::new(LIFETIMES));
        let give = |logins: &mut Logins, session| {
            logins.give(now, SessionId(session), RIGHTS, ORIGIN).expect("random")
        };
        let (signed_out, key) = give(&mut logins, 1);
        let (stays, _) = give(&mut logins, 1);
        let (first, _) = give(&mut logins, 2);
        assert!(logins.take_ended().is_empty());
        logins.take_back(&key);
        assert_eq!(logins.take_ended(), [(SessionId(1), signed_out.id)]);
        assert_eq!(logins.of_session(SessionId(1)).collect::<Vec<_>>(), [stays.id]);
        for _ in 1..MOST_LOGINS {
            give(&mut logins, 2);
        }
        assert!(logins.take_ended().is_empty());
        give(&mut logins, 2);
        let ended = logins.take_ended();
        assert!(matches!(ended[..], [(SessionId(2), _)]), "one made room");
        let revoked = logins.revoke(|session, id| session == SessionId(2) && id == first.id);
        assert_eq!(logins.take_ended(), revoked);
        logins.forget_ended(now + LIFETIMES.idle);
        let sessions: BTreeSet<_> =
            logins.take_ended().into_iter().map(|(session, _)| session).collect();
        assert_eq!(sessions, [SessionId(1), SessionId(2)].into());
        assert!(logins.take_ended().is_empty());
    }

    #[test]
    fn revoked_logins_are_gone_at_once_and_no_others() {
        let (now, mut logins) = (Instant::now(), Logins::new(LIFETIMES));
        let of = |logins: &mut Logins, session| {
            logins.give(now, SessionId(session), RIGHTS, ORIGIN).expect("random")
        };
        let (one, one_key) = of(&mut logins, 1);
        let (other, other_key) = of(&mut logins, 1);
        let (_, elsewhere) = of(&mut logins, 2);
        assert_eq!(logins.revoke(|_, id| id == one.id), [(SessionId(1), one.id)]);
        assert_eq!(logins.revoke(|_, id| id == one.id), []);
        assert_eq!(logins.resume(now, &one_key, ByRequest), None);
        assert_eq!(logins.resume(now, &other_key, ByRequest).map(|login| login.id), Some(other.id));
        assert_eq!(logins.revoke(|session, _| session == SessionId(1)).len(), 1);
        assert_eq!(logins.resume(now, &other_key, ByRequest), None);
        assert!(logins.resume(now, &elsewhere, ByRequest).is_some());
    }

    #[test]
    fn list_of_sign_ins_says_how_from_where_and_when_and_leaves_out_what_has_ended() {
        let (start, mut logins) = (Instant::now(), Logins::new(LIFETIMES));
        let (login, key) = give(&mut logins, start);
        give(&mut logins, start);
        let later = start + Duration::from_secs(60);
        logins.resume(later, &key, ByRequest);
        let listed = logins.sign_ins(later + Duration::from_secs(50));
        let expected = SignIn {
            id: login.id,
            session: login.session,
            method: SignInMethod::Token,
            from: ORIGIN.from,
            given_seconds: 110,
            used_seconds: 50,
            pages: 0,
        };
        assert_eq!(listed, [expected]);
    }

    #[test]
    fn login_that_is_taken_back_is_gone_at_once_and_no_other_is() {
        let (now, mut logins) = (Instant::now(), Logins::new(LIFETIMES));
        let (one, key) = give(&mut logins, now);
        let (other, other_key) = give(&mut logins, now);
        assert_ne!(one.id, other.id);
        assert_eq!(logins.take_back(&key), Some((one.session, one.id, ORIGIN)));
        assert_eq!(logins.take_back(&key), None);
        assert_eq!(logins.resume(now, &key, ByRequest), None);
        assert_eq!(logins.resume(now, &other_key, ByRequest), Some(other));
    }

    #[test]
    fn login_used_longest_ago_makes_room_when_the_table_is_full() {
        let (now, mut logins) = (Instant::now(), Logins::new(LIFETIMES));
        let (_, first) = give(&mut logins, now);
        let (_, second) = give(&mut logins, now);
        let later = now + Duration::from_secs(1);
        logins.resume(later, &first, ByRequest).expect("alive");
        for _ in 0..MOST_LOGINS - 1 {
            give(&mut logins, later);
        }
        assert!(logins.resume(later, &first, ByRequest).is_some(), "used last, so kept");
        assert!(logins.resume(later, &second, ByRequest).is_none());
    }

    #[test]
    fn viewers_of_one_session_push_out_none_of_another() {
        let (now, mut logins) = (Instant::now(), Logins::new(LIFETIMES));
        let other = logins.give(now, SessionId(2), RIGHTS, ORIGIN).expect("random").1;
        for _ in 0..2 * MOST_LOGINS {
            give(&mut logins, now);
        }
        assert!(logins.resume(now, &other, ByRequest).is_some());
        assert_eq!(logins.entries.len(), MOST_LOGINS + 1);
    }

    #[test]
    fn login_that_was_kept_ends_when_it_would_have_ended() {
        const WRITTEN: UnixSeconds = UnixSeconds(1_800_000_000);
        let (start, mut before) = (Instant::now(), Logins::new(LIFETIMES));
        let (login, key) = give(&mut before, start);
        let written = start + Duration::from_secs(60);
        before.resume(written, &key, ByRequest).expect("alive");
        let kept = before.kept(written, WRITTEN);
        // A minute passed while there was no host; its clock tells nothing of the old one's.
        let now = Instant::now() + Duration::from_secs(5000);
        let after = |later: u64| {
            let mut logins = Logins::new(LIFETIMES);
            logins.restore(now, UnixSeconds(WRITTEN.0 + later), &kept);
            logins
        };
        let resumed = after(60).resume(now, &key, ByRequest).expect("alive");
        assert_eq!((resumed.id, resumed.session), (login.id, login.session));
        let left = after(60).entries.values().map(|entry| after(60).end_of(entry) - now).next();
        assert_eq!(left, Some(Duration::from_secs(40)), "100 s since it was used");
        assert_eq!(after(100).resume(now, &key, ByRequest), None);
    }

    #[test]
    fn login_from_a_time_that_has_not_been_yet_is_not_believed() {
        let (now, mut before) = (Instant::now(), Logins::new(LIFETIMES));
        let (_, key) = give(&mut before, now);
        let kept = before.kept(now, UnixSeconds(2000));
        let mut logins = Logins::new(LIFETIMES);
        logins.restore(now, UnixSeconds(1999), &kept);
        assert_eq!(logins.resume(now, &key, ByRequest), None);
    }

    #[test]
    fn key_is_replaced_in_its_cookies_half_once_it_is_old() {
        let (start, mut logins) = (Instant::now(), Logins::new(LIFETIMES));
        let (login, first) = give(&mut logins, start);
        let old = start + LIFETIMES.idle / KEY_LIFE;
        assert!(logins.renew(old - Duration::from_secs(1), &first).expect("random").is_none());
        let second = logins.renew(old, &first).expect("random").expect("it is time");
        let halves = |key: &Secret| {
            let (cookie, stored) = key.reveal().split_at(key.reveal().len() / 2);
            (cookie.to_owned(), stored.to_owned())
        };
        assert_ne!(halves(&second).0, halves(&first).0);
        assert_eq!(halves(&second).1, halves(&first).1);
        for key in [&first, &second, &first] {
            assert_eq!(logins.resume(old, key, ByRequest).map(|login| login.id), Some(login.id));
        }
        assert!(logins.renew(old, &second).expect("random").is_none(), "it is fresh");
        assert!(logins.renew(old, &first).expect("random").is_none(), "it is former");
    }

    #[test]
    fn request_with_a_key_that_was_replaced_ends_the_login_and_a_page_that_has_it_does_not() {
        let (start, mut logins) = (Instant::now(), Logins::new(LIFETIMES));
        let (login, first) = give(&mut logins, start);
        let (_, other) = give(&mut logins, start);
        let old = start + LIFETIMES.idle / 2;
        let second = logins.renew(old, &first).expect("random").expect("it is time");
        logins.resume(old, &second, ByRequest).expect("the login");
        logins.resume(old, &other, ByRequest).expect("the other login");
        let later = old + Duration::from_secs(61);
        assert!(logins.resume(later, &first, ByPage).is_some());
        assert!(logins.take_copied().is_empty());
        assert_eq!(logins.resume(later, &first, ByRequest), None);
        assert_eq!(logins.take_copied(), [(login.session, login.id)]);
        assert_eq!(logins.take_ended(), [(login.session, login.id)]);
        assert_eq!(logins.resume(later, &second, ByRequest), None);
        assert!(logins.resume(later, &other, ByRequest).is_some());
        assert_eq!(logins.ids.len(), 1, "no key of it is left");
    }

    #[test]
    fn key_that_was_offered_is_good_after_a_restart_too() {
        let (start, mut before) = (Instant::now(), Logins::new(LIFETIMES));
        let (login, first) = give(&mut before, start);
        let old = start + LIFETIMES.idle / 2;
        let second = before.renew(old, &first).expect("random").expect("it is time");
        for key in [&first, &second] {
            let mut logins = Logins::new(LIFETIMES);
            logins.restore(old, UnixSeconds(1000), &before.kept(old, UnixSeconds(1000)));
            assert_eq!(logins.resume(old, key, ByRequest).map(|login| login.id), Some(login.id));
        }
    }

    proptest! {
        #[test]
        fn login_never_outlives_its_times_and_the_table_stays_bounded(
            steps in prop::collection::vec((0_u64..120, 0_usize..400, 0_u8..4), 1..400)
        ) {
            let (mut now, mut logins) = (Instant::now(), Logins::new(LIFETIMES));
            let mut given: Vec<(Secret, Instant, Instant)> = Vec::new();
            for (seconds, which, what) in steps {
                now += Duration::from_secs(if what == 0 { seconds } else { 0 });
                if what < 2 {
                    given.push((give(&mut logins, now).1, now, now));
                } else if let Some((key, given, used)) = given.get_mut(which) {
                    let end = (*used + LIFETIMES.idle).min(*given + LIFETIMES.whole);
                    let alive = logins.resume(now, key, ByRequest).is_some();
                    prop_assert!(!alive || now < end);
                    *used = if alive { now } else { *used };
                }
                prop_assert!(logins.entries.len() <= MOST_LOGINS);
            }
        }
    }
}
