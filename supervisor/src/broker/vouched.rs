//! The accounts for which a proxy has vouched, by the desktops that they came to. Pure.
//!
//! A proxy names the account with each request, and a browser may have kept a login of somebody else's who sat before
//! it earlier. So a key opens, by way of the proxy, only what the account that it names came to by the same way. This
//! is not stored: after a restart of the host pages sign in anew, of which nobody notices anything.

use std::collections::{BTreeMap, BTreeSet};

use lumen_ipc::{message::login::AccountName, units::SessionId};

/// Most names of one account; PAM may know it by several.
const MOST_NAMES: usize = 8;

/// The names, by session.
#[derive(Debug, Default)]
pub(super) struct Vouched(BTreeMap<SessionId, BTreeSet<AccountName>>);

impl Vouched {
    /// The account that a proxy names so has come to this session.
    pub(super) fn came(&mut self, session: SessionId, account: AccountName) {
        let names = self.0.entry(session).or_default();
        if names.len() < MOST_NAMES {
            names.insert(account);
        }
    }

    /// Whether it has.
    pub(super) fn is_of(&self, session: SessionId, account: &AccountName) -> bool {
        self.0.get(&session).is_some_and(|names| names.contains(account))
    }

    /// The session has ended.
    pub(super) fn ended(&mut self, session: SessionId) {
        self.0.remove(&session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str) -> AccountName {
        AccountName::new(name).expect("legal")
    }

    #[test]
    fn names_of_one_account_are_bounded() {
        let mut vouched = Vouched::default();
        for number in 0..100 {
            vouched.came(SessionId(1), account(&format!("name{number}")));
        }
        let known = (0..100)
            .filter(|number| vouched.is_of(SessionId(1), &account(&format!("name{number}"))));
        assert_eq!(known.count(), MOST_NAMES);
    }
}
