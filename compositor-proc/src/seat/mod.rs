//! The one seat that all viewers share: its keyboard and pointer, what is held, the pointer's
//! position and image.
//!
//! [`Leases`] decides whose input counts; [`Ledger`] combines the viewers' keys and buttons, [`scroll`] their wheels and fingers; [`Hold`]
//! maps the pointer to a surface while a button is down, [`Given`] decides which input an app may
//! use for a grab, [`Typing`] when the keyboard may move unasked. [`crate::input`] drives the seat.

mod doings;
mod given;
mod hold;
mod leases;
mod ledger;
mod menu;
pub mod scroll;
mod typing;

use lumen_ipc::service::Keymap;
use smithay::{
    input::{
        Seat, SeatHandler,
        keyboard::{KeyboardHandle, XkbConfig},
        pointer::{CursorImageStatus, PointerHandle},
    },
    reexports::wayland_server::{backend::ClientId, protocol::wl_surface::WlSurface},
    utils::{IsAlive, Logical, Point},
};

pub use self::{
    doings::Doings,
    given::{Given, Input},
    hold::Hold,
    leases::{Changes, Leases},
    ledger::{Ledger, Pressable},
    menu::Menu,
    scroll::FingerScroll,
    typing::{Turn, Typing},
};

/// Milliseconds before a held key repeats, and repeats per second: common desktop defaults, sent in
/// `wl_keyboard.repeat_info`.
const KEY_REPEAT: (i32, i32) = (400, 25);

/// The seat. `D` receives Smithay's callbacks.
pub struct DesktopSeat<D: SeatHandler> {
    /// Smithay's seat.
    pub wayland: Seat<D>,
    keyboard: KeyboardHandle<D>,
    pointer: PointerHandle<D>,
    /// The cursor's image.
    pub cursor: CursorImageStatus,
    /// Whether the cursor or its surface changed since rtc was told.
    pub cursor_changed: bool,
    /// Whether the surface under the pointer may have changed without a motion.
    pub pointer_stale: bool,
    /// Whose input counts.
    pub leases: Leases,
    /// Whether somebody acts.
    pub doings: Doings,
    /// Who holds which keys and buttons.
    pub ledger: Ledger,
    /// Recent input sent to apps.
    pub given: Given<ClientId>,
    /// When somebody last typed.
    pub typing: Typing,
    /// Whether the keyboard moves once nobody types.
    pub focus_waits: bool,
    /// A window that cannot be seen and has the keyboard until a key is pressed.
    pub borrower: Option<WlSurface>,
    /// Which axes a finger scrolls.
    pub finger: FingerScroll,
    /// Where a viewer last pointed; `None` until one does, so that nothing is hovered before.
    pub pointed: Option<Point<f64, Logical>>,
    /// What was under the pointer when apps were last told: a surface and the position of its
    /// origin.
    pub under: Option<(WlSurface, Point<f64, Logical>)>,
    /// Where the first of the pressed buttons went down.
    pub hold: Option<Hold>,
}

/// An unknown keymap.
#[derive(Debug, thiserror::Error)]
#[error("the keyboard layout {layout:?} (variant {variant:?}, options {options:?}) is unknown")]
pub struct KeymapError {
    layout: String,
    variant: String,
    options: String,
}

impl<D: SeatHandler + 'static> DesktopSeat<D> {
    /// A seat whose keyboard uses `keymap`. Reads the keymap's sources from disk.
    ///
    /// # Errors
    /// [`KeymapError`] when there is no such keymap.
    pub fn new(mut seat: Seat<D>, keymap: &Keymap) -> Result<Self, KeymapError> {
        let keyboard = add_keyboard(&mut seat, keymap)?;
        let pointer = seat.add_pointer();
        Ok(Self {
            wayland: seat,
            keyboard,
            pointer,
            cursor: CursorImageStatus::default_named(),
            cursor_changed: true,
            pointer_stale: false,
            leases: Leases::default(),
            doings: Doings::default(),
            ledger: Ledger::default(),
            given: Given::default(),
            typing: Typing::default(),
            focus_waits: false,
            borrower: None,
            finger: FingerScroll::default(),
            pointed: None,
            under: None,
            hold: None,
        })
    }

    /// The keyboard.
    #[must_use]
    pub fn keyboard(&self) -> KeyboardHandle<D> {
        self.keyboard.clone()
    }

    /// The pointer.
    #[must_use]
    pub fn pointer(&self) -> PointerHandle<D> {
        self.pointer.clone()
    }

    /// Handles the release of the last button: the surface under the pointer must be told about the
    /// pointer.
    pub fn forget_hold(&mut self) {
        self.hold = None;
        self.under = None;
    }

    /// Sets the cursor's image.
    pub fn set_cursor(&mut self, cursor: CursorImageStatus) {
        self.cursor = cursor;
        self.cursor_changed = true;
    }

    /// Replaces a cursor whose surface is gone with the default one.
    pub fn forget_dead_cursor(&mut self) {
        if matches!(&self.cursor, CursorImageStatus::Surface(surface) if !surface.alive()) {
            self.set_cursor(CursorImageStatus::default_named());
        }
    }
}

fn add_keyboard<D: SeatHandler + 'static>(
    seat: &mut Seat<D>,
    keymap: &Keymap,
) -> Result<KeyboardHandle<D>, KeymapError> {
    let options = Some(keymap.options.as_str().to_owned()).filter(|options| !options.is_empty());
    let names = XkbConfig {
        layout: keymap.layout.as_str(),
        variant: keymap.variant.as_str(),
        options,
        ..XkbConfig::default()
    };
    let (delay, rate) = KEY_REPEAT;
    seat.add_keyboard(names, delay, rate).map_err(|_| KeymapError {
        layout: keymap.layout.to_string(),
        variant: keymap.variant.to_string(),
        options: keymap.options.to_string(),
    })
}
