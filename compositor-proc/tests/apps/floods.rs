//! Apps that ask for too much: each is disconnected with a protocol error, and other apps are not affected.

use std::time::{Duration, Instant};

use lumen_compositor::{client::bound_of, handlers::MAX_TOKENS};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use wayland_client::{
    Connection, Dispatch, Proxy, QueueHandle, delegate_noop,
    protocol::{
        wl_region::WlRegion,
        wl_registry::WlRegistry,
        wl_shm::{Format, WlShm},
        wl_subcompositor::WlSubcompositor,
        wl_subsurface::WlSubsurface,
        wl_surface::WlSurface,
    },
};
use wayland_protocols::xdg::{
    activation::v1::client::{
        xdg_activation_token_v1::{self, XdgActivationTokenV1},
        xdg_activation_v1::XdgActivationV1,
    },
    shell::client::xdg_wm_base::XdgWmBase,
};

use crate::{
    GREEN,
    app::{App, Event, Memory},
    red_window,
    rig::{PATIENCE, Rig, rig_past_its_first_frame as rig},
};

/// `wl_display.error.no_memory`.
pub(crate) const NO_MEMORY: u32 = 2;
/// Requests between two turns of the compositor. They fit into a socket's buffer.
pub(crate) const BATCH: usize = 100;

/// A desktop whose frames are released as soon as they arrive.
pub(crate) struct Desktop {
    pub(crate) rig: Rig,
    released: usize,
}

impl Desktop {
    pub(crate) fn new() -> Self {
        let rig = rig();
        Self { released: rig.frames.len(), rig }
    }

    /// Runs one turn of both sides. Returns whether the app is still connected.
    pub(crate) fn turn(&mut self, app: &mut App) -> bool {
        app.exchange();
        // The app's answers are sent at the beginning of a turn.
        (0..2).for_each(|_| self.rig.turn(Duration::ZERO));
        if self.rig.frames.len() > self.released {
            self.released = self.rig.frames.len();
            self.rig.release();
        }
        // The app sends nothing now: a write to a closed socket would hide the protocol error.
        app.exchange()
    }

    /// Turns until `condition` holds of the desktop and whether the app is connected.
    pub(crate) fn until(&mut self, app: &mut App, condition: impl Fn(&Self, bool) -> bool) {
        let end = Instant::now() + PATIENCE;
        loop {
            let alive = self.turn(app);
            if condition(self, alive) {
                return;
            }
            assert!(Instant::now() < end, "the condition never holds");
        }
    }
}

/// Calls `make` until the app is disconnected, and returns how often.
pub(crate) fn flood(
    desktop: &mut Desktop,
    app: &mut App,
    most: usize,
    mut make: impl FnMut(&App),
) -> usize {
    for made in 1..=most {
        make(app);
        if made % BATCH == 0 && !desktop.turn(app) {
            return made;
        }
    }
    desktop.until(app, |_, alive| !alive);
    most
}

/// Asserts that another app is served as usual.
pub(crate) fn assert_serves_others(desktop: &mut Desktop) {
    let mut app = App::start(&mut desktop.rig);
    let window = app.open();
    let configured = Event::Configured { width: 640, height: 480, maximized: true };
    app.until_told(&mut desktop.rig, &configured);
    app.show(&window.surface, &app.buffer(640, 480, GREEN));
    desktop.until(&mut app, |desktop, alive| {
        assert!(alive, "another app is disconnected, too");
        desktop.rig.pixel(320, 240) == 0x00ff00
    });
}

/// Asserts that an app that makes more than `bound_of(kind)` is disconnected with an error that says so.
pub(crate) fn assert_bounded(kind: &str, prepare: impl FnOnce(&App) -> Box<dyn FnMut(&App)>) {
    let mut desktop = Desktop::new();
    let mut app = App::start(&mut desktop.rig);
    let make = prepare(&app);
    let bound = bound_of(kind);
    let made = flood(&mut desktop, &mut app, bound + BATCH, make);
    assert!(made + 2 * BATCH >= bound, "{kind}: disconnected after {made} of {bound}");
    let error = app.connection.protocol_error().expect("a protocol error");
    assert_eq!((error.code, error.object_id), (NO_MEMORY, 1), "{kind}: {error}");
    assert!(error.message.contains(kind), "{kind}: {error}");
    assert_serves_others(&mut desktop);
}

#[test]
fn app_of_too_many_surfaces_is_disconnected_alone() {
    assert_bounded("wl_surface", |app| {
        let compositor = app.compositor();
        Box::new(move |app| drop(compositor.create_surface(&app.handle(), ())))
    });
}

#[test]
fn app_of_too_many_regions_is_disconnected_alone() {
    assert_bounded("wl_region", |app| {
        let compositor = app.compositor();
        Box::new(move |app| drop(compositor.create_region(&app.handle(), ())))
    });
}

#[test]
fn app_of_too_many_buffers_is_disconnected_alone() {
    assert_bounded("wl_buffer", |app| {
        let pool = app.pool(64, GREEN);
        Box::new(move |app| {
            pool.create_buffer(0, 4, 4, 16, Format::Argb8888, &app.handle(), ());
        })
    });
}

#[test]
fn app_of_too_many_callbacks_is_disconnected_alone() {
    assert_bounded("wl_callback", |app| {
        let surface = app.surface();
        Box::new(move |app| drop(surface.frame(&app.handle(), ())))
    });
}

#[test]
fn app_of_too_many_positioners_is_disconnected_alone() {
    assert_bounded("xdg_positioner", |app| {
        let base: XdgWmBase = app.globals.bind(&app.handle(), 1..=6, ()).expect("xdg_wm_base");
        Box::new(move |app| drop(base.create_positioner(&app.handle(), ())))
    });
}

#[test]
fn app_of_too_many_popups_is_disconnected_alone() {
    assert_bounded("xdg_popup", |app| {
        let window = app.open();
        Box::new(move |app| drop(app.popup(&window, (10, 10), (20, 20))))
    });
}

#[test]
fn app_of_too_many_subsurfaces_is_disconnected_alone() {
    assert_bounded("wl_subsurface", |app| {
        let (parent, parts) = (app.surface(), subcompositor(app));
        Box::new(move |app| {
            parts.get_subsurface(&app.surface(), &parent, &app.handle(), ());
        })
    });
}

#[test]
fn app_that_binds_one_global_too_often_is_disconnected_alone() {
    assert_bounded("wl_compositor", |_| Box::new(|app| drop(app.compositor())));
}

#[test]
fn app_of_too_many_files_is_disconnected_alone_though_it_destroys_their_pools() {
    // Each takes a descriptor here, too, and a test process may have a lower limit than the compositor.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, most.min(4096), most).expect("allowed");
    assert_bounded_files();
}

fn assert_bounded_files() {
    let mut desktop = Desktop::new();
    let mut app = App::start(&mut desktop.rig);
    let bound = bound_of("wl_shm_pool");
    let made = flood(&mut desktop, &mut app, bound + BATCH, |app| {
        let pool = app.pool(64, GREEN);
        pool.create_buffer(0, 4, 4, 16, Format::Argb8888, &app.handle(), ());
        pool.destroy();
    });
    assert!(made + 2 * BATCH >= bound, "disconnected after {made} of {bound}");
    let error = app.connection.protocol_error().expect("a protocol error");
    assert_eq!(error.code, NO_MEMORY, "{error}");
    assert_serves_others(&mut desktop);
}

#[test]
fn app_of_too_many_registries_is_disconnected_alone() {
    let mut desktop = Desktop::new();
    let mut app = App::start(&mut desktop.rig);
    // Registries are counted after as many requests as there are objects.
    flood(&mut desktop, &mut app, 2 * bound_of("wl_registry") + BATCH, |app| {
        app.connection.display().get_registry(&app.handle(), ());
    });
    let error = app.connection.protocol_error().expect("a protocol error");
    assert_eq!(error.code, NO_MEMORY, "{error}");
    assert_serves_others(&mut desktop);
}

#[test]
fn app_that_asks_for_the_globals_all_day_is_served() {
    let mut desktop = Desktop::new();
    let mut app = App::start(&mut desktop.rig);
    for index in 0..5000 {
        // Drivers do this for each new size of a window. Neither object can be destroyed.
        app.connection.display().get_registry(&app.handle(), ());
        let _: WlShm = app.globals.bind(&app.handle(), 1..=1, ()).expect("wl_shm");
        if index % BATCH == 0 {
            assert!(desktop.turn(&mut app), "{:?}", app.connection.protocol_error());
        }
    }
    assert_serves_others(&mut desktop);
    assert!(desktop.turn(&mut app), "{:?}", app.connection.protocol_error());
}

#[test]
fn app_whose_surfaces_go_while_they_wait_for_callbacks_is_served() {
    let mut desktop = Desktop::new();
    let mut app = App::start(&mut desktop.rig);
    let compositor = app.compositor();
    for index in 0..=bound_of("wl_callback") {
        // A menu that is closed before it is shown; every other one even before its commit.
        let surface = compositor.create_surface(&app.handle(), ());
        surface.frame(&app.handle(), ());
        if index % 2 == 0 {
            surface.commit();
        }
        surface.destroy();
        if index % BATCH == 0 {
            assert!(desktop.turn(&mut app), "{:?}", app.connection.protocol_error());
        }
    }
    assert_serves_others(&mut desktop);
    assert!(desktop.turn(&mut app), "{:?}", app.connection.protocol_error());
}

#[test]
fn tokens_that_nobody_uses_are_not_kept_without_end() {
    let mut rig = rig();
    let (mut app, _window) = red_window(&mut rig);
    app.until_told(&mut rig, &Event::KeyboardEntered);
    let activation: XdgActivationV1 =
        app.globals.bind(&app.handle(), 1..=1, ()).expect("xdg_activation_v1");
    let ask = |app: &App| {
        let token = activation.get_activation_token(&app.handle(), ());
        token.set_serial(app.memory.focus_serial, &app.seat);
        token.commit();
    };
    let kept = |rig: &mut Rig| {
        let protocols = &rig.shell.compositor().state.protocols;
        protocols.activation.tokens().count()
    };
    ask(&app);
    app.until(&mut rig, |memory| memory.tokens == 1);
    assert_eq!(kept(&mut rig), 1, "it works");
    (0..2 * MAX_TOKENS).for_each(|_| ask(&app));
    app.until(&mut rig, |memory| memory.tokens == 1 + 2 * MAX_TOKENS);
    assert!(kept(&mut rig) <= MAX_TOKENS);
}

#[test]
fn app_that_makes_and_destroys_more_than_it_may_have_at_once_is_served() {
    let mut desktop = Desktop::new();
    let mut app = App::start(&mut desktop.rig);
    let (compositor, pool) = (app.compositor(), app.pool(64, GREEN));
    for index in 0..2 * bound_of("wl_buffer") {
        pool.create_buffer(0, 4, 4, 16, Format::Argb8888, &app.handle(), ()).destroy();
        compositor.create_region(&app.handle(), ()).destroy();
        if index % BATCH == 0 {
            assert!(desktop.turn(&mut app), "{:?}", app.connection.protocol_error());
        }
    }
    assert_serves_others(&mut desktop);
}

#[test]
fn pool_resized_to_nothing_ends_its_app_alone() {
    for size in [0, -1, i32::MIN] {
        let mut desktop = Desktop::new();
        let mut app = App::start(&mut desktop.rig);
        app.pool(64, GREEN).resize(size);
        desktop.until(&mut app, |_, alive| !alive);
        assert!(app.connection.protocol_error().is_some(), "{size}");
        assert_serves_others(&mut desktop);
    }
}

#[test]
fn refused_buffer_ends_its_app_alone() {
    let mut desktop = Desktop::new();
    let mut app = App::start(&mut desktop.rig);
    // The buffer is larger than its pool.
    app.pool(64, GREEN).create_buffer(0, 400, 400, 1600, Format::Argb8888, &app.handle(), ());
    desktop.until(&mut app, |_, alive| !alive);
    assert!(app.connection.protocol_error().is_some());
    assert_serves_others(&mut desktop);
}

#[test]
fn subsurfaces_nested_as_deeply_as_may_be_are_drawn() {
    // Smithay recurses into the tree. The compositor's own thread has a stack of this size.
    const STACK_BYTES: usize = 8 << 20;
    let run = || {
        let mut desktop = Desktop::new();
        let mut app = App::start(&mut desktop.rig);
        let window = app.open();
        app.until_told(
            &mut desktop.rig,
            &Event::Configured { width: 640, height: 480, maximized: true },
        );
        let parts = subcompositor(&app);
        let mut chain: Vec<WlSurface> = vec![window.surface];
        for index in 1..bound_of("wl_subsurface") {
            let surface = app.surface();
            parts.get_subsurface(&surface, &chain[index - 1], &app.handle(), ()).set_desync();
            chain.push(surface);
            if index % BATCH == 0 {
                assert!(desktop.turn(&mut app));
            }
        }
        let buffer = app.buffer(640, 480, GREEN);
        for (index, surface) in chain.iter().enumerate().rev() {
            app.show(surface, &buffer);
            if index % BATCH == 0 {
                assert!(desktop.turn(&mut app));
            }
        }
        desktop.until(&mut app, |desktop, alive| {
            assert!(alive);
            desktop.rig.pixel(320, 240) == 0x00ff00
        });
    };
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run).expect("a thread");
    thread.join().expect("it is drawn");
}

pub(crate) fn subcompositor(app: &App) -> WlSubcompositor {
    app.globals.bind(&app.handle(), 1..=1, ()).expect("wl_subcompositor")
}

impl Dispatch<WlRegistry, ()> for Memory {
    fn event(
        _: &mut Self,
        _: &WlRegistry,
        _: <WlRegistry as Proxy>::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
    }
}

impl Dispatch<XdgActivationTokenV1, ()> for Memory {
    fn event(
        memory: &mut Self,
        _: &XdgActivationTokenV1,
        event: xdg_activation_token_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        memory.tokens += 1;
        if let xdg_activation_token_v1::Event::Done { token } = event {
            memory.token = token;
        }
    }
}

delegate_noop!(Memory: WlRegion);
delegate_noop!(Memory: XdgActivationV1);
delegate_noop!(Memory: WlSubcompositor);
delegate_noop!(Memory: WlSubsurface);
