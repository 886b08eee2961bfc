//! The state of the desktop that viewers must know, kept for those who join later.

use lumen_ipc::message::desktop::Statement;

use crate::peer::encode::{self, DesktopState};

/// The last statement of each kind, as bytes for the page.
#[derive(Debug, Default)]
pub(super) struct Desk {
    cursor: Option<Vec<u8>>,
    size: Option<Vec<u8>>,
    title: Option<Vec<u8>>,
    state: DesktopState,
    pads: bool,
}

impl Desk {
    /// Stores a statement; returns its bytes.
    pub(super) fn note(&mut self, statement: &Statement) -> Vec<u8> {
        let bytes = encode::desktop(statement);
        let kept = match statement {
            Statement::CursorChanged(_) => &mut self.cursor,
            Statement::OutputResized(_) => &mut self.size,
            Statement::TitleChanged(_) => &mut self.title,
        };
        *kept = Some(bytes.clone());
        bytes
    }

    /// Stores the state; returns its bytes if it changed.
    pub(super) fn note_state(&mut self, state: DesktopState) -> Option<Vec<u8>> {
        let changed = std::mem::replace(&mut self.state, state) != state;
        changed.then(|| encode::desktop_state(state))
    }

    /// The last state that viewers were told.
    pub(super) const fn state(&self) -> DesktopState {
        self.state
    }

    /// Stores whether there are pads; returns its bytes if that changed.
    pub(super) fn note_pads(&mut self, available: bool) -> Option<Vec<u8>> {
        let changed = std::mem::replace(&mut self.pads, available) != available;
        changed.then(|| encode::pads_available(available))
    }

    /// Everything that a viewer who just joined must be told.
    pub(super) fn replay(&self) -> Vec<Vec<u8>> {
        let kept = [&self.size, &self.cursor, &self.title];
        let stated = kept.into_iter().flatten().cloned();
        // Viewers assume that there are no pads until they are told otherwise.
        let pads = self.pads.then(|| encode::pads_available(true));
        stated.chain([encode::desktop_state(self.state)]).chain(pads).collect()
    }
}
