//! Conversion and encoding per frame at 1920×1080, as ratios to the bare libraries in this run.
//!
//! The floors do what nobody can do less than: the whole frame through the colour converter in one
//! call, and pictures through x264 with nothing around it. Ours goes the way the worker goes:
//! damage to macroblocks, macroblocks to runs, runs to planes, planes and map to the encoder.
//!
//! Rounds alternate between floor and ours, in changing order. The processor time of the least
//! expensive round of each counts: what other programs do only ever adds.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::time::Duration;

use lumen_ipc::{
    message::frames::Rect,
    units::{Fps, FrameSize},
};
use lumen_media::{
    convert::{Frame, MacroblockMap, Planes},
    video::{Picture, PictureKind, Quantizer, x264::Encoder},
};
use rustix::time::{ClockId, clock_gettime};
use yuv::{
    YuvChromaSubsampling, YuvConversionMode, YuvPlanarImageMut, YuvRange, YuvStandardMatrix,
};

const ROUNDS: usize = 40;
/// Pixels the text moves per frame, no multiple of a macroblock.
const SCROLL: usize = 7;
/// What [`lumen_media::rate`] settles at in motion.
const QUANTIZER: Quantizer = Quantizer::nearest(23);

/// What changes from frame to frame.
#[derive(Clone, Copy)]
struct Content {
    name: &'static str,
    damage: Option<Rect>,
}

const CONTENTS: [Content; 3] = [
    Content { name: "full motion", damage: Some(Rect { x: 0, y: 0, width: 1920, height: 1080 }) },
    Content { name: "small damage", damage: Some(Rect { x: 300, y: 400, width: 200, height: 40 }) },
    Content { name: "static", damage: None },
];

fn main() {
    let size = FrameSize::nearest(1920, 1080);
    let page = page(size);
    println!("{size}, one thread, processor time, best of {ROUNDS} rounds");
    for content in CONTENTS {
        convert(size, &page, content);
    }
    for content in CONTENTS {
        encode(size, &page, content);
    }
}

fn convert(size: FrameSize, page: &[u8], content: Content) {
    let mut floor = Duration::MAX;
    let mut ours = Duration::MAX;
    let mut planes = Planes::new(size);
    let (width, height) = (u32::from(size.width()), u32::from(size.height()));
    let mut image = YuvPlanarImageMut::<u8>::alloc(width, height, YuvChromaSubsampling::Yuv420);
    for round in 0..ROUNDS {
        let pixels = frame_pixels(size, page, round);
        floor = floor.min(time(|| {
            yuv::bgra_to_yuv420(
                &mut image,
                pixels,
                width * 4,
                YuvRange::Limited,
                YuvStandardMatrix::Bt709,
                YuvConversionMode::Balanced,
            )
            .expect("the sizes agree");
        }));
        ours = ours.min(time(|| {
            let frame = Frame::new(pixels, size.stride_bytes(), size).expect("covers the size");
            planes.update(frame, &map(size, content)).expect("same size");
        }));
    }
    report("convert", content.name, ours, floor, "whole frame");
}

/// The floor is x264 on ready planes with every macroblock left to it to find out about.
fn encode(size: FrameSize, page: &[u8], content: Content) {
    let mut floor = Duration::MAX;
    let mut ours = Duration::MAX;
    let (mut bare, mut marked) = (open(size), open(size));
    let unknown = full(size);
    let mut planes = Planes::new(size);
    let mut bytes = 0;
    for round in 0..ROUNDS {
        let changed = if round == 0 { full(size) } else { map(size, content) };
        let pixels = frame_pixels(size, page, if content.damage.is_some() { round } else { 0 });
        let frame = Frame::new(pixels, size.stride_bytes(), size).expect("covers the size");
        planes.update(frame, &changed).expect("same size");
        let kind = if round == 0 { PictureKind::Key } else { PictureKind::Predicted };
        let mut run = |encoder: &mut Encoder, changed| {
            time(|| {
                let picture = Picture { planes: &planes, changed, kind, quantizer: QUANTIZER };
                bytes = encoder.encode(picture).expect("x264 encodes").bytes.len();
            })
        };
        let (without, with) = if round % 2 == 0 {
            let without = run(&mut bare, &unknown);
            (without, run(&mut marked, &changed))
        } else {
            let with = run(&mut marked, &changed);
            (run(&mut bare, &unknown), with)
        };
        if round > 0 {
            floor = floor.min(without);
            ours = ours.min(with);
        }
    }
    report("encode", content.name, ours, floor, "x264 unaided");
    println!("{:38}{bytes} bytes in the last frame", "");
}

fn report(what: &str, content: &str, ours: Duration, floor: Duration, floor_name: &str) {
    let ratio = ours.as_secs_f64() / floor.as_secs_f64();
    let (ours, floor) = (ours.as_secs_f64() * 1e3, floor.as_secs_f64() * 1e3);
    println!("{what:8} {content:14} {ours:6.2} ms = {ratio:4.2} × {floor_name} ({floor:.2} ms)");
}

/// Processor time `work` took on this thread.
fn time(work: impl FnOnce()) -> Duration {
    let begun = processor_time();
    work();
    processor_time().saturating_sub(begun)
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn open(size: FrameSize) -> Encoder {
    Encoder::open(size, Fps::clamped(60)).expect("x264 opens")
}

fn full(size: FrameSize) -> MacroblockMap {
    let mut map = MacroblockMap::constant(size);
    map.mark_all();
    map
}

fn map(size: FrameSize, content: Content) -> MacroblockMap {
    let mut map = MacroblockMap::constant(size);
    content.damage.into_iter().for_each(|rect| map.mark(rect));
    map
}

/// The part of the page that is visible in a round.
fn frame_pixels(size: FrameSize, page: &[u8], round: usize) -> &[u8] {
    let start = round * SCROLL * size.stride_bytes();
    &page[start..start + size.frame_bytes()]
}

/// Lines of dark strokes on light paper, tall enough to scroll through all rounds.
fn page(size: FrameSize) -> Vec<u8> {
    let rows = usize::from(size.height()) + ROUNDS * SCROLL;
    let mut page = vec![235_u8; rows * size.stride_bytes()];
    let mut state = 1_u32;
    let mut chance = move |sides: u32| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state % sides
    };
    for line in page.chunks_exact_mut(16 * size.stride_bytes()) {
        let length = chance(240);
        for letter in 0..length as usize {
            for _ in 0..4 {
                let (x, y) = (1 + chance(5) as usize, 3 + chance(8) as usize);
                let (down, strokes) = (chance(2) as usize, 2 + chance(4) as usize);
                for step in 0..strokes {
                    let column = letter * 8 + (x + step * (1 - down)).min(6);
                    let row = (y + step * down).min(14);
                    let at = row * size.stride_bytes() + column * 4;
                    line[at..at + 3].fill(30);
                }
            }
        }
    }
    page
}
