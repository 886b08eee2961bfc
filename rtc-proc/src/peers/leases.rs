//! What viewers may do, and their proofs of presence on their way between pages and the compositor.
//!
//! The session's supervisor tells which leases there are and with which rights; a page names its lease in
//! its proofs. So a peer's rights do not depend on what the gateway says: a page without a lease, or with
//! one that it only made up, may watch. Rtc has no key and cannot tell a right proof from a wrong one:
//! input goes with the proofs to the compositor, which can.

use std::{collections::BTreeMap, time::Instant};

use lumen_ipc::{
    lease::{LeaseId, LeaseRights, MOST_LEASES, Proof},
    login::Rights,
    message::input::{self, Action},
    units::PeerId,
};

use super::{Entry, Peers};
use crate::peer::{Input, encode};

/// The rights of a peer whose page has named no lease.
pub(super) const WATCH: Rights = Rights { control: false };

impl Entry {
    /// Takes the rights of its lease.
    fn obey(&mut self, rights: &BTreeMap<LeaseId, Rights>) {
        let own = self.lease.and_then(|lease| rights.get(&lease));
        self.rights = own.copied().unwrap_or(WATCH);
        if let Some(peer) = &mut self.peer {
            peer.set_rights(self.rights);
        }
    }
}

impl Peers {
    /// These are the leases from now on, and what their viewers may do.
    pub fn set_rights(&mut self, now: Instant, rights: &[LeaseRights]) {
        self.rights = rights.iter().map(|rights| (rights.lease, rights.rights)).collect();
        let Self { rights, challenges, peers, .. } = self;
        challenges.retain(|lease, _| rights.contains_key(lease));
        for entry in peers.values_mut() {
            entry.obey(rights);
        }
        for number in self.peers.keys().copied().collect::<Vec<_>>() {
            self.admit_to_clipboard(now, number);
        }
        self.check_floor(now);
        self.refresh_demand(now);
    }

    /// The compositor says what the next proof of a lease answers.
    pub fn challenged(&mut self, now: Instant, message: input::ToRtc) {
        let input::ToRtc { lease, challenge } = message;
        // The compositor may learn of a lease before this process does. One that names leases which there are
        // not fills no memory.
        if self.rights.contains_key(&lease) || self.challenges.len() < MOST_LEASES {
            self.challenges.insert(lease, challenge);
        }
        let has =
            |(number, entry): (&PeerId, &Entry)| (entry.lease == Some(lease)).then_some(*number);
        for number in self.peers.iter().filter_map(has).collect::<Vec<_>>() {
            self.feed(now, number, Input::Message(&encode::challenged(challenge)));
        }
    }

    pub(super) fn on_proof(&mut self, now: Instant, number: PeerId, proof: Proof) {
        let Some(entry) = self.peers.get_mut(&number) else { return };
        entry.has_acted = true;
        let newly = entry.lease.replace(proof.lease) != Some(proof.lease);
        if newly {
            entry.obey(&self.rights);
        }
        self.input(number, Action::Proved(proof));
        if newly {
            self.tell_challenge(now, number, proof.lease);
            self.admit_to_clipboard(now, number);
            self.check_floor(now);
        }
    }

    /// Tells a page that may not know what it has to answer: the compositor or this process is another one.
    fn tell_challenge(&mut self, now: Instant, number: PeerId, lease: LeaseId) {
        if let Some(challenge) = self.challenges.get(&lease).copied() {
            self.feed(now, number, Input::Message(&encode::challenged(challenge)));
        }
    }
}
