//! A frame that is not drawn yet: the surfaces of which media draws it.

use serde::{Deserialize, Serialize};

use super::{Damage, Rect};
use crate::units::{BufferSize, FrameSize, SlotIndex};

/// The surfaces of a frame from back to front, on a ground of one colour.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Layers {
    /// Size of the frame.
    pub size: FrameSize,
    /// The colour where no surface is.
    pub ground: Colour,
    /// The surfaces.
    pub list: LayerList,
}

/// At most [`LayerList::MOST`] layers, the hindmost first.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Layer>", into = "Vec<Layer>")]
pub struct LayerList(Vec<Layer>);

/// One surface.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// Its pixels.
    pub content: Content,
    /// Where it is shown.
    pub place: Place,
    /// How much of it is seen, from nothing to all of it; its own alpha channel counts beside.
    pub alpha: u8,
    /// Whether its alpha channel means nothing.
    pub opaque: bool,
}

/// The pixels of a layer.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Content {
    /// Part of a buffer.
    Buffer {
        /// The buffer.
        slot: SlotIndex,
        /// The part of it, which is enlarged or shrunk to the layer's place.
        crop: Crop,
        /// How that part is turned.
        transform: Transform,
        /// What differs from when the buffer was last part of a frame on this link end; of a buffer
        /// that was not, everything does.
        changed: Changed,
    },
    /// One colour everywhere.
    Colour(Colour),
}

/// A colour whose channels are multiplied by its alpha, as those of buffers are.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Colour {
    /// Red.
    pub red: u8,
    /// Green.
    pub green: u8,
    /// Blue.
    pub blue: u8,
    /// Opacity.
    pub alpha: u8,
}

/// How a buffer is turned before it is shown, as `wl_output.transform` counts: first mirrored, if it
/// is, then turned counter-clockwise.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Transform {
    /// Not at all.
    Normal,
    /// By 90 degrees.
    Turned90,
    /// By 180 degrees.
    Turned180,
    /// By 270 degrees.
    Turned270,
    /// Mirrored left to right.
    Mirrored,
    /// Mirrored and turned by 90 degrees.
    Mirrored90,
    /// Mirrored and turned by 180 degrees.
    Mirrored180,
    /// Mirrored and turned by 270 degrees.
    Mirrored270,
}

/// A part of a buffer in 256ths of its pixels, in which Wayland states it, too: not empty and inside.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Crop {
    x: u32,
    y: u32,
    width: u32,
    height: u32,
}

/// A rectangle in pixels of the frame, which may reach beyond it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawPlace", into = "RawPlace")]
pub struct Place(RawPlace);

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
struct RawPlace {
    x: i32,
    y: i32,
    width: u32,
    height: u32,
}

/// The changed parts of a buffer: at most [`Changed::MAX_RECTS`] rectangles.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Rect>", into = "Vec<Rect>")]
pub struct Changed(Damage);

/// An illegal layer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadLayer {
    /// Too many layers.
    #[error("{0} layers where at most {max} are allowed", max = LayerList::MOST)]
    TooMany(usize),
    /// A place that is empty or too far away.
    #[error("a layer of {width}x{height} at {x},{y} is empty or out of reach")]
    Place {
        /// Left edge.
        x: i64,
        /// Top edge.
        y: i64,
        /// Width.
        width: i64,
        /// Height.
        height: i64,
    },
    /// A part that is empty or leaves its buffer.
    #[error("a part {0:?} that is empty or leaves its buffer")]
    Crop(Crop),
    /// Changed parts that are too many or leave the buffer.
    #[error("the changed parts of a buffer are too many, or one is empty or leaves it")]
    Changed,
}

impl LayerList {
    /// More surfaces than a desktop shows at a time. With all of their changed parts they fill half of
    /// the largest message.
    pub const MOST: usize = 128;

    /// These layers, the hindmost first.
    ///
    /// # Errors
    /// [`BadLayer::TooMany`].
    pub fn new(layers: Vec<Layer>) -> Result<Self, BadLayer> {
        if layers.len() > Self::MOST {
            return Err(BadLayer::TooMany(layers.len()));
        }
        Ok(Self(layers))
    }

    /// Adds a layer in front of all others; returns whether there was room for it.
    #[must_use]
    pub fn push(&mut self, layer: Layer) -> bool {
        let has_room = self.0.len() < Self::MOST;
        if has_room {
            self.0.push(layer);
        }
        has_room
    }

    /// Each layer, the hindmost first.
    #[must_use]
    pub fn layers(&self) -> &[Layer] {
        &self.0
    }
}

impl TryFrom<Vec<Layer>> for LayerList {
    type Error = BadLayer;

    fn try_from(layers: Vec<Layer>) -> Result<Self, BadLayer> {
        Self::new(layers)
    }
}

impl From<LayerList> for Vec<Layer> {
    fn from(list: LayerList) -> Self {
        list.0
    }
}

impl Content {
    /// Checks that the part and what changed lie in a buffer of `size`, which is the slot's.
    ///
    /// # Errors
    /// [`BadLayer`] says which does not.
    pub fn check_within(&self, size: BufferSize) -> Result<(), BadLayer> {
        match self {
            Self::Colour(_) => Ok(()),
            Self::Buffer { crop, changed, .. } => {
                crop.check_within(size)?;
                changed.rects_within(size).map(drop)
            }
        }
    }
}

impl Crop {
    /// Units of a pixel.
    const PARTS: f64 = 256.0;

    /// All of a buffer of `size`.
    #[must_use]
    pub fn whole(size: BufferSize) -> Self {
        let parts = |side: u16| u32::from(side) * Self::PARTS as u32;
        Self { x: 0, y: 0, width: parts(size.width()), height: parts(size.height()) }
    }

    /// The part at `x`, `y` of `width` × `height` pixels, to the nearest 256th, of a buffer of `size`.
    ///
    /// # Errors
    /// [`BadLayer::Crop`] when it is empty or leaves the buffer.
    pub fn new([x, y, width, height]: [f64; 4], size: BufferSize) -> Result<Self, BadLayer> {
        // The cast saturates, and turns NaN into zero.
        let parts = |pixels: f64| (pixels * Self::PARTS).round() as u32;
        let crop = Self { x: parts(x), y: parts(y), width: parts(width), height: parts(height) };
        crop.check_within(size).map(|()| crop)
    }

    /// Left edge, top edge, width and height in pixels.
    #[must_use]
    pub fn pixels(self) -> [f64; 4] {
        [self.x, self.y, self.width, self.height].map(|parts| f64::from(parts) / Self::PARTS)
    }

    fn check_within(self, size: BufferSize) -> Result<(), BadLayer> {
        let whole = Self::whole(size);
        let inside = |start: u32, length: u32, most: u32| {
            length > 0 && start.checked_add(length).is_some_and(|end| end <= most)
        };
        let fits =
            inside(self.x, self.width, whole.width) && inside(self.y, self.height, whole.height);
        if fits { Ok(()) } else { Err(BadLayer::Crop(self)) }
    }
}

impl Place {
    /// The furthest edge: far beyond any frame, and near enough that a graphics processor's numbers
    /// name each pixel.
    pub const REACH: i64 = 1 << 22;

    /// A rectangle.
    ///
    /// # Errors
    /// [`BadLayer::Place`] when it is empty or an edge is out of reach.
    pub fn new(x: i64, y: i64, width: i64, height: i64) -> Result<Self, BadLayer> {
        let bad = BadLayer::Place { x, y, width, height };
        let reaches = |start: i64, length: i64| {
            length > 0
                && start >= -Self::REACH
                && start.checked_add(length).is_some_and(|end| end <= Self::REACH)
        };
        if !reaches(x, width) || !reaches(y, height) {
            return Err(bad);
        }
        // Within reach, so all of them fit.
        let raw = RawPlace { x: x as i32, y: y as i32, width: width as u32, height: height as u32 };
        Ok(Self(raw))
    }

    /// Left and top edge.
    #[must_use]
    pub const fn corner(self) -> (i32, i32) {
        (self.0.x, self.0.y)
    }

    /// Width and height, neither of them zero.
    #[must_use]
    pub const fn size(self) -> (u32, u32) {
        (self.0.width, self.0.height)
    }
}

impl TryFrom<RawPlace> for Place {
    type Error = BadLayer;

    fn try_from(RawPlace { x, y, width, height }: RawPlace) -> Result<Self, BadLayer> {
        Self::new(x.into(), y.into(), width.into(), height.into())
    }
}

impl From<Place> for RawPlace {
    fn from(place: Place) -> Self {
        place.0
    }
}

impl Changed {
    /// More rectangles than this are better sent as their bounding box.
    pub const MAX_RECTS: usize = 16;

    /// These parts.
    ///
    /// # Errors
    /// [`BadLayer::Changed`] when there are too many, or one is empty or overflows.
    pub fn new(rects: Vec<Rect>) -> Result<Self, BadLayer> {
        if rects.len() > Self::MAX_RECTS {
            return Err(BadLayer::Changed);
        }
        Damage::new(rects).map(Self).map_err(|_| BadLayer::Changed)
    }

    /// All of a buffer of `size`.
    #[must_use]
    pub fn all(size: BufferSize) -> Self {
        Self(Damage::whole(size))
    }

    /// The parts, after checking that each lies inside a buffer of `size`.
    ///
    /// # Errors
    /// [`BadLayer::Changed`].
    pub fn rects_within(&self, size: BufferSize) -> Result<&[Rect], BadLayer> {
        self.0.rects_within(size).map_err(|_| BadLayer::Changed)
    }
}

impl TryFrom<Vec<Rect>> for Changed {
    type Error = BadLayer;

    fn try_from(rects: Vec<Rect>) -> Result<Self, BadLayer> {
        Self::new(rects)
    }
}

impl From<Changed> for Vec<Rect> {
    fn from(changed: Changed) -> Self {
        changed.0.into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn size(width: u64, height: u64) -> BufferSize {
        BufferSize::new(width, height).expect("legal size")
    }

    #[test]
    fn place_that_is_empty_or_out_of_reach_is_refused() {
        let reach = Place::REACH;
        for (x, width) in
            [(0, 0), (0, -1), (-reach - 1, 5), (reach - 4, 5), (i64::MAX, 1), (i64::MIN, i64::MAX)]
        {
            assert!(Place::new(x, 0, width, 1).is_err(), "{width} at {x}");
            assert!(Place::new(0, x, 1, width).is_err(), "{width} at {x}");
        }
        let most = Place::new(-reach, -reach, 2 * reach, 2 * reach).expect("within reach");
        assert_eq!((most.corner(), most.size()), ((-(1 << 22), -(1 << 22)), (1 << 23, 1 << 23)));
    }

    #[test]
    fn list_takes_as_many_layers_as_there_may_be_and_no_more() {
        let content = Content::Colour(Colour { red: 0, green: 0, blue: 0, alpha: 0 });
        let place = Place::new(0, 0, 1, 1).expect("within reach");
        let layer = Layer { content, place, alpha: 255, opaque: false };
        let mut list = LayerList::default();
        assert!((0..LayerList::MOST).all(|_| list.push(layer.clone())));
        assert!(!list.push(layer.clone()));
        assert_eq!(list.layers().len(), LayerList::MOST);
        assert!(LayerList::new(vec![layer; LayerList::MOST + 1]).is_err());
    }

    #[test]
    fn crop_that_is_empty_or_leaves_the_buffer_is_refused() {
        let buffer = size(64, 48);
        for bad in [
            [0.0, 0.0, 0.0, 1.0],
            [0.0, 0.0, 1.0, f64::NAN],
            [63.5, 0.0, 1.0, 1.0],
            [0.0, 0.0, 64.0, 48.5],
            [f64::INFINITY, 0.0, 1.0, 1.0],
        ] {
            assert!(Crop::new(bad, buffer).is_err(), "{bad:?}");
        }
        let half = [63.5, 0.25, 0.5, 47.75];
        assert_eq!(Crop::new(half, buffer).map(Crop::pixels), Ok(half));
        assert_eq!(Crop::whole(buffer).pixels(), [0.0, 0.0, 64.0, 48.0]);
    }

    #[test]
    fn changed_parts_too_many_or_outside_are_refused() {
        let rect = Rect { x: 60, y: 0, width: 4, height: 1 };
        assert!(Changed::new(vec![rect; Changed::MAX_RECTS + 1]).is_err());
        let changed = Changed::new(vec![rect; Changed::MAX_RECTS]).expect("legal");
        assert!(changed.rects_within(size(64, 1)).is_ok());
        assert!(changed.rects_within(size(63, 1)).is_err());
    }

    proptest! {
        #[test]
        fn content_within_its_buffer_stays_within_it_to_the_last_256th(
            numbers in any::<(u32, u32, u32, u32)>(),
            sides in (1_u64..200, 1_u64..200),
        ) {
            let buffer = size(sides.0, sides.1);
            let (x, y, width, height) = numbers;
            let crop = Crop { x, y, width, height };
            if crop.check_within(buffer).is_ok() {
                let [left, top, wide, high] = crop.pixels();
                prop_assert!(wide > 0.0 && left + wide <= f64::from(buffer.width()));
                prop_assert!(high > 0.0 && top + high <= f64::from(buffer.height()));
                prop_assert_eq!(Crop::new(crop.pixels(), buffer), Ok(crop));
            }
        }
    }
}
