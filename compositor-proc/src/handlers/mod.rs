//! Handlers of clients' requests, one file per protocol family. They are thin: they translate a request
//! into a change of [`State`] or of the pure [`crate::layout`], and schedule what must be redrawn.

mod compositor;
mod constraints;
mod dmabuf;
mod layer_shell;
mod objects;
mod offers;
mod seat;
mod selection;
mod shm;
mod sizes;
mod small;
mod surfaces;
mod xdg_shell;

pub use constraints::Constraint;
pub use objects::kinds_of_objects;
pub use offers::count_descriptors_of_offers;
pub use small::MAX_TOKENS;

use smithay::{
    input::SeatState,
    reexports::wayland_server::{Client, DisplayHandle},
    utils::{Clock, Monotonic},
    wayland::{
        compositor::CompositorState,
        cursor_shape::CursorShapeManagerState,
        fractional_scale::FractionalScaleManagerState,
        output::OutputManagerState,
        pointer_constraints::PointerConstraintsState,
        pointer_gestures::PointerGesturesState,
        presentation::PresentationState,
        relative_pointer::RelativePointerManagerState,
        selection::{
            data_device::DataDeviceState, ext_data_control::DataControlState,
            primary_selection::PrimarySelectionState,
        },
        shell::{
            wlr_layer::WlrLayerShellState,
            xdg::{XdgShellState, decoration::XdgDecorationState},
        },
        shm::ShmState,
        single_pixel_buffer::SinglePixelBufferState,
        tablet_manager::TabletManagerState,
        viewporter::ViewporterState,
        xdg_activation::XdgActivationState,
    },
};

use crate::{client::ClientState, protocols::Protocols, state::State};

/// Announces every protocol we speak.
#[must_use]
pub fn announce(display: &DisplayHandle) -> Protocols<State> {
    announce_stateless(display);
    Protocols {
        activation: XdgActivationState::new::<State>(display),
        compositor: CompositorState::new_v6::<State>(display),
        // Its user can read everything that is copied, so only the bridge sees it.
        data_control: DataControlState::new::<State, _>(display, None, is_bridge),
        data_device: DataDeviceState::new::<State>(display),
        layer_shell: WlrLayerShellState::new::<State>(display),
        primary_selection: PrimarySelectionState::new::<State>(display),
        seat: SeatState::new(),
        // XRGB8888 and ARGB8888, which every client supports and Pixman draws fastest.
        shm: ShmState::new::<State>(display, []),
        xdg_shell: XdgShellState::new::<State>(display),
    }
}

fn is_bridge(client: &Client) -> bool {
    client.get_data::<ClientState>().is_some_and(ClientState::is_bridge)
}

/// Announces the globals without state. Their handles hold only the id of a global that is never removed.
///
/// `zwp_text_input_manager_v3` is not among them: an app that sees it leaves dead keys and Compose to an
/// input method, and there is none.
fn announce_stateless(display: &DisplayHandle) {
    CursorShapeManagerState::new::<State>(display);
    FractionalScaleManagerState::new::<State>(display);
    OutputManagerState::new_with_xdg_output::<State>(display);
    PointerConstraintsState::new::<State>(display);
    PointerGesturesState::new::<State>(display);
    PresentationState::new::<State>(display, Clock::<Monotonic>::new().id() as u32);
    RelativePointerManagerState::new::<State>(display);
    SinglePixelBufferState::new::<State>(display);
    TabletManagerState::new::<State>(display);
    ViewporterState::new::<State>(display);
    XdgDecorationState::new::<State>(display);
}
