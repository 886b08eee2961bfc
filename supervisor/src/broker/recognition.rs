//! Recognising a browser that has signed in before, by its key.

use std::time::Instant;

use lumen_ipc::{
    login::{Login, LoginId, LoginRefusal},
    message::login::AccountName,
    service::AuthMode,
    text::Secret,
    units::SessionId,
};

use super::{Access, OPEN, logins::Shown, secret::NoRandomness};

impl Access {
    /// Recognises the key of a request, whose login then counts as used.
    ///
    /// # Errors
    /// [`LoginRefusal::Wrong`] when the key is unknown, its login has ended, or another has replaced it; that
    /// ends the login, too.
    pub fn resume(&mut self, now: Instant, key: &Secret) -> Result<Login, LoginRefusal> {
        self.logins.resume(now, key, Shown::ByRequest).ok_or(LoginRefusal::Wrong)
    }

    /// Recognises the key of a page that has been connected since it was admitted with it, even if another has
    /// replaced it meanwhile. The login then counts as used.
    ///
    /// # Errors
    /// [`LoginRefusal::Wrong`] when the key is unknown or its login has ended.
    pub fn keep(&mut self, now: Instant, key: &Secret) -> Result<Login, LoginRefusal> {
        self.logins.resume(now, key, Shown::ByPage).ok_or(LoginRefusal::Wrong)
    }

    /// Another key for the login of this one, if the key is old. It counts once it has been shown.
    ///
    /// # Errors
    /// [`NoRandomness`] when the kernel returns none.
    pub fn renew(&mut self, now: Instant, key: &Secret) -> Result<Option<Secret>, NoRandomness> {
        self.logins.renew(now, key)
    }

    /// The logins that have ended since the last call because a request showed a key that another had replaced.
    pub fn take_copied(&mut self) -> Vec<(SessionId, LoginId)> {
        self.logins.take_copied()
    }

    /// The login of a page that presents this key, or none where no sign-in is required. A key's login
    /// then counts as used.
    pub fn login_of_page(&mut self, now: Instant, key: Option<&Secret>) -> Option<Login> {
        match key {
            None => (self.mode == AuthMode::None).then_some(OPEN),
            Some(key) => self.logins.resume(now, key, Shown::ByPage),
        }
    }

    /// Recognises a key, whose login then counts as used; where a proxy has `named` the browser's account,
    /// only if that account has come to the login's desktop by the proxy.
    ///
    /// # Errors
    /// As [`Self::resume`].
    pub fn resume_as(
        &mut self,
        now: Instant,
        key: &Secret,
        named: Option<&AccountName>,
    ) -> Result<Login, LoginRefusal> {
        let login = self.resume(now, key)?;
        let is_theirs = |named| self.vouched.is_of(login.session, named);
        named.is_none_or(is_theirs).then_some(login).ok_or(LoginRefusal::Wrong)
    }
}

#[cfg(test)]
mod tests {
    use lumen_ipc::login::SignInMethod;
    use nix::unistd::Uid;

    use super::{
        super::tests::{LIFETIMES, browser, digest},
        *,
    };

    fn account(name: &str) -> AccountName {
        AccountName::new(name).expect("legal")
    }

    #[test]
    fn key_opens_by_the_proxy_only_what_the_account_it_names_came_to_that_way() {
        let now = Instant::now();
        let mut access = Access::new(AuthMode::Password, LIFETIMES);
        let mut key_of = |session: u32, uid: u32, method| {
            let (session, user) = (SessionId(session), Uid::from_raw(uid));
            access.open(session, digest(&session.to_string()));
            access.belongs_to(session, user);
            let name = account(&format!("user{uid}"));
            let entered = access.enter(now, (session, user), (method, &name), browser());
            entered.expect("her desktop").key.expect("a key")
        };
        let one = key_of(1, 1001, SignInMethod::Proxy);
        let two = key_of(2, 1002, SignInMethod::Proxy);
        let three = key_of(3, 1003, SignInMethod::Password);
        let (name_one, name_two) = (account("user1001"), account("user1002"));
        assert!(access.resume_as(now, &one, Some(&name_one)).is_ok());
        assert!(access.resume_as(now, &one, None).is_ok(), "a page of no proxy's");
        for (key, name) in [(&one, &name_two), (&two, &name_one), (&three, &account("user1003"))] {
            let refused = access.resume_as(now, key, Some(name));
            assert_eq!(refused, Err(LoginRefusal::Wrong));
        }
        access.close(SessionId(1));
        assert!(!access.vouched.is_of(SessionId(1), &name_one));
    }
}
