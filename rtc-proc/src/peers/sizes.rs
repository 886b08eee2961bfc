//! Whose window the desktop is as large as: that of the viewer who resized it or did something last,
//! among those who are there. Pure.
//!
//! A viewer who leaves takes its wish along, and the one before it counts again. Two who work at the
//! same time do not take the desktop from one another with every key: the one whose size it has keeps it
//! until that one has rested for a while ([`REST`]), or the other resizes its window.

use std::time::{Duration, Instant};

use lumen_ipc::{
    message::input::{Action, PressState},
    units::{OutputSize, PeerId},
};

/// For so long the viewer whose size the desktop has must have done nothing before another's counts by
/// what that one does.
const REST: Duration = Duration::from_secs(3);

/// What every viewer's window has.
#[derive(Debug, Default)]
pub(super) struct Sizes {
    /// The last one counts.
    wishes: Vec<(PeerId, OutputSize)>,
    /// When the viewer whose wish counts did something last.
    acted: Option<Instant>,
    told: Option<OutputSize>,
}

impl Sizes {
    /// A viewer did something.
    pub(super) fn note(&mut self, now: Instant, peer: PeerId, action: Action) {
        match action {
            Action::SizeWanted(size) => {
                self.leave(peer);
                self.wishes.push((peer, size));
                self.acted = Some(now);
            }
            // Its release, because a desktop that changes between the two would move what was
            // pressed away from under the pointer. Motion says nothing: every passing mouse moves.
            Action::Key { state: PressState::Released, .. }
            | Action::Button { state: PressState::Released, .. } => {
                self.prefer(now, peer);
            }
            _ => {}
        }
    }

    /// Lets the wish of a viewer who acts count, if the one whose wish counts has rested.
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

    /// A viewer is gone.
    pub(super) fn leave(&mut self, peer: PeerId) {
        if self.wishes.last().is_some_and(|(owner, _)| *owner == peer) {
            self.acted = None;
        }
        self.wishes.retain(|(owner, _)| *owner != peer);
    }

    /// The wish that counts, and whose it is, if the compositor has not been told. Without viewers
    /// the desktop stays as it is.
    pub(super) fn untold(&mut self) -> Option<(PeerId, OutputSize)> {
        let (peer, size) = *self.wishes.last()?;
        (self.told.replace(size) != Some(size)).then_some((peer, size))
    }

    /// The compositor is another one.
    pub(super) const fn forget_told(&mut self) {
        self.told = None;
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

    fn wish(width: u32, height: u32) -> Action {
        Action::SizeWanted(size(width, height))
    }

    fn key(state: PressState) -> Action {
        Action::Key { key: KeyCode::MIN, state, locks: None }
    }

    #[test]
    fn viewer_who_leaves_gives_the_size_back_to_the_one_before() {
        let (now, mut sizes) = (Instant::now(), Sizes::default());
        sizes.note(now, ANNE, wish(800, 600));
        assert_eq!(sizes.untold(), Some((ANNE, size(800, 600))));
        sizes.note(now, BOB, wish(500, 700));
        assert_eq!(sizes.untold(), Some((BOB, size(500, 700))));
        assert_eq!(sizes.untold(), None);
        sizes.leave(BOB);
        assert_eq!(sizes.untold(), Some((ANNE, size(800, 600))));
        sizes.leave(ANNE);
        assert_eq!(sizes.untold(), None);
    }

    #[test]
    fn viewer_who_did_something_last_decides_when_it_let_go() {
        let (mut now, mut sizes) = (Instant::now(), Sizes::default());
        sizes.note(now, ANNE, wish(800, 600));
        sizes.note(now, BOB, wish(500, 700));
        sizes.untold();
        now += REST;
        sizes.note(now, ANNE, key(PressState::Pressed));
        assert_eq!(sizes.untold(), None);
        sizes.note(now, ANNE, key(PressState::Released));
        assert_eq!(sizes.untold(), Some((ANNE, size(800, 600))));
        now += REST;
        let at = lumen_ipc::message::input::OutputPoint { x: 0, y: 0 };
        sizes.note(now, BOB, Action::PointerTo(at));
        assert_eq!(sizes.untold(), None);
        let (button, state) = (ButtonCode::MIN, PressState::Released);
        sizes.note(now, BOB, Action::Button { button, state, at });
        assert_eq!(sizes.untold(), Some((BOB, size(500, 700))));
    }

    #[test]
    fn viewers_who_work_at_the_same_time_do_not_take_the_desktop_from_one_another() {
        let (mut now, mut sizes) = (Instant::now(), Sizes::default());
        sizes.note(now, ANNE, wish(800, 600));
        sizes.note(now, BOB, wish(500, 700));
        sizes.untold();
        for _ in 0..20 {
            now += REST / 3;
            sizes.note(now, BOB, key(PressState::Released));
            sizes.note(now, ANNE, key(PressState::Released));
            assert_eq!(sizes.untold(), None);
        }
        sizes.note(now + REST, ANNE, key(PressState::Released));
        assert_eq!(sizes.untold(), Some((ANNE, size(800, 600))));
    }

    #[test]
    fn viewer_whose_window_changed_while_another_decides_takes_over() {
        let (now, mut sizes) = (Instant::now(), Sizes::default());
        sizes.note(now, ANNE, wish(800, 600));
        sizes.note(now, BOB, wish(500, 700));
        sizes.note(now, ANNE, wish(900, 600));
        assert_eq!(sizes.untold(), Some((ANNE, size(900, 600))));
    }

    #[test]
    fn another_compositor_is_told_once_more() {
        let (now, mut sizes) = (Instant::now(), Sizes::default());
        sizes.note(now, ANNE, wish(800, 600));
        sizes.untold();
        sizes.forget_told();
        assert_eq!(sizes.untold(), Some((ANNE, size(800, 600))));
    }

    proptest! {
        #[test]
        fn compositor_was_told_a_wish_of_somebody_present(
            steps in prop::collection::vec((0_u64..4, 0_u32..6), 1..60)
        ) {
            let (mut now, mut sizes) = (Instant::now(), Sizes::default());
            let mut present = std::collections::BTreeMap::new();
            let mut told = None;
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
                        sizes.note(now, peer, wish(width * 100, 600));
                        present.insert(peer, size(width * 100, 600));
                    }
                }
                told = sizes.untold().map(|(_, size)| size).or(told);
                prop_assert!(present.is_empty() || present.values().any(|size| Some(*size) == told));
            }
        }
    }
}
