//! An open menu: a popup that has grabbed keyboard and pointer.

use smithay::{
    desktop::PopupGrab,
    input::SeatHandler,
    reexports::wayland_server::{backend::ClientId, protocol::wl_surface::WlSurface},
    wayland::seat::WaylandFocus,
};

/// The popup with the latest grab, and its parents.
#[derive(Debug)]
pub struct Menu<D>
where
    D: SeatHandler + 'static,
    D::KeyboardFocus: WaylandFocus,
    D::PointerFocus: From<D::KeyboardFocus> + WaylandFocus,
{
    /// Smithay's grab.
    pub grab: PopupGrab<D>,
    /// The app of the menu.
    pub app: ClientId,
    /// The owner of the keyboard when it opened.
    pub owner: Option<WlSurface>,
}
