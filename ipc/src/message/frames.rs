//! `frames`: compositor → media, raw pictures.
//!
//! Every message names its output. A buffer is announced once, with its descriptors, then referred
//! to by slot, and retired by slot; a retired slot is free for another buffer. Messages arrive in
//! order, so none can mean the buffer that had the slot before.
//!
//! At most one frame of an output is unreleased: the compositor draws the next one only after
//! [`FrameReleased`], which media sends as soon as it has read the pixels (before it encodes), so
//! that drawing overlaps encoding and nothing queues. A buffer may be retired while a frame in it
//! is unreleased; that frame is still read and released.
//!
//! A frame that consists of one app's buffer need not be drawn: media reads it from the app's
//! memory ([`BufferMemory::App`]).
//!
//! A media that can draw says so ([`ToCompositor::RendererOffered`]). Only then are buffers in memory
//! of a graphics processor announced to it, each of which it accepts or refuses, and frames as
//! layers. What media offers is a state: the newest offer on a link counts, and without one nothing
//! is offered.

mod dmabuf;
mod layers;

pub use dmabuf::{
    BadPixelFormats, BadPlanes, DeviceNumber, PixelFormat, PixelFormats, Plane, Planes, Renderer,
};
pub use layers::{
    BadLayer, Changed, Colour, Content, Crop, Layer, LayerList, Layers, Place, Transform,
};

use serde::{Deserialize, Serialize};

use crate::{
    codec::Message,
    demand::OutputDemand,
    link::LinkName,
    units::{BufferSize, FrameSequence, FrameSize, MonotonicMicros, OutputId, SlotIndex},
};

/// Compositor → media.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToMedia {
    /// A buffer to read frames from.
    BufferAnnounced(BufferAnnounced),
    /// No later frame is in this buffer: media unmaps its memory.
    BufferRetired {
        /// The output it was announced for.
        output: OutputId,
        /// Its slot, which is free from now on.
        slot: SlotIndex,
    },
    /// A frame to encode.
    FrameReady(FrameReady),
}

/// Media → compositor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToCompositor {
    /// An announced [`BufferMemory::Dmabuf`] can be drawn.
    BufferAccepted {
        /// The output it was announced for.
        output: OutputId,
        /// Its slot.
        slot: SlotIndex,
    },
    /// The renderer's driver does not take an announced [`BufferMemory::Dmabuf`]. The slot is
    /// occupied until it is retired.
    BufferRefused {
        /// The output it was announced for.
        output: OutputId,
        /// Its slot.
        slot: SlotIndex,
    },
    /// What is wanted of an output, as a whole, whenever a part of it changes and on a new link.
    /// Before the first one on a link, nothing is drawn for the output.
    DemandChanged {
        /// The output.
        output: OutputId,
        /// What is wanted of it.
        demand: OutputDemand,
    },
    /// The pixels have been read.
    FrameReleased(FrameReleased),
    /// What media draws with from now on. A new link begins with it, before any demand.
    RendererOffered {
        /// The output whose frames it draws.
        output: OutputId,
        /// The renderer; without one, media draws nothing.
        renderer: Option<Renderer>,
    },
}

/// A buffer, with as many descriptors as its memory has planes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct BufferAnnounced {
    /// The output whose frames it holds.
    pub output: OutputId,
    /// The slot by which frames refer to it.
    pub slot: SlotIndex,
    /// Its size. A frame that is [`Picture::Drawn`] in it has the same, so only a buffer of a frame's
    /// size can hold one.
    pub size: BufferSize,
    /// Its owner and layout.
    pub memory: BufferMemory,
}

/// Owner and layout of a buffer's memory, which decide how it may be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum BufferMemory {
    /// An app's memory (`wl_shm`), rows of BGRX: a memory file that the app may write to and truncate
    /// at any time. Map it only with a guard against faults, and trust its content to be colours only.
    App {
        /// Where the pixels begin.
        offset_bytes: u32,
        /// Bytes from one row to the next.
        stride_bytes: u32,
    },
    /// An app's memory of a graphics processor, for the renderer that media has offered.
    Dmabuf {
        /// One of the formats that the renderer takes.
        format: PixelFormat,
        /// Where its planes lie, each in the memory of a descriptor of its own.
        planes: Planes,
    },
    /// The compositor's memory, rows of BGRX: a memfd sealed with `F_SEAL_SHRINK | F_SEAL_GROW`, to be
    /// mapped from its beginning.
    Shared {
        /// Bytes from one row to the next.
        stride_bytes: u32,
    },
}

impl BufferMemory {
    /// How many descriptors announce it: one for each plane.
    #[must_use]
    pub fn planes(self) -> usize {
        match self {
            Self::App { .. } | Self::Shared { .. } => 1,
            Self::Dmabuf { planes, .. } => planes.count(),
        }
    }
}

/// A frame, which does not change until it is released; in an app's memory, only if the app
/// behaves.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct FrameReady {
    /// The output it shows.
    pub output: OutputId,
    /// Where the pixels are.
    pub picture: Picture,
    /// The frame's number.
    pub sequence: FrameSequence,
    /// What differs from the previous frame of this output on this link end.
    pub damage: Damage,
    /// When the oldest change it shows was committed by its app.
    pub committed: MonotonicMicros,
    /// When drawing it ended.
    pub rendered: MonotonicMicros,
}

/// The content of a frame.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Picture {
    /// The whole frame is in one buffer of rows of BGRX.
    Drawn(SlotIndex),
    /// Media draws the frame with the renderer that it has offered.
    Layers(Layers),
}

/// Answer to one [`FrameReady`]: its pixels have been read, from all buffers that hold them.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct FrameReleased {
    /// The output it shows.
    pub output: OutputId,
    /// The frame's number.
    pub sequence: FrameSequence,
}

/// A rectangle in frame pixels.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Rect {
    /// Left edge.
    pub x: u16,
    /// Top edge.
    pub y: u16,
    /// Width, at least 1.
    pub width: u16,
    /// Height, at least 1.
    pub height: u16,
}

/// The changed parts of a frame: at most [`Damage::MAX_RECTS`] rectangles.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Rect>", into = "Vec<Rect>")]
pub struct Damage(Vec<Rect>);

/// Illegal damage.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadDamage {
    /// Too many rectangles.
    #[error("{0} damage rectangles where at most {max} are allowed", max = Damage::MAX_RECTS)]
    TooMany(usize),
    /// An empty rectangle or one that leaves the frame.
    #[error("damage {rect:?} is empty or leaves the frame")]
    Outside {
        /// The rectangle.
        rect: Rect,
    },
}

impl Damage {
    /// More rectangles than this are better sent as their bounding box.
    pub const MAX_RECTS: usize = 64;

    /// Damage made of `rects`.
    ///
    /// # Errors
    /// [`BadDamage`] when there are too many, or one is empty or overflows.
    pub fn new(rects: Vec<Rect>) -> Result<Self, BadDamage> {
        if rects.len() > Self::MAX_RECTS {
            return Err(BadDamage::TooMany(rects.len()));
        }
        let possible = |rect: &Rect| {
            rect.width > 0
                && rect.height > 0
                && rect.x.checked_add(rect.width).is_some()
                && rect.y.checked_add(rect.height).is_some()
        };
        if let Some(rect) = rects.iter().find(|rect| !possible(rect)) {
            return Err(BadDamage::Outside { rect: *rect });
        }
        Ok(Self(rects))
    }

    /// The whole frame.
    #[must_use]
    pub fn full(size: FrameSize) -> Self {
        Self::whole(size.into())
    }

    /// The whole of a buffer.
    fn whole(size: BufferSize) -> Self {
        Self(vec![Rect { x: 0, y: 0, width: size.width(), height: size.height() }])
    }

    /// The rectangles, after checking that each lies inside a frame of `size`.
    ///
    /// # Errors
    /// [`BadDamage::Outside`] names the first that does not.
    pub fn rects_within(&self, size: impl Into<BufferSize>) -> Result<&[Rect], BadDamage> {
        let size = size.into();
        // The sums cannot overflow: `new` refused rectangles whose sums do.
        let inside = |rect: &Rect| {
            rect.x + rect.width <= size.width() && rect.y + rect.height <= size.height()
        };
        match self.0.iter().find(|rect| !inside(rect)) {
            Some(rect) => Err(BadDamage::Outside { rect: *rect }),
            None => Ok(&self.0),
        }
    }
}

impl TryFrom<Vec<Rect>> for Damage {
    type Error = BadDamage;

    fn try_from(rects: Vec<Rect>) -> Result<Self, BadDamage> {
        Self::new(rects)
    }
}

impl From<Damage> for Vec<Rect> {
    fn from(damage: Damage) -> Self {
        damage.0
    }
}

impl Message for ToMedia {
    const LINK: LinkName = LinkName::Frames;

    fn descriptors(&self) -> usize {
        match self {
            Self::BufferAnnounced(announced) => announced.memory.planes(),
            Self::BufferRetired { .. } | Self::FrameReady(_) => 0,
        }
    }
}

impl Message for ToCompositor {
    const LINK: LinkName = LinkName::Frames;
}
