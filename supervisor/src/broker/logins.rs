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
#[cfg(test)]
mod tests;

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
