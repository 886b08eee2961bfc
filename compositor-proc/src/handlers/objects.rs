//! The table of all kinds of objects that apps make: which handler serves each kind, and its count.
//!
//! Smithay implements the protocols and has a delegation macro for each. This table replaces those macros
//! so that each object is counted: an app that makes too many of a kind, or of all kinds together, is
//! disconnected before it harms others ([`crate::client`] has the bounds). Two kinds do not pass through
//! the table: the callbacks of `wl_display.sync`, which end as soon as they are made, and registries, for
//! which all objects are counted from time to time (`shell/apps.rs`). Offers, which we make, pass through
//! [`super::offers`].

use std::sync::Mutex;

use smithay::{
    backend::allocator::dmabuf::Dmabuf,
    input::SeatState,
    reexports::{
        wayland_protocols::{
            ext::data_control::v1::server::{
                ext_data_control_device_v1::ExtDataControlDeviceV1,
                ext_data_control_manager_v1::ExtDataControlManagerV1,
                ext_data_control_source_v1::ExtDataControlSourceV1,
            },
            wp::{
                cursor_shape::v1::server::{
                    wp_cursor_shape_device_v1::WpCursorShapeDeviceV1,
                    wp_cursor_shape_manager_v1::WpCursorShapeManagerV1,
                },
                fractional_scale::v1::server::{
                    wp_fractional_scale_manager_v1::WpFractionalScaleManagerV1,
                    wp_fractional_scale_v1::WpFractionalScaleV1,
                },
                linux_dmabuf::zv1::server::{
                    zwp_linux_buffer_params_v1::ZwpLinuxBufferParamsV1,
                    zwp_linux_dmabuf_feedback_v1::ZwpLinuxDmabufFeedbackV1,
                    zwp_linux_dmabuf_v1::ZwpLinuxDmabufV1,
                },
                pointer_constraints::zv1::server::{
                    zwp_confined_pointer_v1::ZwpConfinedPointerV1,
                    zwp_locked_pointer_v1::ZwpLockedPointerV1,
                    zwp_pointer_constraints_v1::ZwpPointerConstraintsV1,
                },
                pointer_gestures::zv1::server::{
                    zwp_pointer_gesture_hold_v1::ZwpPointerGestureHoldV1,
                    zwp_pointer_gesture_pinch_v1::ZwpPointerGesturePinchV1,
                    zwp_pointer_gesture_swipe_v1::ZwpPointerGestureSwipeV1,
                    zwp_pointer_gestures_v1::ZwpPointerGesturesV1,
                },
                presentation_time::server::{
                    wp_presentation::WpPresentation,
                    wp_presentation_feedback::WpPresentationFeedback,
                },
                primary_selection::zv1::server::{
                    zwp_primary_selection_device_manager_v1::ZwpPrimarySelectionDeviceManagerV1,
                    zwp_primary_selection_device_v1::ZwpPrimarySelectionDeviceV1,
                    zwp_primary_selection_source_v1::ZwpPrimarySelectionSourceV1,
                },
                relative_pointer::zv1::server::{
                    zwp_relative_pointer_manager_v1::ZwpRelativePointerManagerV1,
                    zwp_relative_pointer_v1::ZwpRelativePointerV1,
                },
                single_pixel_buffer::v1::server::wp_single_pixel_buffer_manager_v1::WpSinglePixelBufferManagerV1,
                tablet::zv2::server::{
                    zwp_tablet_manager_v2::ZwpTabletManagerV2, zwp_tablet_seat_v2::ZwpTabletSeatV2,
                    zwp_tablet_tool_v2::ZwpTabletToolV2, zwp_tablet_v2::ZwpTabletV2,
                },
                viewporter::server::{wp_viewport::WpViewport, wp_viewporter::WpViewporter},
            },
            xdg::{
                activation::v1::server::{
                    xdg_activation_token_v1::XdgActivationTokenV1,
                    xdg_activation_v1::XdgActivationV1,
                },
                decoration::zv1::server::{
                    zxdg_decoration_manager_v1::ZxdgDecorationManagerV1,
                    zxdg_toplevel_decoration_v1::ZxdgToplevelDecorationV1,
                },
                shell::server::{
                    xdg_popup::XdgPopup, xdg_positioner::XdgPositioner, xdg_surface::XdgSurface,
                    xdg_toplevel::XdgToplevel, xdg_wm_base::XdgWmBase,
                },
                xdg_output::zv1::server::{
                    zxdg_output_manager_v1::ZxdgOutputManagerV1, zxdg_output_v1::ZxdgOutputV1,
                },
            },
        },
        wayland_protocols_wlr::layer_shell::v1::server::{
            zwlr_layer_shell_v1::ZwlrLayerShellV1, zwlr_layer_surface_v1::ZwlrLayerSurfaceV1,
        },
        wayland_server::{
            Client, DataInit, Dispatch, DisplayHandle, GlobalDispatch, New, Resource, Weak,
            backend::{
                ClientId,
                protocol::{ArgumentType, Interface},
            },
            protocol::{
                wl_buffer::WlBuffer, wl_callback::WlCallback, wl_compositor::WlCompositor,
                wl_data_device::WlDataDevice, wl_data_device_manager::WlDataDeviceManager,
                wl_data_source::WlDataSource, wl_keyboard::WlKeyboard, wl_output::WlOutput,
                wl_pointer::WlPointer, wl_region::WlRegion, wl_seat::WlSeat, wl_shm::WlShm,
                wl_shm_pool::WlShmPool, wl_subcompositor::WlSubcompositor,
                wl_subsurface::WlSubsurface, wl_surface::WlSurface, wl_touch::WlTouch,
            },
        },
    },
    wayland::{
        compositor::{CompositorState, RegionUserData, SubsurfaceUserData, SurfaceUserData},
        cursor_shape::{CursorShapeDeviceUserData, CursorShapeManagerState},
        fractional_scale::FractionalScaleManagerState,
        output::{OutputManagerState, OutputUserData, WlOutputData, XdgOutputUserData},
        pointer_constraints::{PointerConstraintUserData, PointerConstraintsState},
        pointer_gestures::{PointerGestureUserData, PointerGesturesState},
        presentation::{PresentationFeedbackState, PresentationState},
        relative_pointer::{RelativePointerManagerState, RelativePointerUserData},
        seat::{KeyboardUserData, PointerUserData, SeatGlobalData, SeatUserData, TouchUserData},
        selection::{
            data_device::{DataDeviceState, DataDeviceUserData, DataSourceUserData},
            ext_data_control::{
                DataControlState, ExtDataControlDeviceUserData, ExtDataControlManagerGlobalData,
                ExtDataControlManagerUserData, ExtDataControlSourceUserData,
            },
            primary_selection::{
                PrimaryDeviceManagerGlobalData, PrimaryDeviceUserData, PrimarySelectionState,
                PrimarySourceUserData,
            },
        },
        shell::{
            wlr_layer::{WlrLayerShellGlobalData, WlrLayerShellState, WlrLayerSurfaceUserData},
            xdg::{
                ToplevelSurface, XdgPositionerUserData, XdgShellState, XdgShellSurfaceUserData,
                XdgSurfaceUserData, XdgWmBaseUserData,
                decoration::{XdgDecorationManagerGlobalData, XdgDecorationState},
            },
        },
        shm::{ShmBufferUserData, ShmPoolUserData},
        single_pixel_buffer::{SinglePixelBufferState, SinglePixelBufferUserData},
        tablet_manager::{
            TabletManagerState, TabletSeatUserData, TabletToolUserData, TabletUserData,
        },
        viewporter::{ViewportState, ViewporterState},
        xdg_activation::{ActivationTokenData, XdgActivationState},
    },
};

use super::{
    dmabuf::{Dmabufs, Params},
    shm::Shm,
    sizes::{self, Verdict},
    surfaces::Surfaces,
};
use crate::{client::ClientState, state::State};

/// Passes on the requests of each kind of object, and counts the objects that they make and destroy.
macro_rules! counted {
    ($($who:ty {
        globals: [$($global:ty: $global_data:ty),* $(,)?],
        objects: [$($object:ty: $data:ty),* $(,)?],
    })*) => {$(
        $(impl GlobalDispatch<$global, $global_data> for State {
            fn bind(
                state: &mut Self,
                display: &DisplayHandle,
                client: &Client,
                resource: New<$global>,
                data: &$global_data,
                init: &mut DataInit<'_, Self>,
            ) {
                count(client, display, <$global>::interface());
                <$who as GlobalDispatch<$global, $global_data, Self>>::bind(
                    state, display, client, resource, data, init,
                );
            }

            fn can_view(client: Client, data: &$global_data) -> bool {
                <$who as GlobalDispatch<$global, $global_data, Self>>::can_view(client, data)
            }
        })*
        $(impl Dispatch<$object, $data> for State {
            fn request(
                state: &mut Self,
                client: &Client,
                object: &$object,
                request: <$object as Resource>::Request,
                data: &$data,
                display: &DisplayHandle,
                init: &mut DataInit<'_, Self>,
            ) {
                match sizes::judge(&request) {
                    Verdict::Passes => {}
                    Verdict::Nothing => return,
                    Verdict::Wrong(code) => {
                        object.post_error(code, "a size that is no size");
                        return;
                    }
                }
                count_request(client, display, <$object>::interface(), request.opcode());
                <$who as Dispatch<$object, $data, Self>>::request(
                    state, client, object, request, data, display, init,
                );
            }

            fn destroyed(state: &mut Self, client: ClientId, object: &$object, data: &$data) {
                state.discount(client.clone(), <$object>::interface());
                <$who as Dispatch<$object, $data, Self>>::destroyed(state, client, object, data);
            }
        })*
    )*

        /// All kinds of objects in the table.
        #[must_use]
        pub fn kinds_of_objects() -> Vec<&'static Interface> {
            vec![$($(<$object>::interface(),)*)*]
        }
    };
}

counted! {
    CompositorState {
        globals: [WlCompositor: (), WlSubcompositor: ()],
        objects: [
            WlCompositor: (),
            WlCallback: (),
            WlSubcompositor: (),
            WlSubsurface: SubsurfaceUserData,
        ],
    }
    Surfaces {
        globals: [],
        objects: [
            WlSurface: SurfaceUserData,
            WlRegion: RegionUserData,
        ],
    }
    Shm {
        globals: [WlShm: ()],
        objects: [
            WlShm: (),
            WlShmPool: ShmPoolUserData,
            WlBuffer: ShmBufferUserData,
        ],
    }
    Dmabufs {
        globals: [ZwpLinuxDmabufV1: ()],
        objects: [
            ZwpLinuxDmabufV1: (),
            ZwpLinuxDmabufFeedbackV1: (),
            ZwpLinuxBufferParamsV1: Mutex<Params>,
            WlBuffer: Dmabuf,
        ],
    }
    XdgShellState {
        globals: [XdgWmBase: ()],
        objects: [
            XdgWmBase: XdgWmBaseUserData,
            XdgPositioner: XdgPositionerUserData,
            XdgPopup: XdgShellSurfaceUserData,
            XdgSurface: XdgSurfaceUserData,
            XdgToplevel: XdgShellSurfaceUserData,
        ],
    }
    XdgDecorationState {
        globals: [ZxdgDecorationManagerV1: XdgDecorationManagerGlobalData],
        objects: [
            ZxdgDecorationManagerV1: (),
            ZxdgToplevelDecorationV1: ToplevelSurface,
        ],
    }
    XdgActivationState {
        globals: [XdgActivationV1: ()],
        objects: [
            XdgActivationV1: (),
            XdgActivationTokenV1: ActivationTokenData,
        ],
    }
    WlrLayerShellState {
        globals: [ZwlrLayerShellV1: WlrLayerShellGlobalData],
        objects: [
            ZwlrLayerShellV1: (),
            ZwlrLayerSurfaceV1: WlrLayerSurfaceUserData,
        ],
    }
    SeatState<Self> {
        globals: [WlSeat: SeatGlobalData<Self>],
        objects: [
            WlSeat: SeatUserData<Self>,
            WlPointer: PointerUserData<Self>,
            WlKeyboard: KeyboardUserData<Self>,
            WlTouch: TouchUserData<Self>,
        ],
    }
    RelativePointerManagerState {
        globals: [ZwpRelativePointerManagerV1: ()],
        objects: [
            ZwpRelativePointerManagerV1: (),
            ZwpRelativePointerV1: RelativePointerUserData<Self>,
        ],
    }
    PointerConstraintsState {
        globals: [ZwpPointerConstraintsV1: ()],
        objects: [
            ZwpPointerConstraintsV1: (),
            ZwpConfinedPointerV1: PointerConstraintUserData<Self>,
            ZwpLockedPointerV1: PointerConstraintUserData<Self>,
        ],
    }
    PointerGesturesState {
        globals: [ZwpPointerGesturesV1: ()],
        objects: [
            ZwpPointerGesturesV1: (),
            ZwpPointerGestureSwipeV1: PointerGestureUserData<Self>,
            ZwpPointerGesturePinchV1: PointerGestureUserData<Self>,
            ZwpPointerGestureHoldV1: PointerGestureUserData<Self>,
        ],
    }
    CursorShapeManagerState {
        globals: [WpCursorShapeManagerV1: ()],
        objects: [
            WpCursorShapeManagerV1: (),
            WpCursorShapeDeviceV1: CursorShapeDeviceUserData<Self>,
        ],
    }
    TabletManagerState {
        globals: [ZwpTabletManagerV2: ()],
        objects: [
            ZwpTabletManagerV2: (),
            ZwpTabletSeatV2: TabletSeatUserData,
            ZwpTabletToolV2: TabletToolUserData,
            ZwpTabletV2: TabletUserData,
        ],
    }
    DataDeviceState {
        globals: [WlDataDeviceManager: ()],
        objects: [
            WlDataDeviceManager: (),
            WlDataDevice: DataDeviceUserData,
            WlDataSource: DataSourceUserData,
        ],
    }
    DataControlState {
        globals: [ExtDataControlManagerV1: ExtDataControlManagerGlobalData],
        objects: [
            ExtDataControlManagerV1: ExtDataControlManagerUserData,
            ExtDataControlDeviceV1: ExtDataControlDeviceUserData,
            ExtDataControlSourceV1: ExtDataControlSourceUserData,
        ],
    }
    PrimarySelectionState {
        globals: [ZwpPrimarySelectionDeviceManagerV1: PrimaryDeviceManagerGlobalData],
        objects: [
            ZwpPrimarySelectionDeviceManagerV1: (),
            ZwpPrimarySelectionDeviceV1: PrimaryDeviceUserData,
            ZwpPrimarySelectionSourceV1: PrimarySourceUserData,
        ],
    }
    OutputManagerState {
        globals: [WlOutput: WlOutputData, ZxdgOutputManagerV1: ()],
        objects: [
            WlOutput: OutputUserData,
            ZxdgOutputV1: XdgOutputUserData,
            ZxdgOutputManagerV1: (),
        ],
    }
    ViewporterState {
        globals: [WpViewporter: ()],
        objects: [
            WpViewporter: (),
        ],
    }
    ViewportState {
        globals: [],
        objects: [
            WpViewport: ViewportState,
        ],
    }
    FractionalScaleManagerState {
        globals: [WpFractionalScaleManagerV1: ()],
        objects: [
            WpFractionalScaleManagerV1: (),
            WpFractionalScaleV1: Weak<WlSurface>,
        ],
    }
    PresentationState {
        globals: [WpPresentation: u32],
        objects: [
            WpPresentation: u32,
        ],
    }
    PresentationFeedbackState {
        globals: [],
        objects: [
            WpPresentationFeedback: (),
        ],
    }
    SinglePixelBufferState {
        globals: [WpSinglePixelBufferManagerV1: ()],
        objects: [
            WpSinglePixelBufferManagerV1: (),
            WlBuffer: SinglePixelBufferUserData,
        ],
    }
}

/// Counts the descriptors that a request of `client` takes and the objects that it makes.
fn count_request(client: &Client, display: &DisplayHandle, kind: &'static Interface, opcode: u16) {
    let Some(request) = kind.requests.get(usize::from(opcode)) else { return };
    let is_descriptor = |argument: &&ArgumentType| matches!(argument, ArgumentType::Fd);
    let descriptors = request.signature.iter().filter(is_descriptor).count();
    if descriptors > 0
        && let Some(state) = client.get_data::<ClientState>()
    {
        state.objects.claim(descriptors);
    }
    if let Some(made) = request.child_interface {
        count(client, display, made);
    }
}

/// Counts an object that `client` makes, and disconnects the client if it has too many. The object is made
/// anyway, as Smithay expects, and is destroyed with the client.
fn count(client: &Client, display: &DisplayHandle, kind: &'static Interface) {
    let Some(state) = client.get_data::<ClientState>() else { return };
    if let Err(refusal) = state.objects.make(kind.name) {
        refusal.refuse(display, client.id());
    }
}

impl State {
    /// An object of this kind is gone. If its client is gone, too, there is nothing to count.
    fn discount(&self, client: ClientId, kind: &'static Interface) {
        let data = self.display.backend_handle().get_client_data(client);
        if let Some(state) = data.ok().as_ref().and_then(|data| data.downcast_ref::<ClientState>())
        {
            state.objects.unmake(kind.name);
        }
    }
}
