//! Recognising a browser that has signed in before, by its key.

use std::time::Instant;

use lumen_ipc::{
    login::{Login, LoginRefusal},
    service::AuthMode,
    text::Secret,
};

use super::{Access, OPEN};

impl Access {
    /// Recognises a key, whose login then counts as used.
    ///
    /// # Errors
    /// [`LoginRefusal::Wrong`] when the key is unknown or its login has ended.
    pub fn resume(&mut self, now: Instant, key: &Secret) -> Result<Login, LoginRefusal> {
        self.logins.resume(now, key).ok_or(LoginRefusal::Wrong)
    }

    /// The login of a page that presents this key, or none where no sign-in is required. A key's login
    /// then counts as used.
    pub fn login_of_page(&mut self, now: Instant, key: Option<&Secret>) -> Option<Login> {
        match key {
            None => (self.mode == AuthMode::None).then_some(OPEN),
            Some(key) => self.logins.resume(now, key),
        }
    }
}
