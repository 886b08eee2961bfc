//! The bookkeeping of the Wayland globals that keep any.

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

/// The globals: one field per protocol that keeps state. The others live as long as the display.
pub struct Protocols<D: SeatHandler> {
    /// Tokens that pass the focus on.
    pub activation: XdgActivationState,
    /// Surfaces and regions.
    pub compositor: CompositorState,
    /// The clipboard, for its bridge.
    pub data_control: DataControlState,
    /// Clipboard, drag and drop.
    pub data_device: DataDeviceState,
    /// Panels.
    pub layer_shell: WlrLayerShellState,
    /// What is selected.
    pub primary_selection: PrimarySelectionState,
    /// Seats, for making ours.
    pub seat: SeatState<D>,
    /// Shared memory.
    pub shm: ShmState,
    /// Windows and popups.
    pub xdg_shell: XdgShellState,
}
