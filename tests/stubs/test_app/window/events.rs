//! The compositor's events, object by object: logged and handled.

use lumen_tests::app_event::AppEvent;
use wayland_client::{
    Connection, Dispatch, QueueHandle, WEnum, delegate_noop,
    globals::GlobalListContents,
    protocol::{
        wl_buffer::{self, WlBuffer},
        wl_callback::{self, WlCallback},
        wl_compositor::WlCompositor,
        wl_keyboard::{self, KeyState, WlKeyboard},
        wl_pointer::{self, Axis, AxisSource, ButtonState, WlPointer},
        wl_registry::{self, WlRegistry},
        wl_seat::{self, Capability, WlSeat},
        wl_shm::WlShm,
        wl_shm_pool::WlShmPool,
        wl_surface::WlSurface,
    },
};
use wayland_protocols::{
    wp::{
        cursor_shape::v1::client::{
            wp_cursor_shape_device_v1::WpCursorShapeDeviceV1,
            wp_cursor_shape_manager_v1::WpCursorShapeManagerV1,
        },
        fractional_scale::v1::client::{
            wp_fractional_scale_manager_v1::WpFractionalScaleManagerV1,
            wp_fractional_scale_v1::{self, WpFractionalScaleV1},
        },
        viewporter::client::{wp_viewport::WpViewport, wp_viewporter::WpViewporter},
    },
    xdg::shell::client::{
        xdg_surface::{self, XdgSurface},
        xdg_toplevel::{self, XdgToplevel},
        xdg_wm_base::{self, XdgWmBase},
    },
};

use super::State;
use crate::shared_pixels::Slot;

/// The scrolling of one `wl_pointer.frame`, gathered until the frame ends.
#[derive(Default)]
pub(super) struct PointerFrame {
    right: f64,
    down: f64,
    right_v120: i32,
    down_v120: i32,
    wheel: bool,
    stopped: bool,
    any: bool,
}

impl PointerFrame {
    /// Adds an axis event; ignores any other.
    fn gather(&mut self, event: &wl_pointer::Event) {
        use wl_pointer::Event;
        let sideways = |axis: &WEnum<Axis>| *axis == WEnum::Value(Axis::HorizontalScroll);
        self.any = true;
        match event {
            Event::Axis { axis, value, .. } if sideways(axis) => self.right += value,
            Event::Axis { value, .. } => self.down += value,
            Event::AxisValue120 { axis, value120 } if sideways(axis) => self.right_v120 += value120,
            Event::AxisValue120 { value120, .. } => self.down_v120 += value120,
            Event::AxisSource { axis_source } => {
                self.wheel = *axis_source == WEnum::Value(AxisSource::Wheel);
            }
            Event::AxisStop { .. } => self.stopped = true,
            _ => {}
        }
    }

    /// The log line of this frame, if it scrolled; starts the next frame.
    fn finish(&mut self) -> Option<AppEvent> {
        let frame = std::mem::take(self);
        frame.any.then_some(AppEvent::Scrolled {
            right: frame.right,
            down: frame.down,
            right_v120: frame.right_v120,
            down_v120: frame.down_v120,
            wheel: frame.wheel,
            stopped: frame.stopped,
        })
    }
}

impl Dispatch<WlPointer, ()> for State {
    fn event(
        state: &mut Self,
        pointer: &WlPointer,
        event: wl_pointer::Event,
        (): &(),
        _: &Connection,
        queue: &QueueHandle<Self>,
    ) {
        use wl_pointer::Event;
        match event {
            Event::Enter { serial, surface_x: x, surface_y: y, .. } => {
                if state.cursor.show(pointer, serial, queue).is_err() {
                    state.closed = true;
                }
                state.note(&AppEvent::PointerAt { x, y });
            }
            Event::Motion { surface_x: x, surface_y: y, .. } => {
                state.note(&AppEvent::PointerAt { x, y });
            }
            Event::Button { button: code, state: press, .. } => {
                let pressed = press == WEnum::Value(ButtonState::Pressed);
                state.note(&AppEvent::Button { code, pressed });
            }
            Event::Frame => {
                if let Some(scrolled) = state.scroll.finish() {
                    state.note(&scrolled);
                }
            }
            Event::Leave { .. } => {}
            axis => state.scroll.gather(&axis),
        }
    }
}

impl Dispatch<WlKeyboard, ()> for State {
    fn event(
        state: &mut Self,
        _: &WlKeyboard,
        event: wl_keyboard::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        match event {
            wl_keyboard::Event::Enter { .. } => state.note(&AppEvent::KeyboardEntered),
            wl_keyboard::Event::Leave { .. } => state.note(&AppEvent::KeyboardLeft),
            wl_keyboard::Event::Key { key: code, state: press, .. } => {
                let pressed = press == WEnum::Value(KeyState::Pressed);
                state.note(&AppEvent::Key { code, pressed });
                if pressed && state.fill(code).is_err() {
                    state.closed = true;
                }
            }
            _ => {}
        }
    }
}

impl Dispatch<WlSeat, ()> for State {
    fn event(
        _: &mut Self,
        seat: &WlSeat,
        event: wl_seat::Event,
        (): &(),
        _: &Connection,
        queue: &QueueHandle<Self>,
    ) {
        if let wl_seat::Event::Capabilities { capabilities: WEnum::Value(capabilities) } = event {
            if capabilities.contains(Capability::Keyboard) {
                seat.get_keyboard(queue, ());
            }
            if capabilities.contains(Capability::Pointer) {
                seat.get_pointer(queue, ());
            }
        }
    }
}

impl Dispatch<XdgWmBase, ()> for State {
    fn event(
        _: &mut Self,
        shell: &XdgWmBase,
        event: xdg_wm_base::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let xdg_wm_base::Event::Ping { serial } = event {
            shell.pong(serial);
        }
    }
}

impl Dispatch<XdgToplevel, ()> for State {
    fn event(
        state: &mut Self,
        _: &XdgToplevel,
        event: xdg_toplevel::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        match event {
            xdg_toplevel::Event::Configure { width, height, .. } if width > 0 && height > 0 => {
                state.pending_size = (width.unsigned_abs(), height.unsigned_abs());
            }
            xdg_toplevel::Event::Close => state.closed = true,
            _ => {}
        }
    }
}

impl Dispatch<XdgSurface, ()> for State {
    fn event(
        state: &mut Self,
        surface: &XdgSurface,
        event: xdg_surface::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let xdg_surface::Event::Configure { serial } = event {
            surface.ack_configure(serial);
            if state.apply_size().is_err() {
                state.closed = true;
            }
        }
    }
}

impl Dispatch<WpFractionalScaleV1, ()> for State {
    fn event(
        state: &mut Self,
        _: &WpFractionalScaleV1,
        event: wp_fractional_scale_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let wp_fractional_scale_v1::Event::PreferredScale { scale: parts } = event {
            state.note(&AppEvent::Scaled { parts });
            state.fineness.parts = parts;
            // A window must not be drawn before it is configured.
            if state.pixels.is_some() && state.apply_size().is_err() {
                state.closed = true;
            }
        }
    }
}

impl Dispatch<WlBuffer, Slot> for State {
    fn event(
        state: &mut Self,
        _: &WlBuffer,
        event: wl_buffer::Event,
        slot: &Slot,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let wl_buffer::Event::Release = event
            && state.released(*slot).is_err()
        {
            state.closed = true;
        }
    }
}

impl Dispatch<WlCallback, ()> for State {
    fn event(
        state: &mut Self,
        _: &WlCallback,
        event: wl_callback::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let wl_callback::Event::Done { .. } = event {
            state.shown();
        }
    }
}

impl Dispatch<WlRegistry, GlobalListContents> for State {
    fn event(
        _: &mut Self,
        _: &WlRegistry,
        _: wl_registry::Event,
        _: &GlobalListContents,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        // Later changes of the globals do not matter: the app binds all it needs at its start.
    }
}

delegate_noop!(State: WlCompositor);
delegate_noop!(State: WlShmPool);
delegate_noop!(State: WpFractionalScaleManagerV1);
delegate_noop!(State: WpViewport);
delegate_noop!(State: WpViewporter);
delegate_noop!(State: WpCursorShapeManagerV1);
delegate_noop!(State: WpCursorShapeDeviceV1);
delegate_noop!(State: ignore WlShm);
delegate_noop!(State: ignore WlSurface);
