//! The window: Wayland objects, the event loop, and the log of what happens.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Write},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use lumen_tests::{
    app::Show,
    app_event::AppEvent,
    picture::{Colour, Picture, colour_of_key},
    step::FLASH,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use wayland_client::{
    Connection, EventQueue, QueueHandle,
    backend::WaylandError,
    globals::{GlobalList, registry_queue_init},
    protocol::{
        wl_compositor::WlCompositor,
        wl_pointer::WlPointer,
        wl_seat::WlSeat,
        wl_shm::{Format, WlShm},
        wl_surface::WlSurface,
    },
};
use wayland_protocols::{
    wp::{
        cursor_shape::v1::client::{
            wp_cursor_shape_device_v1::{Shape, WpCursorShapeDeviceV1},
            wp_cursor_shape_manager_v1::WpCursorShapeManagerV1,
        },
        fractional_scale::v1::client::wp_fractional_scale_manager_v1::WpFractionalScaleManagerV1,
        viewporter::client::{wp_viewport::WpViewport, wp_viewporter::WpViewporter},
    },
    xdg::shell::client::xdg_wm_base::XdgWmBase,
};

use crate::{
    Options,
    animation::Animation,
    flashes::{self, Flashes},
    shared_pixels::{SharedPixels, Slot},
};

mod events;

/// Size when the compositor leaves it to the app.
const OWN_SIZE: (u32, u32) = (640, 480);
/// Side of the app's own cursor picture, used where the compositor knows no cursor names.
const CURSOR_SIDE: usize = 16;
/// Its colour.
const CURSOR_COLOUR: Colour = Colour::new(255, 0, 255);

/// The app's window and its connection.
pub(crate) struct Window {
    connection: Connection,
    queue: EventQueue<State>,
    state: State,
}

/// The state that events change.
pub(crate) struct State {
    queue: QueueHandle<Self>,
    log: File,
    surface: WlSurface,
    shm: WlShm,
    pixels: Option<SharedPixels>,
    cursor: Cursor,
    animation: Animation,
    flashes: Option<Flashes>,
    interval: Duration,
    format: Format,
    /// The next frame of a moving picture is not drawn before this.
    due: Instant,
    pace: Pace,
    /// Size named by the last toplevel configure, until the surface configure that applies it.
    pending_size: (u32, u32),
    fineness: Fineness,
    /// The size and scale of `pixels`.
    drawn: ((u32, u32), u32),
    scroll: events::PointerFrame,
    generation: u32,
    /// A frame is due that could not be drawn, because the compositor still read every buffer.
    owed: bool,
    closed: bool,
}

/// When the next frame of a moving picture may be drawn.
enum Pace {
    /// Once the compositor has shown the last one.
    Shown,
    /// As soon as it is due.
    Due,
}

/// The scale at which the window is drawn.
struct Fineness {
    /// Buffer pixels for 120 surface pixels, as the compositor prefers.
    parts: u32,
    /// Tells the compositor; `None` if it has no fractional scale, and one buffer pixel is one
    /// surface pixel.
    viewport: Option<WpViewport>,
}

/// How the app makes its cursor recognisable.
enum Cursor {
    Named(WpCursorShapeManagerV1),
    Picture { surface: WlSurface, pixels: SharedPixels },
}

impl Window {
    pub(crate) fn open(options: &Options) -> Result<Self> {
        let log = OpenOptions::new().create(true).append(true).open(&options.log);
        let log = log.with_context(|| format!("opening {}", options.log.display()))?;
        let connection = Connection::connect_to_env().context("connecting to the compositor")?;
        let (globals, events) = registry_queue_init::<State>(&connection)?;
        let queue = events.handle();
        let state = State::new(options, &globals, &queue, log)?;
        Ok(Self { connection, queue: events, state })
    }

    pub(crate) fn log(&mut self, event: &AppEvent) -> Result<()> {
        self.state.log(event)
    }

    /// Serves the window until it is closed or the compositor is gone.
    pub(crate) fn run(&mut self) -> Result<()> {
        while !self.state.closed {
            self.state.draw_if_due()?;
            self.state.flash_if_due()?;
            if let Err(error) = self.turn() {
                self.state.log(&AppEvent::Disconnected)?;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Waits for events, at most until the next frame is due, and handles them.
    fn turn(&mut self) -> Result<()> {
        self.queue.flush()?;
        if let Some(guard) = self.queue.prepare_read() {
            let orders = self.state.flashes.as_ref().map(Flashes::descriptor);
            let mut wanted: Vec<_> = [guard.connection_fd()]
                .into_iter()
                .chain(orders)
                .map(|descriptor| PollFd::new(descriptor, PollFlags::POLLIN))
                .collect();
            // A signal counts as a wake-up without events.
            let ready = poll(&mut wanted, self.state.patience()?).unwrap_or(0);
            if ready > 0 {
                match guard.read() {
                    // Less than a whole message so far.
                    Err(WaylandError::Io(error)) if error.kind() == ErrorKind::WouldBlock => {}
                    outcome => drop(outcome?),
                }
            }
        }
        self.queue.dispatch_pending(&mut self.state)?;
        if let Some(error) = self.connection.protocol_error() {
            anyhow::bail!("protocol error: {error}");
        }
        Ok(())
    }
}

impl State {
    fn new(
        options: &Options,
        globals: &GlobalList,
        queue: &QueueHandle<Self>,
        log: File,
    ) -> Result<Self> {
        let compositor: WlCompositor = globals.bind(queue, 4..=6, ())?;
        let shm: WlShm = globals.bind(queue, 1..=1, ())?;
        let shell: XdgWmBase = globals.bind(queue, 1..=6, ())?;
        let _seat: WlSeat = globals.bind(queue, 5..=9, ())?;
        let surface = compositor.create_surface(queue, ());
        let toplevel = shell.get_xdg_surface(&surface, queue, ()).get_toplevel(queue, ());
        toplevel.set_title("Lumen test app".to_owned());
        toplevel.set_app_id("lumen-test-app".to_owned());
        let fineness = Fineness::new(globals, queue, &surface);
        surface.commit();
        Ok(Self {
            queue: queue.clone(),
            log,
            cursor: Cursor::new(globals, queue, &compositor, &shm)?,
            surface,
            shm,
            pixels: None,
            animation: Animation::of(options.show),
            flashes: (options.show == Show::Flash).then(Flashes::new).transpose()?,
            interval: options.frame_interval,
            format: options.format,
            due: Instant::now(),
            pace: Pace::Due,
            pending_size: OWN_SIZE,
            fineness,
            drawn: ((0, 0), 0),
            scroll: events::PointerFrame::default(),
            generation: 0,
            owed: false,
            closed: false,
        })
    }

    /// Appends one line in one write, so that a reader never sees half of it.
    fn log(&mut self, event: &AppEvent) -> Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.log.write_all(&line).context("writing the log")
    }

    /// As [`State::log`], for event handlers, which cannot fail: without its log the app is
    /// useless, so it closes.
    fn note(&mut self, event: &AppEvent) {
        if self.log(event).is_err() {
            self.closed = true;
        }
    }

    /// How long to wait for events.
    fn patience(&self) -> Result<PollTimeout> {
        let wait = match (&self.flashes, &self.pace) {
            (Some(flashes), _) => flashes.wait()?,
            (None, Pace::Due) if self.animation.moves() => {
                Some(self.due.saturating_duration_since(Instant::now()))
            }
            _ => None,
        };
        // Rounded up: waking a little early would only spin.
        let rounded = wait.map(|wait| wait + Duration::from_millis(1));
        let timeout = rounded.map(|wait| PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX));
        Ok(timeout.unwrap_or(PollTimeout::NONE))
    }

    /// Flashes, or ends a flash.
    fn flash_if_due(&mut self) -> Result<()> {
        let Some(flashes) = &mut self.flashes else { return Ok(()) };
        flashes.read()?;
        let Some((meant, colour)) = flashes.take()? else { return Ok(()) };
        self.animation.fill(colour);
        self.draw()?;
        if colour != FLASH {
            return Ok(());
        }
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let (meant_micros, committed_micros) = (micros(meant), micros(flashes::now()?));
        self.log(&AppEvent::Flashed { meant_micros, committed_micros })
    }

    fn draw_if_due(&mut self) -> Result<()> {
        match self.pace {
            Pace::Due if self.animation.moves() && self.due <= Instant::now() => self.draw(),
            _ => Ok(()),
        }
    }

    /// Applies the size of the last configure, if it is new, and draws.
    fn apply_size(&mut self) -> Result<()> {
        let (width, height) = self.pending_size;
        let wanted = (self.pending_size, self.fineness.parts);
        if self.drawn == wanted {
            return Ok(());
        }
        self.drawn = wanted;
        let size = self.fineness.apply(width, height);
        self.generation += 1;
        let (shm, queue) = (&self.shm, &self.queue);
        self.pixels = Some(SharedPixels::new(shm, queue, self.format, size, self.generation)?);
        self.animation.restart();
        self.draw()?;
        self.log(&AppEvent::Sized { width, height })
    }

    fn fill(&mut self, code: u32) -> Result<()> {
        let colour = colour_of_key(code);
        self.animation.fill(colour);
        self.draw()?;
        self.log(&AppEvent::Filled { colour })
    }

    /// Draws the next frame; without a free buffer, as soon as one is released.
    fn draw(&mut self) -> Result<()> {
        let Some(pixels) = &mut self.pixels else { return Ok(()) };
        self.pace = Pace::Shown;
        // Drawing time does not add to the interval, and a late frame does not make the next one
        // late.
        self.due = (self.due + self.interval).max(Instant::now());
        let free = pixels.free();
        self.owed = free.is_none();
        let Some(slot) = free else { return Ok(()) };
        let (x, y, width, height) = self.animation.draw(pixels, slot)?;
        self.surface.attach(pixels.take(slot), 0, 0);
        self.surface.damage_buffer(x, y, width, height);
        self.surface.frame(&self.queue, ());
        self.surface.commit();
        Ok(())
    }

    /// The compositor showed the last frame.
    const fn shown(&mut self) {
        self.pace = Pace::Due;
    }

    fn released(&mut self, slot: Slot) -> Result<()> {
        if let Some(pixels) = &mut self.pixels {
            pixels.release(slot);
        }
        if self.owed { self.draw() } else { Ok(()) }
    }
}

impl Fineness {
    fn new(globals: &GlobalList, queue: &QueueHandle<State>, surface: &WlSurface) -> Self {
        let scales = globals.bind::<WpFractionalScaleManagerV1, _, _>(queue, 1..=1, ());
        let viewporter = globals.bind::<WpViewporter, _, _>(queue, 1..=1, ());
        let viewport = scales.ok().zip(viewporter.ok()).map(|(scales, viewporter)| {
            scales.get_fractional_scale(surface, queue, ());
            viewporter.get_viewport(surface, queue, ())
        });
        Self { parts: 120, viewport }
    }

    /// The size of a buffer for a window of `width` × `height`; tells the compositor.
    fn apply(&self, width: u32, height: u32) -> (usize, usize) {
        let Some(viewport) = &self.viewport else { return (width as usize, height as usize) };
        viewport.set_destination(width as i32, height as i32);
        // Rounded half up, as wp_fractional_scale_v1 requires.
        let pixels = |side: u32| ((side * self.parts * 2 + 120) / 240) as usize;
        (pixels(width), pixels(height))
    }
}

impl Cursor {
    fn new(
        globals: &GlobalList,
        queue: &QueueHandle<State>,
        compositor: &WlCompositor,
        shm: &WlShm,
    ) -> Result<Self> {
        if let Ok(manager) = globals.bind(queue, 1..=1, ()) {
            return Ok(Self::Named(manager));
        }
        let surface = compositor.create_surface(queue, ());
        let size = (CURSOR_SIDE, CURSOR_SIDE);
        let pixels = SharedPixels::new(shm, queue, Format::Xrgb8888, size, u32::MAX)?;
        Ok(Self::Picture { surface, pixels })
    }

    /// Shows the app's cursor after the pointer entered with `serial`.
    fn show(&mut self, pointer: &WlPointer, serial: u32, queue: &QueueHandle<State>) -> Result<()> {
        match self {
            Self::Named(manager) => {
                let device: WpCursorShapeDeviceV1 = manager.get_pointer(pointer, queue, ());
                device.set_shape(serial, Shape::Crosshair);
                device.destroy();
            }
            Self::Picture { surface, pixels } => {
                if let Some(slot) = pixels.free() {
                    let picture = Picture::filled(CURSOR_SIDE, CURSOR_SIDE, CURSOR_COLOUR);
                    pixels.write(slot, &picture, 0)?;
                    surface.attach(pixels.take(slot), 0, 0);
                    surface.damage_buffer(0, 0, CURSOR_SIDE as i32, CURSOR_SIDE as i32);
                    surface.commit();
                }
                pointer.set_cursor(serial, Some(surface), 0, 0);
            }
        }
        Ok(())
    }
}
