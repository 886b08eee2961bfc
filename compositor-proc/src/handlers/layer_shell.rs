//! `wlr_layer_shell`: panels, backgrounds, launchers.

use std::sync::atomic::{AtomicBool, Ordering};

use smithay::{
    desktop::{LayerSurface, PopupKind, WindowSurfaceType, layer_map_for_output},
    reexports::wayland_server::protocol::{wl_output::WlOutput, wl_surface::WlSurface},
    wayland::{
        compositor::with_states,
        shell::{
            wlr_layer::{
                Layer, LayerSurface as WlrLayerSurface, LayerSurfaceData, LayerSurfaceState,
                WlrLayerShellHandler, WlrLayerShellState,
            },
            xdg::PopupSurface,
        },
    },
};

use crate::{state::State, tree::has_content};

impl WlrLayerShellHandler for State {
    fn shell_state(&mut self) -> &mut WlrLayerShellState {
        &mut self.protocols.layer_shell
    }

    fn new_layer_surface(
        &mut self,
        surface: WlrLayerSurface,
        _output: Option<WlOutput>,
        _layer: Layer,
        namespace: String,
    ) {
        let mut map = layer_map_for_output(&self.output.wayland);
        // Fails for a surface that is mapped already: not a new one.
        let _ = map.map_layer(&LayerSurface::new(surface, namespace));
        drop(map);
        self.refresh_screen();
    }

    fn new_popup(&mut self, _parent: WlrLayerSurface, popup: PopupSurface) {
        // Its parent was not known when it was created, so neither was its room.
        self.place_popup(&popup);
        self.tree.popups.commit(PopupKind::Xdg(popup).wl_surface());
    }

    fn layer_destroyed(&mut self, surface: WlrLayerSurface) {
        let mut map = layer_map_for_output(&self.output.wayland);
        let layer = map.layers().find(|layer| layer.layer_surface() == &surface).cloned();
        if let Some(layer) = layer {
            map.unmap_layer(&layer);
        }
        drop(map);
        self.refresh_screen();
        self.configure_all();
        self.refresh_focus();
        self.rearranged();
    }
}

impl State {
    pub(super) fn layer_committed(&mut self, surface: &WlSurface) {
        let mut map = layer_map_for_output(&self.output.wayland);
        map.arrange();
        let layer = map.layer_for_surface(surface, WindowSurfaceType::TOPLEVEL).cloned();
        drop(map);
        if is_unmapped_by_commit(surface) {
            begin_anew(surface);
        } else if let Some(layer) = layer.filter(|_| !is_configured(surface)) {
            layer.layer_surface().send_configure();
        }
        if self.refresh_screen() {
            self.configure_all();
        }
        self.refresh_focus();
        self.seat.pointer_stale = true;
    }
}

fn is_configured(surface: &WlSurface) -> bool {
    with_states(surface, |states| {
        let data = states.data_map.get::<LayerSurfaceData>();
        data.and_then(|data| data.lock().ok()).is_some_and(|data| data.initial_configure_sent)
    })
}

/// Whether a surface had content before a commit that took it away.
fn is_unmapped_by_commit(surface: &WlSurface) -> bool {
    /// Whether it had content after the last commit.
    struct HadContent(AtomicBool);
    let has_content = has_content(surface);
    let had_content = with_states(surface, |states| {
        states.data_map.insert_if_missing_threadsafe(|| HadContent(AtomicBool::new(false)));
        let before = states.data_map.get::<HadContent>();
        before.is_some_and(|before| before.0.swap(has_content, Ordering::Relaxed))
    });
    had_content && !has_content
}

/// A panel that takes its content away is as it was when it was made: its next commit asks for a
/// configure event (wlr-layer-shell, "Unmapping a layer_surface").
fn begin_anew(surface: &WlSurface) {
    with_states(surface, |states| {
        let data = states.data_map.get::<LayerSurfaceData>();
        if let Some(mut data) = data.and_then(|data| data.lock().ok()) {
            data.configured = false;
            data.configure_serial = None;
            data.initial_configure_sent = false;
            data.server_pending = None;
            data.last_acked = None;
            data.current = LayerSurfaceState::default();
        }
    });
}
