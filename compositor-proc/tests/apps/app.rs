//! A Wayland app under the test's control, of the protocol's own client library.

// Named by its path, because benchmarks include this file by its own.
#[path = "app/memory.rs"]
mod memory;

use std::{
    fs::File,
    io::ErrorKind,
    os::{
        fd::AsFd,
        unix::{fs::FileExt, net::UnixStream},
    },
};

use lumen_ipc_runtime::shm::SharedMemory;
use wayland_client::{
    Connection, EventQueue, QueueHandle,
    backend::WaylandError,
    globals::{GlobalList, registry_queue_init},
    protocol::{
        wl_buffer::WlBuffer,
        wl_compositor::WlCompositor,
        wl_data_device::WlDataDevice,
        wl_data_device_manager::WlDataDeviceManager,
        wl_pointer::WlPointer,
        wl_seat::WlSeat,
        wl_shm::{Format, WlShm},
        wl_shm_pool::WlShmPool,
        wl_surface::WlSurface,
    },
};
use wayland_protocols::xdg::shell::client::{
    xdg_popup::XdgPopup,
    xdg_positioner::{Anchor, ConstraintAdjustment, Gravity},
    xdg_surface::XdgSurface,
    xdg_toplevel::XdgToplevel,
    xdg_wm_base::XdgWmBase,
};

pub(crate) use self::memory::{Event, Memory};
use super::rig::Rig;

/// An app.
pub(crate) struct App {
    pub(crate) connection: Connection,
    queue: EventQueue<Memory>,
    pub(crate) memory: Memory,
    pub(crate) globals: GlobalList,
    pub(crate) seat: WlSeat,
    pub(crate) pointer: WlPointer,
}

/// A window of an app.
pub(crate) struct Window {
    pub(crate) surface: WlSurface,
    pub(crate) xdg: XdgSurface,
    pub(crate) toplevel: XdgToplevel,
}

impl App {
    /// An app that has bound what it needs.
    pub(crate) fn start(rig: &mut Rig) -> Self {
        Self::start_with_seat(rig, 9)
    }

    /// An app that speaks no newer `wl_seat` than this.
    pub(crate) fn start_with_seat(rig: &mut Rig, version: u32) -> Self {
        let stream = rig.connect();
        Self::on(rig, stream, version)
    }

    /// An app at the end of a connection that is there already.
    pub(crate) fn start_at(rig: &mut Rig, stream: UnixStream) -> Self {
        Self::on(rig, stream, 9)
    }

    fn on(rig: &mut Rig, stream: UnixStream, version: u32) -> Self {
        let connection = Connection::from_socket(stream).expect("client");
        let (globals, mut queue) = with_turns(rig, || {
            registry_queue_init::<Memory>(&connection).expect("the list of globals")
        });
        let handle = queue.handle();
        let seat: WlSeat = globals.bind(&handle, 1..=version, ()).expect("wl_seat");
        let pointer = seat.get_pointer(&handle, ());
        seat.get_keyboard(&handle, ());
        let mut memory = Memory::default();
        queue.dispatch_pending(&mut memory).expect("dispatch");
        Self { connection, queue, memory, globals, seat, pointer }
    }

    pub(crate) fn handle(&self) -> QueueHandle<Memory> {
        self.queue.handle()
    }

    /// The interfaces of all globals.
    pub(crate) fn announced(&self) -> Vec<String> {
        let globals = self.globals.contents().clone_list();
        globals.into_iter().map(|global| global.interface).collect()
    }

    fn data_manager(&self) -> WlDataDeviceManager {
        self.globals.bind(&self.handle(), 1..=3, ()).expect("wl_data_device_manager")
    }

    /// What the app copies and pastes with.
    pub(crate) fn data_device(&self) -> WlDataDevice {
        self.data_manager().get_data_device(&self.seat, &self.handle(), ())
    }

    /// Puts something on the clipboard that it has under these names.
    pub(crate) fn copy(&self, device: &WlDataDevice, names: &[&str]) {
        let source = self.data_manager().create_data_source(&self.handle(), ());
        names.iter().for_each(|name| source.offer((*name).to_owned()));
        device.set_selection(Some(&source), 0);
    }

    pub(crate) fn compositor(&self) -> WlCompositor {
        self.globals.bind(&self.handle(), 1..=6, ()).expect("wl_compositor")
    }

    pub(crate) fn surface(&self) -> WlSurface {
        self.compositor().create_surface(&self.handle(), ())
    }

    fn wm_base(&self) -> XdgWmBase {
        self.globals.bind(&self.handle(), 1..=6, ()).expect("xdg_wm_base")
    }

    /// A toplevel that has asked to be configured.
    pub(crate) fn open(&self) -> Window {
        let window = self.unconfigured();
        window.surface.commit();
        window
    }

    /// A toplevel that has not asked to be configured.
    pub(crate) fn unconfigured(&self) -> Window {
        let (surface, handle) = (self.surface(), self.handle());
        let xdg = self.wm_base().get_xdg_surface(&surface, &handle, ());
        let toplevel = xdg.get_toplevel(&handle, ());
        Window { surface, xdg, toplevel }
    }

    /// A popup of `size` at the lower right corner of `anchor`, allowed to slide, which takes the
    /// pointer and the keyboard for the button that went down last.
    pub(crate) fn grabbing_popup(
        &self,
        parent: &Window,
        anchor: (i32, i32),
        size: (i32, i32),
    ) -> Popup {
        self.popup_grabbing_by(parent, anchor, size, self.memory.button_serial)
    }

    /// The same, for whatever has this serial.
    pub(crate) fn popup_grabbing_by(
        &self,
        parent: &Window,
        anchor: (i32, i32),
        size: (i32, i32),
        serial: u32,
    ) -> Popup {
        let (popup, surface) = self.placed_popup(parent, anchor, size);
        popup.grab(&self.seat, serial);
        surface.commit();
        Popup { surface, popup }
    }

    /// A popup of `size` at the lower right corner of `anchor`, allowed to slide.
    pub(crate) fn popup(&self, parent: &Window, anchor: (i32, i32), size: (i32, i32)) -> Popup {
        let (popup, surface) = self.placed_popup(parent, anchor, size);
        surface.commit();
        Popup { surface, popup }
    }

    /// Fills a popup with a color once the compositor has placed it, and waits for the frame.
    pub(crate) fn show_popup(
        &mut self,
        rig: &mut Rig,
        popup: &Popup,
        (width, height): (i32, i32),
        color: u32,
    ) {
        self.until(rig, |memory| {
            memory.events.iter().any(|event| matches!(event, Event::PopupConfigured { .. }))
        });
        let count = rig.frames.len();
        self.show(&popup.surface, &self.buffer(width, height, color));
        self.exchange();
        rig.frame_after(count);
    }

    fn placed_popup(
        &self,
        parent: &Window,
        anchor: (i32, i32),
        size: (i32, i32),
    ) -> (XdgPopup, WlSurface) {
        let (surface, handle) = (self.surface(), self.handle());
        let base = self.wm_base();
        let positioner = base.create_positioner(&handle, ());
        positioner.set_size(size.0, size.1);
        positioner.set_anchor_rect(anchor.0, anchor.1, 1, 1);
        positioner.set_anchor(Anchor::BottomRight);
        positioner.set_gravity(Gravity::BottomRight);
        positioner
            .set_constraint_adjustment(ConstraintAdjustment::SlideX | ConstraintAdjustment::SlideY);
        let xdg = base.get_xdg_surface(&surface, &handle, ());
        let popup = xdg.get_popup(Some(&parent.xdg), &positioner, &handle, ());
        (popup, surface)
    }

    /// A buffer of one color, 0xAARRGGBB.
    pub(crate) fn buffer(&self, width: i32, height: i32, color: u32) -> WlBuffer {
        self.buffer_of(Format::Argb8888, width, height, color)
    }

    /// A buffer of one color in a format of four bytes a pixel.
    pub(crate) fn buffer_of(
        &self,
        format: Format,
        width: i32,
        height: i32,
        color: u32,
    ) -> WlBuffer {
        let bytes = (width * height * 4) as usize;
        self.pool(bytes, color).create_buffer(
            0,
            width,
            height,
            width * 4,
            format,
            &self.handle(),
            (),
        )
    }

    /// A buffer of the first of two colors, with one pixel of the second at `spot`.
    pub(crate) fn spotted(
        &self,
        width: i32,
        height: i32,
        (ground, color): (u32, u32),
        spot: (i32, i32),
    ) -> WlBuffer {
        let mut pixels = vec![ground; (width * height) as usize];
        pixels[(spot.1 * width + spot.0) as usize] = color;
        let pool = self.pool_of(&pixels);
        pool.create_buffer(0, width, height, width * 4, Format::Argb8888, &self.handle(), ())
    }

    /// A pool of pixels of one color, 0xAARRGGBB.
    pub(crate) fn pool(&self, bytes: usize, color: u32) -> WlShmPool {
        self.pool_of(&vec![color; bytes / 4])
    }

    fn pool_of(&self, pixels: &[u32]) -> WlShmPool {
        let bytes = pixels.len() * 4;
        let contents: Vec<u8> = pixels.iter().flat_map(|pixel| pixel.to_le_bytes()).collect();
        let memory = SharedMemory::create("app", bytes).expect("memory");
        memory.write(0, &contents).expect("in bounds");
        let shm: WlShm = self.globals.bind(&self.handle(), 1..=1, ()).expect("wl_shm");
        shm.create_pool(memory.descriptor(), bytes as i32, &self.handle(), ())
    }

    /// A buffer in a file that the app can cut short.
    pub(crate) fn buffer_in(&self, file: &File, width: i32, height: i32) -> WlBuffer {
        let bytes = width * height * 4;
        file.set_len(bytes as u64).expect("room");
        file.write_all_at(&[0x55; 64], 0).expect("room");
        let shm: WlShm = self.globals.bind(&self.handle(), 1..=1, ()).expect("wl_shm");
        let pool = shm.create_pool(file.as_fd(), bytes, &self.handle(), ());
        pool.create_buffer(0, width, height, width * 4, Format::Xrgb8888, &self.handle(), ())
    }

    /// Shows a buffer, all of it damaged, and asks to be called back.
    pub(crate) fn show(&self, surface: &WlSurface, buffer: &WlBuffer) {
        surface.attach(Some(buffer), 0, 0);
        surface.damage_buffer(0, 0, i32::MAX, i32::MAX);
        surface.frame(&self.handle(), ());
        surface.commit();
    }

    /// Sends what was asked, and takes what has come. Says whether the connection lives.
    pub(crate) fn exchange(&mut self) -> bool {
        // What a full socket has no room for is sent by the next exchange.
        let full = |error: &WaylandError| matches!(error, WaylandError::Io(error) if error.kind() == ErrorKind::WouldBlock);
        let sent = self.connection.flush().as_ref().err().is_none_or(full);
        if let Some(guard) = self.queue.prepare_read() {
            // Nothing there is no error worth a test's while.
            let _ = guard.read();
        }
        sent && self.queue.dispatch_pending(&mut self.memory).is_ok()
            && self.connection.protocol_error().is_none()
    }

    /// Turns until this app was told `event`.
    pub(crate) fn until_told(&mut self, rig: &mut Rig, event: &Event) {
        self.until(rig, |memory| memory.events.contains(event));
    }

    pub(crate) fn until(&mut self, rig: &mut Rig, mut condition: impl FnMut(&Memory) -> bool) {
        let mut seen = Vec::new();
        rig.until(|_| {
            let alive = self.exchange();
            seen.clone_from(&self.memory.events);
            assert!(alive, "disconnected after {seen:?}");
            condition(&self.memory)
        });
    }

    pub(crate) fn count(&self, event: &Event) -> usize {
        self.memory.events.iter().filter(|one| *one == event).count()
    }
}

/// A popup of an app.
pub(crate) struct Popup {
    pub(crate) surface: WlSurface,
    pub(crate) popup: XdgPopup,
}

/// Runs a call of the client library that blocks for the compositor, which turns meanwhile.
fn with_turns<T: Send>(rig: &mut Rig, call: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let task = scope.spawn(call);
        rig.until(|_| task.is_finished());
        task.join().expect("the call returns")
    })
}
