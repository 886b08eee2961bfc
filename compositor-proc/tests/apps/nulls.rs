//! Apps that send null where a string must be, which Wayland's usual libraries cannot.

use std::{io::Write, os::unix::net::UnixStream};

use wayland_client::{Proxy, protocol::wl_shm::WlShm};

use crate::{
    GREEN, RED,
    app::App,
    floods::{Desktop, assert_serves_others},
};

/// `wl_display.error.invalid_method`.
const INVALID_METHOD: u32 = 1;

/// An app with a window, and another end of its connection, to which what no library says can be written.
struct Raw {
    app: App,
    stream: UnixStream,
}

impl Raw {
    fn start(desktop: &mut Desktop) -> Self {
        let stream = desktop.rig.connect();
        let raw = stream.try_clone().expect("a descriptor");
        Self { app: App::start_at(&mut desktop.rig, stream), stream: raw }
    }

    /// Sends a request with these words as arguments.
    fn say(&mut self, object: u32, number: u32, words: &[u32]) {
        self.app.connection.flush().expect("room");
        let size = 8 + 4 * u32::try_from(words.len()).expect("few words");
        let words = [&[object, size << 16 | number], words].concat();
        let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
        self.stream.write_all(&bytes).expect("room");
    }

    /// Asserts that the app is disconnected for this, and that another is served.
    fn assert_refused(mut self, desktop: &mut Desktop, why: &str) {
        desktop.until(&mut self.app, |_, alive| !alive);
        let error = self.app.connection.protocol_error().expect("a protocol error");
        assert_eq!((error.code, error.object_id), (INVALID_METHOD, 1), "{error}");
        assert!(error.message.contains(why), "{error}");
        assert_serves_others(desktop);
    }
}

#[test]
fn title_and_app_id_that_are_null_disconnect_the_app_alone() {
    for number in [2, 3] {
        let mut desktop = Desktop::new();
        let mut raw = Raw::start(&mut desktop);
        let toplevel = raw.app.open().toplevel.id().protocol_id();
        raw.say(toplevel, number, &[0]);
        raw.assert_refused(&mut desktop, "null where none may be");
    }
}

#[test]
fn global_without_a_name_disconnects_the_app_alone() {
    let mut desktop = Desktop::new();
    let mut raw = Raw::start(&mut desktop);
    let registry = raw.app.globals.registry().id().protocol_id();
    raw.say(registry, 0, &[1, 0, 1, 100]);
    raw.assert_refused(&mut desktop, "null where none may be");
}

#[test]
fn null_behind_a_request_that_waits_for_its_descriptor_disconnects_the_app_alone() {
    let mut desktop = Desktop::new();
    let mut raw = Raw::start(&mut desktop);
    let shm: WlShm = raw.app.globals.bind(&raw.app.handle(), 1..=1, ()).expect("wl_shm");
    let toplevel = raw.app.open().toplevel.id().protocol_id();
    raw.say(shm.id().protocol_id(), 0, &[100, 4096]);
    raw.say(toplevel, 2, &[0]);
    raw.assert_refused(&mut desktop, "lacks arguments or a descriptor");
}

#[test]
fn requests_that_only_look_like_a_null_title_are_carried_out() {
    let mut desktop = Desktop::new();
    let mut app = App::start(&mut desktop.rig);
    let window = app.open();
    app.show(&window.surface, &app.buffer(640, 480, RED));
    desktop.until(&mut app, |desktop, _| desktop.rig.pixel(0, 0) == 0xff0000);
    // `wl_surface.damage` has the number of `set_title`, and its first argument is 0.
    let green = app.buffer(640, 480, GREEN);
    window.surface.attach(Some(&green), 0, 0);
    window.surface.damage(0, 0, 640, 480);
    window.surface.commit();
    desktop.until(&mut app, |desktop, alive| {
        assert!(alive, "the app is disconnected");
        desktop.rig.pixel(0, 0) == 0x00ff00
    });
}
