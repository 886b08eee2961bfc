//! Whose window the desktop is as large as: that of the viewer who resized it or did something last,
//! among those who are there. Pure.
//!
//! A viewer who leaves takes its wish along, and the one before it counts again.

use lumen_ipc::{
    message::input::{Action, PressState},
    units::{OutputSize, PeerId},
};

/// What every viewer's window has.
#[derive(Debug, Default)]
pub(super) struct Sizes {
    /// The last one counts.
    wishes: Vec<(PeerId, OutputSize)>,
    told: Option<OutputSize>,
}

impl Sizes {
    /// A viewer did something.
    pub(super) fn note(&mut self, peer: PeerId, action: Action) {
        match action {
            Action::SizeWanted(size) => {
                self.leave(peer);
                self.wishes.push((peer, size));
            }
            // Its release, because a desktop that changes between the two would move what was
            // pressed away from under the pointer. Motion says nothing: every passing mouse moves.
            Action::Key { state: PressState::Released, .. }
            | Action::Button { state: PressState::Released, .. } => {
                if let Some(place) = self.wishes.iter().position(|(owner, _)| *owner == peer) {
                    let wish = self.wishes.remove(place);
                    self.wishes.push(wish);
                }
            }
            _ => {}
        }
    }

    /// A viewer is gone.
    pub(super) fn leave(&mut self, peer: PeerId) {
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
        let mut sizes = Sizes::default();
        sizes.note(ANNE, wish(800, 600));
        assert_eq!(sizes.untold(), Some((ANNE, size(800, 600))));
        sizes.note(BOB, wish(500, 700));
        assert_eq!(sizes.untold(), Some((BOB, size(500, 700))));
        assert_eq!(sizes.untold(), None);
        sizes.leave(BOB);
        assert_eq!(sizes.untold(), Some((ANNE, size(800, 600))));
        sizes.leave(ANNE);
        assert_eq!(sizes.untold(), None);
    }

    #[test]
    fn viewer_who_did_something_last_decides_when_it_let_go() {
        let mut sizes = Sizes::default();
        sizes.note(ANNE, wish(800, 600));
        sizes.note(BOB, wish(500, 700));
        sizes.untold();
        sizes.note(ANNE, key(PressState::Pressed));
        assert_eq!(sizes.untold(), None);
        sizes.note(ANNE, key(PressState::Released));
        assert_eq!(sizes.untold(), Some((ANNE, size(800, 600))));
        let at = lumen_ipc::message::input::OutputPoint { x: 0, y: 0 };
        sizes.note(BOB, Action::PointerTo(at));
        assert_eq!(sizes.untold(), None);
        let (button, state) = (ButtonCode::MIN, PressState::Released);
        sizes.note(BOB, Action::Button { button, state, at });
        assert_eq!(sizes.untold(), Some((BOB, size(500, 700))));
    }

    #[test]
    fn viewer_whose_window_changed_while_another_decides_takes_over() {
        let mut sizes = Sizes::default();
        sizes.note(ANNE, wish(800, 600));
        sizes.note(BOB, wish(500, 700));
        sizes.note(ANNE, wish(900, 600));
        assert_eq!(sizes.untold(), Some((ANNE, size(900, 600))));
    }

    #[test]
    fn another_compositor_is_told_once_more() {
        let mut sizes = Sizes::default();
        sizes.note(ANNE, wish(800, 600));
        sizes.untold();
        sizes.forget_told();
        assert_eq!(sizes.untold(), Some((ANNE, size(800, 600))));
    }

    proptest! {
        #[test]
        fn compositor_was_told_a_wish_of_somebody_present(
            steps in prop::collection::vec((0_u64..4, 0_u32..6), 1..60)
        ) {
            let mut sizes = Sizes::default();
            let mut present = std::collections::BTreeMap::new();
            let mut told = None;
            for (peer, what) in steps {
                let peer = PeerId(peer);
                match what {
                    0 => {
                        sizes.leave(peer);
                        present.remove(&peer);
                    }
                    1 => sizes.note(peer, key(PressState::Released)),
                    width => {
                        sizes.note(peer, wish(width * 100, 600));
                        present.insert(peer, size(width * 100, 600));
                    }
                }
                told = sizes.untold().map(|(_, size)| size).or(told);
                prop_assert!(present.is_empty() || present.values().any(|size| Some(*size) == told));
            }
        }
    }
}
