//! `wl_compositor`, `wl_subcompositor`: surfaces, their content, and the effects of a commit.

use smithay::{
    backend::renderer::utils::on_commit_buffer_handler,
    desktop::PopupKind,
    input::pointer::CursorImageStatus,
    reexports::wayland_server::{Client, Resource, protocol::wl_surface::WlSurface},
    wayland::compositor::{
        CompositorClientState, CompositorHandler, CompositorState, SurfaceAttributes, get_parent,
        is_sync_subsurface, with_states,
    },
};

use super::surfaces::applied;
use crate::{client::ClientState, cursor, state::State, tree::has_content};

impl CompositorHandler for State {
    fn compositor_state(&mut self) -> &mut CompositorState {
        &mut self.protocols.compositor
    }

    fn client_compositor_state<'a>(&self, client: &'a Client) -> &'a CompositorClientState {
        static STRANGER: std::sync::OnceLock<CompositorClientState> = std::sync::OnceLock::new();
        // Every client is inserted with a ClientState; the fallback avoids a panic.
        client
            .get_data::<ClientState>()
            .map_or_else(|| STRANGER.get_or_init(Default::default), |state| &state.compositor)
    }

    fn new_surface(&mut self, surface: &WlSurface) {
        with_states(surface, |states| self.output.advise(surface, states));
    }

    fn commit(&mut self, surface: &WlSurface) {
        if let Some(client) = surface.client() {
            applied(&client, surface);
        }
        // The surface may not have been part of a window when the scale changed.
        with_states(surface, |states| self.output.advise(surface, states));
        on_commit_buffer_handler::<Self>(surface);
        // The commit of a synchronised subsurface takes effect with its parent's.
        if is_sync_subsurface(surface) {
            return;
        }
        let root = root_of(surface);
        self.tree.popups.commit(surface);
        if !self.cursor_committed(surface) {
            self.role_committed(&root);
            self.changed();
        }
        self.capture.committed(surface, &root);
    }

    fn destroyed(&mut self, surface: &WlSurface) {
        self.destroy_callbacks(surface);
        self.capture.forget(surface);
        self.drag_icon.take_if(|icon| icon == surface);
        self.rearranged();
    }
}

impl State {
    /// Destroys the pending callbacks of a surface. Otherwise only an answer destroys a callback, and a
    /// destroyed surface gets none: an app would accumulate one with each menu that it closes.
    fn destroy_callbacks(&self, surface: &WlSurface) {
        let waiting = with_states(surface, |states| {
            let mut attributes = states.cached_state.get::<SurfaceAttributes>();
            let mut waiting = std::mem::take(&mut attributes.current().frame_callbacks);
            waiting.append(&mut attributes.pending().frame_callbacks);
            waiting
        });
        let backend = self.display.backend_handle();
        for callback in waiting {
            // Fails for a client that has disconnected.
            let _ = backend.destroy_object::<Self>(&callback.id());
        }
    }

    fn role_committed(&mut self, root: &WlSurface) {
        if has_content(root) {
            self.output.wayland.enter(root);
        }
        if let Some(id) = self.tree.windows.of_surface(root) {
            self.window_committed(id);
        } else if let Some(popup) = self.tree.popups.find_popup(root) {
            self.popup_committed(&popup);
        } else if self.tree.is_layer(root) {
            self.layer_committed(root);
        }
    }

    fn popup_committed(&mut self, popup: &PopupKind) {
        if let PopupKind::Xdg(popup) = popup
            && !popup.is_initial_configure_sent()
        {
            // Fails only for a popup that was configured before and cannot be moved.
            let _ = popup.send_configure();
        }
        self.seat.pointer_stale = true;
    }

    /// Whether `surface` belongs to the cursor, which is not part of the picture.
    fn cursor_committed(&mut self, surface: &WlSurface) -> bool {
        let root = root_of(surface);
        if self.seat.cursor != CursorImageStatus::Surface(root.clone()) {
            return false;
        }
        let delta = with_states(&root, |states| {
            states.cached_state.get::<SurfaceAttributes>().current().buffer_delta.take()
        });
        if let Some(delta) = delta {
            cursor::move_hotspot(&root, delta);
        }
        self.seat.cursor_changed = true;
        true
    }
}

/// The surface at the root of a tree of subsurfaces.
pub(super) fn root_of(surface: &WlSurface) -> WlSurface {
    let mut root = surface.clone();
    while let Some(parent) = get_parent(&root) {
        root = parent;
    }
    root
}
