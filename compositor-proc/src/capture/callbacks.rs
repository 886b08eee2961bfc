//! Tells apps that a frame was drawn: frame callbacks and presentation feedback.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use lumen_ipc::units::FrameSequence;
use smithay::{
    backend::renderer::element::{RenderElementStates, default_primary_scanout_output_compare},
    desktop::utils::{
        OutputPresentationFeedback, send_frames_surface_tree, surface_primary_scanout_output,
        take_presentation_feedback_surface_tree, update_surface_primary_scanout_output,
        with_surfaces_surface_tree,
    },
    input::pointer::CursorImageStatus,
    reexports::{
        wayland_protocols::wp::presentation_time::server::wp_presentation_feedback::Kind,
        wayland_server::protocol::wl_surface::WlSurface,
    },
    utils::Monotonic,
    wayland::{compositor::SurfaceAttributes, presentation::Refresh},
};

use super::{
    View,
    schedule::{IDLE_INTERVAL, Waiting},
};

/// The pause between callbacks of invisible surfaces: a little less than the schedule's idle
/// interval, so that they are due whenever it wakes for them.
const HIDDEN_PAUSE: Duration = IDLE_INTERVAL.saturating_sub(Duration::from_millis(20));

/// How often invisible surfaces are examined, whatever the frame rate.
const HIDDEN_ROUND: Duration = Duration::from_millis(200);

/// The surfaces that wait for frame callbacks, by the roots of their trees.
///
/// Every round examines surfaces that have asked since the last round and visible ones; the others
/// are examined rarely, so hidden surfaces cost nothing in most rounds.
#[derive(Debug, Default)]
pub(super) struct Callbacks {
    asked: HashSet<WlSurface>,
    left: HashSet<WlSurface>,
    last_hidden_round: Option<Instant>,
}

impl Callbacks {
    /// A surface in the tree of `root` asked for a callback.
    pub(super) fn ask(&mut self, root: WlSurface) {
        self.asked.insert(root);
    }

    /// A surface was destroyed, together with its callbacks.
    pub(super) fn forget(&mut self, surface: &WlSurface) {
        self.asked.remove(surface);
        self.left.remove(surface);
    }

    /// Whether surfaces in the trees of `seen` still wait after others were called back. They may
    /// have been hidden at that time, and must not wait as long as surfaces that still are.
    pub(super) fn wait_among(&self, seen: &[WlSurface]) -> bool {
        !self.left.is_empty() && seen.iter().any(|root| self.left.contains(root))
    }

    /// Calls surfaces back; those in the trees of `seen` are visible. Returns which still wait.
    pub(super) fn send(
        &mut self,
        view: &View<'_>,
        seen: &[WlSurface],
        is_watched: bool,
    ) -> Waiting {
        let mut due = std::mem::take(&mut self.asked);
        let is_hidden_round = !is_watched
            || self.last_hidden_round.is_none_or(|last| last + HIDDEN_ROUND <= view.now);
        if is_hidden_round {
            self.last_hidden_round = Some(view.now);
            due.extend(self.left.drain());
        }
        due.extend(seen.iter().filter_map(|root| self.left.take(root)));
        let pause = if is_watched { HIDDEN_PAUSE } else { Duration::ZERO };
        for root in due {
            call_back(view, &root, pause);
            if asks_still(&root) {
                self.left.insert(root);
            }
        }
        if self.left.is_empty() { Waiting::Nobody } else { Waiting::Hidden }
    }
}

fn call_back(view: &View<'_>, root: &WlSurface, pause: Duration) {
    let (time, output) = (view.callback_time(), &view.output.wayland);
    // The pointer is never drawn here, so its visibility is unknown.
    if *view.cursor == CursorImageStatus::Surface(root.clone()) {
        let whole = Some(output.clone());
        send_frames_surface_tree(root, output, time, None, |_, _| whole.clone());
    } else {
        send_frames_surface_tree(root, output, time, Some(pause), surface_primary_scanout_output);
    }
}

/// Whether a surface in the tree of `root` waits for a callback.
pub(crate) fn asks_still(root: &WlSurface) -> bool {
    let mut asks = false;
    with_surfaces_surface_tree(root, |_, states| {
        let mut attributes = states.cached_state.get::<SurfaceAttributes>();
        asks |= !attributes.current().frame_callbacks.is_empty();
    });
    asks
}

/// Records which surfaces in the trees of `roots` were visible in the picture just drawn.
pub(super) fn note_visibility<'a>(
    view: &View<'_>,
    roots: impl IntoIterator<Item = &'a WlSurface>,
    states: &RenderElementStates,
) {
    let output = &view.output.wayland;
    for root in roots {
        with_surfaces_surface_tree(root, |surface, data| {
            update_surface_primary_scanout_output(
                surface,
                output,
                data,
                states,
                default_primary_scanout_output_compare,
            );
        });
    }
}

/// Sends presentation feedback for the trees of `roots`.
pub(super) fn present(
    view: &View<'_>,
    roots: &[WlSurface],
    interval: Duration,
    sequence: FrameSequence,
) {
    let mut feedback = OutputPresentationFeedback::new(&view.output.wayland);
    for root in roots {
        take_presentation_feedback_surface_tree(
            root,
            &mut feedback,
            surface_primary_scanout_output,
            |_, _| Kind::empty(),
        );
    }
    let refresh = Refresh::fixed(interval);
    feedback.presented::<_, Monotonic>(view.callback_time(), refresh, sequence.0, Kind::empty());
}
