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

use crate::{
    presence,
    state::State,
    tree::{has_content, insists_on_keyboard},
};

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
        // It fails only for a surface that is mapped already, and this one is new.
        let _ = map.map_layer(&LayerSurface::new(surface, namespace));
        drop(map);
        self.refresh_screen();
    }

    fn new_popup(&mut self, _parent: WlrLayerSurface, popup: PopupSurface) {
        // Its parent was unknown when it was created, and so was its available space.
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
        if let Some(layer) = &layer {
            self.heed_insistence(layer);
        }
        if replace_flag::<HasContent>(surface, has_content(surface)) && !has_content(surface) {
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

    /// Gives the keyboard to a panel that requests all keys, when it becomes visible.
    fn heed_insistence(&mut self, layer: &LayerSurface) {
        let surface = layer.wl_surface();
        let insists =
            insists_on_keyboard(layer) && presence::shows(self.capture.renderer(), surface);
        match (replace_flag::<Insists>(surface, insists), insists) {
            (false, true) => self.tree.focused_layer = Some(layer.clone()),
            (true, false) => drop(self.tree.focused_layer.take_if(|focused| focused == layer)),
            _ => {}
        }
    }
}

fn is_configured(surface: &WlSurface) -> bool {
    with_states(surface, |states| {
        let data = states.data_map.get::<LayerSurfaceData>();
        data.and_then(|data| data.lock().ok()).is_some_and(|data| data.initial_configure_sent)
    })
}

/// Whether a panel had content after the last commit.
#[derive(Default)]
struct HasContent(AtomicBool);

/// Whether a panel requested all keys and was visible after the last commit.
#[derive(Default)]
struct Insists(AtomicBool);

impl AsRef<AtomicBool> for HasContent {
    fn as_ref(&self) -> &AtomicBool {
        &self.0
    }
}

impl AsRef<AtomicBool> for Insists {
    fn as_ref(&self) -> &AtomicBool {
        &self.0
    }
}

/// Stores `value` with a surface and returns the previous value.
fn replace_flag<Flag>(surface: &WlSurface, value: bool) -> bool
where
    Flag: AsRef<AtomicBool> + Default + Send + Sync + 'static,
{
    with_states(surface, |states| {
        states.data_map.insert_if_missing_threadsafe(Flag::default);
        let before = states.data_map.get::<Flag>();
        before.is_some_and(|before| before.as_ref().swap(value, Ordering::Relaxed))
    })
}

/// A panel that removes its content returns to its initial state: its next commit requests a
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
