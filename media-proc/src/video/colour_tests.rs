//! Saturated colours after refinement, judged by another decoder: what conversion, coding and a
//! decoder's conversion back leave of them together.

use std::time::{Duration, Instant};

use lumen_ipc::units::{Fps, FrameSize, Kbps};
use openh264::{decoder::Decoder, formats::YUVSource};

use super::*;
use crate::{
    convert::Frame,
    rate::{self, Ask, Kind, Rate},
};

/// Bars end inside macroblocks, and the last macroblocks lie half outside.
const WIDTH: usize = 8 * 44;
const HEIGHT: usize = 72;

/// The corners of the colour cube, as red, green, blue.
const BARS: [[u8; 3]; 8] = [
    [0, 0, 255],
    [255, 255, 0],
    [0, 255, 0],
    [255, 0, 255],
    [255, 0, 0],
    [0, 255, 255],
    [255, 255, 255],
    [0, 0, 0],
];

fn size() -> FrameSize {
    FrameSize::new(WIDTH as u16, HEIGHT as u16).expect("legal size")
}

fn all() -> MacroblockMap {
    MacroblockMap::whole(size())
}

/// A picture of `colour` at each place.
fn drawn(colour: impl Fn(usize, usize) -> [u8; 3]) -> Planes {
    let mut pixels = vec![0_u8; size().frame_bytes()];
    for (at, pixel) in pixels.chunks_exact_mut(4).enumerate() {
        let [red, green, blue] = colour(at % WIDTH, at / WIDTH);
        pixel.copy_from_slice(&[blue, green, red, 255]);
    }
    let mut planes = Planes::new(size());
    let frame = Frame::new(&pixels, size().stride_bytes(), size()).expect("covers the size");
    planes.update(frame, &all()).expect("same size");
    planes
}

fn bar(x: usize) -> [u8; 3] {
    BARS[x * BARS.len() / WIDTH]
}

/// Letters of strokes one pixel wide in the bars' colours, above on white and below on black.
fn letter(x: usize, y: usize) -> [u8; 3] {
    let shape = (x / 9 + y / 12 * 31 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let (column, row) = (x % 9, y % 12);
    let upright = column % 3 == 0 && shape >> (column / 3 * 4 + row / 3) & 1 == 1;
    let level = row % 5 == 0 && shape >> (20 + row / 5 * 3 + column / 3) & 1 == 1;
    match (upright || level) && column < 7 && row < 11 {
        true => bar(x),
        false if y < HEIGHT / 2 => [255; 3],
        false => [0; 3],
    }
}

/// BT.601 limited range (section 2.5.4) back to red, green, blue.
fn to_rgb([luma, blue, red]: [u8; 3]) -> [f64; 3] {
    let level = (f64::from(luma) - 16.0) / 219.0;
    let (blue, red) = ((f64::from(blue) - 128.0) / 224.0, (f64::from(red) - 128.0) / 224.0);
    let (b, r) = (level + 1.772 * blue, level + 1.402 * red);
    let g = (level - 0.114 * b - 0.299 * r) / 0.587;
    [r, g, b].map(|channel| (channel * 255.0).clamp(0.0, 255.0))
}

/// Red, green and blue that a decoder makes of `picture`, row by row.
fn shown(picture: &impl YUVSource) -> Vec<[f64; 3]> {
    let (luma, blue, red) = picture.strides();
    let places = (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| (x, y)));
    let samples = places.map(|(x, y)| {
        let chroma = (y / 2, x / 2);
        [
            picture.y()[y * luma + x],
            picture.u()[chroma.0 * blue + chroma.1],
            picture.v()[chroma.0 * red + chroma.1],
        ]
    });
    samples.map(to_rgb).collect()
}

/// The same of `planes`: what coding without loss would show.
fn unspoilt(planes: &Planes) -> Vec<[f64; 3]> {
    let places = (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| (x, y)));
    let samples = places.map(|(x, y)| {
        let chroma = y / 2 * (WIDTH / 2) + x / 2;
        [planes.luma()[y * WIDTH + x], planes.blue()[chroma], planes.red()[chroma]]
    });
    samples.map(to_rgb).collect()
}

/// Encodes `planes` as `first` with `begin`, refines it to the end, and returns what is shown.
fn refined(planes: &Planes, first: PictureKind, begin: Quantizer) -> Vec<[f64; 3]> {
    let (all, nothing) = (all(), MacroblockMap::constant(size()));
    let format = VideoFormat::H264ConstrainedBaseline;
    let (fps, bitrate, mut now) = (Fps::clamped(60), Kbps::clamped(8000), Instant::now());
    let mut encoder = Encoder::open(format, size(), fps, bitrate).expect("x264 opens");
    let mut decoder = Decoder::new().expect("openh264 opens");
    let mut show = |planes: &Planes, changed: &MacroblockMap, kind, quantizer| {
        let picture = Picture { planes, changed, kind, quantizer, effort: Effort::Quick };
        let bytes = encoder.encode(picture).expect("x264 encodes").bytes;
        let picture = decoder.decode(bytes).expect("legal stream").expect("one picture");
        (bytes.len(), shown(&picture))
    };
    if first != PictureKind::Key {
        show(&Planes::new(size()), &all, PictureKind::Key, begin);
    }
    let mut rate = Rate::new(bitrate, fps, now);
    let total = all.total();
    let (bytes, mut last) = show(planes, &all, first, begin);
    rate.encoded(now, Ask { kind: Kind::Key, changed: total, total }, begin, bytes);
    while !rate.is_refined() {
        now += Duration::from_secs(1);
        let ask = Ask { kind: Kind::Refinement, changed: 0, total };
        let quantizer = rate.choose(now, ask);
        let (bytes, refined) = show(planes, &nothing, PictureKind::Predicted, quantizer);
        rate.encoded(now, ask, quantizer, bytes);
        last = refined;
    }
    last
}

/// Every way to a refined picture that differs.
fn ways() -> impl Iterator<Item = (PictureKind, Quantizer)> {
    let kinds = [PictureKind::Key, PictureKind::Fresh, PictureKind::Predicted];
    let begins = [rate::MOTION, Quantizer::nearest(33), rate::COARSEST];
    kinds.into_iter().flat_map(move |kind| begins.map(|begin| (kind, begin)))
}

/// The errors of all channels.
fn errors(shown: &[[f64; 3]], wanted: &[[f64; 3]]) -> Vec<f64> {
    let channels = shown.as_flattened().iter().zip(wanted.as_flattened());
    channels.map(|(shown, wanted)| (shown - wanted).abs()).collect()
}

#[test]
fn refined_bars_are_within_three_levels_of_what_was_drawn() {
    let planes = drawn(|x, _| bar(x));
    let wanted: Vec<_> = (0..WIDTH * HEIGHT).map(|at| bar(at % WIDTH).map(f64::from)).collect();
    for (first, begin) in ways() {
        let errors = errors(&refined(&planes, first, begin), &wanted);
        let worst =
            errors.iter().copied().enumerate().max_by(|one, other| one.1.total_cmp(&other.1));
        let (at, error) = worst.expect("there are pixels");
        let bar = bar(at / 3 % WIDTH);
        assert!(error <= 3.0, "{first:?} from {begin:?}: {bar:?} is off by {error:.1}");
    }
}

/// Subsampling spoils thin strokes, refinement hardly any further.
#[test]
fn refined_thin_letters_are_nearly_what_subsampling_left_of_them() {
    let planes = drawn(letter);
    for (first, begin) in ways() {
        let errors = errors(&refined(&planes, first, begin), &unspoilt(&planes));
        let off = errors.iter().filter(|error| **error > 3.0).count() as f64;
        let share = off / errors.len() as f64;
        let worst = errors.iter().copied().fold(0.0, f64::max);
        let what = format!("{first:?} from {begin:?}: {:.2} % of channels off", share * 100.0);
        assert!(share < 0.005 && worst <= 6.0, "{what}, by up to {worst:.1}");
    }
}
