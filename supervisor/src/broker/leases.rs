//! Input leases: minted for a page that has a login, when the gateway asks.
//!
//! Decides: who gets a lease, with which rights, and how often. Trusts the gateway to pass a lease on to
//! the page whose key it presents; a gateway that keeps it can do what that page's viewer may do, and no
//! more. Without the key of a login, or a desktop that is open to all, it gets none.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use lumen_ipc::{
    lease::{CHALLENGE_BYTES, Challenge, KEY_BYTES, Lease, LeaseId, LeaseKey},
    login::Login,
    units::SessionId,
};

use super::{
    secret::{NoRandomness, random_number},
    throttle::{Allowance, Meter},
};

/// Leases that the pages of a session can get at once, and the time after which they can get one more.
const MINTS: Allowance = Allowance { most: 100, refill: Duration::from_millis(200) };

/// Mints leases.
#[derive(Default)]
pub struct LeaseMint {
    /// How much each session has used.
    meters: BTreeMap<SessionId, Meter>,
}

impl LeaseMint {
    /// A lease for a page with this login; `None` when its session has had too many, or the kernel gives
    /// no randomness.
    pub fn mint(&mut self, now: Instant, login: &Login) -> Option<Lease> {
        let spent = MINTS.spend(self.meters.get(&login.session).copied(), now).ok()?;
        self.meters.insert(login.session, spent);
        let id = LeaseId(random_number().ok()?);
        let (key, challenge) =
            (LeaseKey(random_bytes::<KEY_BYTES>().ok()?), random_challenge().ok()?);
        Some(Lease { id, login: login.id, rights: login.rights, key, challenge })
    }

    /// Removes a session that is gone, whose number no other will get.
    pub fn forget(&mut self, session: SessionId) {
        self.meters.remove(&session);
    }
}

/// What the first proof of a lease answers.
pub(crate) fn random_challenge() -> Result<Challenge, NoRandomness> {
    random_bytes::<CHALLENGE_BYTES>().map(Challenge)
}

fn random_bytes<const COUNT: usize>() -> Result<[u8; COUNT], NoRandomness> {
    let mut bytes = [0; COUNT];
    getrandom::fill(&mut bytes).map_err(NoRandomness)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use lumen_ipc::login::{LoginId, Rights};

    use super::*;

    fn login(session: SessionId, control: bool) -> Login {
        Login { id: LoginId(7), session, rights: Rights { control }, expires_in_seconds: None }
    }

    #[test]
    fn leases_have_the_rights_of_their_login_and_nothing_else_in_common() {
        let (mut mint, now) = (LeaseMint::default(), Instant::now());
        for control in [true, false] {
            let login = login(SessionId::SOLE, control);
            let mut mint = || mint.mint(now, &login).expect("within the rate");
            let (one, other) = (mint(), mint());
            assert_eq!((one.login, one.rights), (login.id, login.rights));
            assert!(one.id != other.id && one.key != other.key && one.challenge != other.challenge);
        }
    }

    #[test]
    fn leases_asked_for_faster_than_allowed_cost_no_other_session_any() {
        let (mut mint, now) = (LeaseMint::default(), Instant::now());
        let (one, other) = (login(SessionId::SOLE, true), login(SessionId(2), true));
        assert_eq!((0..500).filter(|_| mint.mint(now, &one).is_some()).count(), 100);
        assert!(mint.mint(now, &other).is_some());
        assert!(mint.mint(now + MINTS.refill, &one).is_some());
    }
}
