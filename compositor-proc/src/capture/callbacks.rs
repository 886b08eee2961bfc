//! Who is told that a frame was drawn: frame callbacks and presentation feedback.

use std::time::Duration;

use lumen_ipc::units::FrameSequence;
use smithay::{
    backend::renderer::element::{RenderElementStates, default_primary_scanout_output_compare},
    desktop::utils::{
        OutputPresentationFeedback, send_frames_surface_tree, surface_primary_scanout_output,
        take_presentation_feedback_surface_tree, update_surface_primary_scanout_output,
    },
    input::pointer::CursorImageStatus,
    reexports::wayland_protocols::wp::presentation_time::server::wp_presentation_feedback::Kind,
    utils::Monotonic,
    wayland::{compositor::SurfaceAttributes, presentation::Refresh},
};

use super::{
    View,
    schedule::{IDLE_INTERVAL, Waiting},
};
use crate::tree::for_each_surface;

/// Surfaces that cannot be seen are called back when this long has passed: a little less than the
/// schedule's idle interval, so that they are due whenever it wakes for them.
const HIDDEN_PAUSE: Duration = IDLE_INTERVAL.saturating_sub(Duration::from_millis(20));

/// Sends frame callbacks and says which are left.
pub(super) fn send(view: &View<'_>, is_watched: bool) -> Waiting {
    let time = view.callback_time();
    let output = &view.output.wayland;
    let pause = if is_watched { HIDDEN_PAUSE } else { Duration::ZERO };
    for root in view.roots() {
        send_frames_surface_tree(&root, output, time, Some(pause), surface_primary_scanout_output);
    }
    // The pointer is never drawn here, so nothing says whether it can be seen.
    if let CursorImageStatus::Surface(cursor) = view.cursor {
        let whole = Some(output.clone());
        send_frames_surface_tree(cursor, output, time, None, |_, _| whole.clone());
    }
    let mut left = Waiting::Nobody;
    for_each_surface(&view.roots(), |_, data| {
        let mut attributes = data.cached_state.get::<SurfaceAttributes>();
        if !attributes.current().frame_callbacks.is_empty() {
            left = Waiting::Hidden;
        }
    });
    left
}

/// Remembers which surfaces could be seen in the picture just drawn.
pub(super) fn note_visibility(view: &View<'_>, states: &RenderElementStates) {
    let output = &view.output.wayland;
    for_each_surface(&view.roots(), |surface, data| {
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
pub(super) fn present(view: &View<'_>, interval: Duration, sequence: FrameSequence) {
    let mut feedback = OutputPresentationFeedback::new(&view.output.wayland);
    for root in view.roots() {
        take_presentation_feedback_surface_tree(
            &root,
            &mut feedback,
            surface_primary_scanout_output,
            |_, _| Kind::empty(),
        );
    }
    let refresh = Refresh::fixed(interval);
    feedback.presented::<_, Monotonic>(view.callback_time(), refresh, sequence.0, Kind::empty());
}
