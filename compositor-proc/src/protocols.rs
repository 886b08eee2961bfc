//! The state of the Wayland globals that have any.

use smithay::{
    input::{SeatHandler, SeatState},
    wayland::{
        compositor::CompositorState,
        selection::{
            data_device::DataDeviceState, ext_data_control::DataControlState,
            primary_selection::PrimarySelectionState,
        },
        shell::{wlr_layer::WlrLayerShellState, xdg::XdgShellState},
        shm::ShmState,
        xdg_activation::XdgActivationState,
    },
};

/// One field for each protocol with state. The other globals live as long as the display.
pub struct Protocols<D: SeatHandler> {
    /// Tokens with which one app passes the focus to another.
    pub activation: XdgActivationState,
    /// Surfaces and regions.
    pub compositor: CompositorState,
    /// The clipboard, for its bridge.
    pub data_control: DataControlState,
    /// Clipboard, drag and drop.
    pub data_device: DataDeviceState,
    /// Panels.
    pub layer_shell: WlrLayerShellState,
    /// The primary selection: text that is marked with the mouse.
    pub primary_selection: PrimarySelectionState,
    /// Seats; there is one.
    pub seat: SeatState<D>,
    /// Shared memory.
    pub shm: ShmState,
    /// Windows and popups.
    pub xdg_shell: XdgShellState,
}
