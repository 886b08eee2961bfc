//! `xdg_wm_base` and `xdg_decoration`: windows and popups.

use smithay::{
    desktop::{PopupKind, Window, find_popup_root_surface, get_popup_toplevel_coords},
    input::{Seat, pointer::CursorImageStatus},
    reexports::{
        wayland_protocols::xdg::{
            decoration::zv1::server::zxdg_toplevel_decoration_v1::Mode,
            shell::server::xdg_toplevel::{State as ToplevelFlag, WmCapabilities},
        },
        wayland_server::protocol::{wl_output::WlOutput, wl_seat::WlSeat, wl_surface::WlSurface},
    },
    utils::{Logical, Serial, Size},
    wayland::{
        compositor::with_states,
        shell::xdg::{
            PopupSurface, PositionerState, SurfaceCachedState, ToplevelState, ToplevelSurface,
            XdgPopupSurfaceData, XdgShellHandler, XdgShellState, XdgToplevelSurfaceData,
            decoration::XdgDecorationHandler,
        },
    },
};

use super::surfaces::may_ask_again;
use crate::{
    layout::{Content, Hints, Wanted, WindowId},
    presence,
    state::State,
    tree::{for_each_surface, has_content},
};

impl XdgShellHandler for State {
    fn xdg_shell_state(&mut self) -> &mut XdgShellState {
        &mut self.protocols.xdg_shell
    }

    fn new_toplevel(&mut self, toplevel: ToplevelSurface) {
        toplevel.with_pending_state(|state| {
            state.capabilities.replace([WmCapabilities::Fullscreen, WmCapabilities::Maximize]);
        });
        self.tree.windows.insert(Window::new_wayland_window(toplevel));
    }

    fn new_popup(&mut self, popup: PopupSurface, positioner: PositionerState) {
        popup.with_pending_state(|state| state.positioner = positioner);
        self.place_popup(&popup);
        // Fails when its parent is dead, and then the popup is dead, too.
        let _ = self.tree.popups.track_popup(PopupKind::Xdg(popup));
    }

    fn reposition_request(&mut self, popup: PopupSurface, positioner: PositionerState, token: u32) {
        let unanswered = with_states(popup.wl_surface(), |states| {
            let data =
                states.data_map.get::<XdgPopupSurfaceData>().and_then(|data| data.lock().ok());
            data.map_or(0, |data| data.pending_configures().len())
        });
        if !may_ask_again(&self.display, popup.wl_surface(), unanswered) {
            return;
        }
        popup.with_pending_state(|state| state.positioner = positioner);
        self.place_popup(&popup);
        popup.send_repositioned(token);
    }

    fn grab(&mut self, popup: PopupSurface, seat: WlSeat, serial: Serial) {
        if Seat::from_resource(&seat).is_some_and(|seat| seat == self.seat.wayland) {
            self.open_menu(popup, serial);
        }
    }

    fn maximize_request(&mut self, toplevel: ToplevelSurface) {
        // Windows are as large as possible already, but the protocol requires an answer.
        self.answer(&toplevel);
    }

    fn unmaximize_request(&mut self, toplevel: ToplevelSurface) {
        self.answer(&toplevel);
    }

    fn fullscreen_request(&mut self, toplevel: ToplevelSurface, _output: Option<WlOutput>) {
        self.set_fullscreen(&toplevel, true);
    }

    fn unfullscreen_request(&mut self, toplevel: ToplevelSurface) {
        self.set_fullscreen(&toplevel, false);
    }

    fn toplevel_destroyed(&mut self, toplevel: ToplevelSurface) {
        if let Some(id) = self.tree.windows.of_surface(toplevel.wl_surface()) {
            self.tree.windows.remove(id);
            self.refresh_focus();
            self.rearranged();
        }
    }

    fn popup_destroyed(&mut self, _popup: PopupSurface) {
        self.rearranged();
    }

    fn title_changed(&mut self, toplevel: ToplevelSurface) {
        if self.tree.windows.of_surface(toplevel.wl_surface()) == self.tree.windows.stack.focused()
        {
            self.refresh_title();
        }
    }

    fn parent_changed(&mut self, toplevel: ToplevelSurface) {
        if let Some(id) = self.tree.windows.of_surface(toplevel.wl_surface())
            && toplevel.is_initial_configure_sent()
        {
            self.describe(id);
            self.configure(id);
            self.rearranged();
        }
    }
}

impl XdgDecorationHandler for State {
    fn new_decoration(&mut self, toplevel: ToplevelSurface) {
        decorate(&toplevel);
    }

    fn request_mode(&mut self, toplevel: ToplevelSurface, _mode: Mode) {
        decorate(&toplevel);
    }

    fn unset_mode(&mut self, toplevel: ToplevelSurface) {
        decorate(&toplevel);
    }
}

/// We draw no decorations, so apps are told to draw theirs: a dialog must have a title and a way to
/// close it.
fn decorate(toplevel: &ToplevelSurface) {
    toplevel.with_pending_state(|state| state.decoration_mode = Some(Mode::ClientSide));
    if toplevel.is_initial_configure_sent() {
        toplevel.send_pending_configure();
    }
}

impl State {
    pub(super) fn window_committed(&mut self, id: WindowId) {
        let Some(window) = self.tree.windows.window(id).cloned() else { return };
        window.on_commit();
        let Some(toplevel) = window.toplevel() else { return };
        if has_content(toplevel.wl_surface()) {
            let shows = !self.tree.windows.stack.depends_on_sight(id)
                || presence::shows(self.capture.renderer(), toplevel.wl_surface());
            let appears = !self.tree.windows.stack.is_mapped(id);
            let content = self.tree.windows.stack.set_content(id, window.geometry().size, shows);
            if appears && !shows {
                self.lend_keyboard(toplevel.wl_surface().clone());
            }
            match content {
                Content::New => {
                    self.tree.yield_panel();
                    self.refresh_focus();
                    self.seat.pointer_stale = true;
                }
                Content::Faded => self.refresh_focus(),
                Content::Resized | Content::Unchanged => {}
            }
            // Checked only when the content changes: a video commits sixty times a second.
            if content != Content::Unchanged
                && matches!(self.tree.windows.stack.wanted(id), Wanted::Cut { .. })
            {
                self.configure(id);
            }
        } else if self.tree.windows.stack.unmap(id) {
            self.output.wayland.leave(toplevel.wl_surface());
            self.refresh_focus();
            self.seat.pointer_stale = true;
        } else if !toplevel.is_initial_configure_sent() {
            self.describe(id);
            self.configure(id);
        }
    }

    /// Tells every window what size it should have on a changed screen.
    pub fn configure_all(&mut self) {
        let ids: Vec<WindowId> = self.tree.windows.all().map(|(id, _)| id).collect();
        for id in ids {
            let configured = self
                .tree
                .windows
                .window(id)
                .and_then(Window::toplevel)
                .is_some_and(ToplevelSurface::is_initial_configure_sent);
            if configured {
                self.configure(id);
            }
        }
    }

    /// Sends every surface its preferred scale.
    pub fn advise_surfaces(&self) {
        let mut roots = self.roots();
        if let CursorImageStatus::Surface(cursor) = &self.seat.cursor {
            roots.push(cursor.clone());
        }
        for_each_surface(&roots, |surface, data| self.output.advise(surface, data));
    }

    fn describe(&mut self, id: WindowId) {
        let Some(toplevel) = self.tree.windows.window(id).and_then(Window::toplevel) else {
            return;
        };
        let hints = Hints {
            parent: toplevel.parent().and_then(|parent| self.tree.windows.of_surface(&parent)),
            fixed: fixed_size(toplevel.wl_surface()),
            fullscreen: toplevel
                .with_pending_state(|state| state.states.contains(ToplevelFlag::Fullscreen)),
        };
        self.tree.windows.stack.describe(id, hints);
    }

    fn configure(&self, id: WindowId) {
        let wanted = self.tree.windows.stack.wanted(id);
        let Some(toplevel) = self.tree.windows.window(id).and_then(Window::toplevel) else {
            return;
        };
        toplevel.with_pending_state(|state| apply(state, wanted));
        if toplevel.is_initial_configure_sent() {
            toplevel.send_pending_configure();
        } else {
            toplevel.send_configure();
        }
    }

    fn set_fullscreen(&mut self, toplevel: &ToplevelSurface, fullscreen: bool) {
        if !self.may_ask_again(toplevel) {
            return;
        }
        toplevel.with_pending_state(|state| {
            if fullscreen {
                state.states.set(ToplevelFlag::Fullscreen)
            } else {
                state.states.unset(ToplevelFlag::Fullscreen)
            }
        });
        if let Some(id) = self.tree.windows.of_surface(toplevel.wl_surface())
            && toplevel.is_initial_configure_sent()
        {
            self.describe(id);
            let wanted = self.tree.windows.stack.wanted(id);
            toplevel.with_pending_state(|state| apply(state, wanted));
            toplevel.send_configure();
            self.rearranged();
        }
    }

    fn answer(&self, toplevel: &ToplevelSurface) {
        if toplevel.is_initial_configure_sent() && self.may_ask_again(toplevel) {
            toplevel.send_configure();
        }
    }

    fn may_ask_again(&self, toplevel: &ToplevelSurface) -> bool {
        let surface = toplevel.wl_surface();
        let unanswered = with_states(surface, |states| {
            let data = states.data_map.get::<XdgToplevelSurfaceData>();
            data.and_then(|data| data.lock().ok()).map_or(0, |data| data.pending_configures().len())
        });
        may_ask_again(&self.display, surface, unanswered)
    }

    /// Keeps a popup on the output, as far as its positioner allows.
    pub(super) fn place_popup(&self, popup: &PopupSurface) {
        let kind = PopupKind::Xdg(popup.clone());
        let Ok(root) = find_popup_root_surface(&kind) else { return };
        let output = self.output.rectangle();
        let mut room = self.tree.seen_from(&root, output).unwrap_or(output);
        room.loc -= get_popup_toplevel_coords(&kind);
        popup.with_pending_state(|state| {
            state.geometry = state.positioner.get_unconstrained_geometry(room);
        });
    }
}

/// The size of a window that cannot be resized.
fn fixed_size(surface: &WlSurface) -> Option<Size<i32, Logical>> {
    with_states(surface, |states| {
        let mut cached = states.cached_state.get::<SurfaceCachedState>();
        let SurfaceCachedState { min_size, max_size, .. } = *cached.current();
        (min_size == max_size && min_size.w > 0 && min_size.h > 0).then_some(min_size)
    })
}

/// "Full-screen" makes apps hide their menus and tabs, so only windows that asked for it get it. Others
/// are maximised, which covers the same area.
fn apply(state: &mut ToplevelState, wanted: Wanted) {
    let (size, bounds, maximized, fullscreen) = match wanted {
        Wanted::Fill(size) => (Some(size), size, true, false),
        Wanted::FillOutput(size) => (Some(size), size, false, true),
        Wanted::Within(bounds) => (None, bounds, false, false),
        Wanted::Cut { size, bounds } => (Some(size), bounds, false, false),
    };
    state.size = size;
    state.bounds = Some(bounds);
    for (flag, set) in
        [(ToplevelFlag::Maximized, maximized), (ToplevelFlag::Fullscreen, fullscreen)]
    {
        if set {
            state.states.set(flag);
        } else {
            state.states.unset(flag);
        }
    }
}
