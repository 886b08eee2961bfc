//! The type that Smithay calls. It owns the parts of the desktop: output, seat, window tree, capture, and
//! what rtc is told.
//!
//! A part decides in its own module what it can decide alone, and does not depend on this one. Handlers
//! (one file per protocol family, see [`crate::handlers`]) and [`crate::input`] change several parts at
//! once.

use std::{rc::Rc, time::Instant};

use lumen_ipc::{
    service::CompositorConfig,
    units::{MonotonicMicros, OutputSize, Scale},
};
use lumen_ipc_runtime::clock::Anchor;
use smithay::{
    input::{keyboard::KeyboardHandle, pointer::PointerHandle},
    reexports::wayland_server::{DisplayHandle, protocol::wl_surface::WlSurface},
};

use crate::{
    capture::{Capture, View},
    desktop::Desktop,
    imports::Imports,
    kernel::Kernel,
    metrics::Metrics,
    output::DesktopOutput,
    pools::PoolFiles,
    protocols::Protocols,
    render::{CanvasError, Cpu},
    seat::{DesktopSeat, KeymapError, Menu},
    selections::Selections,
    tree::WindowTree,
};

/// Everything but the links.
pub struct State {
    /// For finding clients and flushing them.
    pub display: DisplayHandle,
    /// The globals and their bookkeeping.
    pub protocols: Protocols<Self>,
    /// The one output.
    pub output: DesktopOutput,
    /// The one seat, shared by all viewers.
    pub seat: DesktopSeat<Self>,
    /// Windows, popups and panels.
    pub tree: WindowTree,
    /// The menu that has grabbed pointer and keyboard.
    pub menu: Option<Menu<Self>>,
    /// The icon drawn at the pointer during a drag.
    pub drag_icon: Option<WlSurface>,
    /// Draws frames and hands them over.
    pub capture: Capture,
    /// What rtc is told.
    pub desktop: Desktop,
    /// The clipboard.
    pub selections: Selections,
    /// The shared memory with apps' pixels.
    pub pools: PoolFiles,
    /// Apps' memory of graphics processors.
    pub imports: Imports,
    /// Metrics.
    pub metrics: Metrics,
    /// The operating system.
    pub kernel: Rc<dyn Kernel>,
    clock: Anchor,
    now: Instant,
}

/// Why a desktop cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The frame buffer.
    #[error(transparent)]
    Canvas(#[from] CanvasError),
    /// The keyboard.
    #[error(transparent)]
    Keymap(#[from] KeymapError),
}

impl State {
    /// A desktop without clients whose frames `renderer` draws, at the instant `now` of `clock`. Reads the
    /// keymap's sources from disk.
    ///
    /// # Errors
    /// [`SetupError`] names what is unusable in the configuration.
    pub fn new(
        display: &DisplayHandle,
        mut protocols: Protocols<Self>,
        config: &CompositorConfig,
        renderer: Cpu,
        (kernel, clock, now): (Rc<dyn Kernel>, Anchor, Instant),
    ) -> Result<Self, SetupError> {
        let size = OutputSize { pixels: config.size, scale: Scale::ONE };
        let output = DesktopOutput::new(size, config.max_fps);
        output.wayland.create_global::<Self>(display);
        let seat = protocols.seat.new_wl_seat(display, "seat0");
        let metrics = Metrics::default();
        Ok(Self {
            display: display.clone(),
            protocols,
            seat: DesktopSeat::new(seat, &config.keymap)?,
            tree: WindowTree::new(&output),
            menu: None,
            drag_icon: None,
            capture: Capture::new(renderer, &output, metrics.clone(), Rc::clone(&kernel))?,
            desktop: Desktop::new(size),
            selections: Selections::new(config.clipboard),
            pools: PoolFiles::default(),
            imports: Imports::default(),
            metrics,
            kernel,
            clock,
            now,
            output,
        })
    }

    /// Sets the time that handlers see, so that everything in one turn of the loop happens at one
    /// instant.
    pub const fn set_now(&mut self, now: Instant) {
        self.now = now;
    }

    /// The time of this turn of the loop.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// The time of this turn, as links carry it.
    #[must_use]
    pub fn micros(&self) -> MonotonicMicros {
        self.clock.micros_of(self.now)
    }

    /// The time of this turn as input events carry it: milliseconds that wrap.
    #[must_use]
    pub fn event_time(&self) -> u32 {
        (self.micros().0 / 1000) as u32
    }

    /// The keyboard.
    #[must_use]
    pub fn keyboard(&self) -> KeyboardHandle<Self> {
        self.seat.keyboard()
    }

    /// The pointer.
    #[must_use]
    pub fn pointer(&self) -> PointerHandle<Self> {
        self.seat.pointer()
    }

    /// Something that may be visible has changed.
    pub fn changed(&mut self) {
        self.capture.schedule.change(self.now);
    }

    /// Something has moved: draws, and checks again what is under the pointer.
    pub fn rearranged(&mut self) {
        self.changed();
        self.seat.pointer_stale = true;
    }

    /// Updates the area for windows. Returns whether it has changed.
    pub fn refresh_screen(&mut self) -> bool {
        self.tree.refresh_screen(&self.output)
    }

    /// Tells rtc the title of the focused window.
    pub fn refresh_title(&mut self) {
        self.desktop.set_title(&self.tree.title().unwrap_or_default());
    }

    /// Draws what changed and hands it over.
    pub fn draw(&mut self) {
        let (capture, view) = self.capture_and_view();
        capture.draw(&view);
    }

    /// Sends frame callbacks, so that apps draw their next frame.
    pub fn call_back(&mut self) {
        let (capture, view) = self.capture_and_view();
        capture.call_back(&view);
    }

    /// Gives back the memory that only pictures need.
    pub fn rest(&mut self) {
        self.capture.rest(self.output.id);
    }

    /// The root surfaces of everything that is or could be drawn.
    #[must_use]
    pub fn roots(&self) -> Vec<WlSurface> {
        let mut roots = self.tree.roots();
        roots.extend(self.drag_icon.clone());
        roots
    }

    fn capture_and_view(&mut self) -> (&mut Capture, View<'_>) {
        let at = self.seat.pointer().current_location();
        let view = View {
            output: &self.output,
            tree: &self.tree,
            cursor: &self.seat.cursor,
            drag: self.drag_icon.as_ref().map(|icon| (icon, at)),
            pools: &self.pools,
            clock: self.clock,
            now: self.now,
        };
        (&mut self.capture, view)
    }
}
