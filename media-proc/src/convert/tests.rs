//! Conversion against a scalar reference, whole and by damage.

use lumen_ipc::message::frames::Rect;
use proptest::prelude::*;

use super::*;

/// BT.601 (sections 2.5.1 to 2.5.3) in floating point, chroma from the mean of each 2×2 block.
fn reference(frame: Frame<'_>) -> Planes {
    let mut planes = Planes::new(frame.size);
    let (width, height) = (usize::from(frame.size.width()), usize::from(frame.size.height()));
    let pixel = |x: usize, y: usize| {
        let at = y * frame.stride_bytes + x * PIXEL_BYTES;
        [2, 1, 0].map(|channel| f64::from(frame.pixels[at + channel]))
    };
    let luma = |[red, green, blue]: [f64; 3]| (0.299 * red + 0.587 * green + 0.114 * blue) / 255.0;
    for y in 0..height {
        for x in 0..width {
            planes.luma[y * width + x] = (16.0 + 219.0 * luma(pixel(x, y))).round() as u8;
        }
    }
    for y in (0..height).step_by(2) {
        for x in (0..width).step_by(2) {
            let block = [pixel(x, y), pixel(x + 1, y), pixel(x, y + 1), pixel(x + 1, y + 1)];
            let mean = [0, 1, 2]
                .map(|channel| block.iter().map(|pixel| pixel[channel]).sum::<f64>() / 4.0);
            let at = y / 2 * (width / 2) + x / 2;
            let level = luma(mean);
            planes.blue[at] = (128.0 + 224.0 * (mean[2] / 255.0 - level) / 1.772).round() as u8;
            planes.red[at] = (128.0 + 224.0 * (mean[0] / 255.0 - level) / 1.402).round() as u8;
        }
    }
    planes
}

fn largest_difference(one: &Planes, other: &Planes) -> u8 {
    let pairs = one.luma.iter().chain(&one.blue).chain(&one.red);
    let others = other.luma.iter().chain(&other.blue).chain(&other.red);
    pairs.zip(others).map(|(one, other)| one.abs_diff(*other)).max().unwrap_or(0)
}

/// Noise that depends only on the seed, in rows of `stride_bytes`.
fn noise(size: FrameSize, stride_bytes: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let bytes = stride_bytes * usize::from(size.height());
    std::iter::repeat_with(|| {
        // Xorshift (Marsaglia 2003), period 2³² − 1.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 24) as u8
    })
    .take(bytes)
    .collect()
}

fn converted_whole(frame: Frame<'_>) -> Planes {
    let mut planes = Planes::new(frame.size);
    planes.update(frame, &MacroblockMap::whole(frame.size)).expect("same size");
    planes
}

#[test]
fn frame_shorter_than_its_rows_is_refused() {
    let size = FrameSize::new(32, 16).expect("legal size");
    assert!(Frame::new(&[0; 32 * 16 * 4], 128, size).is_ok());
    assert!(Frame::new(&[0; 32 * 16 * 4 - 1], 128, size).is_err());
    assert!(Frame::new(&[0; 32 * 16 * 4], 127, size).is_err());
    assert!(Frame::new(&[0; 32 * 16 * 4], usize::MAX, size).is_err());
}

#[test]
fn update_with_a_frame_of_another_size_is_refused() {
    let (small, large) = (FrameSize::nearest(32, 32), FrameSize::nearest(64, 64));
    let pixels = vec![0; small.frame_bytes()];
    let frame = Frame::new(&pixels, small.stride_bytes(), small).expect("covers the size");
    assert!(Planes::new(large).update(frame, &MacroblockMap::constant(large)).is_err());
}

fn frame_size() -> impl Strategy<Value = FrameSize> {
    (8_u16..150, 8_u16..40).prop_map(|(half_width, half_height)| {
        FrameSize::nearest(u32::from(half_width) * 2, u32::from(half_height) * 2)
    })
}

fn rect_in(size: FrameSize) -> impl Strategy<Value = Rect> {
    (0..size.width(), 0..size.height()).prop_flat_map(move |(x, y)| {
        (1..=size.width() - x, 1..=size.height() - y).prop_map(move |(width, height)| Rect {
            x,
            y,
            width,
            height,
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Every vector width and tail of the converter stays within one level of the standard.
    #[test]
    fn update_whole_frame_is_within_one_level_of_the_standard(
        size in frame_size(), padding in 0_usize..3, seed in any::<u32>()
    ) {
        let stride_bytes = size.stride_bytes() + padding * PIXEL_BYTES;
        let pixels = noise(size, stride_bytes, seed);
        let frame = Frame::new(&pixels, stride_bytes, size).expect("covers the size");
        prop_assert!(largest_difference(&converted_whole(frame), &reference(frame)) <= 1);
    }

    /// Converting damage step by step gives, bit for bit, the same planes as converting the whole
    /// frame.
    #[test]
    fn update_damage_only_equals_conversion_of_the_whole(
        (size, rects) in frame_size().prop_flat_map(|size| {
            (Just(size), prop::collection::vec(rect_in(size), 1..6))
        }),
        seed in any::<u32>()
    ) {
        let stride_bytes = size.stride_bytes();
        let mut pixels = noise(size, stride_bytes, seed);
        let frame = Frame::new(&pixels, stride_bytes, size).expect("covers the size");
        let mut planes = converted_whole(frame);
        let fresh = noise(size, stride_bytes, seed.wrapping_add(0x9E37_79B9));
        for rect in rects {
            for y in rect.y..rect.y + rect.height {
                let start = usize::from(y) * stride_bytes + usize::from(rect.x) * PIXEL_BYTES;
                let end = start + usize::from(rect.width) * PIXEL_BYTES;
                pixels[start..end].copy_from_slice(&fresh[start..end]);
            }
            let frame = Frame::new(&pixels, stride_bytes, size).expect("covers the size");
            let mut map = MacroblockMap::constant(size);
            map.mark(rect);
            planes.update(frame, &map).expect("same size");
            prop_assert_eq!(&planes, &converted_whole(frame));
        }
    }
}
