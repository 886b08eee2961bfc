//! What an app is told, and what it remembers of it.

use std::os::fd::{AsRawFd, OwnedFd};

use wayland_client::{
    Connection, Dispatch, QueueHandle, WEnum, delegate_noop, event_created_child,
    globals::GlobalListContents,
    protocol::{
        wl_buffer::{self, WlBuffer},
        wl_callback::{self, WlCallback},
        wl_compositor::WlCompositor,
        wl_data_device::{self, WlDataDevice},
        wl_data_device_manager::WlDataDeviceManager,
        wl_data_offer::{self, WlDataOffer},
        wl_data_source::{self, WlDataSource},
        wl_keyboard::{self, KeyState, WlKeyboard},
        wl_pointer::{self, WlPointer},
        wl_registry::{self, WlRegistry},
        wl_seat::{self, WlSeat},
        wl_shm::WlShm,
        wl_shm_pool::WlShmPool,
        wl_surface::{self, WlSurface},
    },
};
use wayland_protocols::xdg::shell::client::{
    xdg_popup::{self, XdgPopup},
    xdg_positioner::XdgPositioner,
    xdg_surface::{self, XdgSurface},
    xdg_toplevel::{self, State as ToplevelFlag, XdgToplevel},
    xdg_wm_base::{self, XdgWmBase},
};

/// What an app was told, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    Keymap { file: String },
    Configured { width: i32, height: i32, maximized: bool },
    Decorated { by_us: bool },
    LayerConfigured { width: u32, height: u32 },
    PreferredBufferScale(i32),
    PreferredScale { parts: u32 },
    OutputScale(i32),
    OutputLogicalSize { width: i32, height: i32 },
    PopupConfigured { x: i32, y: i32, width: i32, height: i32 },
    PopupDone,
    CalledBack,
    BufferFailed,
    BufferReleased,
    FormatsTold,
    KeyboardEntered,
    KeyboardLeft,
    Key { key: u32, down: bool },
    Modifiers { depressed: u32, locked: u32, layout: u32 },
    PointerEntered,
    PointerLeft,
    Moved { x: f64, y: f64 },
    Button { button: u32, down: bool },
    AxisSource(u32),
    Axis { vertical: bool, value: f64 },
    AxisStop { vertical: bool },
    Axis120 { vertical: bool, steps: i32 },
}

/// What an app remembers.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) events: Vec<Event>,
    pub(crate) enter_serial: u32,
    pub(crate) focus_serial: u32,
    /// Whether it leaves configure events unanswered.
    pub(crate) answers_nothing: bool,
    pub(crate) tokens: usize,
    /// The newest token.
    pub(crate) token: String,
    pub(crate) button_serial: u32,
    /// What the app is to write of its clipboard: the name of the kind, and where to.
    pub(crate) asked: Vec<(String, OwnedFd)>,
    /// The clipboard as offered to it.
    pub(crate) selection: Option<WlDataOffer>,
    /// Names of the kinds of each offer it was told of, newest last.
    pub(crate) offers: Vec<(WlDataOffer, Vec<String>)>,
    /// Buffers in memory of graphics processors that were made for it.
    pub(crate) made: Vec<WlBuffer>,
    /// The formats of such buffers, and the device to make them on.
    pub(crate) formats: Vec<(u32, u64)>,
    pub(crate) device: Vec<u8>,
    size: (i32, i32, bool),
    popup: Option<(i32, i32, i32, i32)>,
}

impl Dispatch<WlRegistry, GlobalListContents> for Memory {
    fn event(
        _: &mut Self,
        _: &WlRegistry,
        _: wl_registry::Event,
        _: &GlobalListContents,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
    }
}

impl Dispatch<XdgWmBase, ()> for Memory {
    fn event(
        _: &mut Self,
        base: &XdgWmBase,
        event: xdg_wm_base::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let xdg_wm_base::Event::Ping { serial } = event {
            base.pong(serial);
        }
    }
}

impl Dispatch<XdgSurface, ()> for Memory {
    fn event(
        memory: &mut Self,
        surface: &XdgSurface,
        event: xdg_surface::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        let xdg_surface::Event::Configure { serial } = event else { return };
        if !memory.answers_nothing {
            surface.ack_configure(serial);
        }
        let told = match memory.popup.take() {
            Some((x, y, width, height)) => Event::PopupConfigured { x, y, width, height },
            None => {
                let (width, height, maximized) = memory.size;
                Event::Configured { width, height, maximized }
            }
        };
        memory.events.push(told);
    }
}

impl Dispatch<XdgToplevel, ()> for Memory {
    fn event(
        memory: &mut Self,
        _: &XdgToplevel,
        event: xdg_toplevel::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let xdg_toplevel::Event::Configure { width, height, states } = event {
            let maximized = states
                .chunks_exact(4)
                .any(|flag| flag == (ToplevelFlag::Maximized as u32).to_ne_bytes());
            memory.size = (width, height, maximized);
        }
    }
}

impl Dispatch<XdgPopup, ()> for Memory {
    fn event(
        memory: &mut Self,
        _: &XdgPopup,
        event: xdg_popup::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        match event {
            xdg_popup::Event::Configure { x, y, width, height } => {
                memory.popup = Some((x, y, width, height));
            }
            xdg_popup::Event::PopupDone => memory.events.push(Event::PopupDone),
            _ => {}
        }
    }
}

impl Dispatch<WlBuffer, ()> for Memory {
    fn event(
        memory: &mut Self,
        _: &WlBuffer,
        _: wl_buffer::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        memory.events.push(Event::BufferReleased);
    }
}

impl Dispatch<WlCallback, ()> for Memory {
    fn event(
        memory: &mut Self,
        _: &WlCallback,
        _: wl_callback::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        memory.events.push(Event::CalledBack);
    }
}

impl Dispatch<WlSeat, ()> for Memory {
    fn event(
        _: &mut Self,
        _: &WlSeat,
        _: wl_seat::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
    }
}

impl Dispatch<WlKeyboard, ()> for Memory {
    fn event(
        memory: &mut Self,
        _: &WlKeyboard,
        event: wl_keyboard::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        memory.events.extend(match event {
            wl_keyboard::Event::Keymap { fd, .. } => {
                let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
                let target = std::fs::read_link(link).expect("an open descriptor");
                Some(Event::Keymap { file: target.to_string_lossy().into_owned() })
            }
            wl_keyboard::Event::Enter { serial, .. } => {
                memory.focus_serial = serial;
                Some(Event::KeyboardEntered)
            }
            wl_keyboard::Event::Leave { .. } => Some(Event::KeyboardLeft),
            wl_keyboard::Event::Key { key, state, .. } => {
                Some(Event::Key { key, down: state == WEnum::Value(KeyState::Pressed) })
            }
            wl_keyboard::Event::Modifiers { mods_depressed, mods_locked, group, .. } => {
                let (depressed, locked) = (mods_depressed, mods_locked);
                Some(Event::Modifiers { depressed, locked, layout: group })
            }
            _ => None,
        });
    }
}

impl Dispatch<WlPointer, ()> for Memory {
    fn event(
        memory: &mut Self,
        _: &WlPointer,
        event: wl_pointer::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        let vertical =
            |axis: WEnum<wl_pointer::Axis>| axis == WEnum::Value(wl_pointer::Axis::VerticalScroll);
        memory.events.extend(match event {
            wl_pointer::Event::Enter { serial, .. } => {
                memory.enter_serial = serial;
                Some(Event::PointerEntered)
            }
            wl_pointer::Event::Leave { .. } => Some(Event::PointerLeft),
            wl_pointer::Event::Motion { surface_x: x, surface_y: y, .. } => {
                Some(Event::Moved { x, y })
            }
            wl_pointer::Event::Button { serial, button, state, .. } => {
                memory.button_serial = serial;
                let down = state == WEnum::Value(wl_pointer::ButtonState::Pressed);
                Some(Event::Button { button, down })
            }
            wl_pointer::Event::AxisSource { axis_source } => {
                Some(Event::AxisSource(axis_source.into()))
            }
            wl_pointer::Event::Axis { axis, value, .. } => {
                Some(Event::Axis { vertical: vertical(axis), value })
            }
            wl_pointer::Event::AxisStop { axis, .. } => {
                Some(Event::AxisStop { vertical: vertical(axis) })
            }
            wl_pointer::Event::AxisValue120 { axis, value120: steps } => {
                Some(Event::Axis120 { vertical: vertical(axis), steps })
            }
            _ => None,
        });
    }
}

impl Dispatch<WlSurface, ()> for Memory {
    fn event(
        memory: &mut Self,
        _: &WlSurface,
        event: wl_surface::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let wl_surface::Event::PreferredBufferScale { factor } = event {
            memory.events.push(Event::PreferredBufferScale(factor));
        }
    }
}

delegate_noop!(Memory: WlCompositor);
delegate_noop!(Memory: ignore WlShm);
delegate_noop!(Memory: WlShmPool);
delegate_noop!(Memory: XdgPositioner);

delegate_noop!(Memory: ignore WlDataDeviceManager);

impl Dispatch<WlDataDevice, ()> for Memory {
    fn event(
        memory: &mut Self,
        _: &WlDataDevice,
        event: wl_data_device::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        match event {
            wl_data_device::Event::DataOffer { id } => memory.offers.push((id, Vec::new())),
            wl_data_device::Event::Selection { id } => memory.selection = id,
            _ => {}
        }
    }

    event_created_child!(Self, WlDataDevice, [
        wl_data_device::EVT_DATA_OFFER_OPCODE => (WlDataOffer, ()),
    ]);
}

impl Dispatch<WlDataOffer, ()> for Memory {
    fn event(
        memory: &mut Self,
        offer: &WlDataOffer,
        event: wl_data_offer::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let wl_data_offer::Event::Offer { mime_type } = event
            && let Some((_, names)) = memory.offers.iter_mut().find(|(known, _)| known == offer)
        {
            names.push(mime_type);
        }
    }
}

impl Dispatch<WlDataSource, ()> for Memory {
    fn event(
        memory: &mut Self,
        _: &WlDataSource,
        event: wl_data_source::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let wl_data_source::Event::Send { mime_type, fd } = event {
            memory.asked.push((mime_type, fd));
        }
    }
}
