//! What a frame is made from: the parts of the desktop as they are in this turn.

use std::time::{Duration, Instant};

use lumen_ipc::units::MonotonicMicros;
use lumen_ipc_runtime::clock::Anchor;
use smithay::{
    input::pointer::CursorImageStatus, reexports::wayland_server::protocol::wl_surface::WlSurface,
};

use crate::{output::DesktopOutput, pools::PoolFiles, render::Dragged, tree::WindowTree};

/// The parts of the desktop that a frame depends on.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// How large it is.
    pub output: &'a DesktopOutput,
    /// What is seen.
    pub tree: &'a WindowTree,
    /// How the pointer looks, which is not part of the picture.
    pub cursor: &'a CursorImageStatus,
    /// What is dragged, and where to.
    pub drag: Dragged<'a>,
    /// Where apps' pixels lie.
    pub pools: &'a PoolFiles,
    /// How instants become stamps.
    pub clock: Anchor,
    /// The time of this turn.
    pub now: Instant,
}

impl View<'_> {
    /// The root surface of everything that is drawn or could be.
    #[must_use]
    pub fn roots(&self) -> Vec<WlSurface> {
        let mut roots = self.tree.roots();
        roots.extend(self.drag.map(|(icon, _)| icon.clone()));
        roots
    }

    /// An instant, as links carry it.
    #[must_use]
    pub fn micros_of(&self, at: Instant) -> MonotonicMicros {
        self.clock.micros_of(at)
    }

    /// The time of this turn as frame callbacks carry it.
    #[must_use]
    pub fn callback_time(&self) -> Duration {
        Duration::from_micros(self.micros_of(self.now).0)
    }
}
