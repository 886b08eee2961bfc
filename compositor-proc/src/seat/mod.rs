//! The one seat that all viewers share: what they hold and where they point.
//!
//! [`Ledger`] decides what many hands mean for keys and buttons, [`scroll`] what wheels and fingers do,
//! [`Hold`] how a surface follows the pointer while a button is down. What moves the seat is
//! [`crate::input`].

mod hold;
mod ledger;
pub mod scroll;

use smithay::{
    reexports::wayland_server::protocol::wl_surface::WlSurface,
    utils::{Logical, Point},
};

pub use self::{
    hold::Hold,
    ledger::{Ledger, Pressable},
    scroll::FingerScroll,
};

/// A surface, and where its origin lies on the output.
pub type Target = (WlSurface, Point<f64, Logical>);

/// What viewers hold and where they point.
#[derive(Debug, Default)]
pub struct InputState {
    /// Which keys and buttons are down, and by whom.
    pub ledger: Ledger,
    /// Which axes a finger scrolls.
    pub finger: FingerScroll,
    /// Where a viewer pointed last; `None` until one does, so that nothing is hovered before.
    pub pointed: Option<Point<f64, Logical>>,
    /// What was under the pointer when apps were last told.
    pub under: Option<Target>,
    /// Where the first of the buttons that are down went down.
    pub hold: Option<Hold>,
}

impl InputState {
    /// The last button is up: whatever is under the pointer is to be told that it is there.
    pub fn forget_hold(&mut self) {
        self.hold = None;
        self.under = None;
    }
}
