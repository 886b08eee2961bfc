//! Which logins there are, and ending them: for those whose they are, and for administrators. Pure.
//!
//! A page names itself by its login's key and reaches the logins to its own session only. Numbers of logins
//! are no secrets, and open nothing.

use std::time::Instant;

use lumen_ipc::{
    login::{Login, LoginId, Revocation, SignIn},
    text::Secret,
    units::SessionId,
};
use nix::unistd::Uid;

use super::Access;

/// Whose a session is that has not come back to this host.
const NOBODY: Uid = Uid::from_raw(u32::MAX);

impl Access {
    /// All logins that last.
    pub fn sign_ins(&mut self, now: Instant) -> Vec<SignIn> {
        self.logins.sign_ins(now)
    }

    /// The logins to the session of the login with this key, and which of them that is.
    pub fn own_sign_ins(&mut self, now: Instant, key: &Secret) -> Option<(LoginId, Vec<SignIn>)> {
        let own = self.resume(now, key).ok()?;
        let mut all = self.logins.sign_ins(now);
        all.retain(|sign_in| sign_in.session == own.session);
        Some((own.id, all))
    }

    /// Ends a login to the session of the login with this key, which is returned if there was such a login.
    /// Whoever may only watch ends none.
    pub fn revoke_own(&mut self, now: Instant, key: &Secret, login: LoginId) -> Option<Login> {
        let own = self.resume(now, key).ok().filter(|own| own.rights.control)?;
        let ended = self.logins.revoke(|session, id| (session, id) == (own.session, login));
        (!ended.is_empty()).then_some(own)
    }

    /// Ends the logins that are meant, as far as `may` permits it for the users whose sessions they open;
    /// returns which.
    pub fn revoke(
        &mut self,
        which: Revocation,
        may: impl Fn(Uid) -> bool,
    ) -> Vec<(SessionId, LoginId)> {
        let users = &self.users;
        self.logins.revoke(|session, login| {
            let user = users.get(&session).copied().unwrap_or(NOBODY);
            let is_meant = match which {
                Revocation::Login(meant) => meant == login,
                Revocation::Session(meant) => meant == session,
                Revocation::User(meant) => meant == user.as_raw(),
            };
            is_meant && may(user)
        })
    }
}

#[cfg(test)]
mod tests {
    use lumen_ipc::service::AuthMode;

    use super::{
        super::tests::{LIFETIMES, access, browser, digest, nobody, with_token},
        *,
    };

    #[test]
    fn revoke_ends_what_is_meant_and_only_where_it_may() {
        let (now, alice, bob) = (Instant::now(), Uid::from_raw(1000), Uid::from_raw(1001));
        let everybody = |_| true;
        let new = || {
            let mut access = Access::new(AuthMode::Token, LIFETIMES);
            let mut keys = Vec::new();
            for (session, user) in [(1, alice), (2, bob), (3, alice)] {
                let (session, token) = (SessionId(session), session.to_string());
                access.open(session, digest(&token));
                access.belongs_to(session, user);
                let given = access.begin(now, &with_token(&token), browser(), nobody);
                let given = given.expect("right");
                keys.push((given.login.id, given.key.expect("a key")));
            }
            (access, keys)
        };
        let left = |access: &mut Access, keys: &[(LoginId, Secret)]| -> Vec<bool> {
            keys.iter().map(|(_, key)| access.resume(now, key).is_ok()).collect()
        };
        let (mut access, keys) = new();
        access.revoke(Revocation::User(1000), everybody);
        assert_eq!(left(&mut access, &keys), [false, true, false]);
        let (mut access, keys) = new();
        access.revoke(Revocation::Session(SessionId(2)), everybody);
        assert_eq!(left(&mut access, &keys), [true, false, true]);
        let (mut access, keys) = new();
        let login = Revocation::Login(keys[0].0);
        assert!(access.revoke(login, |user| user == bob).is_empty(), "it is alice's");
        assert_eq!(left(&mut access, &keys), [true, true, true]);
        assert_eq!(access.revoke(login, |user| user == alice), [(SessionId(1), keys[0].0)]);
        assert_eq!(left(&mut access, &keys), [false, true, true]);
        assert_eq!(access.take_ended(), [(SessionId(1), keys[0].0)]);
    }

    #[test]
    fn page_lists_and_ends_logins_to_its_own_session_only() {
        let (mut access, now) = (access(), Instant::now());
        access.open(SessionId(2), digest("other"));
        let mut sign_in = |token: &str| {
            let given = access.begin(now, &with_token(token), browser(), nobody).expect("right");
            (given.login.id, given.key.expect("a key"))
        };
        let (own, also, other) = (sign_in("token"), sign_in("token"), sign_in("other"));
        let (id, listed) = access.own_sign_ins(now, &own.1).expect("alive");
        assert_eq!((id, listed.len()), (own.0, 2));
        assert_eq!(access.revoke_own(now, &own.1, other.0), None, "another session's");
        assert!(access.resume(now, &other.1).is_ok());
        assert_eq!(access.revoke_own(now, &own.1, also.0).map(|login| login.id), Some(own.0));
        assert_eq!(access.revoke_own(now, &also.1, own.0), None, "it has ended");
        assert!(access.resume(now, &own.1).is_ok() && access.resume(now, &also.1).is_err());
    }
}
