//! Layers and buffers of graphics processors, of every size that a message can have.

use lumen_ipc::{
    codec::{self, MAX_MESSAGE_BYTES},
    message::frames::{
        BufferAnnounced, BufferMemory, Changed, Content, Damage, DeviceNumber, FrameReady,
        LayerList, Layers, Picture, PixelFormat, PixelFormats, Place, Plane, Planes, Rect,
        Renderer, ToCompositor, ToMedia, Transform,
    },
    units::{BufferSize, FrameSequence, MonotonicMicros, OutputId, PlaneStride, SlotIndex},
};
use proptest::prelude::*;

use super::{samples, there_and_back};

const FAR: Rect = Rect { x: 16_000, y: 16_000, width: 384, height: 384 };

/// A frame of as many layers and parts as there may be, all with numbers that are long.
fn largest() -> ToMedia {
    let mut layer = samples::layers().list.layers()[0].clone();
    layer.place = Place::new(-Place::REACH, -Place::REACH, 8_000_000, 8_000_000).expect("legal");
    if let Content::Buffer { changed, slot, .. } = &mut layer.content {
        *changed = Changed::new(vec![FAR; Changed::MAX_RECTS]).expect("as many as there may be");
        *slot = SlotIndex::MAX;
    }
    let list = LayerList::new(vec![layer; LayerList::MOST]).expect("as many as there may be");
    ToMedia::FrameReady(FrameReady {
        output: OutputId::MAX,
        picture: Picture::Layers(Layers { list, ..samples::layers() }),
        sequence: FrameSequence(u64::MAX),
        damage: Damage::new(vec![FAR; Damage::MAX_RECTS]).expect("as many as there may be"),
        committed: MonotonicMicros(u64::MAX),
        rendered: MonotonicMicros(u64::MAX),
    })
}

#[test]
fn frame_of_the_most_layers_fits_a_message() {
    there_and_back(&largest());
    let mut buffer = vec![0; MAX_MESSAGE_BYTES / 2 + 4096];
    assert!(codec::encode(&largest(), &mut buffer).is_ok(), "half of a message is not enough");
}

#[test]
fn offer_of_the_most_formats_fits_a_message() {
    let format = |fourcc| PixelFormat { fourcc: u32::MAX - fourcc, modifier: u64::MAX };
    let formats = PixelFormats::new((0..PixelFormats::MOST as u32).map(format).collect());
    let renderer =
        Renderer { device: DeviceNumber(u64::MAX), formats: formats.expect("as many as may be") };
    let output = OutputId::MAX;
    there_and_back(&ToCompositor::RendererOffered { output, renderer: Some(renderer) });
}

/// Encodes a message, changes one byte of it, and decodes it.
fn spoiled(message: &ToMedia, at: usize, byte: u8) -> Option<ToMedia> {
    let mut buffer = vec![0; MAX_MESSAGE_BYTES];
    let length = codec::encode(message, &mut buffer).expect("it fits").len();
    buffer.truncate(length);
    let at = at % length;
    buffer[at] = byte;
    (0..=4).find_map(|planes| codec::decode(&buffer, planes).ok())
}

proptest! {
    #[test]
    fn buffer_of_any_planes_there_and_back_is_the_same(
        names in any::<(u64, u64)>(),
        sides in (1_u64..=16_384, 1_u64..=16_384),
        format in any::<(u32, u64)>(),
        planes in prop::collection::vec(any::<(u32, u64)>(), 1..=4),
    ) {
        let plane = |(offset_bytes, stride)| {
            Plane { offset_bytes, stride_bytes: PlaneStride::clamped(stride) }
        };
        let planes: Vec<_> = planes.into_iter().map(plane).collect();
        let planes = Planes::new(&planes).expect("one to four");
        let format = PixelFormat { fourcc: format.0, modifier: format.1 };
        there_and_back(&ToMedia::BufferAnnounced(BufferAnnounced {
            output: OutputId::clamped(names.0),
            slot: SlotIndex::clamped(names.1),
            size: BufferSize::new(sides.0, sides.1).expect("legal"),
            memory: BufferMemory::Dmabuf { format, planes },
        }));
    }

    /// Whatever a spoiled message decodes to can be said: each number in it is legal.
    #[test]
    fn spoiled_frame_is_refused_or_legal(at in any::<usize>(), byte in any::<u8>()) {
        for message in samples::frames_samples() {
            let Some(decoded) = spoiled(&message, at, byte) else { continue };
            there_and_back(&decoded);
            let ToMedia::FrameReady(FrameReady { picture: Picture::Layers(layers), .. }) = decoded
            else { continue };
            prop_assert!(layers.list.layers().len() <= LayerList::MOST);
            for layer in layers.list.layers() {
                let ((x, y), (width, height)) = (layer.place.corner(), layer.place.size());
                for (start, length) in [(x, width), (y, height)] {
                    let (start, length) = (i64::from(start), i64::from(length));
                    prop_assert!(length > 0 && start >= -Place::REACH);
                    prop_assert!(start + length <= Place::REACH);
                }
            }
        }
    }

    #[test]
    fn every_transform_there_and_back_is_the_same(number in 0_usize..8) {
        let transform = [
            Transform::Normal,
            Transform::Turned90,
            Transform::Turned180,
            Transform::Turned270,
            Transform::Mirrored,
            Transform::Mirrored90,
            Transform::Mirrored180,
            Transform::Mirrored270,
        ][number];
        let mut layer = samples::layers().list.layers()[0].clone();
        if let Content::Buffer { transform: kept, .. } = &mut layer.content {
            *kept = transform;
        }
        let list = LayerList::new(vec![layer]).expect("one");
        there_and_back(&ToMedia::FrameReady(FrameReady {
            output: OutputId::PRIMARY,
            picture: Picture::Layers(Layers { list, ..samples::layers() }),
            sequence: FrameSequence(1),
            damage: Damage::new(Vec::new()).expect("none"),
            committed: MonotonicMicros(1),
            rendered: MonotonicMicros(1),
        }));
    }
}
