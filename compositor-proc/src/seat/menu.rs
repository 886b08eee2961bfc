//! A menu that is open: a popup that has taken keyboard and pointer.

use smithay::{
    desktop::PopupGrab,
    input::SeatHandler,
    reexports::wayland_server::{backend::ClientId, protocol::wl_surface::WlSurface},
    wayland::seat::WaylandFocus,
};

/// The popup that took them last, and the popups that it belongs to.
#[derive(Debug)]
pub struct Menu<D>
where
    D: SeatHandler + 'static,
    D::KeyboardFocus: WaylandFocus,
    D::PointerFocus: From<D::KeyboardFocus> + WaylandFocus,
{
    /// As Smithay has it.
    pub grab: PopupGrab<D>,
    /// Whose it is.
    pub app: ClientId,
    /// Whose the keyboard was to be when it opened.
    pub owner: Option<WlSurface>,
}
