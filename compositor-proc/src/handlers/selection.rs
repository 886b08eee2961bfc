//! `wl_data_device` and primary selection: clipboard and drag-and-drop between apps. The clipboard is
//! also shared with viewers.

use std::os::fd::OwnedFd;

use lumen_ipc::message::transfer::OfferId;
use smithay::{
    input::Seat,
    reexports::wayland_server::{
        Resource,
        protocol::{wl_data_source::WlDataSource, wl_surface::WlSurface},
    },
    wayland::selection::{
        SelectionHandler, SelectionSource, SelectionTarget,
        data_device::{
            ClientDndGrabHandler, DataDeviceHandler, DataDeviceState, ServerDndGrabHandler,
        },
        ext_data_control::{DataControlHandler, DataControlState},
        primary_selection::{PrimarySelectionHandler, PrimarySelectionState},
    },
};

use crate::{selections::SETTLED_MARK, state::State};

impl SelectionHandler for State {
    type SelectionUserData = OfferId;

    fn new_selection(
        &mut self,
        target: SelectionTarget,
        source: Option<SelectionSource>,
        _seat: Seat<Self>,
    ) {
        if target == SelectionTarget::Clipboard {
            let names = source.map(|source| source.mime_types()).unwrap_or_default();
            let owner = self.selections.bridge_of(&names).cloned().or_else(|| {
                // Only the app with the keyboard focus may copy.
                let focus = self.keyboard().current_focus();
                focus.and_then(|surface| surface.client()).map(|client| client.id())
            });
            self.selections.copy(owner, &names);
        }
    }

    fn send_selection(
        &mut self,
        target: SelectionTarget,
        name: String,
        pipe: OwnedFd,
        _seat: Seat<Self>,
        offer: &OfferId,
    ) {
        match target {
            SelectionTarget::Clipboard if name == SETTLED_MARK => self.selections.settle(*offer),
            // All other names stand for the same text.
            SelectionTarget::Clipboard => self.selections.paste(*offer, pipe),
            SelectionTarget::Primary => {}
        }
    }
}

impl DataDeviceHandler for State {
    fn data_device_state(&self) -> &DataDeviceState {
        &self.protocols.data_device
    }
}

impl DataControlHandler for State {
    fn data_control_state(&self) -> &DataControlState {
        &self.protocols.data_control
    }
}

impl PrimarySelectionHandler for State {
    fn primary_selection_state(&self) -> &PrimarySelectionState {
        &self.protocols.primary_selection
    }
}

impl ClientDndGrabHandler for State {
    fn started(
        &mut self,
        _source: Option<WlDataSource>,
        icon: Option<WlSurface>,
        _seat: Seat<Self>,
    ) {
        self.drag_icon = icon;
        self.changed();
    }

    fn dropped(&mut self, _target: Option<WlSurface>, _validated: bool, _seat: Seat<Self>) {
        self.drag_icon = None;
        self.rearranged();
    }
}

impl ServerDndGrabHandler for State {}
