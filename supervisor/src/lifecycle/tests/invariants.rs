//! What holds after every step of any history.

use super::*;

impl Lifecycle {
    /// Panics when an invariant of this module does not hold.
    pub(in super::super) fn verify_invariants(&self) {
        for (worker, slot) in self.slots.iter() {
            slot.verify_invariants(worker, matches!(self.mode, Mode::Stopping(..) | Mode::Done));
        }
        self.helpers.verify_invariants(self.is_stopping());
        self.links.verify_invariants(|end| self.slots.take(end));
        if self.mode == Mode::Done {
            assert!(self.app.is_none());
            assert!(self.slots.are_gone());
        }
    }
}
