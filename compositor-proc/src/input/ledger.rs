//! Who holds which key and button: pure bookkeeping, so that nothing stays down by accident.
//!
//! Viewers share one keyboard and one pointer. A key goes down when the first peer presses it and
//! up when the last lets go; repeated presses and stray releases change nothing.
//!
//! INVARIANT: a key or button is down exactly while at least one peer holds it.

use std::collections::{BTreeMap, BTreeSet};

use lumen_ipc::units::{ButtonCode, KeyCode, PeerId};

/// A key or a button.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Pressable {
    /// A mouse button.
    Button(ButtonCode),
    /// A key.
    Key(KeyCode),
}

/// Who holds what.
#[derive(Debug, Default)]
pub struct Ledger {
    holders: BTreeMap<Pressable, BTreeSet<PeerId>>,
}

impl Ledger {
    /// Peers that may hold one thing at once. rtc admits far fewer; the bound keeps a hostile one
    /// from filling our memory with invented peers.
    const MAX_HOLDERS: usize = 256;

    /// `peer` presses `what`. Returns whether it goes down by that.
    pub fn press(&mut self, peer: PeerId, what: Pressable) -> bool {
        let holders = self.holders.entry(what).or_default();
        let goes_down = holders.is_empty();
        if holders.len() < Self::MAX_HOLDERS {
            holders.insert(peer);
        }
        goes_down
    }

    /// `peer` lets go of `what`. Returns whether it goes up by that.
    pub fn release(&mut self, peer: PeerId, what: Pressable) -> bool {
        let Some(holders) = self.holders.get_mut(&what) else { return false };
        holders.remove(&peer);
        let goes_up = holders.is_empty();
        if goes_up {
            self.holders.remove(&what);
        }
        goes_up
    }

    /// `peer` lets go of everything. Returns what goes up by that.
    pub fn release_peer(&mut self, peer: PeerId) -> Vec<Pressable> {
        let held: Vec<Pressable> = self
            .holders
            .iter()
            .filter(|(_, holders)| holders.contains(&peer))
            .map(|(what, _)| *what)
            .collect();
        held.into_iter().filter(|what| self.release(peer, *what)).collect()
    }

    /// Everybody lets go of everything. Returns what goes up by that.
    pub fn release_all(&mut self) -> Vec<Pressable> {
        std::mem::take(&mut self.holders).into_keys().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const ALICE: PeerId = PeerId(1);
    const BOB: PeerId = PeerId(2);

    fn key(code: u64) -> Pressable {
        Pressable::Key(KeyCode::new(code).expect("legal key"))
    }

    #[test]
    fn press_by_two_peers_goes_down_once_and_up_with_the_last() {
        let mut ledger = Ledger::default();
        assert!(ledger.press(ALICE, key(30)));
        assert!(!ledger.press(BOB, key(30)));
        assert!(!ledger.release(ALICE, key(30)));
        assert!(ledger.release(BOB, key(30)));
    }

    #[test]
    fn press_repeated_and_release_stray_change_nothing() {
        let mut ledger = Ledger::default();
        assert!(!ledger.release(ALICE, key(30)));
        assert!(ledger.press(ALICE, key(30)));
        assert!(!ledger.press(ALICE, key(30)));
        assert!(!ledger.release(BOB, key(30)));
        assert!(ledger.release(ALICE, key(30)));
    }

    #[derive(Clone, Copy, Debug)]
    enum Op {
        Press(u64, u64),
        Release(u64, u64),
        ReleasePeer(u64),
        ReleaseAll,
    }

    fn op() -> impl Strategy<Value = Op> {
        let peer = 0_u64..4;
        let code = 1_u64..6;
        prop_oneof![
            (peer.clone(), code.clone()).prop_map(|(peer, code)| Op::Press(peer, code)),
            (peer.clone(), code).prop_map(|(peer, code)| Op::Release(peer, code)),
            peer.prop_map(Op::ReleasePeer),
            Just(Op::ReleaseAll),
        ]
    }

    proptest! {
        /// What apps were told is down is what the model says some peer holds, after every step.
        #[test]
        fn down_exactly_while_held(ops in prop::collection::vec(op(), 0..200)) {
            let mut ledger = Ledger::default();
            let mut model: HashSet<(u64, u64)> = HashSet::new();
            let mut down: HashSet<u64> = HashSet::new();
            for op in ops {
                match op {
                    Op::Press(peer, code) => {
                        model.insert((peer, code));
                        if ledger.press(PeerId(peer), key(code)) {
                            prop_assert!(down.insert(code), "went down twice");
                        }
                    }
                    Op::Release(peer, code) => {
                        model.remove(&(peer, code));
                        if ledger.release(PeerId(peer), key(code)) {
                            prop_assert!(down.remove(&code), "went up twice");
                        }
                    }
                    Op::ReleasePeer(peer) => {
                        model.retain(|(holder, _)| *holder != peer);
                        for what in ledger.release_peer(PeerId(peer)) {
                            prop_assert!(down.remove(&code_of(what)));
                        }
                    }
                    Op::ReleaseAll => {
                        model.clear();
                        for what in ledger.release_all() {
                            prop_assert!(down.remove(&code_of(what)));
                        }
                    }
                }
                let held: HashSet<u64> = model.iter().map(|(_, code)| *code).collect();
                prop_assert_eq!(&held, &down);
            }
        }
    }

    fn code_of(what: Pressable) -> u64 {
        match what {
            Pressable::Key(code) => code.into(),
            Pressable::Button(code) => code.into(),
        }
    }
}
