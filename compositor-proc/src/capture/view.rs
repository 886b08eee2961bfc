//! The inputs of a frame: the parts of the desktop in this turn.

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
    /// The output.
    pub output: &'a DesktopOutput,
    /// The windows and panels.
    pub tree: &'a WindowTree,
    /// The look of the pointer, which is not part of the picture.
    pub cursor: &'a CursorImageStatus,
    /// The dragged icon and its position.
    pub drag: Dragged<'a>,
    /// The files with apps' pixels.
    pub pools: &'a PoolFiles,
    /// Converts instants into stamps.
    pub clock: Anchor,
    /// The time of this turn.
    pub now: Instant,
}

impl View<'_> {
    /// The root surface of everything that is, or could be, drawn.
    #[must_use]
    pub fn roots(&self) -> Vec<WlSurface> {
        let mut roots = self.tree.roots();
        roots.extend(self.drag.map(|(icon, _)| icon.clone()));
        roots
    }

    /// An instant in the form that links carry.
    #[must_use]
    pub fn micros_of(&self, at: Instant) -> MonotonicMicros {
        self.clock.micros_of(at)
    }

    /// The time of this turn in the form that frame callbacks carry.
    #[must_use]
    pub fn callback_time(&self) -> Duration {
        Duration::from_micros(self.micros_of(self.now).0)
    }
}
