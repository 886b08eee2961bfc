//! One sample of every message of the `frames` link.

use lumen_ipc::{
    demand::OutputDemand,
    message::frames::{
        BufferAnnounced, BufferMemory, Changed, Colour, Content, Crop, Damage, DeviceNumber,
        FrameReady, FrameReleased, Layer, LayerList, Layers, Picture, PixelFormat, PixelFormats,
        Place, Plane, Planes, Rect, Renderer, ToCompositor, ToMedia, Transform,
    },
    units::{
        BufferSize, FrameSequence, MonotonicMicros, OutputId, OutputSize, PlaneStride, Scale,
        SlotIndex,
    },
};

use super::size;

/// Colours of two channels each, in a vendor's arrangement.
const FORMAT: PixelFormat = PixelFormat { fourcc: 0x3432_5241, modifier: 0x0100_0000_0000_0002 };

pub(crate) fn frames_samples() -> Vec<ToMedia> {
    let rect = Rect { x: 10, y: 20, width: 300, height: 400 };
    let output = OutputId::PRIMARY;
    let announced = |output, slot, memory| {
        ToMedia::BufferAnnounced(BufferAnnounced { output, slot, size: size().into(), memory })
    };
    let ready = |picture, damage| {
        ToMedia::FrameReady(FrameReady {
            output,
            picture,
            sequence: FrameSequence(300),
            damage,
            committed: MonotonicMicros(1_000_000),
            rendered: MonotonicMicros(1_001_700),
        })
    };
    let app = BufferMemory::App { offset_bytes: 4096, stride_bytes: 2048 * 4 };
    vec![
        announced(output, SlotIndex::MIN, BufferMemory::Shared { stride_bytes: 1920 * 4 }),
        announced(OutputId::MAX, SlotIndex::MAX, app),
        ready(Picture::Drawn(SlotIndex::MAX), Damage::new(vec![rect; 3]).expect("legal")),
        ToMedia::BufferRetired { output, slot: SlotIndex::MAX },
        announced(output, SlotIndex::clamped(7), dmabuf(2)),
        announced(output, SlotIndex::clamped(8), dmabuf(4)),
        ready(Picture::Layers(layers()), Damage::full(size())),
    ]
}

pub(super) fn frames_back_samples() -> Vec<ToCompositor> {
    let output = OutputId::PRIMARY;
    let size = Some(OutputSize::nearest(1280, 720, Scale::nearest(1.25)));
    let formats = PixelFormats::new(vec![FORMAT]).expect("one");
    let renderer = Some(Renderer { device: DeviceNumber(0xe280), formats });
    let slot = SlotIndex::MAX;
    vec![
        ToCompositor::FrameReleased(FrameReleased { output, sequence: FrameSequence(300) }),
        ToCompositor::DemandChanged { output, demand: OutputDemand { watched: true, size } },
        ToCompositor::DemandChanged { output, demand: OutputDemand { watched: false, size: None } },
        ToCompositor::BufferAccepted { output, slot },
        ToCompositor::BufferRefused { output, slot },
        ToCompositor::RendererOffered { output, renderer: None },
        ToCompositor::RendererOffered { output, renderer },
    ]
}

/// A buffer of a graphics processor with so many planes.
fn dmabuf(planes: usize) -> BufferMemory {
    let plane = Plane { offset_bytes: 4096, stride_bytes: PlaneStride::clamped(1280) };
    let planes = Planes::new(&vec![plane; planes]).expect("one to four");
    BufferMemory::Dmabuf { format: FORMAT, planes }
}

/// Part of a buffer, and a colour.
pub(crate) fn layers() -> Layers {
    let buffer = BufferSize::new(301, 199).expect("legal");
    let content = Content::Buffer {
        slot: SlotIndex::clamped(7),
        crop: Crop::new([0.5, 1.25, 300.5, 197.0], buffer).expect("inside"),
        transform: Transform::Mirrored90,
        changed: Changed::all(buffer),
    };
    let colour = Colour { red: 18, green: 20, blue: 26, alpha: 255 };
    let place = Place::new(-20, 30, 1000, 1).expect("within reach");
    let list = [content, Content::Colour(colour)];
    let list = list.map(|content| Layer { content, place, alpha: 200, opaque: false });
    Layers { size: size(), ground: colour, list: LayerList::new(list.to_vec()).expect("two") }
}
