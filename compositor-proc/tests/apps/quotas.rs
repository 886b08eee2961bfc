//! Bounds on what an app may accumulate in its objects, and on who may use the last descriptors.

use std::os::fd::AsFd;

use lumen_compositor::{
    client::{MAX_UNCLAIMED, bound_of},
    damage::MOST_RECTANGLES,
    render::scene,
};
use rustix::pipe::{PipeFlags, pipe_with};
use smithay::wayland::compositor::{SurfaceAttributes, with_states};
use wayland_client::protocol::{wl_output::WlOutput, wl_shm::Format, wl_surface::WlSurface};
use wayland_protocols_wlr::layer_shell::v1::client::zwlr_layer_shell_v1::{
    Layer, ZwlrLayerShellV1,
};

use crate::{
    GREEN, RED,
    app::{App, Event},
    floods::{
        BATCH, Desktop, NO_MEMORY, assert_bounded, assert_serves_others, flood, subcompositor,
    },
    red_window,
};

const CONFIGURED: Event = Event::Configured { width: 640, height: 480, maximized: true };

/// Asserts that an app that repeats `piles` is disconnected, that its error mentions `what`, and that other
/// apps go on.
fn assert_refused(what: &str, most: usize, prepare: impl FnOnce(&mut Desktop, &mut App) -> Piles) {
    let mut desktop = Desktop::new();
    let mut app = App::start(&mut desktop.rig);
    let piles = prepare(&mut desktop, &mut app);
    flood(&mut desktop, &mut app, most, piles);
    let error = app.connection.protocol_error().expect("a protocol error");
    assert_eq!((error.code, error.object_id), (NO_MEMORY, 1), "{error}");
    assert!(error.message.contains(what), "{error}");
    assert_serves_others(&mut desktop);
}

type Piles = Box<dyn FnMut(&App)>;

#[test]
fn app_of_too_many_windows_is_disconnected_alone() {
    assert_bounded("xdg_toplevel", |_| Box::new(|app| drop(app.unconfigured())));
}

#[test]
fn app_of_too_many_panels_is_disconnected_alone() {
    assert_bounded("zwlr_layer_surface_v1", |app| {
        let shell: ZwlrLayerShellV1 =
            app.globals.bind(&app.handle(), 1..=4, ()).expect("layer shell");
        Box::new(move |app| {
            let (surface, output, name) = (app.surface(), None::<&WlOutput>, "panel".to_owned());
            shell.get_layer_surface(&surface, output, Layer::Top, name, &app.handle(), ());
        })
    });
}

#[test]
fn region_of_too_many_rectangles_ends_its_app_alone() {
    assert_refused("rectangles in a region", 3000, |_, app| {
        let region = app.compositor().create_region(&app.handle(), ());
        let mut at = 0;
        Box::new(move |_| {
            at += 1;
            match at % 2 {
                0 => region.add(at, at, 1, 1),
                _ => region.subtract(at, at, 1, 1),
            }
        })
    });
}

#[test]
fn app_of_many_regions_with_some_rectangles_is_served() {
    let mut desktop = Desktop::new();
    let mut app = App::start(&mut desktop.rig);
    let compositor = app.compositor();
    for round in 0..2 * bound_of("wl_region") {
        let region = compositor.create_region(&app.handle(), ());
        (0..4).for_each(|at| region.add(at, at, 1, 1));
        region.destroy();
        if round % (BATCH / 6) == 0 {
            assert!(desktop.turn(&mut app), "{:?}", app.connection.protocol_error());
        }
    }
    assert_serves_others(&mut desktop);
}

#[test]
fn parts_that_wait_for_their_whole_without_end_end_their_app_alone() {
    assert_refused("commits that wait", 5000, |_, app| {
        let (parent, part) = (app.surface(), app.surface());
        subcompositor(app).get_subsurface(&part, &parent, &app.handle(), ());
        Box::new(move |_| part.commit())
    });
}

#[test]
fn parts_whose_whole_is_committed_now_and_then_are_served() {
    let mut desktop = Desktop::new();
    let mut app = App::start(&mut desktop.rig);
    let (parent, part) = (app.surface(), app.surface());
    subcompositor(&app).get_subsurface(&part, &parent, &app.handle(), ());
    for round in 0..5000 {
        part.commit();
        if round % BATCH == 0 {
            parent.commit();
            assert!(desktop.turn(&mut app), "{:?}", app.connection.protocol_error());
        }
    }
    assert_serves_others(&mut desktop);
}

#[test]
fn app_that_asks_for_configure_events_and_answers_none_is_disconnected_alone() {
    assert_refused("configure events", 5000, |desktop, app| {
        let window = app.open();
        app.until_told(&mut desktop.rig, &CONFIGURED);
        app.memory.answers_nothing = true;
        Box::new(move |_| window.toplevel.set_maximized())
    });
}

/// The number of damage rectangles of the first window that wait for its commit.
fn pending_damage(desktop: &mut Desktop) -> usize {
    let tree = &desktop.rig.shell.compositor().state.tree;
    let (id, _) = tree.windows.all().next().expect("a window");
    let surface = tree.surface_of_window(id).expect("a surface").clone();
    with_states(&surface, |states| {
        states.cached_state.get::<SurfaceAttributes>().pending().damage.len()
    })
}

#[test]
fn damage_without_end_is_kept_in_few_rectangles_and_all_of_it_drawn() {
    let mut desktop = Desktop::new();
    let mut app = App::start(&mut desktop.rig);
    let window = app.open();
    app.until_told(&mut desktop.rig, &CONFIGURED);
    app.show(&window.surface, &app.buffer_of(Format::Xrgb8888, 640, 480, RED));
    desktop.until(&mut app, |desktop, _| desktop.rig.pixel(320, 240) == 0xff0000);
    window.surface.attach(Some(&app.buffer_of(Format::Xrgb8888, 640, 480, GREEN)), 0, 0);
    for at in 0..20_000 {
        window.surface.damage_buffer(at % 640, (at / 640) * 15, 1, 15);
        if at % 100 == 0 {
            assert!(desktop.turn(&mut app), "{:?}", app.connection.protocol_error());
            assert!(pending_damage(&mut desktop) <= MOST_RECTANGLES + 1);
        }
    }
    window.surface.commit();
    desktop.until(&mut app, |desktop, _| {
        [(0, 0), (639, 0), (320, 240), (160, 479)]
            .iter()
            .all(|&(x, y)| desktop.rig.pixel(x, y) == 0x00ff00)
    });
}

#[test]
fn app_that_takes_the_last_descriptors_is_disconnected_alone() {
    let mut desktop = Desktop::new();
    let (mut modest, mut greedy) = (App::start(&mut desktop.rig), App::start(&mut desktop.rig));
    let _pools: Vec<_> = (0..40).map(|_| modest.pool(64, GREEN)).collect();
    assert!(desktop.turn(&mut modest));
    let used = std::fs::read_dir("/proc/self/fd").expect("a list").count();
    let reserve = i32::try_from(used + 150).expect("few");
    desktop.rig.shell.compositor().reserve_descriptors_from(reserve);
    flood(&mut desktop, &mut greedy, 700, |app| drop(app.pool(64, RED)));
    let error = greedy.connection.protocol_error().expect("a protocol error");
    assert!(error.message.contains("descriptors while few are left"), "{error}");
    assert!(desktop.turn(&mut modest), "another app is disconnected, too");
    assert_serves_others(&mut desktop);
}

#[test]
fn surfaces_in_front_of_each_other_cost_no_more_than_some_outputs_to_draw() {
    const PARTS: usize = 100;
    let mut desktop = Desktop::new();
    let mut app = App::start(&mut desktop.rig);
    let window = app.open();
    app.until_told(&mut desktop.rig, &CONFIGURED);
    let (parts, buffer) = (subcompositor(&app), app.buffer(640, 480, 0x1000_2000));
    let stacked: Vec<WlSurface> = (0..PARTS)
        .map(|_| {
            let part = app.surface();
            parts.get_subsurface(&part, &window.surface, &app.handle(), ()).set_desync();
            app.show(&part, &buffer);
            part
        })
        .collect();
    app.show(&window.surface, &buffer);
    desktop.until(&mut app, |desktop, alive| {
        assert!(alive);
        desktop.rig.pixel(320, 240) != 0x111419
    });
    let state = &desktop.rig.shell.compositor().state;
    let mut renderer = lumen_compositor::render::Cpu::new().expect("Pixman");
    let drawn = scene(&state.output, &state.tree, None, &mut renderer).elements.len();
    assert!((8..=16).contains(&drawn), "{drawn} of {}", stacked.len());
}

#[test]
fn app_that_pastes_again_and_again_is_served() {
    let mut desktop = Desktop::new();
    let (mut app, _window) = red_window(&mut desktop.rig);
    let device = app.data_device();
    app.copy(&device, &["text/plain"]);
    app.until(&mut desktop.rig, |memory| memory.selection.is_some());
    for round in 0..3 * MAX_UNCLAIMED {
        let (_read, write) = pipe_with(PipeFlags::CLOEXEC).expect("pipe");
        // Neither a name that is offered nor one that is not may keep a descriptor.
        let name = ["text/plain", "image/png"][round % 2];
        let offer = app.memory.selection.as_ref().expect("just seen");
        offer.receive(name.to_owned(), write.as_fd());
        assert!(desktop.turn(&mut app), "{:?}", app.connection.protocol_error());
    }
    assert_serves_others(&mut desktop);
}
