//! Which slots of the `frames` link's buffers are taken, and by what. Pure.
//!
//! The first is the canvas's. The others go to apps' buffers as they come, and are never given to
//! another: when all are taken, or an app has given one of its buffers up, everything is announced
//! anew under the next generation, so that media lets go of what is no more.

use lumen_ipc::units::{BufferGeneration, SlotIndex};

/// The canvas's slot.
pub(super) const CANVAS: SlotIndex = SlotIndex::MIN;

/// The slots of one generation. `Name` tells apps' buffers apart.
#[derive(Debug)]
pub(super) struct Slots<Name> {
    generation: BufferGeneration,
    canvas_announced: bool,
    /// From the first slot behind the canvas's on.
    apps: Vec<Name>,
}

/// Where a buffer goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Slot {
    pub(super) generation: BufferGeneration,
    pub(super) index: SlotIndex,
    /// Whether media has to be told about it.
    pub(super) is_new: bool,
}

impl<Name> Default for Slots<Name> {
    fn default() -> Self {
        Self { generation: BufferGeneration::default(), canvas_announced: false, apps: Vec::new() }
    }
}

impl<Name: PartialEq> Slots<Name> {
    /// Everything is announced anew.
    pub(super) fn clear(&mut self) {
        self.generation = BufferGeneration(self.generation.0.wrapping_add(1));
        self.canvas_announced = false;
        self.apps.clear();
    }

    /// Makes media let go of buffers that are no more.
    pub(super) fn retain(&mut self, is_alive: impl Fn(&Name) -> bool) {
        if !self.apps.iter().all(is_alive) {
            self.clear();
        }
    }

    /// The canvas's slot.
    pub(super) fn canvas(&mut self) -> Slot {
        let is_new = !std::mem::replace(&mut self.canvas_announced, true);
        Slot { generation: self.generation, index: CANVAS, is_new }
    }

    /// The slot of an app's buffer.
    pub(super) fn of_app(&mut self, name: Name) -> Slot {
        let known = self.apps.iter().position(|known| *known == name);
        if known.is_none() && self.apps.len() >= usize::from(SlotIndex::MAX.value()) {
            self.clear();
        }
        let at = known.unwrap_or_else(|| {
            self.apps.push(name);
            self.apps.len() - 1
        });
        let index = SlotIndex::clamped(at as u64 + 1);
        Slot { generation: self.generation, index, is_new: known.is_none() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buffer_is_announced_once() {
        let mut slots = Slots::default();
        let first = slots.of_app('a');
        assert!(first.is_new);
        assert_eq!(slots.of_app('a'), Slot { is_new: false, ..first });
        assert_ne!(slots.of_app('b').index, first.index);
        assert_eq!((slots.canvas().is_new, slots.canvas().is_new), (true, false));
    }

    #[test]
    fn buffer_that_is_no_more_begins_a_generation() {
        let mut slots = Slots::default();
        let before = slots.of_app('a');
        slots.retain(|_| true);
        assert_eq!(slots.of_app('a').generation, before.generation);
        slots.retain(|name| *name != 'a');
        let after = slots.canvas();
        assert!(after.is_new && after.generation > before.generation);
    }

    proptest! {
        /// What media checks: a slot is announced at most once in a generation, and none is used
        /// that was not.
        #[test]
        fn slots_are_what_media_expects(names in prop::collection::vec(0..12_u8, 1..200)) {
            let mut slots = Slots::default();
            let mut generation = BufferGeneration::default();
            let mut announced = Vec::new();
            for name in names {
                let slot = if name == 0 { slots.canvas() } else { slots.of_app(name) };
                if slot.generation > generation {
                    generation = slot.generation;
                    announced.clear();
                }
                prop_assert_eq!(slot.generation, generation);
                prop_assert_eq!(slot.index == CANVAS, name == 0);
                let known = announced.contains(&(slot.index, name));
                prop_assert_eq!(slot.is_new, !known);
                if slot.is_new {
                    prop_assert!(announced.iter().all(|(index, _)| *index != slot.index));
                    announced.push((slot.index, name));
                }
            }
        }
    }
}
