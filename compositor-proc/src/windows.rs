//! The toplevels of all clients: Smithay's windows beside the pure [`Stack`] that arranges them.

use smithay::{desktop::Window, reexports::wayland_server::protocol::wl_surface::WlSurface};

use crate::layout::{Stack, WindowId};

/// Every toplevel there is.
#[derive(Debug, Default)]
pub struct Windows {
    /// How they are arranged.
    pub stack: Stack,
    known: Vec<(WindowId, Window)>,
    /// Ids are not reused: four billion windows outlast any session.
    next: u32,
}

impl Windows {
    /// A toplevel appeared.
    pub fn insert(&mut self, window: Window) -> WindowId {
        let id = WindowId(self.next);
        self.next = self.next.wrapping_add(1);
        self.known.push((id, window));
        self.stack.insert(id);
        id
    }

    /// A toplevel is gone.
    pub fn remove(&mut self, id: WindowId) {
        self.known.retain(|(known, _)| *known != id);
        self.stack.remove(id);
    }

    /// The window with this id.
    #[must_use]
    pub fn window(&self, id: WindowId) -> Option<&Window> {
        self.known.iter().find(|(known, _)| *known == id).map(|(_, window)| window)
    }

    /// The window whose toplevel has this surface.
    #[must_use]
    pub fn of_surface(&self, surface: &WlSurface) -> Option<WindowId> {
        self.all().find(|(_, window)| surface_of(window) == Some(surface)).map(|(id, _)| id)
    }

    /// Every window, mapped or not.
    pub fn all(&self) -> impl Iterator<Item = (WindowId, &Window)> {
        self.known.iter().map(|(id, window)| (*id, window))
    }
}

/// The surface of a window's toplevel.
#[must_use]
pub fn surface_of(window: &Window) -> Option<&WlSurface> {
    window.toplevel().map(|toplevel| toplevel.wl_surface())
}
