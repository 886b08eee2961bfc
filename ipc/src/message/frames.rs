//! `frames`: compositor → media, raw pictures.
//!
//! Buffers are announced once, with their descriptor, and then referred to by slot. At most one
//! frame is ever unreleased: the compositor draws the next one only after [`FrameReleased`], which
//! media sends as soon as it has read the pixels (before it encodes), so that drawing overlaps
//! encoding and nothing queues.
//!
//! A frame that is nothing but one app's buffer need not be drawn: media reads it where the app drew
//! it ([`BufferMemory::App`]).

use serde::{Deserialize, Serialize};

use crate::{
    codec::Message,
    link::LinkName,
    units::{BufferGeneration, FrameSequence, FrameSize, MonotonicMicros, SlotIndex},
};

/// Compositor → media.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToMedia {
    /// A buffer to read frames from.
    BufferAnnounced(BufferAnnounced),
    /// A frame to encode.
    FrameReady(FrameReady),
}

/// Media → compositor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToCompositor {
    /// The pixels have been read.
    FrameReleased(FrameReleased),
    /// Whether anybody watches: without viewers the compositor draws at its idle pace.
    ViewersChanged {
        /// Whether at least one peer wants pictures.
        watching: bool,
    },
}

/// Memory for `stride_bytes × height` bytes of BGRX. One descriptor.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct BufferAnnounced {
    /// The set this buffer belongs to; a higher one retires all buffers of the lower.
    pub generation: BufferGeneration,
    /// Its index in the set.
    pub slot: SlotIndex,
    /// Size of the frames in it.
    pub size: FrameSize,
    /// Bytes from one row to the next, at least `size.stride_bytes()`.
    pub stride_bytes: u32,
    /// Whose it is.
    pub memory: BufferMemory,
}

/// Whose a buffer's memory is, and so how it may be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum BufferMemory {
    /// The compositor's: a memfd sealed with `F_SEAL_SHRINK | F_SEAL_GROW`, to be mapped.
    Compositor,
    /// An app's (`wl_shm`): a file in memory that the app may write to and cut short at any time. To
    /// be mapped only under guard, and to be believed nothing but colours.
    App {
        /// Where the pixels begin.
        offset_bytes: u32,
    },
}

/// A frame lies in a slot and stays untouched until released; an app's, if the app keeps its word.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct FrameReady {
    /// The set of the slot.
    pub generation: BufferGeneration,
    /// Where the pixels are.
    pub slot: SlotIndex,
    /// Its number.
    pub sequence: FrameSequence,
    /// What differs from the frame sent before on this link end.
    pub damage: Damage,
    /// When the oldest change it shows was committed by its app.
    pub committed: MonotonicMicros,
    /// When drawing it ended.
    pub rendered: MonotonicMicros,
}

/// Answer to one [`FrameReady`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct FrameReleased {
    /// The set of the slot.
    pub generation: BufferGeneration,
    /// The slot.
    pub slot: SlotIndex,
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

/// Damage that cannot be.
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
    /// More than this many are better sent as their bounding box.
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
        Self(vec![Rect { x: 0, y: 0, width: size.width(), height: size.height() }])
    }

    /// The rectangles, after checking that each lies inside a frame of `size`.
    ///
    /// # Errors
    /// [`BadDamage::Outside`] names the first that does not.
    pub fn rects_within(&self, size: FrameSize) -> Result<&[Rect], BadDamage> {
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
            Self::BufferAnnounced(_) => 1,
            Self::FrameReady(_) => 0,
        }
    }
}

impl Message for ToCompositor {
    const LINK: LinkName = LinkName::Frames;
}
