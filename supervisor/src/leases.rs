//! A session's input leases: those that its host has minted for pages, as long as their logins last.
//!
//! Decides: which leases the session's compositor and rtc are told of. They belong to the session and not
//! to its host, so viewers go on typing while there is no host. Each compositor process gets a challenge
//! of its own for every lease, so that no proof for its predecessor counts again.
//!
//! INVARIANT: no two compositor processes are told of a lease with the same first challenge.

use lumen_ipc::{
    lease::{Challenge, Lease, LeaseRights, MOST_LEASES},
    login::LoginId,
};

/// The leases, oldest first.
#[derive(Debug, Default)]
pub struct Leases {
    held: Vec<Lease>,
}

impl Leases {
    /// Adds a lease. If there are too many, the oldest one of the login with the most ends: its page asks
    /// for another when it needs one.
    pub fn add(&mut self, lease: Lease) {
        self.held.retain(|held| held.id != lease.id);
        self.held.push(lease);
        if self.held.len() > MOST_LEASES {
            let of = |login: LoginId| self.held.iter().filter(|held| held.login == login).count();
            let most = self.held.iter().map(|held| of(held.login)).max();
            let oldest = self.held.iter().position(|held| Some(of(held.login)) == most);
            oldest.map(|oldest| self.held.remove(oldest));
        }
    }

    /// Ends the leases of all other logins. Returns whether there were any.
    pub fn keep(&mut self, live: &[LoginId]) -> bool {
        let before = self.held.len();
        self.held.retain(|held| live.contains(&held.login));
        self.held.len() != before
    }

    /// Another compositor process starts. A lease for which no challenge can be drawn ends.
    pub fn renew(&mut self, mut draw: impl FnMut() -> Option<Challenge>) {
        self.held.retain_mut(|held| match draw() {
            Some(challenge) => {
                held.challenge = challenge;
                true
            }
            None => false,
        });
    }

    /// What the compositor is told.
    #[must_use]
    pub fn for_compositor(&self) -> Vec<Lease> {
        self.held.clone()
    }

    /// What rtc is told: no keys.
    #[must_use]
    pub fn for_rtc(&self) -> Vec<LeaseRights> {
        let rights = |held: &Lease| LeaseRights { lease: held.id, rights: held.rights };
        self.held.iter().map(rights).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use lumen_ipc::{
        lease::{CHALLENGE_BYTES, EXAMPLE, LeaseId},
        login::Rights,
    };
    use proptest::prelude::*;

    use super::*;

    fn lease(id: u64, login: u64) -> Lease {
        let rights = Rights { control: id.is_multiple_of(2) };
        Lease { id: LeaseId(id), login: LoginId(login), rights, ..EXAMPLE.0 }
    }

    #[test]
    fn page_that_is_opened_again_and_again_costs_no_other_login_its_lease() {
        let mut leases = Leases::default();
        leases.add(lease(1, 1));
        for id in 2..500 {
            leases.add(lease(id, 2));
        }
        let held = leases.for_compositor();
        assert_eq!((held.len(), held[0].id, held[1].id), (MOST_LEASES, LeaseId(1), LeaseId(437)));
    }

    #[test]
    fn login_that_ends_ends_its_leases() {
        let mut leases = Leases::default();
        (1..=4).for_each(|id| leases.add(lease(id, id)));
        assert!(leases.keep(&[LoginId(2), LoginId(3), LoginId(9)]));
        assert!(!leases.keep(&[LoginId(2), LoginId(3)]));
        let ids: Vec<_> = leases.for_rtc().iter().map(|rights| rights.lease.0).collect();
        assert_eq!(ids, [2, 3]);
    }

    #[derive(Clone, Debug)]
    enum Op {
        Add(u64, u64),
        Keep(Vec<u64>),
        Renew,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            20 => (0..4_u64, 0..400_u64).prop_map(|(login, id)| Op::Add(id, login)),
            1 => prop::collection::vec(0..4_u64, 0..4).prop_map(Op::Keep),
            1 => Just(Op::Renew),
        ]
    }

    proptest! {
        #[test]
        fn leases_are_bounded_of_live_logins_and_challenged_anew_by_each_compositor(
            ops in prop::collection::vec(op(), 0..300)
        ) {
            let mut leases = Leases::default();
            let mut drawn = 0_u8;
            for op in ops {
                match op {
                    Op::Add(id, login) => leases.add(lease(id, login)),
                    Op::Keep(live) => {
                        let live: Vec<LoginId> = live.into_iter().map(LoginId).collect();
                        leases.keep(&live);
                        prop_assert!(leases.held.iter().all(|held| live.contains(&held.login)));
                    }
                    Op::Renew => {
                        leases.renew(|| {
                            drawn = drawn.wrapping_add(1);
                            Some(Challenge([drawn; CHALLENGE_BYTES]))
                        });
                    }
                }
                let ids: BTreeSet<_> = leases.held.iter().map(|held| held.id).collect();
                prop_assert!(ids.len() == leases.held.len() && ids.len() <= MOST_LEASES);
                let told = leases.for_rtc();
                let told: Vec<_> = told.iter().map(|told| (told.lease, told.rights)).collect();
                let held: Vec<_> = leases.held.iter().map(|held| (held.id, held.rights)).collect();
                prop_assert_eq!(told, held);
            }
        }
    }

    #[test]
    fn each_compositor_gets_other_challenges_and_no_lease_without_one() {
        let mut leases = Leases::default();
        (1..=3).for_each(|id| leases.add(lease(id, 1)));
        let mut drawn =
            [Some(Challenge([7; CHALLENGE_BYTES])), None, Some(Challenge([8; 16]))].into_iter();
        leases.renew(|| drawn.next().flatten());
        let held = leases.for_compositor();
        let told: Vec<_> = held.iter().map(|held| (held.id.0, held.challenge.0[0])).collect();
        assert_eq!(told, [(1, 7), (3, 8)]);
    }
}
