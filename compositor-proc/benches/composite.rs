//! The cost of a frame compared with the least that Pixman can do: one call that copies a frame of
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
use lumen_compositor::{render::Canvas, shell::Os};
use lumen_ipc::units::FrameSize;
use nix::time::{ClockId, clock_gettime};
use rig::{QUIET, Rig};
use wayland_client::protocol::{wl_buffer::WlBuffer, wl_shm::Format};

const FRAMES: usize = 200;
/// Toplevels in a chain of parents.
const CHAIN: usize = 2000;
/// Side of the damaged square of a small change: a blinking cursor, a hovered button.
const SMALL: i32 = 64;

struct Bench {
    rig: Rig,
    app: App,
    window: Window,
    buffers: [WlBuffer; 2],
    /// A target and, like an app's, two sources.
    canvases: (Canvas, [Canvas; 2]),
    /// Frames that were drawn and released one by one.
    released: usize,
}

fn main() {
    let size = FrameSize::new(1920, 1080).expect("legal size");
    let mut bench = Bench::new(size);
    let (full, copy) = bench.measure(i32::MAX);
    let (small, _) = bench.measure(SMALL);
    // The part of a frame's cost that does not depend on its damage: sockets, requests,
    // bookkeeping, and the app itself.
    let drawing = full.saturating_sub(small);
    println!("composite {size}, {FRAMES} frames each, median processor time per frame");
    println!("raw Pixman copy      {copy:>9.1?}");
    println!("drawing, full motion {drawing:>9.1?}  ratio {:.2}", ratio(drawing, copy));
    println!("whole turn, full     {full:>9.1?}  ratio {:.2}", ratio(full, copy));
    println!("whole turn, {SMALL}x{SMALL}    {small:>9.1?}  ratio {:.2}", ratio(small, copy));
    println!("static               {} frames in 1 s", bench.still());
    for (what, side) in
        [("behind a large one", i32::from(size.width())), ("behind a small one", SMALL)]
    {
        let (one, many) = (chained(size, 1, side), chained(size, CHAIN, side));
        let ratio = ratio(many, one);
        println!("{CHAIN} dialogs {what} {many:>9.1?}  ratio {ratio:.2} to one dialog");
    }
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}

/// Processor time, because a busy machine interrupts part of what is measured.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("the thread has a clock").into()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
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
        let canvas = || Canvas::new(&Os, size).expect("memory");
        let target = canvas();
        // Written once, as an app's buffers are: untouched memory has no pages yet.
        let sources = [canvas(), canvas()].map(|mut source| {
            source.copy_from(&target);
            source
        });
        let released = rig.frames.len();
        Self { rig, app, window, buffers, canvases: (target, sources), released }
    }

    /// Median cost of a frame whose upper left square of `side` changed, from the app's commit to
    /// the release, including both sides of every socket; and of copying a whole frame without a
    /// compositor. The two alternate, so that both run under the same conditions.
    fn measure(&mut self, side: i32) -> (Duration, Duration) {
        let (mut frames, mut copies) = (Vec::new(), Vec::new());
        for index in 0..FRAMES {
            let start = processor_time();
            self.frame(index % 2, side);
            let drawn = processor_time();
            let (target, sources) = (&mut self.canvases.0, &self.canvases.1);
            target.copy_from(&sources[index % 2]);
            frames.push(drawn - start);
            copies.push(processor_time() - drawn);
        }
        (median(frames), median(copies))
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

    /// One turn of the compositor and the app.
    fn turn(&mut self) {
        self.app.exchange();
        self.rig.turn(Duration::ZERO);
        if self.rig.frames.len() > self.released {
            self.released = self.rig.frames.len();
            self.rig.release();
        }
    }

    /// Turns until nothing was drawn for a while.
    fn quiet(&mut self) {
        let mut end = Instant::now() + QUIET;
        let mut before = self.released;
        while Instant::now() < end {
            self.turn();
            if self.released > before {
                before = self.released;
                end = Instant::now() + QUIET;
            }
        }
    }

    /// Turns until one more frame was drawn and released.
    fn settle(&mut self) {
        let before = self.released;
        while self.released == before {
            self.turn();
        }
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

/// Median cost of a frame in which the last of `count` windows changes a little, where each is a
/// dialog of the one before. The last is as wide as `side` and hides the others.
fn chained(size: FrameSize, count: usize, side: i32) -> Duration {
    let mut bench = Bench::new(size);
    let mut parent = bench.app.open();
    let small = bench.app.buffer_of(Format::Xrgb8888, SMALL, SMALL, 0x0040_6020);
    let mut windows = Vec::new();
    for _ in 0..count {
        let window = bench.app.unconfigured();
        window.toplevel.set_parent(Some(&parent.toplevel));
        window.surface.commit();
        bench.turn();
        bench.app.show(&window.surface, &small);
        bench.turn();
        windows.push(std::mem::replace(&mut parent, window));
    }
    bench.quiet();
    let height = side.min(i32::from(size.height()));
    let buffers = [0x0020_4060, 0x0060_4020]
        .map(|color| bench.app.buffer_of(Format::Xrgb8888, side, height, color));
    bench.app.show(&parent.surface, &buffers[1]);
    bench.quiet();
    let mut times = Vec::new();
    for index in 0..FRAMES {
        let start = processor_time();
        parent.surface.attach(Some(&buffers[index % 2]), 0, 0);
        parent.surface.damage_buffer(0, 0, 8, 8);
        parent.surface.commit();
        bench.settle();
        times.push(processor_time() - start);
    }
    median(times)
}
