//! Conversion and encoding per frame at 1920×1080, as ratios to the bare libraries in this run.
//!
//! The floor is the least work that any implementation must do: the whole frame through the colour
//! converter in one call, and ready planes through x264 with nothing around it ([`raw`]). Our side
//! does what the worker does: it turns damage into macroblocks, macroblocks into runs and runs into
//! planes, then compares the planes with the picture before and passes the result to the encoder.
//!
//! Rounds alternate between the floor and our code, in changing order. The cheapest round of each
//! counts, because other programs on the machine can only add processor time.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[path = "raw/ffi.rs"]
mod raw;
#[path = "shared/worker.rs"]
mod worker;

use std::time::Duration;

use lumen_ipc::{
    message::frames::Rect,
    units::{Fps, FrameSize, Kbps},
    video::VideoFormat,
};
use lumen_media::{
    convert::{Frame, MacroblockMap, Planes},
    effort::Effort,
    motion::Memory,
    video::{Encoder, Picture, Quantizer},
};
use raw::{Preset, Raw};
use worker::{kind, time};
use yuv::{
    YuvChromaSubsampling, YuvConversionMode, YuvPlanarImageMut, YuvRange, YuvStandardMatrix,
};

const ROUNDS: usize = 60;
/// Rows by which the text moves per frame; deliberately not a multiple of a macroblock.
const SCROLL: usize = 7;
/// The quantizer that [`lumen_media::rate`] settles at in motion.
const QUANTIZER: Quantizer = Quantizer::nearest(23);

/// What changes from frame to frame.
#[derive(Clone, Copy)]
struct Content {
    name: &'static str,
    damage: Option<Rect>,
    /// Rows by which the page moves.
    rows: usize,
}

const FULL: Option<Rect> = Some(Rect { x: 0, y: 0, width: 1920, height: 1080 });
const SMALL: Option<Rect> = Some(Rect { x: 300, y: 400, width: 200, height: 40 });
const CONTENTS: [Content; 5] = [
    Content { name: "full motion", damage: FULL, rows: SCROLL },
    Content { name: "fast motion", damage: FULL, rows: 7 * SCROLL },
    Content { name: "new picture", damage: FULL, rows: 0 },
    Content { name: "small damage", damage: SMALL, rows: SCROLL },
    Content { name: "static", damage: None, rows: 0 },
];

fn main() {
    let size = FrameSize::nearest(1920, 1080);
    let page = page(size);
    println!("{size}, one thread, processor time, best of {ROUNDS} rounds");
    for content in
        CONTENTS.into_iter().filter(|content| content.rows == SCROLL || content.damage.is_none())
    {
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
        let pixels = frame_pixels(size, page, round * SCROLL);
        floor = floor.min(time(|| {
            yuv::bgra_to_yuv420(
                &mut image,
                pixels,
                width * 4,
                YuvRange::Limited,
                YuvStandardMatrix::Bt601,
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

fn encode(size: FrameSize, page: &[u8], content: Content) {
    let mut floor = Vec::new();
    let mut ours = Vec::new();
    let mut raw = Raw::open(size, Preset::Baseline);
    let mut encoder = Encoder::open(
        VideoFormat::H264ConstrainedBaseline,
        size,
        Fps::clamped(60),
        Kbps::clamped(8000),
    )
    .expect("x264 opens");
    let mut memory = Memory::default();
    let mut planes = Planes::new(size);
    let mut bytes = [0; 2];
    for round in 0..ROUNDS {
        let key = round == 0;
        let changed = if key { MacroblockMap::whole(size) } else { map(size, content) };
        let flat;
        let pixels = if content.damage == FULL && content.rows == 0 {
            // One flat colour after another, like a window that opens.
            flat = vec![40 + (round % 3 * 70) as u8; size.frame_bytes()];
            &flat[..]
        } else {
            frame_pixels(size, page, round * content.rows)
        };
        let frame = Frame::new(pixels, size.stride_bytes(), size).expect("covers the size");
        planes.update(frame, &changed).expect("same size");
        for turn in [round % 2, 1 - round % 2] {
            if turn == 0 {
                floor.push(time(|| bytes[0] = raw.encode(&planes, key, QUANTIZER).len()));
            } else {
                ours.push(time(|| {
                    let kind = kind(key, memory.relate(&planes, &changed));
                    let quantizer = QUANTIZER;
                    let (planes, changed, effort) = (&planes, &changed, Effort::Quick);
                    let picture = Picture { planes, changed, kind, quantizer, effort };
                    bytes[1] = encoder.encode(picture).expect("x264 encodes").bytes.len();
                }));
            }
        }
    }
    let least = |times: Vec<Duration>| times.into_iter().skip(1).min().unwrap_or_default();
    report("encode", content.name, least(ours), least(floor), "raw x264");
    println!("{:24}{} bytes in the last frame, raw x264 {}", "", bytes[1], bytes[0]);
}

fn report(what: &str, content: &str, ours: Duration, floor: Duration, floor_name: &str) {
    let ratio = ours.as_secs_f64() / floor.as_secs_f64();
    let (ours, floor) = (ours.as_secs_f64() * 1e3, floor.as_secs_f64() * 1e3);
    println!("{what:8} {content:14} {ours:6.2} ms = {ratio:4.2} × {floor_name} ({floor:.2} ms)");
}

fn map(size: FrameSize, content: Content) -> MacroblockMap {
    let mut map = MacroblockMap::constant(size);
    content.damage.into_iter().for_each(|rect| map.mark(rect));
    map
}

/// The part of the page below `top`.
fn frame_pixels(size: FrameSize, page: &[u8], top: usize) -> &[u8] {
    let start = top * size.stride_bytes();
    &page[start..start + size.frame_bytes()]
}

/// Lines of dark strokes on light paper, tall enough to scroll in every round.
fn page(size: FrameSize) -> Vec<u8> {
    let rows = usize::from(size.height()) + ROUNDS * SCROLL * 7;
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
