//! Lock keys follow the viewer's: Caps Lock and Num Lock of the desktop are set to the state of the
//! typing viewer's keyboard.
//!
//! Each key press may carry the viewer's lock state. Where that differs from the desktop's, the
//! desktop's is set before the key is pressed, so that the key types what it typed there. No lock
//! key is pressed for this: the keymap decides which key locks (with `caps:escape` none does), and
//! apps would take the press for the user's. The viewer who typed last decides; no state is kept
//! for each viewer, so viewers with different locks cannot fight.

use std::sync::PoisonError;

use lumen_ipc::message::input::Locks;
use smithay::{
    input::keyboard::{KeyboardTarget, ModifiersState},
    utils::SERIAL_COUNTER,
};

use crate::state::State;

/// The real modifiers in a mask of XKB's (`ShiftMask` … `Mod5Mask` of X11/X.h), which are the same
/// in every keymap. Those of Num Lock, the logo key and the third level are conventions, on which
/// Smithay relies, too.
mod mask {
    pub(super) const SHIFT: u32 = 1;
    pub(super) const CAPS_LOCK: u32 = 1 << 1;
    pub(super) const CONTROL: u32 = 1 << 2;
    pub(super) const ALT: u32 = 1 << 3;
    pub(super) const NUM_LOCK: u32 = 1 << 4;
    pub(super) const LEVEL5: u32 = 1 << 5;
    pub(super) const LOGO: u32 = 1 << 6;
    pub(super) const LEVEL3: u32 = 1 << 7;
}

/// The locks of a state.
fn locks_of(state: &ModifiersState) -> Locks {
    let is_on = |bit| state.serialized.locked & bit != 0;
    Locks { caps: is_on(mask::CAPS_LOCK), num: is_on(mask::NUM_LOCK) }
}

/// What is held in `state`, with other locks. Latched modifiers are released.
fn with_locks(state: &ModifiersState, locks: Locks) -> ModifiersState {
    let is_held = |bit| state.serialized.depressed & bit != 0;
    ModifiersState {
        ctrl: is_held(mask::CONTROL),
        alt: is_held(mask::ALT),
        shift: is_held(mask::SHIFT),
        caps_lock: locks.caps,
        logo: is_held(mask::LOGO),
        num_lock: locks.num,
        iso_level3_shift: is_held(mask::LEVEL3),
        iso_level5_shift: is_held(mask::LEVEL5),
        serialized: state.serialized,
    }
}

impl State {
    /// Sets the desktop's locks and tells the app that has the keyboard.
    pub(super) fn follow_locks(&mut self, locks: Locks) {
        let keyboard = self.keyboard();
        let state = keyboard.modifier_state();
        if locks_of(&state) == locks {
            return;
        }
        let layout = keyboard.with_xkb_state(self, |context| {
            context.xkb().lock().unwrap_or_else(PoisonError::into_inner).active_layout()
        });
        keyboard.set_modifier_state(with_locks(&state, locks));
        // The call above made the first layout the active one.
        keyboard.with_xkb_state(self, |mut context| context.set_layout(layout));
        if let Some(focus) = keyboard.current_focus() {
            let (seat, state) = (self.seat.wayland.clone(), keyboard.modifier_state());
            let serial = SERIAL_COUNTER.next_serial();
            KeyboardTarget::modifiers(&focus, &seat, self, state, serial);
        }
    }
}
