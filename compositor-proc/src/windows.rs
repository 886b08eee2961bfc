//! The toplevels of all clients: Smithay's windows, beside the pure [`Stack`] that arranges them.

use std::collections::{BTreeMap, HashMap};

use smithay::{desktop::Window, reexports::wayland_server::protocol::wl_surface::WlSurface};

use crate::layout::{Screen, Stack, WindowId};

/// All toplevels.
#[derive(Debug)]
pub struct Windows {
    /// How they are arranged.
    pub stack: Stack,
    known: BTreeMap<WindowId, Window>,
    by_surface: HashMap<WlSurface, WindowId>,
    /// The window that was told that it has the keyboard.
    activated: Option<WindowId>,
    /// Ids are not reused: four billion windows outlast any session.
    next: u32,
}

impl Windows {
    /// No windows yet, on `screen`.
    #[must_use]
    pub fn new(screen: Screen) -> Self {
        Self {
            stack: Stack::new(screen),
            known: BTreeMap::new(),
            by_surface: HashMap::new(),
            activated: None,
            next: 0,
        }
    }

    /// Adds a new toplevel.
    pub fn insert(&mut self, window: Window) -> WindowId {
        let id = WindowId(self.next);
        self.next = self.next.wrapping_add(1);
        if let Some(surface) = surface_of(&window) {
            self.by_surface.insert(surface.clone(), id);
        }
        self.known.insert(id, window);
        self.stack.insert(id);
        id
    }

    /// Removes a destroyed toplevel.
    pub fn remove(&mut self, id: WindowId) {
        if let Some(surface) = self.known.remove(&id).as_ref().and_then(surface_of) {
            self.by_surface.remove(surface);
        }
        self.stack.remove(id);
    }

    /// The window with this id.
    #[must_use]
    pub fn window(&self, id: WindowId) -> Option<&Window> {
        self.known.get(&id)
    }

    /// The window whose toplevel has this surface.
    #[must_use]
    pub fn of_surface(&self, surface: &WlSurface) -> Option<WindowId> {
        self.by_surface.get(surface).copied()
    }

    /// Every window, mapped or not.
    pub fn all(&self) -> impl Iterator<Item = (WindowId, &Window)> {
        self.known.iter().map(|(id, window)| (*id, window))
    }

    /// Tells the window that has the keyboard, and the one that had it before.
    pub fn activate_focused(&mut self) {
        let focused = self.stack.focused();
        let before = std::mem::replace(&mut self.activated, focused);
        if before == focused {
            return;
        }
        for id in [before, focused].into_iter().flatten() {
            if let Some(window) = self.known.get(&id)
                && window.set_activated(Some(id) == focused)
                && let Some(toplevel) = window.toplevel()
                && toplevel.is_initial_configure_sent()
            {
                toplevel.send_pending_configure();
            }
        }
    }
}

/// The surface of a window's toplevel.
#[must_use]
pub fn surface_of(window: &Window) -> Option<&WlSurface> {
    window.toplevel().map(|toplevel| toplevel.wl_surface())
}
