//! The output is judged by another codec: openh264 decodes it, and the parameter set is read bit by
//! bit.

use lumen_ipc::{
    level::Level,
    message::frames::Rect,
    units::{Fps, FrameSize, Kbps},
};
use openh264::{decoder::Decoder, formats::YUVSource};

use super::*;
use crate::{
    convert::{Frame, MacroblockMap, Planes},
    effort::Effort,
    video::{Picture, PictureKind, Quantizer},
};

/// Not a multiple of a macroblock, so that cropping is signalled.
const WIDTH: u16 = 200;
const HEIGHT: u16 = 120;
/// Fine enough that coding moves no patch by more than a level.
const FINE: Quantizer = Quantizer::nearest(12);

fn size() -> FrameSize {
    FrameSize::new(WIDTH, HEIGHT).expect("legal size")
}

fn encoder() -> Encoder {
    Encoder::open(size(), Fps::clamped(60), Kbps::clamped(8000), Tools::Plain).expect("x264 opens")
}

/// One 32×32 patch of `colours` beside the other on black, as blue, green, red.
fn patches(colours: &[[u8; 3]]) -> Planes {
    let mut pixels = vec![0_u8; size().frame_bytes()];
    for row in pixels.chunks_exact_mut(size().stride_bytes()).take(32) {
        for (x, pixel) in row.chunks_exact_mut(4).enumerate() {
            if let Some(colour) = colours.get(x / 32) {
                pixel[..3].copy_from_slice(colour);
            }
        }
    }
    planes_of(&pixels)
}

fn planes_of(pixels: &[u8]) -> Planes {
    let mut planes = Planes::new(size());
    let frame = Frame::new(pixels, size().stride_bytes(), size()).expect("covers the size");
    planes.update(frame, &all()).expect("same size");
    planes
}

/// A picture that is expensive to encode: a pattern without repetition.
fn busy(seed: u32) -> Planes {
    let mut state = seed | 1;
    let pixels: Vec<u8> = (0..size().frame_bytes())
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    planes_of(&pixels)
}

fn all() -> MacroblockMap {
    MacroblockMap::whole(size())
}

fn encode(
    encoder: &mut Encoder,
    planes: &Planes,
    changed: &MacroblockMap,
    kind: PictureKind,
    quantizer: Quantizer,
) -> (Vec<u8>, bool) {
    let picture = Picture { planes, changed, kind, quantizer, effort: Effort::Quick };
    let unit = encoder.encode(picture).expect("x264 encodes");
    (unit.bytes.to_vec(), unit.key)
}

/// Types of the NAL units in an Annex B stream (H.264, table 7-1).
fn unit_types(stream: &[u8]) -> Vec<u8> {
    units(stream).map(|unit| unit[0] & 0x1F).collect()
}

fn units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let starts: Vec<usize> =
        (3..stream.len()).filter(|at| stream[at - 3..*at] == [0, 0, 1]).collect();
    let ends: Vec<usize> =
        starts.iter().skip(1).map(|start| start - 3).chain([stream.len()]).collect();
    starts.into_iter().zip(ends).map(|(start, end)| &stream[start..end])
}

/// Luma and chroma of a pixel after decoding `stream`.
fn decoded(decoder: &mut Decoder, stream: &[u8]) -> Vec<[u8; 3]> {
    let picture = decoder.decode(stream).expect("legal stream").expect("one picture");
    assert_eq!(picture.dimensions(), (WIDTH.into(), HEIGHT.into()));
    let (luma_stride, blue_stride, red_stride) = picture.strides();
    let mut samples = Vec::new();
    for y in 0..usize::from(HEIGHT) {
        for x in 0..usize::from(WIDTH) {
            samples.push([
                picture.y()[y * luma_stride + x],
                picture.u()[y / 2 * blue_stride + x / 2],
                picture.v()[y / 2 * red_stride + x / 2],
            ]);
        }
    }
    samples
}

/// BT.601 limited range back to blue, green, red.
fn to_bgr([luma, blue, red]: [u8; 3]) -> [f64; 3] {
    let level = (f64::from(luma) - 16.0) / 219.0;
    let (blue, red) = ((f64::from(blue) - 128.0) / 224.0, (f64::from(red) - 128.0) / 224.0);
    let (b, r) = (level + 1.772 * blue, level + 1.402 * red);
    let g = (level - 0.114 * b - 0.299 * r) / 0.587;
    [b, g, r].map(|channel| channel * 255.0)
}

#[test]
fn encode_patches_decode_to_their_colours() {
    let colours =
        [[0, 0, 255], [0, 255, 0], [255, 0, 0], [255, 255, 255], [128, 128, 128], [0, 255, 255]];
    let (stream, _) = encode(&mut encoder(), &patches(&colours), &all(), PictureKind::Key, FINE);
    let samples = decoded(&mut Decoder::new().expect("openh264 opens"), &stream);
    for (index, colour) in colours.iter().enumerate() {
        let middle = samples[16 * usize::from(WIDTH) + index * 32 + 16];
        let found = to_bgr(middle);
        let close =
            found.iter().zip(colour).all(|(one, other)| (one - f64::from(*other)).abs() <= 3.0);
        assert!(close, "patch {colour:?} was decoded as {found:?}");
    }
}

#[test]
fn encode_key_when_asked_is_an_idr_with_parameter_sets() {
    let mut encoder = encoder();
    let planes = busy(1);
    let kinds = [PictureKind::Key, PictureKind::Predicted, PictureKind::Key];
    let streams = kinds.map(|kind| encode(&mut encoder, &planes, &all(), kind, FINE));
    assert_eq!(streams.each_ref().map(|(_, key)| *key), [true, false, true]);
    assert_eq!(unit_types(&streams[1].0), [1]);
    assert_eq!(unit_types(&streams[2].0), [7, 8, 5]);
    // A decoder that starts there sees the picture.
    let samples = decoded(&mut Decoder::new().expect("openh264 opens"), &streams[2].0);
    assert!(samples.iter().zip(planes.luma()).all(|(one, other)| one[0].abs_diff(*other) < 16));
}

#[test]
fn encode_without_being_asked_never_makes_an_idr() {
    let mut encoder = encoder();
    encode(&mut encoder, &busy(1), &all(), PictureKind::Key, FINE);
    // Each picture has nothing in common with the one before: a scene cut every time.
    let keys = (2..20)
        .filter(|seed| encode(&mut encoder, &busy(*seed), &all(), PictureKind::Predicted, FINE).1)
        .count();
    assert_eq!(keys, 0);
}

#[test]
fn encode_fresh_is_intra_and_no_idr() {
    let mut encoder = encoder();
    let mut decoder = Decoder::new().expect("openh264 opens");
    let (stream, _) = encode(&mut encoder, &busy(1), &all(), PictureKind::Key, FINE);
    decoded(&mut decoder, &stream);
    let planes = busy(2);
    let (stream, key) = encode(&mut encoder, &planes, &all(), PictureKind::Fresh, FINE);
    assert!(!key);
    assert_eq!(unit_types(&stream), [1]);
    let samples = decoded(&mut decoder, &stream);
    assert!(samples.iter().zip(planes.luma()).all(|(one, other)| one[0].abs_diff(*other) < 16));
}

/// A pattern without repetition, seen from `top` rows down.
fn busy_from(top: usize) -> Planes {
    let mut state = 1_u32;
    let mut pixels: Vec<u8> = vec![0; size().stride_bytes() * (usize::from(HEIGHT) + 200)];
    for pixel in pixels.chunks_exact_mut(4) {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        pixel.fill((state >> 24) as u8);
    }
    planes_of(&pixels[top * size().stride_bytes()..][..size().frame_bytes()])
}

#[test]
fn encode_moved_finds_motion_that_predicted_does_not() {
    let bytes = |rows: u16, kind| {
        let mut encoder = encoder();
        let quantizer = Quantizer::nearest(30);
        encode(&mut encoder, &busy_from(0), &all(), PictureKind::Key, quantizer);
        encode(&mut encoder, &busy_from(rows.into()), &all(), kind, quantizer).0.len()
    };
    let (near, far) = (bytes(40, PictureKind::Predicted), bytes(40, PictureKind::Moved(40)));
    assert!(far * 3 < near * 2, "{far} and {near} bytes");
}

/// A window of noise dragged down and to the right over other noise, soft as photographs are.
fn dragged(step: usize) -> Planes {
    let (width, (left, top)) = (usize::from(WIDTH), (20 + 5 * step, 10 + 3 * step));
    let noise = |x: usize, y: usize| {
        let mixed = (x / 4 * 1009 + y / 4 * 9176).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 56) as u8
    };
    let pixels: Vec<u8> = (0..size().frame_bytes() / 4)
        .flat_map(|at| {
            let (x, y) = (at % width, at / width);
            let inside = (left..left + 90).contains(&x) && (top..top + 60).contains(&y);
            [if inside { noise(x - left + 500, y - top) } else { noise(x, y) }; 4]
        })
        .collect();
    planes_of(&pixels)
}

#[test]
fn encode_thorough_takes_a_fifth_fewer_bytes_of_a_dragged_window() {
    let drag = |effort| {
        let mut encoder = encoder();
        let mut decoder = Decoder::new().expect("openh264 opens");
        let (mut bytes, mut error) = (0, 0);
        for step in 0..8 {
            let kind = if step == 0 { PictureKind::Key } else { PictureKind::Predicted };
            let (planes, changed, quantizer) = (&dragged(step), &all(), Quantizer::nearest(34));
            let picture = Picture { planes, changed, kind, quantizer, effort };
            let stream = encoder.encode(picture).expect("x264 encodes").bytes.to_vec();
            let samples = decoded(&mut decoder, &stream);
            if step > 0 {
                bytes += stream.len();
                let pairs = samples.iter().zip(planes.luma());
                error += pairs
                    .map(|(one, other)| u64::from(one[0].abs_diff(*other)).pow(2))
                    .sum::<u64>();
            }
        }
        (bytes, error)
    };
    let (quick, thorough) = (drag(Effort::Quick), drag(Effort::Thorough));
    let figures = format!("bytes and squared errors {quick:?} became {thorough:?}");
    // The same quantizer leaves nearly the same error; a step of it would change that by a fourth.
    assert!(thorough.0 * 5 <= quick.0 * 4 && thorough.1 * 10 <= quick.1 * 11, "{figures}");
}

#[test]
fn encode_constant_macroblocks_keep_their_picture_and_cost_nothing() {
    let mut encoder = encoder();
    let mut decoder = Decoder::new().expect("openh264 opens");
    let before = busy(1);
    let (stream, _) = encode(&mut encoder, &before, &all(), PictureKind::Key, FINE);
    let first = decoded(&mut decoder, &stream);
    // The input changes everywhere, but only one macroblock is marked: x264 believes the map.
    let mut map = MacroblockMap::constant(size());
    map.mark(Rect { x: 16, y: 16, width: 1, height: 1 });
    let (stream, _) = encode(&mut encoder, &busy(2), &map, PictureKind::Predicted, FINE);
    let second = decoded(&mut decoder, &stream);
    for (at, (one, other)) in first.iter().zip(&second).enumerate() {
        let (x, y) = (at % usize::from(WIDTH), at / usize::from(WIDTH));
        let inside = (16..32).contains(&x) && (16..32).contains(&y);
        assert!(inside || one == other, "pixel {x},{y} changed");
    }
    assert!(first != second);
}

#[test]
fn encode_constant_macroblocks_at_a_finer_quantizer_are_refined() {
    let mut encoder = encoder();
    let mut decoder = Decoder::new().expect("openh264 opens");
    let planes = busy(1);
    let nothing = MacroblockMap::constant(size());
    let error = |samples: &[[u8; 3]]| -> u64 {
        samples
            .iter()
            .zip(planes.luma())
            .map(|(one, other)| u64::from(one[0].abs_diff(*other)))
            .sum()
    };
    let coarse = Quantizer::nearest(40);
    let (stream, _) = encode(&mut encoder, &planes, &all(), PictureKind::Key, coarse);
    let rough = error(&decoded(&mut decoder, &stream));
    let (stream, _) = encode(&mut encoder, &planes, &nothing, PictureKind::Predicted, FINE);
    let fine = error(&decoded(&mut decoder, &stream));
    assert!(fine * 4 < rough, "error {rough} became {fine}");
    // Once the picture is fine, encoding it again yields nothing but skips.
    let (stream, _) = encode(&mut encoder, &planes, &nothing, PictureKind::Predicted, FINE);
    assert!(stream.len() < 32, "{} bytes", stream.len());
}

#[test]
fn encode_coarser_quantizer_takes_fewer_bytes() {
    let mut encoder = encoder();
    let mut bytes = |quantizer| {
        encode(&mut encoder, &busy(1), &all(), PictureKind::Key, Quantizer::nearest(quantizer))
            .0
            .len()
    };
    assert!(bytes(12) > 2 * bytes(36));
}

#[test]
fn encode_picture_of_another_size_is_refused() {
    let other = FrameSize::new(WIDTH, HEIGHT + 2).expect("legal size");
    let mut encoder = encoder();
    for (planes, changed) in
        [(Planes::new(other), all()), (busy(1), MacroblockMap::constant(other))]
    {
        let picture = Picture {
            planes: &planes,
            changed: &changed,
            kind: PictureKind::Key,
            quantizer: FINE,
            effort: Effort::Quick,
        };
        assert!(encoder.encode(picture).is_err());
    }
}

#[test]
fn open_smallest_and_largest_size_works() {
    for (width, height) in [(16, 16), (16, 4096), (4096, 2304), (3072, 3072)] {
        let size = FrameSize::new(width, height).expect("legal size");
        assert!(
            Encoder::open(size, Fps::clamped(60), Kbps::clamped(8000), Tools::Plain).is_ok(),
            "{size}"
        );
    }
}

#[test]
fn parameter_set_names_the_level_that_size_rate_and_bits_make() {
    for (width, height, fps, kbps) in [
        (1280, 720, 30, 8_000),
        (1280, 720, 60, 50_000),
        (1920, 1080, 60, 8_000),
        (3840, 2160, 60, 200_000),
        // The rate exceeds what the highest level allows at this size; the level is still the
        // highest.
        (4096, 2304, 240, 8_000),
        (2464, 3814, 60, 8_000),
        (16, 4096, 30, 100),
        (16, 16, 1, 100),
    ] {
        let size = FrameSize::new(width, height).expect("legal size");
        let (fps, bitrate) = (Fps::clamped(fps), Kbps::clamped(kbps));
        let mut encoder = Encoder::open(size, fps, bitrate, Tools::Plain).expect("x264 opens");
        let picture = Picture {
            planes: &Planes::new(size),
            changed: &MacroblockMap::constant(size),
            kind: PictureKind::Key,
            quantizer: FINE,
            effort: Effort::Quick,
        };
        let stream = encoder.encode(picture).expect("x264 encodes").bytes.to_vec();
        let unit = units(&stream).find(|unit| unit[0] & 0x1F == 7).expect("a parameter set");
        assert_eq!(unit[3], Level::of(size, fps, bitrate).number(), "{size} at {fps}");
    }
}

#[test]
fn parameter_set_says_baseline_bt601_limited_and_no_reordering() {
    let (stream, _) = encode(&mut encoder(), &busy(1), &all(), PictureKind::Key, FINE);
    let unit = units(&stream).find(|unit| unit[0] & 0x1F == 7).expect("a parameter set");
    let parsed = ParameterSet::parse(unit);
    assert_eq!(
        parsed,
        ParameterSet {
            profile: 66,
            // constraint_set0 and 1: also decodable as Main, that is, Constrained Baseline.
            constraints: 0b1100_0000,
            full_range: false,
            // Primaries and transfer of BT.709, the matrix of BT.601.
            colour: [1, 1, 6],
            reorder_frames: 0,
        }
    );
}

/// The fields of a sequence parameter set that browsers look at (H.264, sections 7.3.2.1.1 and
/// E.1.1).
#[derive(Debug, Eq, PartialEq)]
struct ParameterSet {
    profile: u8,
    constraints: u8,
    full_range: bool,
    colour: [u32; 3],
    reorder_frames: u32,
}

impl ParameterSet {
    fn parse(unit: &[u8]) -> Self {
        let (profile, constraints) = (unit[1], unit[2] & 0xC0);
        let mut bits = Bits::of(&unit[4..]);
        bits.exponential(); // seq_parameter_set_id
        bits.exponential(); // log2_max_frame_num_minus4
        assert_eq!(bits.exponential(), 2, "pic_order_cnt_type without reordering");
        bits.exponential(); // max_num_ref_frames
        bits.take(1); // gaps_in_frame_num_value_allowed_flag
        bits.exponential(); // pic_width_in_mbs_minus1
        bits.exponential(); // pic_height_in_map_units_minus1
        assert_eq!(bits.take(1), 1, "frame_mbs_only_flag");
        bits.take(1); // direct_8x8_inference_flag
        assert_eq!(bits.take(1), 1, "frame_cropping_flag");
        let crop = [0; 4].map(|_| bits.exponential());
        assert_eq!(crop, [0, 4, 0, 4], "208x128 cropped to 200x120, in chroma samples");
        assert_eq!(bits.take(1), 1, "vui_parameters_present_flag");
        if bits.take(1) == 1 {
            assert_ne!(bits.take(8), 255, "aspect_ratio_idc is not Extended_SAR");
        }
        assert_eq!(bits.take(1), 0, "overscan_info_present_flag");
        assert_eq!(bits.take(1), 1, "video_signal_type_present_flag");
        bits.take(3); // video_format
        let full_range = bits.take(1) == 1;
        assert_eq!(bits.take(1), 1, "colour_description_present_flag");
        let colour = [0; 3].map(|_| bits.take(8));
        if bits.take(1) == 1 {
            bits.exponential(); // chroma_sample_loc_type_top_field
            bits.exponential(); // chroma_sample_loc_type_bottom_field
        }
        if bits.take(1) == 1 {
            bits.take(32); // num_units_in_tick
            bits.take(32); // time_scale
            bits.take(1); // fixed_frame_rate_flag
        }
        assert_eq!(bits.take(2), 0, "no HRD parameters");
        bits.take(1); // pic_struct_present_flag
        assert_eq!(bits.take(1), 1, "bitstream_restriction_flag");
        bits.take(1); // motion_vectors_over_pic_boundaries_flag
        for _ in 0..4 {
            bits.exponential(); // max bytes, bits, horizontal and vertical vectors
        }
        Self { profile, constraints, full_range, colour, reorder_frames: bits.exponential() }
    }
}

/// Reads bits, most significant first, of a NAL unit without its emulation prevention bytes.
struct Bits {
    bits: std::vec::IntoIter<bool>,
}

impl Bits {
    fn of(payload: &[u8]) -> Self {
        let mut bytes: Vec<u8> = Vec::new();
        let mut zeros = 0;
        for byte in payload {
            if zeros >= 2 && *byte == 3 {
                zeros = 0;
                continue;
            }
            zeros = if *byte == 0 { zeros + 1 } else { 0 };
            bytes.push(*byte);
        }
        let bits: Vec<bool> = bytes
            .iter()
            .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1))
            .collect();
        Self { bits: bits.into_iter() }
    }

    fn take(&mut self, count: u32) -> u32 {
        (0..count)
            .fold(0, |value, _| value << 1 | u32::from(self.bits.next().expect("the set goes on")))
    }

    /// `ue(v)` (H.264, section 9.1).
    fn exponential(&mut self) -> u32 {
        let zeros = (0..32).take_while(|_| self.take(1) == 0).count() as u32;
        (1 << zeros) - 1 + self.take(zeros)
    }
}
