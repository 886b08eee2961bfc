//! Panels that appear and disappear.

use wayland_client::{
    Connection, Dispatch, QueueHandle, delegate_noop,
    protocol::{wl_output::WlOutput, wl_surface::WlSurface},
};
use wayland_protocols_wlr::layer_shell::v1::client::{
    zwlr_layer_shell_v1::{Layer, ZwlrLayerShellV1},
    zwlr_layer_surface_v1::{self, Anchor, ZwlrLayerSurfaceV1},
};

use crate::{
    GREEN, RED,
    app::{App, Event, Memory},
    rig::rig_past_its_first_frame as rig,
};

impl Dispatch<ZwlrLayerSurfaceV1, ()> for Memory {
    fn event(
        memory: &mut Self,
        layer: &ZwlrLayerSurfaceV1,
        event: zwlr_layer_surface_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let zwlr_layer_surface_v1::Event::Configure { serial, width, height } = event {
            layer.ack_configure(serial);
            memory.events.push(Event::LayerConfigured { width, height });
        }
    }
}

/// A panel of 40 pixels along the top that has asked to be configured.
fn panel(app: &App) -> WlSurface {
    let (surface, handle) = (app.surface(), app.handle());
    let shell: ZwlrLayerShellV1 = app.globals.bind(&handle, 1..=4, ()).expect("layer shell");
    let no_output = None::<&WlOutput>;
    let layer =
        shell.get_layer_surface(&surface, no_output, Layer::Top, "panel".into(), &handle, ());
    layer.set_anchor(Anchor::Top | Anchor::Left | Anchor::Right);
    layer.set_size(0, 40);
    surface.commit();
    surface
}

#[test]
fn panel_that_took_its_content_away_is_configured_and_shown_again() {
    let mut rig = rig();
    let mut app = App::start(&mut rig);
    let surface = panel(&app);
    let configured = Event::LayerConfigured { width: 640, height: 40 };
    app.until_told(&mut rig, &configured);
    let count = rig.frames.len();
    app.show(&surface, &app.buffer(640, 40, RED));
    app.exchange();
    rig.frame_after(count);
    rig.release();
    assert_eq!(rig.pixel(320, 20), 0xff0000);

    // The frame without the panel may come before or after the configure event.
    let mut count = rig.frames.len();
    surface.attach(None, 0, 0);
    for _ in 0..3 {
        surface.commit();
    }
    app.until(&mut rig, |memory| {
        memory.events.iter().filter(|event| **event == configured).count() == 2
    });
    app.show(&surface, &app.buffer(640, 40, GREEN));
    rig.until(|rig| {
        app.exchange();
        if rig.frames.len() > count {
            count = rig.frames.len();
            rig.release();
        }
        rig.pixel(320, 20) == 0x00ff00
    });
    assert_eq!(app.count(&configured), 2, "asked once, told once");
}

delegate_noop!(Memory: ZwlrLayerShellV1);
