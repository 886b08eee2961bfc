//! What the broker decides of browsers that sign in by an identity provider: who may go there, and who is back. Pure.

use std::{net::IpAddr, time::Instant};

use lumen_ipc::{login::LoginRefusal, service::AuthMode, text::Secret};

use super::{
    Access,
    errands::{Begun, ErrandId},
};

impl Access {
    /// A browser at this address goes to an identity provider.
    ///
    /// # Errors
    /// [`LoginRefusal`] when accounts do not sign in here, or browsers of its network go too often.
    pub fn go(&mut self, now: Instant, from: IpAddr) -> Result<Begun, LoginRefusal> {
        if self.mode != AuthMode::Password {
            return Err(LoginRefusal::Denied);
        }
        let begun = self.errands.begin(now, from);
        begun.map_err(|refusal| refusal.refusal("no browser can go to the identity provider"))
    }

    /// A browser is back: the errand that it was on, if there is one of this key.
    pub fn back(&mut self, key: &Secret) -> Option<ErrandId> {
        self.errands.end(key)
    }

    /// An errand has failed before its browser was back.
    pub fn lost(&mut self, errand: ErrandId) {
        self.errands.fail(errand);
    }

    /// A browser at this address has brought back an account.
    pub fn believed(&mut self, from: IpAddr) {
        self.errands.succeed(from);
    }
}
