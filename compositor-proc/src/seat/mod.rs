//! The one seat that all viewers share: its keyboard and pointer, what is held, where the pointer is
//! and how it looks.
//!
//! [`Ledger`] decides what many hands mean for keys and buttons, [`scroll`] what wheels and fingers do,
//! [`Hold`] how a surface follows the pointer while a button is down, [`Given`] what an app may take input
//! for, [`Typing`] when the keyboard may move by itself. What moves the seat is [`crate::input`].

mod given;
mod hold;
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
    given::{Given, Input},
    hold::Hold,
    ledger::{Ledger, Pressable},
    menu::Menu,
    scroll::FingerScroll,
    typing::{Turn, Typing},
};

/// Milliseconds a key is held before apps repeat it, and how often a second they do then: what
/// desktops ship with, and what `wl_keyboard.repeat_info` carries.
const KEY_REPEAT: (i32, i32) = (400, 25);

/// The seat. `D` is what Smithay calls when it changes.
pub struct DesktopSeat<D: SeatHandler> {
    /// As Smithay has it.
    pub wayland: Seat<D>,
    keyboard: KeyboardHandle<D>,
    pointer: PointerHandle<D>,
    /// How the pointer looks.
    pub cursor: CursorImageStatus,
    /// Whether the cursor or its surface changed since rtc was told.
    pub cursor_changed: bool,
    /// Whether what lies under the pointer may have changed without the pointer moving.
    pub pointer_stale: bool,
    /// Which keys and buttons are down, and by whom.
    pub ledger: Ledger,
    /// What apps were sent of late.
    pub given: Given<ClientId>,
    /// When somebody typed last.
    pub typing: Typing,
    /// Whether the keyboard is to go elsewhere once nobody types.
    pub focus_waits: bool,
    /// Which axes a finger scrolls.
    pub finger: FingerScroll,
    /// Where a viewer pointed last; `None` until one does, so that nothing is hovered before.
    pub pointed: Option<Point<f64, Logical>>,
    /// What was under the pointer when apps were last told: a surface, and where its origin lay.
    pub under: Option<(WlSurface, Point<f64, Logical>)>,
    /// Where the first of the buttons that are down went down.
    pub hold: Option<Hold>,
}

/// A keyboard that there is not.
#[derive(Debug, thiserror::Error)]
#[error("the keyboard layout {layout:?} (variant {variant:?}, options {options:?}) is unknown")]
pub struct KeymapError {
    layout: String,
    variant: String,
    options: String,
}

impl<D: SeatHandler + 'static> DesktopSeat<D> {
    /// A seat whose keyboard types by `keymap`. Reads the keymap's sources from disk.
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
            ledger: Ledger::default(),
            given: Given::default(),
            typing: Typing::default(),
            focus_waits: false,
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

    /// The last button is up: whatever is under the pointer is to be told that it is there.
    pub fn forget_hold(&mut self) {
        self.hold = None;
        self.under = None;
    }

    /// The pointer looks like this.
    pub fn set_cursor(&mut self, cursor: CursorImageStatus) {
        self.cursor = cursor;
        self.cursor_changed = true;
    }

    /// A cursor whose surface is gone is the default one.
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
