//! Who holds which key and button: pure bookkeeping, so that nothing stays down by accident.
//!
//! Viewers share one keyboard and one pointer. A key goes down when the first peer presses it and
//! up when the last one releases it; repeated presses and stray releases change nothing.
//!
//! A peer with a frozen browser or network cannot release anything. So a peer that holds something
//! must give signs of life, and after [`HOLD_PATIENCE`] of silence counts as having released
//! everything.
//!
//! INVARIANT: a key or button is down exactly while at least one peer holds it.
//! INVARIANT: exactly the peers that hold something have a time of their last message.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use lumen_ipc::{
    message::input::HOLD_PATIENCE,
    units::{ButtonCode, KeyCode, PeerId},
};

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
    heard: BTreeMap<PeerId, Instant>,
}

impl Ledger {
    /// Most peers that hold one thing at once. Rtc admits far fewer; the bound keeps a hostile rtc
    /// from filling our memory with invented peers.
    const MAX_HOLDERS: usize = 256;

    /// Handles a press of `peer`. Returns whether `what` goes down by it.
    pub fn press(&mut self, now: Instant, peer: PeerId, what: Pressable) -> bool {
        let holders = self.holders.entry(what).or_default();
        let goes_down = holders.is_empty();
        if holders.len() < Self::MAX_HOLDERS {
            holders.insert(peer);
            self.heard.insert(peer, now);
        }
        goes_down
    }

    /// Handles a release of `peer`. Returns whether `what` goes up by it.
    pub fn release(&mut self, peer: PeerId, what: Pressable) -> bool {
        let Some(holders) = self.holders.get_mut(&what) else { return false };
        holders.remove(&peer);
        let goes_up = holders.is_empty();
        if goes_up {
            self.holders.remove(&what);
        }
        if !self.holders.values().any(|holders| holders.contains(&peer)) {
            self.heard.remove(&peer);
        }
        goes_up
    }

    /// Whether anybody holds a key.
    #[must_use]
    pub fn holds_key(&self) -> bool {
        self.holders.keys().any(|what| matches!(what, Pressable::Key(_)))
    }

    /// Records a sign of life of `peer`.
    pub fn hear(&mut self, now: Instant, peer: PeerId) {
        if let Some(heard) = self.heard.get_mut(&peer) {
            *heard = now;
        }
    }

    /// When the next peer has been silent for too long; `None` while nothing is held.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.heard.values().min().map(|heard| *heard + HOLD_PATIENCE)
    }

    /// Releases what peers hold who have been silent for too long. Returns what goes up by it.
    pub fn lapse(&mut self, now: Instant) -> Vec<Pressable> {
        let silent = self.heard.iter().filter(|(_, heard)| **heard + HOLD_PATIENCE <= now);
        let silent: Vec<PeerId> = silent.map(|(peer, _)| *peer).collect();
        silent.into_iter().flat_map(|peer| self.release_peer(peer)).collect()
    }

    /// Releases everything that `peer` holds. Returns what goes up by it.
    pub fn release_peer(&mut self, peer: PeerId) -> Vec<Pressable> {
        let held: Vec<Pressable> = self
            .holders
            .iter()
            .filter(|(_, holders)| holders.contains(&peer))
            .map(|(what, _)| *what)
            .collect();
        held.into_iter().filter(|what| self.release(peer, *what)).collect()
    }

    /// Releases everything. Returns what goes up by it.
    pub fn release_all(&mut self) -> Vec<Pressable> {
        self.heard.clear();
        std::mem::take(&mut self.holders).into_keys().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{HashMap, HashSet},
        time::Duration,
    };

    use proptest::prelude::*;

    use super::*;

    const ALICE: PeerId = PeerId(1);
    const BOB: PeerId = PeerId(2);
    const INSTANT: Duration = Duration::from_millis(1);

    fn key(code: u64) -> Pressable {
        Pressable::Key(KeyCode::new(code).expect("legal key"))
    }

    #[test]
    fn press_by_two_peers_goes_down_once_and_up_with_the_last() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        assert!(ledger.press(now, ALICE, key(30)));
        assert!(!ledger.press(now, BOB, key(30)));
        assert!(!ledger.release(ALICE, key(30)));
        assert!(ledger.release(BOB, key(30)));
    }

    #[test]
    fn press_repeated_and_release_stray_change_nothing() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        assert!(!ledger.release(ALICE, key(30)));
        assert!(ledger.press(now, ALICE, key(30)));
        assert!(!ledger.press(now, ALICE, key(30)));
        assert!(!ledger.release(BOB, key(30)));
        assert!(ledger.release(ALICE, key(30)));
    }

    #[test]
    fn lapse_after_silence_releases_what_the_silent_one_alone_holds() {
        let (mut ledger, start) = (Ledger::default(), Instant::now());
        ledger.press(start, ALICE, key(14));
        ledger.press(start, ALICE, key(30));
        ledger.press(start, BOB, key(30));
        let silence = start + HOLD_PATIENCE;
        ledger.hear(silence - INSTANT, BOB);
        assert_eq!(ledger.due(), Some(silence));
        assert_eq!(ledger.lapse(silence - INSTANT), []);
        assert_eq!(ledger.lapse(silence), [key(14)]);
        assert_eq!(ledger.due(), Some(silence - INSTANT + HOLD_PATIENCE));
    }

    #[test]
    fn lapse_is_not_undone_by_a_sign_of_life_but_by_a_press() {
        let (mut ledger, start) = (Ledger::default(), Instant::now());
        ledger.press(start, ALICE, key(14));
        let later = start + HOLD_PATIENCE;
        assert_eq!(ledger.lapse(later), [key(14)]);
        ledger.hear(later, ALICE);
        assert_eq!(ledger.due(), None);
        assert!(!ledger.release(ALICE, key(14)));
        assert!(ledger.press(later, ALICE, key(14)));
    }

    #[test]
    fn due_while_nothing_is_held_is_never() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        ledger.hear(now, ALICE);
        assert_eq!(ledger.due(), None);
        ledger.press(now, ALICE, key(30));
        ledger.press(now, ALICE, key(31));
        ledger.release(ALICE, key(30));
        assert!(ledger.due().is_some());
        ledger.release(ALICE, key(31));
        assert_eq!(ledger.due(), None);
    }

    #[derive(Clone, Copy, Debug)]
    enum Op {
        Press(u64, u64),
        Release(u64, u64),
        Hear(u64),
        ReleasePeer(u64),
        ReleaseAll,
        /// Milliseconds in which stalled and killed peers are silent.
        Pass(u64),
    }

    fn op() -> impl Strategy<Value = Op> {
        let peer = 0_u64..4;
        let code = 1_u64..6;
        prop_oneof![
            (peer.clone(), code.clone()).prop_map(|(peer, code)| Op::Press(peer, code)),
            (peer.clone(), code).prop_map(|(peer, code)| Op::Release(peer, code)),
            peer.clone().prop_map(Op::Hear),
            peer.prop_map(Op::ReleasePeer),
            Just(Op::ReleaseAll),
            (1_u64..700).prop_map(Op::Pass),
        ]
    }

    /// A simple model: what each peer holds, and when it was last heard.
    #[derive(Default)]
    struct Model {
        holds: HashSet<(u64, u64)>,
        heard: HashMap<u64, Instant>,
    }

    impl Model {
        fn forget_silent(&mut self, now: Instant) {
            let heard = &self.heard;
            self.holds.retain(|(peer, _)| heard[peer] + HOLD_PATIENCE > now);
        }

        fn held(&self) -> HashSet<u64> {
            self.holds.iter().map(|(_, code)| *code).collect()
        }
    }

    proptest! {
        /// Whatever peers do, and however they stall or die: apps see down exactly what is held by
        /// some peer that was heard within the patience, after every step of a loop that wakes when
        /// it is due.
        #[test]
        fn down_exactly_while_held_by_one_who_is_heard_of(
            ops in prop::collection::vec(op(), 0..200)
        ) {
            let mut ledger = Ledger::default();
            let mut model = Model::default();
            let mut down: HashSet<u64> = HashSet::new();
            let mut now = Instant::now();
            for op in ops {
                let mut lifted = Vec::new();
                match op {
                    Op::Press(peer, code) => {
                        model.holds.insert((peer, code));
                        model.heard.insert(peer, now);
                        ledger.hear(now, PeerId(peer));
                        if ledger.press(now, PeerId(peer), key(code)) {
                            prop_assert!(down.insert(code), "went down twice");
                        }
                    }
                    Op::Release(peer, code) => {
                        model.holds.remove(&(peer, code));
                        model.heard.insert(peer, now);
                        ledger.hear(now, PeerId(peer));
                        if ledger.release(PeerId(peer), key(code)) {
                            lifted.push(key(code));
                        }
                    }
                    Op::Hear(peer) => {
                        model.heard.insert(peer, now);
                        ledger.hear(now, PeerId(peer));
                    }
                    Op::ReleasePeer(peer) => {
                        model.holds.retain(|(holder, _)| *holder != peer);
                        lifted = ledger.release_peer(PeerId(peer));
                    }
                    Op::ReleaseAll => {
                        model.holds.clear();
                        lifted = ledger.release_all();
                    }
                    Op::Pass(millis) => {
                        let end = now + Duration::from_millis(millis);
                        while let Some(due) = ledger.due().filter(|due| *due <= end) {
                            lifted.extend(ledger.lapse(due));
                            prop_assert!(ledger.due() > Some(due) || ledger.due().is_none());
                        }
                        now = end;
                        model.forget_silent(now);
                    }
                }
                for what in lifted {
                    prop_assert!(down.remove(&code_of(what)), "went up twice");
                }
                prop_assert_eq!(&model.held(), &down);
                prop_assert_eq!(ledger.due().is_some(), !down.is_empty());
            }
        }
    }

    fn code_of(what: Pressable) -> u64 {
        match what {
            Pressable::Button(code) => code.into(),
            Pressable::Key(code) => code.into(),
        }
    }
}
