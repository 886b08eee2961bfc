//! What can be told of streams without decoding them; `tests/vp8.rs` decodes them.

use super::*;
use crate::{
    convert::{MacroblockMap, Planes},
    video::Quantizer,
};

/// Not a multiple of a macroblock in either direction.
fn size() -> FrameSize {
    FrameSize::new(200, 120).expect("legal size")
}

/// Noise, of which pictures take many bits.
fn noise() -> Planes {
    let mut planes = Planes::new(size());
    let rect = lumen_ipc::message::frames::Rect { x: 0, y: 0, width: 200, height: 120 };
    let mut state = 1_u32;
    let samples = (0..200 * 120).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        16 + (state >> 24) as u8 % 200
    });
    planes.set_luma(rect, &samples.collect::<Vec<_>>());
    planes
}

fn picture<'a>(planes: &'a Planes, changed: &'a MacroblockMap, quantizer: u8) -> Picture<'a> {
    let quantizer = Quantizer::nearest(quantizer);
    Picture { planes, changed, kind: PictureKind::Predicted, quantizer, effort: Effort::Quick }
}

fn open() -> Encoder {
    Encoder::open(size(), Fps::clamped(60)).expect("libvpx opens")
}

/// The indices of RFC 6386, section 14.1, at which its steps are 4, 17, 51 and 284.
const INDICES: [(u8, i32); 4] = [(4, 0), (23, 13), (32, 47), (51, 127)];

#[test]
fn encode_uses_the_quantizer_that_it_is_told_whatever_the_bits() {
    let (planes, all) = (noise(), MacroblockMap::whole(size()));
    let mut encoder = open();
    for _ in 0..3 {
        for (quantizer, index) in INDICES {
            for effort in [Effort::Quick, Effort::Thorough, Effort::Thrifty] {
                let picture = Picture { effort, ..picture(&planes, &all, quantizer) };
                encoder.encode(picture).expect("encodes");
                assert_eq!(encoder.codec.index(), Ok(index), "at {quantizer}");
            }
        }
    }
}

#[test]
fn encode_makes_keyframes_only_when_asked() {
    let (planes, all) = (noise(), MacroblockMap::whole(size()));
    let mut encoder = open();
    let mut keys = Vec::new();
    for number in 0..400 {
        let kind = match number {
            200 => PictureKind::Key,
            201 => PictureKind::Fresh,
            _ => PictureKind::Predicted,
        };
        let picture = Picture { kind, ..picture(&planes, &all, 44) };
        if encoder.encode(picture).expect("encodes").key {
            keys.push(number);
        }
    }
    assert_eq!(keys, [0, 200]);
}

#[test]
fn encode_examines_what_changed_or_is_coarser() {
    let (planes, none) = (noise(), MacroblockMap::constant(size()));
    let mut encoder = open();
    let mut length = |quantizer, changed: &MacroblockMap| {
        let unit = encoder.encode(picture(&planes, changed, quantizer));
        unit.expect("encodes").bytes.len()
    };
    let first = length(44, &MacroblockMap::whole(size()));
    let nothing = length(44, &none);
    assert!(nothing * 20 < first, "{nothing} bytes of {first} where nothing changed");
    let finer = length(10, &none);
    assert!(finer > first, "{finer} bytes after {first} of a coarser picture");
    for quantizer in [10, 4, 44, 51, 10] {
        let nothing = length(quantizer, &none);
        assert!(nothing * 20 < first, "{nothing} bytes at {quantizer} of what is fine");
    }
}

#[test]
fn encode_of_another_size_is_refused() {
    let other = FrameSize::new(202, 120).expect("legal size");
    let (planes, all) = (Planes::new(other), MacroblockMap::whole(other));
    let refused = open().encode(picture(&planes, &all, 23)).err();
    assert_eq!(refused, Some(EncodeError::Size { encoder: size(), picture: other }));
}
