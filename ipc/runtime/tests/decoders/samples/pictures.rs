//! One sample of every message of the `frames` link.

use lumen_ipc::{
    demand::OutputDemand,
    message::frames::{
        BufferAnnounced, BufferMemory, Damage, DeviceNumber, FrameReady, FrameReleased, Picture,
        PixelFormat, PixelFormats, Plane, Planes, Rect, Renderer, ToCompositor, ToMedia,
    },
    units::{FrameSequence, MonotonicMicros, OutputId, OutputSize, PlaneStride, Scale, SlotIndex},
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
