//! The slots of the `frames` link, and the buffers in them. Pure.
//!
//! The first slot is the canvas's. The others are given to apps' buffers as they come. A buffer
//! that was destroyed is retired, so that media unmaps it; so is the one that was not shown for
//! longest when apps use more than [`MOST_OF_APPS`], or [`MOST_IN_LAYERS`] if media draws. A slot is
//! reused only after media was told that its buffer is retired.

use lumen_ipc::{message::frames::LayerList, units::SlotIndex};

/// The canvas's slot.
pub(super) const CANVAS: SlotIndex = SlotIndex::MIN;

/// Most buffers of apps that media holds at a time: an app that fills the screen has three or four,
/// and each further one is memory that is not freed when the app destroys it.
const MOST_OF_APPS: usize = 32;

/// The same where frames are layers: twice as many as one frame can have, so that none of a frame's
/// buffers makes room for another of the same frame.
const MOST_IN_LAYERS: usize = 2 * LayerList::MOST;

/// The slots of one link end. `Name` identifies apps' buffers.
#[derive(Debug)]
pub(super) struct Slots<Name> {
    canvas_announced: bool,
    apps: Vec<AppSlot<Name>>,
    /// Most buffers of apps at a time.
    most: usize,
    /// Retired slots that media has not been told of.
    retired: Vec<SlotIndex>,
    /// Counts uses of slots.
    uses: u64,
}

#[derive(Debug)]
struct AppSlot<Name> {
    name: Name,
    index: SlotIndex,
    used: u64,
}

/// A buffer's slot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Slot {
    pub(super) index: SlotIndex,
    /// Whether the buffer must be announced to media first.
    pub(super) is_new: bool,
}

impl<Name> Default for Slots<Name> {
    fn default() -> Self {
        let (apps, retired) = (Vec::new(), Vec::new());
        Self { canvas_announced: false, apps, most: MOST_OF_APPS, retired, uses: 0 }
    }
}

impl<Name: PartialEq> Slots<Name> {
    /// Frames are layers from now on, or are not any more.
    pub(super) const fn expect_layers(&mut self, layers: bool) {
        self.most = if layers { MOST_IN_LAYERS } else { MOST_OF_APPS };
    }

    /// Retires destroyed buffers of apps.
    pub(super) fn retain(&mut self, is_alive: impl Fn(&Name) -> bool) {
        let dead = self.apps.extract_if(.., |app| !is_alive(&app.name));
        self.retired.extend(dead.map(|app| app.index));
    }

    /// Retires the canvas, which was replaced.
    pub(super) fn replace_canvas(&mut self) {
        if std::mem::take(&mut self.canvas_announced) {
            self.retired.push(CANVAS);
        }
    }

    /// Retires everything.
    pub(super) fn retire_all(&mut self) {
        self.replace_canvas();
        self.retain(|_| false);
    }

    /// The next slot to retire at media, before anything is announced.
    pub(super) fn next_retired(&mut self) -> Option<SlotIndex> {
        self.retired.pop()
    }

    /// The canvas's slot.
    pub(super) fn canvas(&mut self) -> Slot {
        let is_new = !std::mem::replace(&mut self.canvas_announced, true);
        Slot { index: CANVAS, is_new }
    }

    /// The slot of an app's buffer.
    pub(super) fn of_app(&mut self, name: Name) -> Slot {
        self.uses += 1;
        let used = self.uses;
        if let Some(known) = self.apps.iter_mut().find(|app| app.name == name) {
            known.used = used;
            return Slot { index: known.index, is_new: false };
        }
        if self.apps.len() >= self.most
            && let Some(oldest) = (0..self.apps.len()).min_by_key(|at| self.apps[*at].used)
        {
            self.retired.push(self.apps.swap_remove(oldest).index);
        }
        let index = self.free();
        self.apps.push(AppSlot { name, index, used });
        Slot { index, is_new: true }
    }

    /// The lowest slot after the canvas's without an app's buffer. Retired slots that media has not
    /// been told of count as free, because it is told first.
    fn free(&self) -> SlotIndex {
        let is_taken = |index: &SlotIndex| self.apps.iter().any(|app| app.index == *index);
        let mut behind = (u64::from(CANVAS.value()) + 1..).map(SlotIndex::clamped);
        // There are fewer buffers than slots, so a free one exists.
        behind.find(|index| !is_taken(index)).unwrap_or(SlotIndex::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

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
        assert_eq!(slots.next_retired(), None);
    }

    #[test]
    fn buffer_that_is_no_more_is_retired_alone() {
        let mut slots = Slots::default();
        let (gone, kept) = (slots.of_app('a'), slots.of_app('b'));
        slots.retain(|name| *name != 'a');
        assert_eq!((slots.next_retired(), slots.next_retired()), (Some(gone.index), None));
        assert_eq!(slots.of_app('b'), Slot { is_new: false, ..kept });
        assert_eq!(slots.of_app('c'), gone);
    }

    #[test]
    fn canvas_of_another_size_is_retired_if_media_knows_it() {
        let mut slots = Slots::<char>::default();
        slots.replace_canvas();
        assert_eq!(slots.next_retired(), None);
        slots.canvas();
        slots.replace_canvas();
        assert_eq!(slots.next_retired(), Some(CANVAS));
        assert!(slots.canvas().is_new);
    }

    #[test]
    fn everything_is_retired_at_rest_and_announced_again_with_the_next_frame() {
        let mut slots = Slots::default();
        let mut announced =
            [slots.canvas().index, slots.of_app('a').index, slots.of_app('b').index];
        slots.retire_all();
        let mut retired: Vec<_> = std::iter::from_fn(|| slots.next_retired()).collect();
        announced.sort_unstable();
        retired.sort_unstable();
        assert_eq!(retired, announced);
        assert!(slots.of_app('b').is_new && slots.canvas().is_new);
    }

    #[test]
    fn buffer_beyond_the_most_takes_the_place_of_the_one_not_shown_for_longest() {
        let mut slots = Slots::default();
        let first = slots.of_app(0);
        let second = slots.of_app(1);
        for name in 2..MOST_OF_APPS {
            slots.of_app(name);
        }
        slots.of_app(0);
        assert_eq!(slots.of_app(MOST_OF_APPS), second);
        assert_eq!(slots.next_retired(), Some(second.index));
        assert_eq!(slots.of_app(0), Slot { is_new: false, ..first });
    }

    proptest! {
        /// What media checks: only free slots are announced, only announced ones are retired and
        /// used, and each holds the buffer that it is used for.
        #[test]
        fn slots_are_what_media_expects(
            steps in prop::collection::vec((0..20_u8, 0..60_u8), 1..300)
        ) {
            let mut slots = Slots::default();
            let mut held = BTreeMap::new();
            for (what, name) in steps {
                match what {
                    0..5 => slots.retain(|other| other % 7 != name % 7),
                    5..10 => slots.replace_canvas(),
                    10 => slots.retire_all(),
                    _ => {
                        let slot = if name == 0 { slots.canvas() } else { slots.of_app(name) };
                        while let Some(retired) = slots.next_retired() {
                            prop_assert!(held.remove(&retired).is_some());
                        }
                        if slot.is_new {
                            prop_assert_eq!(held.insert(slot.index, name), None);
                        }
                        prop_assert_eq!(held.get(&slot.index), Some(&name));
                        prop_assert_eq!(slot.index == CANVAS, name == 0);
                    }
                }
                prop_assert!(held.len() <= MOST_OF_APPS + 1);
            }
        }
    }
}
