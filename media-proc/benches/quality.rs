//! What the encoder makes of its bits: six kinds of content at 1280×720, beside x264 with the presets
//! `ultrafast`, `superfast` and `veryfast` in High profile at equal bits.
//!
//! Each coder encodes each content with constant quantizers and is decoded by openh264; between two
//! quantizers its results are joined in logarithms of bits. Ours chooses its effort as the worker
//! does at 30 pictures a second: as bits come to be short, and where they have been for a while. Times are processor time of one thread. The first picture, coded
//! whole and finely, counts in none of the figures.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures for people, far from any limit of their types"
)]

#[path = "quality/contents.rs"]
mod contents;
#[path = "quality/curve.rs"]
mod curve;
#[path = "quality/likeness.rs"]
mod likeness;
#[path = "raw/ffi.rs"]
mod raw;
#[path = "shared/worker.rs"]
mod worker;

use std::time::{Duration, Instant};

use lumen_ipc::{
    units::{Fps, Kbps},
    video::VideoFormat,
};
use lumen_media::{
    effort::Efforts,
    motion::Memory,
    video::{Encoder, Picture, PictureKind, Quantizer},
};
use openh264::{decoder::Decoder, formats::YUVSource};

use contents::{CONTENTS, Shot, shots, size};
use curve::{Curve, Point};
use likeness::Likeness;
use raw::{Preset, Raw};
use worker::{kind, time};

/// The quantizers that are tried, finest first.
const QUANTIZERS: [u8; 6] = [16, 22, 28, 34, 40, 46];

/// The quantizer of the first picture: what was still for a while has been refined.
const REFINED: u8 = 14;

/// Those of ours that are printed.
const PRINTED: [u8; 2] = [28, 40];

/// Every so many pictures are compared with their originals.
const COMPARED: usize = 4;

const PRESETS: [Preset; 3] = [Preset::Ultrafast, Preset::Superfast, Preset::Veryfast];

/// Encodes one picture and returns its bytes.
type Code<'coder> = dyn FnMut(&Shot, bool) -> Vec<u8> + 'coder;

fn main() {
    println!("at equal bits: SSIM, PSNR of text, processor time of a picture; bits for equal SSIM");
    let words: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word));
    for content in CONTENTS.into_iter().filter(|content| is_wanted(content.name)) {
        let shots = shots(content);
        let curve =
            |scarce| Curve(QUANTIZERS.map(|quantizer| ours(&shots, quantizer, scarce)).to_vec());
        let (ours, thrifty) = (curve(false), curve(true));
        let rivals = PRESETS.map(|preset| {
            Curve(QUANTIZERS.map(|quantizer| theirs(&shots, quantizer, preset)).to_vec())
        });
        for (point, quantizer) in ours.0.iter().zip(QUANTIZERS) {
            if PRINTED.contains(&quantizer) {
                println!(
                    "{:18} {:>8.1} kbit a picture (quantizer {quantizer})",
                    content.name,
                    point.bits / 1e3
                );
                row("Lumen", Some(*point), Some(*point), *point);
                let (at_bits, at_ssim) = (thrifty.at_bits(point.bits), thrifty.at_ssim(point.ssim));
                row("Lumen, thrifty", at_bits, at_ssim, *point);
                for (preset, rival) in PRESETS.iter().zip(&rivals) {
                    let at_bits = rival.at_bits(point.bits);
                    row(preset.name(), at_bits, rival.at_ssim(point.ssim), *point);
                }
            }
        }
    }
}

/// Prints one coder's line beside `ours`.
fn row(name: &str, at_bits: Option<Point>, at_ssim: Option<Point>, ours: Point) {
    let shown = |value: Option<f64>, unit: &str| {
        value.map_or_else(|| format!("{:>6} {unit}", "-"), |value| format!("{value:6.2} {unit}"))
    };
    let ssim = shown(at_bits.map(|point| point.ssim), "dB");
    let text = shown(at_bits.and_then(|point| point.text), "dB");
    let millis = shown(at_bits.map(|point| point.millis), "ms");
    let bits = at_ssim.map_or_else(
        || "-".to_owned(),
        |point| format!("{:+.0} %", (point.bits / ours.bits - 1.0) * 100.0),
    );
    println!("  {name:16} {ssim}  {text}  {millis}  {bits:>7}");
}

/// What our encoder makes of `shots`, if bits are `scarce` before they begin.
fn ours(shots: &[Shot], quantizer: u8, scarce: bool) -> Point {
    let fps = Fps::clamped(30);
    let mut encoder =
        Encoder::open(VideoFormat::H264Main, size(), fps, Kbps::clamped(8000)).expect("x264 opens");
    let interval = Duration::from_micros(fps.interval_micros());
    let (mut efforts, mut now) = (Efforts::new(interval), Instant::now());
    for _ in 0..if scarce { 2 * fps.value() } else { 0 } {
        now += interval;
        let effort = efforts.choose(now, PictureKind::Predicted, Quantizer::COARSEST);
        efforts.encoded(now, effort, Duration::from_millis(1));
    }
    let mut memory = Memory::default();
    let mut code = |shot: &Shot, first: bool| {
        let (planes, changed) = (&shot.planes, &shot.changed);
        let kind = kind(first, memory.relate(planes, changed));
        let quantizer = Quantizer::nearest(if first { REFINED } else { quantizer });
        now += interval;
        let effort = efforts.choose(now, kind, quantizer);
        let picture = Picture { planes, changed, kind, quantizer, effort };
        let (mut bytes, mut direct) = (Vec::new(), false);
        let took = time(|| {
            let unit = encoder.encode(picture).expect("x264 encodes");
            (bytes, direct) = (unit.bytes.to_vec(), unit.direct);
        });
        if !direct {
            efforts.encoded(now, effort, took);
        }
        bytes
    };
    measure(shots, &mut code)
}

/// What x264 alone makes of `shots`.
fn theirs(shots: &[Shot], quantizer: u8, preset: Preset) -> Point {
    let mut raw = Raw::open(size(), preset);
    measure(shots, &mut |shot, first| {
        let quantizer = Quantizer::nearest(if first { REFINED } else { quantizer });
        raw.encode(&shot.planes, first, quantizer).to_vec()
    })
}

fn measure(shots: &[Shot], code: &mut Code<'_>) -> Point {
    let mut decoder = Decoder::new().expect("openh264 opens");
    let mut likeness = Likeness::default();
    let (mut bytes, mut spent) = (0, Duration::ZERO);
    for (number, shot) in shots.iter().enumerate() {
        let mut unit = Vec::new();
        let took = time(|| unit = code(shot, number == 0));
        let decoded = decoder.decode(&unit).expect("decodes").expect("a picture");
        if number == 0 {
            continue;
        }
        bytes += unit.len();
        spent += took;
        if number % COMPARED == COMPARED - 1 {
            let (stride, ..) = decoded.strides();
            likeness.add(shot.planes.luma(), (decoded.y(), stride), &shot.text);
        }
    }
    let counted = (shots.len() - 1) as f64;
    Point {
        bits: (bytes * 8) as f64 / counted,
        ssim: likeness.ssim(),
        text: likeness.text(),
        millis: spent.as_secs_f64() * 1e3 / counted,
    }
}
