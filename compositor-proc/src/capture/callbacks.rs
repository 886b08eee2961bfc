//! Who is told that a frame was drawn: frame callbacks and presentation feedback.

use std::time::Duration;

use lumen_ipc::units::FrameSequence;
use smithay::{
    backend::renderer::element::{RenderElementStates, default_primary_scanout_output_compare},
    desktop::{
        PopupManager, layer_map_for_output,
        utils::{
            OutputPresentationFeedback, send_frames_surface_tree, surface_primary_scanout_output,
            take_presentation_feedback_surface_tree, update_surface_primary_scanout_output,
            with_surfaces_surface_tree,
        },
    },
    input::pointer::CursorImageStatus,
    reexports::{
        wayland_protocols::wp::presentation_time::server::wp_presentation_feedback::Kind,
        wayland_server::protocol::wl_surface::WlSurface,
    },
    utils::Monotonic,
    wayland::{
        compositor::{SurfaceAttributes, SurfaceData},
        presentation::Refresh,
    },
};

use super::{IDLE_INTERVAL, Waiting};
use crate::{state::State, windows::surface_of};

/// Surfaces that cannot be seen are called back when this long has passed: a little less than the
/// schedule's idle interval, so that they are due whenever it wakes for them.
const HIDDEN_PAUSE: Duration = IDLE_INTERVAL.saturating_sub(Duration::from_millis(20));

/// Sends frame callbacks and says which are left.
pub(super) fn send(state: &State) -> Waiting {
    let time = state.callback_time();
    let output = &state.output.wayland;
    let pause = if state.schedule.is_watched() { HIDDEN_PAUSE } else { Duration::ZERO };
    for root in roots(state) {
        send_frames_surface_tree(&root, output, time, Some(pause), surface_primary_scanout_output);
    }
    // The pointer is never drawn here, so nothing says whether it can be seen.
    if let CursorImageStatus::Surface(cursor) = &state.cursor {
        let whole = Some(output.clone());
        send_frames_surface_tree(cursor, output, time, None, |_, _| whole.clone());
    }
    let mut left = Waiting::Nobody;
    for_each_surface(state, |_, data| {
        let mut attributes = data.cached_state.get::<SurfaceAttributes>();
        if !attributes.current().frame_callbacks.is_empty() {
            left = Waiting::Hidden;
        }
    });
    left
}

/// Remembers which surfaces could be seen in the picture just drawn.
pub(super) fn note_visibility(state: &State, states: &RenderElementStates) {
    let output = &state.output.wayland;
    for_each_surface(state, |surface, data| {
        update_surface_primary_scanout_output(
            surface,
            output,
            data,
            states,
            default_primary_scanout_output_compare,
        );
    });
}

/// Tells apps that asked that their content is shown.
pub(super) fn present(state: &State, sequence: FrameSequence) {
    let mut feedback = OutputPresentationFeedback::new(&state.output.wayland);
    for root in roots(state) {
        take_presentation_feedback_surface_tree(
            &root,
            &mut feedback,
            surface_primary_scanout_output,
            |_, _| Kind::empty(),
        );
    }
    let refresh = Refresh::fixed(state.schedule.interval());
    feedback.presented::<_, Monotonic>(state.callback_time(), refresh, sequence.0, Kind::empty());
}

/// Calls `each` for every surface of every window, popup and panel.
pub(super) fn for_each_surface(state: &State, mut each: impl FnMut(&WlSurface, &SurfaceData)) {
    for root in roots(state) {
        with_surfaces_surface_tree(&root, &mut each);
    }
}

impl State {
    /// Tells every surface there is how finely it had best be drawn.
    pub fn advise_surfaces(&self) {
        let output = &self.output;
        let mut advise = |surface: &WlSurface, data: &SurfaceData| output.advise(surface, data);
        for_each_surface(self, &mut advise);
        if let CursorImageStatus::Surface(cursor) = &self.cursor {
            with_surfaces_surface_tree(cursor, advise);
        }
    }
}

/// The root surface of everything that is drawn.
fn roots(state: &State) -> Vec<WlSurface> {
    let mut roots: Vec<WlSurface> =
        state.windows.all().filter_map(|(_, window)| surface_of(window).cloned()).collect();
    let map = layer_map_for_output(&state.output.wayland);
    roots.extend(map.layers().map(|layer| layer.wl_surface().clone()));
    let popups: Vec<WlSurface> = roots
        .iter()
        .flat_map(PopupManager::popups_for_surface)
        .map(|(popup, _)| popup.wl_surface().clone())
        .collect();
    roots.extend(popups);
    roots.extend(state.drag_icon.clone());
    roots
}
