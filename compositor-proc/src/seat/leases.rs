//! Whose input counts: the leases that the supervisor has minted, and which of them a viewer has proved
//! to have. Pure; the format of proofs is [`lumen_ipc::lease`]'s.
//!
//! Rtc says which peer a proof is for. It is believed in that, because it could as well send the input of
//! the viewer who is there under any number.
//!
//! INVARIANT: a proof permits input for [`LEASE_LIFE`], once, of one peer; and only while its lease
//! lasts.

use std::{collections::BTreeMap, time::Instant};

use hmac::{Hmac, Mac};
use lumen_ipc::{
    lease::{
        CHALLENGE_BYTES, Challenge, LEASE_LIFE, Lease, LeaseId, LeaseKey, Proof, next_text,
        proof_text, speaking_text,
    },
    units::PeerId,
};
use sha2::Sha256;

/// A lease, and how far its proofs have come.
#[derive(Clone, Copy, Debug)]
struct Entry {
    key: LeaseKey,
    challenge: Challenge,
}

/// What has changed with other leases.
#[derive(Debug, PartialEq)]
pub struct Changes {
    /// Peers whose leases have ended.
    pub ended: Vec<PeerId>,
    /// New leases, and what their first proofs answer.
    pub begun: Vec<(LeaseId, Challenge)>,
}

/// All leases.
#[derive(Debug, Default)]
pub struct Leases {
    entries: BTreeMap<LeaseId, Entry>,
    /// Peers whose input counts.
    open: BTreeMap<PeerId, Open>,
}

/// A peer's newest proof.
#[derive(Clone, Copy, Debug)]
struct Open {
    lease: LeaseId,
    until: Instant,
    /// Whether its viewer's microphone is on.
    speaks: bool,
}

impl Leases {
    /// These are the leases from now on. Those that exist already go on where they are.
    pub fn set(&mut self, leases: &[Lease]) -> Changes {
        let granted = leases.iter().filter(|lease| lease.rights.control);
        let entry = |lease: &Lease| {
            let before = self.entries.get(&lease.id).copied();
            let before = before.filter(|entry| entry.key == lease.key);
            (lease.id, before.unwrap_or(Entry { key: lease.key, challenge: lease.challenge }))
        };
        let entries: BTreeMap<_, _> = granted.map(entry).collect();
        let before = std::mem::replace(&mut self.entries, entries);
        let is_new = |(lease, _): &(LeaseId, Challenge)| !before.contains_key(lease);
        let begun = self.challenges().filter(is_new).collect();
        let ended = |(_, open): &(&PeerId, &Open)| !self.entries.contains_key(&open.lease);
        let ended: Vec<PeerId> = self.open.iter().filter(ended).map(|(peer, _)| *peer).collect();
        self.open.retain(|peer, _| !ended.contains(peer));
        Changes { ended, begun }
    }

    /// What the next proof of each lease answers.
    pub fn challenges(&self) -> impl Iterator<Item = (LeaseId, Challenge)> {
        self.entries.iter().map(|(lease, entry)| (*lease, entry.challenge))
    }

    /// Takes a proof for `peer`, whose input counts from now on. Returns what the next proof of the lease
    /// answers; `None` if the proof is wrong, or has counted already.
    pub fn prove(&mut self, now: Instant, peer: PeerId, proof: &Proof) -> Option<Challenge> {
        let entry = self.entries.get_mut(&proof.lease)?;
        // Compares in constant time.
        let proves = |text: Vec<u8>| hmac(entry.key, &text).verify_slice(&proof.tag).is_ok();
        let speaks = proves(speaking_text(proof.lease, entry.challenge));
        if !speaks && !proves(proof_text(proof.lease, entry.challenge)) {
            return None;
        }
        let next = hmac(entry.key, &next_text(entry.challenge)).finalize().into_bytes();
        let next = next.first_chunk::<CHALLENGE_BYTES>().copied()?;
        entry.challenge = Challenge(next);
        self.open.retain(|other, open| open.lease != proof.lease || *other == peer);
        self.open.insert(peer, Open { lease: proof.lease, until: now + LEASE_LIFE, speaks });
        Some(entry.challenge)
    }

    /// Whether the input of `peer` counts.
    #[must_use]
    pub fn permits(&self, now: Instant, peer: PeerId) -> bool {
        self.open.get(&peer).is_some_and(|open| now < open.until)
    }

    /// Until when somebody's input counts; `None` if nobody's does.
    #[must_use]
    pub fn last(&self, now: Instant) -> Option<Instant> {
        self.open.values().map(|open| open.until).filter(|until| now < *until).max()
    }

    /// Until when somebody's microphone is known to be on; `None` if nobody's is.
    #[must_use]
    pub fn last_speaking(&self, now: Instant) -> Option<Instant> {
        let speaking = self.open.values().filter(|open| open.speaks);
        speaking.map(|open| open.until).filter(|until| now < *until).max()
    }

    /// Peers whose proofs have come of age; their input counts no more until they prove again.
    pub fn lapse(&mut self, now: Instant) -> Vec<PeerId> {
        let lapsed: Vec<PeerId> =
            self.open.iter().filter(|(_, open)| open.until <= now).map(|(peer, _)| *peer).collect();
        self.open.retain(|_, open| open.until > now);
        lapsed
    }

    /// When the first proof comes of age; `None` if nobody's input counts.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.open.values().map(|open| open.until).min()
    }

    /// A peer is gone.
    pub fn forget(&mut self, peer: PeerId) {
        self.open.remove(&peer);
    }

    /// All peers are gone.
    pub fn forget_all(&mut self) {
        self.open.clear();
    }
}

fn hmac(key: LeaseKey, text: &[u8]) -> Hmac<Sha256> {
    let mut hmac =
        <Hmac<Sha256> as Mac>::new_from_slice(&key.0).expect("a key of an HMAC has any length");
    hmac.update(text);
    hmac
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lumen_ipc::{
        lease::{EXAMPLE, KEY_BYTES},
        login::{LoginId, Rights},
    };
    use proptest::prelude::*;

    use super::*;

    const ALICE: PeerId = PeerId(1);
    const BOB: PeerId = PeerId(2);
    const INSTANT: Duration = Duration::from_millis(1);

    fn lease(number: u8, control: bool) -> Lease {
        Lease {
            id: LeaseId(number.into()),
            login: LoginId(1),
            rights: Rights { control },
            key: LeaseKey([number; KEY_BYTES]),
            challenge: Challenge([number; CHALLENGE_BYTES]),
        }
    }

    /// What an honest page sends.
    fn answer(lease: Lease, challenge: Challenge) -> Proof {
        let tag = hmac(lease.key, &proof_text(lease.id, challenge)).finalize().into_bytes();
        Proof { lease: lease.id, tag: tag.into() }
    }

    #[test]
    fn proof_and_next_challenge_are_those_of_the_example() {
        let (lease, tag, next) = EXAMPLE;
        let (mut leases, now) = (Leases::default(), Instant::now());
        leases.set(&[lease]);
        assert_eq!(leases.prove(now, ALICE, &Proof { lease: lease.id, tag }), Some(next));
        assert!(leases.permits(now, ALICE));
    }

    #[test]
    fn proof_permits_for_its_time_and_only_the_peer_it_is_for() {
        let (mut leases, now) = (Leases::default(), Instant::now());
        let one = lease(1, true);
        leases.set(&[one]);
        assert!(!leases.permits(now, ALICE));
        let next = leases.prove(now, ALICE, &answer(one, one.challenge)).expect("right");
        assert!(leases.permits(now + LEASE_LIFE - INSTANT, ALICE) && !leases.permits(now, BOB));
        assert_eq!(leases.due(), Some(now + LEASE_LIFE));
        assert_eq!(leases.last(now), Some(now + LEASE_LIFE));
        assert_eq!(leases.last(now + LEASE_LIFE), None);
        assert_eq!(leases.lapse(now + LEASE_LIFE - INSTANT), []);
        assert_eq!(leases.lapse(now + LEASE_LIFE), [ALICE]);
        assert!(!leases.permits(now + LEASE_LIFE, ALICE));
        assert!(leases.prove(now + LEASE_LIFE, BOB, &answer(one, next)).is_some());
        assert!(leases.permits(now + LEASE_LIFE, BOB));
    }

    #[test]
    fn proof_that_is_forged_repeated_or_of_another_lease_permits_nothing() {
        let (mut leases, now) = (Leases::default(), Instant::now());
        let (one, two, watcher) = (lease(1, true), lease(2, true), lease(3, false));
        leases.set(&[one, watcher]);
        let right = answer(one, one.challenge);
        for bit in 0..8 * KEY_BYTES {
            let mut forged = right;
            forged.tag[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(leases.prove(now, ALICE, &forged), None, "bit {bit}");
        }
        let renamed = Proof { lease: watcher.id, ..right };
        for wrong in [renamed, answer(two, two.challenge), answer(watcher, watcher.challenge)] {
            assert_eq!(leases.prove(now, ALICE, &wrong), None, "{wrong:?}");
        }
        assert!(!leases.permits(now, ALICE));
        assert!(leases.prove(now, ALICE, &right).is_some());
        let later = now + LEASE_LIFE;
        assert_eq!(leases.prove(later, ALICE, &right), None, "each counts once");
        assert!(!leases.permits(later, ALICE));
    }

    #[test]
    fn microphone_is_on_for_as_long_as_the_newest_proof_says_so() {
        let (mut leases, now) = (Leases::default(), Instant::now());
        let (one, watcher) = (lease(1, true), lease(2, false));
        leases.set(&[one, watcher]);
        let speaking = |lease: Lease, challenge| {
            let tag = hmac(lease.key, &speaking_text(lease.id, challenge)).finalize().into_bytes();
            Proof { lease: lease.id, tag: tag.into() }
        };
        assert_eq!(leases.prove(now, BOB, &speaking(watcher, watcher.challenge)), None);
        let next = leases.prove(now, ALICE, &answer(one, one.challenge)).expect("right");
        assert_eq!(leases.last_speaking(now), None);
        let next = leases.prove(now, ALICE, &speaking(one, next)).expect("right");
        assert!(leases.permits(now, ALICE));
        assert_eq!(leases.last_speaking(now), Some(now + LEASE_LIFE));
        assert_eq!(leases.last_speaking(now + LEASE_LIFE), None);
        leases.prove(now, ALICE, &answer(one, next)).expect("right");
        assert_eq!(leases.last_speaking(now), None);
    }

    #[test]
    fn lease_that_is_told_again_goes_on_and_one_that_is_not_ends() {
        let (mut leases, now) = (Leases::default(), Instant::now());
        let (one, two) = (lease(1, true), lease(2, true));
        let begun = leases.set(&[one, two]).begun;
        assert_eq!(begun, [(one.id, one.challenge), (two.id, two.challenge)]);
        let next = leases.prove(now, ALICE, &answer(one, one.challenge)).expect("right");
        leases.prove(now, BOB, &answer(two, two.challenge)).expect("right");
        assert_eq!(leases.set(&[one]), Changes { ended: vec![BOB], begun: vec![] });
        assert!(leases.permits(now, ALICE) && !leases.permits(now, BOB));
        assert_eq!(leases.challenges().collect::<Vec<_>>(), [(one.id, next)]);
        let demoted = Lease { rights: Rights { control: false }, ..one };
        assert_eq!(leases.set(&[demoted]).ended, [ALICE]);
    }

    #[test]
    fn successor_with_another_challenge_takes_no_proof_for_its_predecessor() {
        let now = Instant::now();
        let one = lease(1, true);
        let mut leases = Leases::default();
        leases.set(&[one]);
        let mut seen = vec![answer(one, one.challenge)];
        let next = leases.prove(now, ALICE, &seen[0]).expect("right");
        seen.push(answer(one, next));
        let again = Lease { challenge: Challenge([9; CHALLENGE_BYTES]), ..one };
        let mut successor = Leases::default();
        successor.set(&[again]);
        for proof in &seen {
            assert_eq!(successor.prove(now, ALICE, proof), None);
        }
        assert!(successor.prove(now, ALICE, &answer(one, again.challenge)).is_some());
    }

    #[derive(Clone, Copy, Debug)]
    enum Op {
        /// The page of this lease answers the newest challenge that it has been given.
        Prove(usize, u64),
        /// Rtc keeps the page's proof for later.
        Hoard(usize),
        /// Rtc sends something that it has seen or kept.
        Replay(usize, u64),
        /// The supervisor tells which leases there are still.
        Set(u8),
        Leave(u64),
        Pass(u64),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            (0..3_usize, 0..3_u64).prop_map(|(lease, peer)| Op::Prove(lease, peer)),
            (0..3_usize).prop_map(Op::Hoard),
            (any::<prop::sample::Index>(), 0..3_u64)
                .prop_map(|(which, peer)| Op::Replay(which.index(64), peer)),
            (0..64_u8).prop_map(|bits| Op::Set(if bits < 8 { bits } else { 7 })),
            (0..3_u64).prop_map(Op::Leave),
            (1..4_000_u64).prop_map(Op::Pass),
        ]
    }

    proptest! {
        /// Whatever rtc keeps, repeats and confuses: input counts only within a lease's life after one
        /// of its pages' answers to a challenge that had not been answered, and no answer counts twice.
        #[test]
        fn input_counts_only_soon_after_an_answer_that_counts_once(
            ops in prop::collection::vec(op(), 0..200)
        ) {
            let all = [lease(1, true), lease(2, true), lease(3, false)];
            let mut leases = Leases::default();
            let mut now = Instant::now();
            let mut told = all.map(|lease| lease.challenge);
            let mut set = 7_u8;
            leases.set(&all);
            let (mut kept, mut counted) = (Vec::<Proof>::new(), Vec::<Proof>::new());
            let mut accepted: Option<Instant> = None;
            for op in ops {
                let sent = match op {
                    Op::Prove(which, peer) => Some((answer(all[which], told[which]), peer)),
                    Op::Hoard(which) => {
                        kept.push(answer(all[which], told[which]));
                        None
                    }
                    Op::Replay(which, peer) => {
                        kept.get(which % kept.len().max(1)).map(|proof| (*proof, peer))
                    }
                    Op::Set(which) => {
                        set &= which;
                        let is_set = |(place, _): &(usize, &Lease)| set & (1 << place) != 0;
                        let some = all.iter().enumerate().filter(is_set).map(|(_, lease)| *lease);
                        leases.set(&some.collect::<Vec<_>>());
                        None
                    }
                    Op::Leave(peer) => {
                        leases.forget(PeerId(peer));
                        None
                    }
                    Op::Pass(millis) => {
                        now += Duration::from_millis(millis);
                        leases.lapse(now);
                        None
                    }
                };
                if let Some((proof, peer)) = sent {
                    kept.push(proof);
                    if let Some(next) = leases.prove(now, PeerId(peer), &proof) {
                        let which = all.iter().position(|lease| lease.id == proof.lease);
                        let which = which.expect("one of them");
                        prop_assert!(all[which].rights.control && set & (1 << which) != 0);
                        told[which] = next;
                        accepted = Some(now);
                        prop_assert!(!counted.contains(&proof), "it counts twice");
                        counted.push(proof);
                    }
                }
                let open = (0..3).filter(|peer| leases.permits(now, PeerId(*peer))).count();
                prop_assert!(open <= 2, "one peer for each lease that permits control");
                if open > 0 {
                    prop_assert!(accepted.is_some_and(|at| now < at + LEASE_LIFE));
                }
            }
        }
    }
}
