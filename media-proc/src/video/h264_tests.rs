//! Both coders in one stream, compared with another decoder: openh264 must show, bit for bit, the
//! picture that the encoder refers to next.

use lumen_ipc::message::frames::Rect;
use openh264::{decoder::Decoder, formats::YUVSource};
use proptest::prelude::*;

use super::*;
use crate::{
    convert::{Frame, Planes},
    video::{Quantizer, direct::Decoded},
};

/// Not a multiple of a macroblock in either direction.
const WIDTH: usize = 200;
const HEIGHT: usize = 120;
/// Rows of the page that scrolls.
const PAGE: usize = 600;

fn size() -> FrameSize {
    FrameSize::new(WIDTH as u16, HEIGHT as u16).expect("legal size")
}

/// A stream and its decoder.
struct Stream {
    encoder: Encoder,
    decoder: Decoder,
    planes: Planes,
    pixels: Vec<u8>,
    top: usize,
    effort: Effort,
}

impl Stream {
    fn begin(quantizer: u8) -> Self {
        Self::with(Tools::Arithmetic, quantizer)
    }

    fn with(tools: Tools, quantizer: u8) -> Self {
        let mut stream = Self {
            encoder: Encoder::open(size(), Fps::clamped(60), Kbps::clamped(8000), tools)
                .expect("x264 opens"),
            decoder: Decoder::new().expect("openh264 opens"),
            planes: Planes::new(size()),
            pixels: vec![0; size().frame_bytes()],
            top: 100,
            effort: Effort::Quick,
        };
        stream.scroll_to(100);
        stream.encode(PictureKind::Key, &all(), quantizer);
        stream
    }

    /// Shows the page from row `top` on.
    fn scroll_to(&mut self, top: usize) {
        self.top = top;
        for (at, pixel) in self.pixels.chunks_exact_mut(4).enumerate() {
            pixel.copy_from_slice(&page(at % WIDTH, at / WIDTH + top));
        }
    }

    fn fill(&mut self, rect: Rect, colour: [u8; 3]) {
        let (x, y) = (usize::from(rect.x), usize::from(rect.y));
        for row in self.pixels.chunks_exact_mut(WIDTH * 4).skip(y).take(rect.height.into()) {
            for pixel in row.chunks_exact_mut(4).skip(x).take(rect.width.into()) {
                pixel[..3].copy_from_slice(&colour);
            }
        }
    }

    /// Encodes and decodes a picture, compares, and returns how many bytes it took and whether
    /// `direct` coded it.
    fn encode(
        &mut self,
        kind: PictureKind,
        changed: &MacroblockMap,
        quantizer: u8,
    ) -> (usize, bool) {
        let frame =
            Frame::new(&self.pixels, size().stride_bytes(), size()).expect("covers the size");
        self.planes.update(frame, changed).expect("same size");
        let quantizer = Quantizer::nearest(quantizer);
        let (planes, effort) = (&self.planes, self.effort);
        let picture = Picture { planes, changed, kind, quantizer, effort };
        let bytes = self.encoder.encode(picture).expect("encodes").bytes.to_vec();
        self.compare(&bytes);
        (bytes.len(), self.encoder.newest == Newest::Direct)
    }

    fn compare(&mut self, bytes: &[u8]) {
        let expected = self.encoder.decoded();
        let shown = self.decoder.decode(bytes).expect("legal stream").expect("one picture");
        assert_eq!(shown.dimensions(), (WIDTH, HEIGHT));
        let (columns, _) = expected.macroblocks();
        let (luma_stride, blue_stride, red_stride) = shown.strides();
        let planes = [
            (shown.y(), luma_stride, expected.luma(), columns * 16, WIDTH, HEIGHT),
            (shown.u(), blue_stride, &expected.chroma()[0], columns * 8, WIDTH / 2, HEIGHT / 2),
            (shown.v(), red_stride, &expected.chroma()[1], columns * 8, WIDTH / 2, HEIGHT / 2),
        ];
        for (index, (shown, stride, expected, width, across, down)) in planes.iter().enumerate() {
            for y in 0..*down {
                let shown = &shown[y * stride..][..*across];
                let expected = &expected[y * width..][..*across];
                assert_eq!(shown, expected, "row {y} of plane {index}");
            }
        }
    }

    /// The mean difference of luma from the picture to show.
    fn error(&self) -> f64 {
        let decoded = self.encoder.decoded();
        let (columns, _) = decoded.macroblocks();
        let mut sum = 0_u64;
        for (row, wanted) in self.planes.luma().chunks_exact(WIDTH).enumerate() {
            let shown = &decoded.luma()[row * columns * 16..];
            sum += wanted.iter().zip(shown).map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>();
        }
        sum as f64 / (WIDTH * HEIGHT) as f64
    }
}

impl Encoder {
    /// The picture that decoders should show.
    fn decoded(&self) -> Decoded {
        if let (Newest::Direct, Some(direct)) = (self.newest, &self.direct) {
            return direct.decoded().clone();
        }
        let mut decoded = Decoded::new(self.size());
        assert!(self.x264.read_reference(&mut decoded));
        decoded
    }
}

/// Random coloured letters on paper, some of it a photograph.
fn page(x: usize, y: usize) -> [u8; 4] {
    let chance = (x / 7 + y / 14 * 97 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let stroke = chance >> ((y % 14 / 2) * 3 + x % 7 / 3) & 1 == 1;
    if x > 150 {
        return [(x * y / 9) as u8, (x + y) as u8, (y / 2) as u8, 0];
    }
    if y % 14 < 10 && stroke { [(chance >> 20) as u8 / 2, 30, 60, 0] } else { [250, 250, 245, 0] }
}

fn all() -> MacroblockMap {
    MacroblockMap::whole(size())
}

fn only(rect: Rect) -> MacroblockMap {
    let mut map = MacroblockMap::constant(size());
    map.mark(rect);
    map
}

const LETTER: Rect = Rect { x: 37, y: 43, width: 9, height: 14 };

#[test]
fn encode_small_change_is_direct_and_exact() {
    let mut stream = Stream::begin(20);
    stream.fill(LETTER, [0, 0, 200]);
    let (bytes, direct) = stream.encode(PictureKind::Predicted, &only(LETTER), 14);
    assert!(direct);
    assert!(bytes < 600, "{bytes} bytes for a letter");
}

#[test]
fn encode_scrolled_page_is_direct_and_small() {
    for rows in [-18_i16, -7, 5, 16] {
        let mut stream = Stream::begin(23);
        let (whole, _) = stream.encode(PictureKind::Fresh, &all(), 23);
        stream.scroll_to(stream.top.saturating_add_signed(-isize::from(rows)));
        let (bytes, direct) = stream.encode(PictureKind::Moved(rows), &all(), 23);
        assert!(!direct || bytes * 2 < whole, "{rows} rows took {bytes} bytes of {whole}");
    }
}

#[test]
fn encode_scrolled_page_takes_bits_for_the_new_rows_only() {
    // At the lower edge macroblocks are half known and half new.
    for rows in [2_usize, 4, 6, 8] {
        let mut stream = Stream::begin(23);
        let (whole, _) = stream.encode(PictureKind::Fresh, &all(), 23);
        stream.encode(PictureKind::Fresh, &all(), 14);
        stream.scroll_to(stream.top + rows);
        let (bytes, direct) = stream.encode(PictureKind::Moved(-(rows as i16)), &all(), 23);
        assert!(direct);
        let share = whole * (rows + 4) / HEIGHT;
        assert!(
            bytes <= share,
            "{rows} rows took {bytes} bytes, their share is {share} of {whole}"
        );
    }
}

#[test]
fn encode_motion_beyond_the_level_is_left_to_x264() {
    // Level 4: vectors of less than 512 rows.
    let tall = FrameSize::new(16, 4096).expect("legal size");
    for (rows, expected) in [(496, true), (512, false)] {
        let mut encoder = Encoder::open(tall, Fps::clamped(20), Kbps::clamped(8000), Tools::Fine)
            .expect("x264 opens");
        let everything = MacroblockMap::whole(tall);
        let mut planes = Planes::new(tall);
        for (kind, top) in
            [(PictureKind::Key, 0), (PictureKind::Moved(-rows), usize::from(rows.unsigned_abs()))]
        {
            let pixels: Vec<u8> =
                (0..16 * 4096).flat_map(|at| page(at % 16, at / 16 + top)).collect();
            let frame = Frame::new(&pixels, tall.stride_bytes(), tall).expect("covers the size");
            planes.update(frame, &everything).expect("same size");
            let (changed, quantizer) = (&everything, Quantizer::nearest(40));
            let direct = encoder
                .encode(Picture {
                    planes: &planes,
                    changed,
                    kind,
                    quantizer,
                    effort: Effort::Quick,
                })
                .expect("encodes")
                .direct;
            assert_eq!(direct, expected && kind != PictureKind::Key, "{rows} rows, {kind:?}");
        }
    }
}

#[test]
fn encode_flat_fill_is_direct_and_tiny() {
    let mut stream = Stream::begin(23);
    let rect = Rect { x: 0, y: 0, width: WIDTH as u16, height: HEIGHT as u16 };
    for colour in [[10, 200, 30], [255, 255, 255], [0, 0, 0]] {
        stream.fill(rect, colour);
        let (bytes, direct) = stream.encode(PictureKind::Fresh, &all(), 23);
        assert!(direct);
        assert!(bytes < 200, "{bytes} bytes for one colour");
        assert!(stream.error() < 2.0);
    }
}

#[test]
fn encode_after_direct_pictures_x264_goes_on_from_them() {
    let mut stream = Stream::begin(30);
    for round in 0..40_u16 {
        let rect = Rect { x: round % 12 * 16, y: round % 7 * 16, width: 12, height: 12 };
        stream.fill(rect, [(round * 6) as u8, 100, 200]);
        assert!(stream.encode(PictureKind::Predicted, &only(rect), 23).1);
    }
    let nothing = MacroblockMap::constant(size());
    let rough = stream.error();
    let (_, direct) = stream.encode(PictureKind::Predicted, &nothing, 12);
    assert!(!direct);
    assert!(stream.error() < rough, "{} is no finer than {rough}", stream.error());
    // And in the other direction, across the wrap of the frame number.
    for round in 0..40_u16 {
        stream.fill(LETTER, [(round * 6) as u8, 0, 0]);
        let changed = if round % 3 == 0 { all() } else { only(LETTER) };
        stream.encode(PictureKind::Predicted, &changed, 20);
    }
}

#[test]
fn encode_key_after_direct_pictures_begins_anew() {
    let mut stream = Stream::begin(23);
    stream.fill(LETTER, [0, 0, 200]);
    stream.encode(PictureKind::Predicted, &only(LETTER), 14);
    stream.decoder = Decoder::new().expect("openh264 opens");
    stream.encode(PictureKind::Key, &all(), 23);
    stream.fill(LETTER, [0, 90, 200]);
    assert!(stream.encode(PictureKind::Predicted, &only(LETTER), 14).1);
}

/// The units of an access unit, without start codes.
fn units(stream: &[u8]) -> Vec<&[u8]> {
    let starts: Vec<usize> =
        (3..stream.len()).filter(|at| stream[at - 3..*at] == [0, 0, 1]).collect();
    let ends = starts.iter().skip(1).map(|start| start - 3).chain([stream.len()]);
    starts.iter().zip(ends).map(|(start, end)| &stream[*start..end]).collect()
}

/// The number of the picture parameter set that a slice of a whole picture names: `first_mb_in_slice`
/// is one bit, `slice_type` (5 or 7 for one type only) five or seven.
fn set_of(slice: &[u8]) -> u32 {
    let bit = |at: usize| u32::from(slice[1 + at / 8] >> (7 - at % 8) & 1);
    let kind = (1..8).find(|at| bit(*at) == 1).expect("a slice type") - 1;
    1 - bit(1 + 2 * kind + 1)
}

/// Noise as soft as a photograph, which moves by parts of a pixel.
fn drift(stream: &mut Stream, step: usize) {
    let noise = |x: usize, y: usize| {
        let mixed = (x / 5 * 1009 + y / 5 * 9176).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        f64::from((mixed >> 56) as u8)
    };
    let part = step as f64 * 0.37;
    let (whole, rest) = (part as usize, part.fract());
    for (at, pixel) in stream.pixels.chunks_exact_mut(4).enumerate() {
        let (x, y) = (at % WIDTH + whole, at / WIDTH);
        let value = noise(x, y) * (1.0 - rest) + noise(x + 1, y) * rest;
        pixel.fill(value as u8);
    }
}

/// Bytes and error of a motion, without the keyframe.
fn motion(tools: Tools, effort: Effort) -> (usize, f64) {
    let mut stream = Stream::with(tools, 32);
    stream.effort = effort;
    let (mut bytes, mut error) = (0, 0.0);
    for step in 0..12 {
        drift(&mut stream, step);
        let (length, direct) = stream.encode(PictureKind::Predicted, &all(), 32);
        assert!(!direct);
        if step > 0 {
            bytes += length;
            error += stream.error();
        }
    }
    (bytes, error)
}

#[test]
fn encode_thrifty_takes_far_fewer_bytes_of_a_motion_between_pixels() {
    let (thorough, error) = motion(Tools::Fine, Effort::Thorough);
    for (tools, percent) in [(Tools::Fine, 40), (Tools::Arithmetic, 35)] {
        let (thrifty, remains) = motion(tools, Effort::Thrifty);
        let figures = format!("{thorough} bytes became {thrifty}, error {error} {remains}");
        assert!(thrifty * 100 <= thorough * percent, "{tools:?}: {figures}");
        assert!(remains <= error * 1.1, "{tools:?}: {figures}");
    }
}

#[test]
fn encode_thrifty_scrolled_page_takes_fewer_bytes_in_main_than_the_direct_coder() {
    let scroll = |effort| {
        let mut stream = Stream::with(Tools::Arithmetic, 34);
        stream.effort = effort;
        let (mut bytes, mut error) = (0, 0.0);
        for step in 0..16 {
            stream.scroll_to(stream.top + 7);
            let (length, direct) = stream.encode(PictureKind::Moved(-7), &all(), 34);
            assert!(!direct || effort == Effort::Quick);
            if step > 0 {
                bytes += length;
                error += stream.error();
            }
        }
        (bytes, error)
    };
    let (direct, thrifty) = (scroll(Effort::Quick), scroll(Effort::Thrifty));
    let figures = format!("bytes and errors {direct:?} became {thrifty:?}");
    assert!(thrifty.0 * 5 <= direct.0 * 4 && thrifty.1 <= direct.1 * 1.05, "{figures}");
}

#[test]
fn encode_thrifty_and_not_by_turns_needs_no_keyframe() {
    for (tools, expected) in [(Tools::Fine, [0, 0]), (Tools::Arithmetic, [0, 1])] {
        let mut stream = Stream::with(tools, 30);
        for step in 0..9 {
            drift(&mut stream, step);
            let thrifty = step / 3 == 1;
            stream.effort = if thrifty { Effort::Thrifty } else { Effort::Quick };
            let (planes, effort) = (&stream.planes, stream.effort);
            let (changed, quantizer) = (&all(), Quantizer::nearest(30));
            let kind = PictureKind::Predicted;
            let picture = Picture { planes, changed, kind, quantizer, effort };
            let unit = stream.encoder.encode(picture).expect("encodes");
            assert!(!unit.key);
            let bytes = unit.bytes.to_vec();
            stream.compare(&bytes);
            let slices = units(&bytes);
            assert_eq!(slices.len(), 1, "only a slice");
            assert_eq!(set_of(slices[0]), expected[usize::from(thrifty)], "step {step}");
        }
    }
}

#[test]
fn encode_key_says_the_profile_of_all_that_follows() {
    for (tools, profile, sets) in [
        // Constrained Baseline: obeys the constraints of both.
        (Tools::Fine, [66, 0xC0], vec![7, 8, 5]),
        (Tools::Arithmetic, [77, 0x40], vec![7, 8, 6, 7, 8, 5]),
    ] {
        let mut stream = Stream::with(tools, 30);
        for effort in [Effort::Quick, Effort::Thrifty, Effort::Thrifty, Effort::Quick] {
            stream.effort = effort;
            // Only a picture between two keyframes has the effort take effect.
            stream.fill(LETTER, [0, 0, 200]);
            stream.encode(PictureKind::Predicted, &all(), 30);
            let (planes, changed, kind) = (&stream.planes, &all(), PictureKind::Key);
            let quantizer = Quantizer::nearest(30);
            let picture = Picture { planes, changed, kind, quantizer, effort };
            let unit = stream.encoder.encode(picture).expect("encodes");
            assert!(unit.key);
            let bytes = unit.bytes.to_vec();
            // Whoever joins sees the picture and those behind it.
            stream.decoder = Decoder::new().expect("openh264 opens");
            stream.compare(&bytes);
            let found = units(&bytes);
            let kinds: Vec<u8> = found.iter().map(|unit| unit[0] & 0x1F).collect();
            assert_eq!(kinds, sets);
            for unit in found.iter().filter(|unit| unit[0] & 0x1F == 7) {
                assert_eq!([unit[1], unit[2] & 0xC0], profile);
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Fill(Rect, [u8; 3]),
    Scroll(i16),
    /// A scroll of which only a window is marked as changed.
    Refine,
    Key,
    Flat([u8; 3]),
}

fn step() -> impl Strategy<Value = Step> {
    let rect = (0..WIDTH as u16, 0..HEIGHT as u16, 1..60_u16, 1..40_u16).prop_map(
        |(x, y, width, height)| Rect {
            x,
            y,
            width: width.min(WIDTH as u16 - x),
            height: height.min(HEIGHT as u16 - y),
        },
    );
    prop_oneof![
        6 => (rect, any::<[u8; 3]>()).prop_map(|(rect, colour)| Step::Fill(rect, colour)),
        6 => (-40_i16..40).prop_map(Step::Scroll),
        2 => Just(Step::Refine),
        1 => Just(Step::Key),
        1 => any::<[u8; 3]>().prop_map(Step::Flat),
    ]
}

fn effort() -> impl Strategy<Value = Effort> {
    prop::sample::select(vec![Effort::Quick, Effort::Thorough, Effort::Thrifty])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever happens on a screen, decoders show the picture that the encoder refers to next.
    #[test]
    fn decoders_show_what_is_gone_on_from(
        steps in prop::collection::vec((step(), Quantizer::FINEST.value()..45, effort()), 1..25),
        tools in prop::sample::select(vec![Tools::Fine, Tools::Arithmetic]),
    ) {
        let mut stream = Stream::with(tools, 26);
        for (step, quantizer, effort) in steps {
            stream.effort = effort;
            match step {
                Step::Fill(rect, colour) => {
                    stream.fill(rect, colour);
                    stream.encode(PictureKind::Predicted, &only(rect), quantizer);
                }
                Step::Scroll(rows) => {
                    let top = stream.top.saturating_add_signed(-isize::from(rows));
                    stream.scroll_to(top.min(PAGE));
                    stream.encode(PictureKind::Moved(rows), &all(), quantizer);
                }
                Step::Refine => {
                    let nothing = MacroblockMap::constant(size());
                    stream.encode(PictureKind::Predicted, &nothing, quantizer);
                }
                Step::Key => {
                    stream.encode(PictureKind::Key, &all(), quantizer);
                }
                Step::Flat(colour) => {
                    let rect = Rect { x: 0, y: 0, width: WIDTH as u16, height: HEIGHT as u16 };
                    stream.fill(rect, colour);
                    stream.encode(PictureKind::Fresh, &all(), quantizer);
                }
            }
        }
    }
}
