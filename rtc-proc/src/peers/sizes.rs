//! Which viewer's window sets the size of the desktop: that of the viewer who resized it or acted
//! last, among those present. Pure.
//!
//! When that viewer leaves, the one before it counts again; when the last one leaves, the desktop
//! stays as it is. Two viewers who work at the same time do not resize the desktop with every key:
//! the one who set the size keeps it until it has been idle for a while ([`REST`]), or the other
//! resizes its window. A desktop with a fixed size ignores all of this.

use std::time::{Duration, Instant};

use lumen_ipc::{
    message::input::{Action, PressState},
    service::ResizePolicy,
    units::{OutputSize, PeerId},
};

/// How long the viewer who set the size must be idle before another viewer sets it by acting.
const REST: Duration = Duration::from_secs(3);

/// The sizes of the viewers' windows.
#[derive(Debug)]
pub(super) struct Sizes {
    policy: ResizePolicy,
    /// The last one sets the size.
    wishes: Vec<(PeerId, OutputSize)>,
    /// When the viewer who set the size last acted.
    acted: Option<Instant>,
    wanted: Option<OutputSize>,
}

impl Sizes {
    /// No viewer has asked for a size.
    pub(super) const fn new(policy: ResizePolicy) -> Self {
        Self { policy, wishes: Vec::new(), acted: None, wanted: None }
    }

    /// Handles the size of a viewer's window.
    pub(super) fn wish(&mut self, now: Instant, peer: PeerId, size: OutputSize) {
        self.wishes.retain(|(owner, _)| *owner != peer);
        self.wishes.push((peer, size));
        self.acted = Some(now);
        self.decide();
    }

    /// Handles an action of a viewer.
    pub(super) fn note(&mut self, now: Instant, peer: PeerId, action: Action) {
        // Only a release counts: a desktop that is resized between press and release would move the
        // pressed element away from under the pointer. Motion does not count: every passing mouse
        // moves.
        if let Action::Key { state: PressState::Released, .. }
        | Action::Button { state: PressState::Released, .. } = action
        {
            self.prefer(now, peer);
            self.decide();
        }
    }

    /// Lets a viewer who acts set the size, if the one who set it has been idle.
    fn prefer(&mut self, now: Instant, peer: PeerId) {
        let counts = self.wishes.last().is_some_and(|(owner, _)| *owner == peer);
        let rested = self.acted.is_none_or(|acted| now.duration_since(acted) >= REST);
        let Some(place) = self.wishes.iter().position(|(owner, _)| *owner == peer) else { return };
        if counts || rested {
            let wish = self.wishes.remove(place);
            self.wishes.push(wish);
            self.acted = Some(now);
        }
    }

    /// Removes a viewer.
    pub(super) fn leave(&mut self, peer: PeerId) {
        if self.wishes.last().is_some_and(|(owner, _)| *owner == peer) {
            self.acted = None;
        }
        self.wishes.retain(|(owner, _)| *owner != peer);
        self.decide();
    }

    fn decide(&mut self) {
        if let (ResizePolicy::Follow, Some((_, size))) = (self.policy, self.wishes.last()) {
            self.wanted = Some(*size);
        }
    }

    /// The size that the desktop should have; `None` if it keeps the one it has.
    pub(super) const fn wanted(&self) -> Option<OutputSize> {
        self.wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lumen_ipc::units::{ButtonCode, KeyCode, Scale};
    use proptest::prelude::*;

    const ANNE: PeerId = PeerId(1);
    const BOB: PeerId = PeerId(2);

    fn size(width: u32, height: u32) -> OutputSize {
        OutputSize::nearest(width, height, Scale::ONE)
    }

    fn sizes() -> Sizes {
        Sizes::new(ResizePolicy::Follow)
    }

    fn key(state: PressState) -> Action {
        Action::Key { key: KeyCode::MIN, state, locks: None }
    }

    #[test]
    fn viewer_who_leaves_gives_the_size_back_to_the_one_before() {
        let (now, mut sizes) = (Instant::now(), sizes());
        sizes.wish(now, ANNE, size(800, 600));
        assert_eq!(sizes.wanted(), Some(size(800, 600)));
        sizes.wish(now, BOB, size(500, 700));
        assert_eq!(sizes.wanted(), Some(size(500, 700)));
        sizes.leave(BOB);
        assert_eq!(sizes.wanted(), Some(size(800, 600)));
        sizes.leave(ANNE);
        assert_eq!(sizes.wanted(), Some(size(800, 600)), "the desktop keeps its size");
    }

    #[test]
    fn viewer_who_did_something_last_decides_when_it_let_go() {
        let (mut now, mut sizes) = (Instant::now(), sizes());
        sizes.wish(now, ANNE, size(800, 600));
        sizes.wish(now, BOB, size(500, 700));
        now += REST;
        sizes.note(now, ANNE, key(PressState::Pressed));
        assert_eq!(sizes.wanted(), Some(size(500, 700)));
        sizes.note(now, ANNE, key(PressState::Released));
        assert_eq!(sizes.wanted(), Some(size(800, 600)));
        now += REST;
        let at = lumen_ipc::message::input::OutputPoint { x: 0, y: 0 };
        sizes.note(now, BOB, Action::PointerTo(at));
        assert_eq!(sizes.wanted(), Some(size(800, 600)));
        let (button, state) = (ButtonCode::MIN, PressState::Released);
        sizes.note(now, BOB, Action::Button { button, state, at });
        assert_eq!(sizes.wanted(), Some(size(500, 700)));
    }

    #[test]
    fn viewers_who_work_at_the_same_time_do_not_take_the_desktop_from_one_another() {
        let (mut now, mut sizes) = (Instant::now(), sizes());
        sizes.wish(now, ANNE, size(800, 600));
        sizes.wish(now, BOB, size(500, 700));
        for _ in 0..20 {
            now += REST / 3;
            sizes.note(now, BOB, key(PressState::Released));
            sizes.note(now, ANNE, key(PressState::Released));
            assert_eq!(sizes.wanted(), Some(size(500, 700)));
        }
        sizes.note(now + REST, ANNE, key(PressState::Released));
        assert_eq!(sizes.wanted(), Some(size(800, 600)));
    }

    #[test]
    fn viewer_whose_window_changed_while_another_decides_takes_over() {
        let (now, mut sizes) = (Instant::now(), sizes());
        sizes.wish(now, ANNE, size(800, 600));
        sizes.wish(now, BOB, size(500, 700));
        sizes.wish(now, ANNE, size(900, 600));
        assert_eq!(sizes.wanted(), Some(size(900, 600)));
    }

    #[test]
    fn desktop_of_a_fixed_size_follows_nobody() {
        let (now, mut sizes) = (Instant::now(), Sizes::new(ResizePolicy::Fixed));
        sizes.wish(now, ANNE, size(800, 600));
        sizes.note(now, ANNE, key(PressState::Released));
        sizes.leave(ANNE);
        assert_eq!(sizes.wanted(), None);
    }

    proptest! {
        #[test]
        fn size_wanted_is_the_wish_of_somebody_present(
            steps in prop::collection::vec((0_u64..4, 0_u32..6), 1..60)
        ) {
            let (mut now, mut sizes) = (Instant::now(), sizes());
            let mut present = std::collections::BTreeMap::new();
            for (peer, what) in steps {
                let peer = PeerId(peer);
                now += Duration::from_secs(1);
                match what {
                    0 => {
                        sizes.leave(peer);
                        present.remove(&peer);
                    }
                    1 => sizes.note(now, peer, key(PressState::Released)),
                    width => {
                        sizes.wish(now, peer, size(width * 100, 600));
                        present.insert(peer, size(width * 100, 600));
                    }
                }
                let wanted = sizes.wanted();
                prop_assert!(present.is_empty() || present.values().any(|size| Some(*size) == wanted));
            }
        }
    }
}
