//! What a frame costs to draw, against the least Pixman can do: one call that copies a frame of
//! shared memory into another, measured in the same run on the same machine.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

#[path = "../tests/apps/app.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod app;
#[path = "../tests/apps/rig.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod rig;

use std::time::{Duration, Instant};

use app::{App, Event, Window};
use lumen_compositor::render::Canvas;
use lumen_ipc::units::FrameSize;
use rig::Rig;
use wayland_client::protocol::{wl_buffer::WlBuffer, wl_shm::Format};

const FRAMES: u32 = 200;
/// Side of the damaged square of a small change: a blinking cursor, a hovered button.
const SMALL: i32 = 64;

struct Bench {
    rig: Rig,
    app: App,
    window: Window,
    buffers: [WlBuffer; 2],
    canvases: (Canvas, Canvas),
}

fn main() {
    let size = FrameSize::new(1920, 1080).expect("legal size");
    let mut bench = Bench::new(size);
    let (full, raw_full) = bench.measure(i32::MAX);
    let (small, _) = bench.measure(SMALL);
    println!("composite {size}, {FRAMES} frames each, mean per frame");
    println!("raw Pixman copy   {raw_full:>9.1?}");
    println!("full motion       {full:>9.1?}  ratio {:.2}", ratio(full, raw_full));
    println!("{SMALL}x{SMALL} damage      {small:>9.1?}  ratio {:.3}", ratio(small, raw_full));
    println!("static            {} frames in 1 s", bench.still());
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}

impl Bench {
    fn new(size: FrameSize) -> Self {
        let mut rig = Rig::sized(size, 240);
        rig.frame_after(0);
        rig.release();
        let mut app = App::start(&mut rig);
        let window = app.open();
        app.until(&mut rig, |memory| {
            memory.events.iter().any(|event| matches!(event, Event::Configured { .. }))
        });
        let (width, height) = (i32::from(size.width()), i32::from(size.height()));
        let buffers = [0x0020_4060, 0x0060_4020]
            .map(|color| app.buffer_of(Format::Xrgb8888, width, height, color));
        let canvas = || Canvas::new(size).expect("memory");
        Self { rig, app, window, buffers, canvases: (canvas(), canvas()) }
    }

    /// Mean time to draw a frame whose upper left square of `side` changed, and to copy a whole
    /// frame without a compositor, alternating so that both see the same machine.
    fn measure(&mut self, side: i32) -> (Duration, Duration) {
        let before = self.rig.histogram("render_microseconds");
        let mut raw = Duration::ZERO;
        for index in 0..FRAMES {
            self.frame(index as usize % 2, side);
            let start = Instant::now();
            self.canvases.0.copy_from(&self.canvases.1);
            raw += start.elapsed();
        }
        let after = self.rig.histogram("render_microseconds");
        let drawn = u32::try_from(after.0 - before.0).unwrap_or(1);
        (Duration::from_micros(after.1 - before.1) / drawn, raw / FRAMES)
    }

    fn frame(&mut self, buffer: usize, side: i32) {
        let count = self.rig.frames.len();
        self.window.surface.attach(Some(&self.buffers[buffer]), 0, 0);
        self.window.surface.damage_buffer(0, 0, side, side);
        self.window.surface.commit();
        self.app.exchange();
        self.rig.frame_after(count);
        self.rig.release();
    }

    fn still(&mut self) -> usize {
        let count = self.rig.frames.len();
        let end = Instant::now() + Duration::from_secs(1);
        while Instant::now() < end {
            self.rig.turn(end.saturating_duration_since(Instant::now()));
        }
        self.rig.frames.len() - count
    }
}
