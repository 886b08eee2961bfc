//! What the compositor knows: its clients' protocol objects, its windows, its seat and its output.
//!
//! Handlers (one file per protocol family, see [`crate::handlers`]) change it; the shell asks it
//! what the picture is and tells it the time. Nothing in it does I/O except Smithay, which writes
//! events into clients' sockets.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use lumen_ipc::{
    service::CompositorConfig,
    units::{MonotonicMicros, OutputSize, Scale},
};
use lumen_ipc_runtime::clock::Anchor;
use smithay::{
    desktop::{LayerSurface, PopupManager, layer_map_for_output},
    input::{
        Seat,
        keyboard::{KeyboardHandle, XkbConfig},
        pointer::{CursorImageStatus, PointerHandle},
    },
    reexports::wayland_server::{DisplayHandle, protocol::wl_surface::WlSurface},
    utils::{IsAlive, SERIAL_COUNTER},
};

use crate::{
    capture::Schedule, desktop::Desktop, layout::Screen, metrics::Metrics, output::DesktopOutput,
    pools::PoolFiles, protocols::Protocols, seat::InputState, windows::Windows,
};

/// Milliseconds a key is held before apps repeat it, and how often a second they do then: what
/// desktops ship with, and what `wl_keyboard.repeat_info` carries.
const KEY_REPEAT: (i32, i32) = (400, 25);

/// Everything but the links.
pub struct State {
    /// For finding clients and flushing them.
    pub display: DisplayHandle,
    /// The globals and their bookkeeping.
    pub protocols: Protocols<Self>,
    /// The one keyboard and pointer, shared by all viewers.
    pub seat: Seat<Self>,
    keyboard: KeyboardHandle<Self>,
    pointer: PointerHandle<Self>,
    /// The one output.
    pub output: DesktopOutput,
    /// All toplevels.
    pub windows: Windows,
    /// All popups.
    pub popups: PopupManager,
    /// What the keyboard goes to instead of a window: a panel that was clicked.
    pub focused_layer: Option<LayerSurface>,
    /// What is drawn under the pointer while something is dragged.
    pub drag_icon: Option<WlSurface>,
    /// How the pointer looks.
    pub cursor: CursorImageStatus,
    /// Whether [`State::cursor`] or its surface changed since rtc was told.
    pub cursor_changed: bool,
    /// When to draw.
    pub schedule: Schedule,
    /// What rtc is told.
    pub desktop: Desktop,
    /// What viewers hold and where they point.
    pub input: InputState,
    /// Where apps' pixels lie.
    pub pool_files: PoolFiles,
    /// Clients that could not be drawn and must go.
    pub faulty: HashSet<WlSurface>,
    /// Figures.
    pub metrics: Metrics,
    /// Whether what lies under the pointer may have changed without the pointer moving.
    pub pointer_stale: bool,
    clock: Anchor,
    now: Instant,
}

/// A compositor that cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The keyboard.
    #[error("the keyboard layout {layout:?} (variant {variant:?}, options {options:?}) is unknown")]
    Keymap {
        /// As configured.
        layout: String,
        /// As configured.
        variant: String,
        /// As configured.
        options: String,
    },
}

impl State {
    /// A desktop without clients. Reads the keymap's sources from disk.
    ///
    /// # Errors
    /// [`SetupError`] names what is unusable in the configuration.
    pub fn new(
        display: &DisplayHandle,
        mut protocols: Protocols<Self>,
        config: &CompositorConfig,
        metrics: Metrics,
    ) -> Result<Self, SetupError> {
        let size = OutputSize { pixels: config.size, scale: Scale::ONE };
        let output = DesktopOutput::new(size, config.max_fps, config.resize);
        output.wayland.create_global::<Self>(display);
        let mut seat = protocols.seat.new_wl_seat(display, "seat0");
        let keyboard = add_keyboard(&mut seat, config)?;
        let pointer = seat.add_pointer();
        Ok(Self {
            display: display.clone(),
            protocols,
            seat,
            keyboard,
            pointer,
            windows: Windows::new(screen_of(&output)),
            popups: PopupManager::default(),
            focused_layer: None,
            drag_icon: None,
            cursor: CursorImageStatus::default_named(),
            cursor_changed: true,
            schedule: Schedule::new(output.rate()),
            desktop: Desktop::new(size),
            input: InputState::default(),
            pool_files: PoolFiles::default(),
            faulty: HashSet::new(),
            metrics,
            pointer_stale: false,
            clock: Anchor::new(),
            now: Instant::now(),
            output,
        })
    }

    /// Tells the state what time it is: handlers take it from here, so that all that happens in
    /// one turn of the loop happens at one instant.
    pub const fn set_now(&mut self, now: Instant) {
        self.now = now;
    }

    /// The time of this turn.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// The time of this turn, as links carry it.
    #[must_use]
    pub fn micros(&self) -> MonotonicMicros {
        self.clock.micros_of(self.now)
    }

    /// An earlier instant, as links carry it.
    #[must_use]
    pub fn micros_of(&self, at: Instant) -> MonotonicMicros {
        self.clock.micros_of(at)
    }

    /// The time of this turn as input events carry it: milliseconds that wrap.
    #[must_use]
    pub fn event_time(&self) -> u32 {
        (self.micros().0 / 1000) as u32
    }

    /// The time of this turn as frame callbacks carry it.
    #[must_use]
    pub fn callback_time(&self) -> Duration {
        Duration::from_micros(self.micros().0)
    }

    /// The keyboard.
    #[must_use]
    pub fn keyboard(&self) -> KeyboardHandle<Self> {
        self.keyboard.clone()
    }

    /// The pointer.
    #[must_use]
    pub fn pointer(&self) -> PointerHandle<Self> {
        self.pointer.clone()
    }

    /// Looks again where windows may lie. Returns whether that has changed.
    pub fn refresh_screen(&mut self) -> bool {
        self.windows.stack.set_screen(screen_of(&self.output))
    }

    /// Something that may be seen has changed.
    pub fn changed(&mut self) {
        self.schedule.change(self.now);
    }

    /// What lies where has changed: draw it, and look again what is under the pointer.
    pub fn rearranged(&mut self) {
        self.changed();
        self.pointer_stale = true;
    }

    /// Gives the keyboard to whom it belongs: an exclusive panel, else the panel that was clicked,
    /// else the focused window. Apps that are focused before they are mapped crash (foot 1.13), so
    /// only mapped ones are considered.
    pub fn refresh_focus(&mut self) {
        self.focused_layer.take_if(|layer| !layer.alive() || !layer.can_receive_keyboard_focus());
        let layer = self.exclusive_layer().or_else(|| self.focused_layer.clone());
        let focused = self.windows.stack.focused();
        let target = layer
            .map(|layer| layer.wl_surface().clone())
            .or_else(|| self.surface_of_window(focused?).cloned());
        self.windows.activate_focused();
        let keyboard = self.keyboard();
        if keyboard.current_focus() != target {
            keyboard.set_focus(self, target, SERIAL_COUNTER.next_serial());
        }
        self.refresh_title();
    }

    /// Tells rtc what the focused window is called.
    pub fn refresh_title(&mut self) {
        let focused = self.windows.stack.focused();
        let title = focused.and_then(|id| self.title_of(id)).unwrap_or_default();
        self.desktop.set_title(title);
    }
}

fn screen_of(output: &DesktopOutput) -> Screen {
    let free = layer_map_for_output(&output.wayland).non_exclusive_zone();
    Screen { output: output.rectangle(), free }
}

fn add_keyboard(
    seat: &mut Seat<State>,
    config: &CompositorConfig,
) -> Result<KeyboardHandle<State>, SetupError> {
    let keymap = &config.keymap;
    let options = Some(keymap.options.as_str().to_owned()).filter(|options| !options.is_empty());
    let names = XkbConfig {
        layout: keymap.layout.as_str(),
        variant: keymap.variant.as_str(),
        options,
        ..XkbConfig::default()
    };
    let (delay, rate) = KEY_REPEAT;
    seat.add_keyboard(names, delay, rate).map_err(|_| SetupError::Keymap {
        layout: keymap.layout.to_string(),
        variant: keymap.variant.to_string(),
        options: keymap.options.to_string(),
    })
}
