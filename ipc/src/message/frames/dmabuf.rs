//! Memory of a graphics processor: what a renderer takes, and where the planes of a buffer lie.
//!
//! Formats and modifiers are numbers of the kernel's (`drm_fourcc.h`), which an app and a driver
//! agree on. Lumen compares them and passes them on; only media's driver knows what they mean.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::{
    link::MAX_DESCRIPTORS,
    units::{BufferSize, PlaneStride},
};

/// The kernel's number of a device (`dev_t`).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub struct DeviceNumber(pub u64);

/// A pixel format (`DRM_FORMAT_*`) and the arrangement of its pixels (`DRM_FORMAT_MOD_*`).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub struct PixelFormat {
    /// Which channels a pixel has, and in which planes.
    pub fourcc: u32,
    /// How pixels are arranged in memory.
    pub modifier: u64,
}

/// A renderer that media has.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Renderer {
    /// Its render node, on which apps allocate best.
    pub device: DeviceNumber,
    /// The formats that it can sample.
    pub formats: PixelFormats,
}

/// The formats that a renderer takes: at least one, at most [`PixelFormats::MOST`], each once.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<PixelFormat>", into = "Vec<PixelFormat>")]
pub struct PixelFormats(Vec<PixelFormat>);

/// An illegal list of formats.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadPixelFormats {
    /// None, or too many.
    #[error("{0} formats, where one to {max} are allowed", max = PixelFormats::MOST)]
    Count(usize),
    /// One stands twice.
    #[error("{0:?} stands twice among the formats")]
    Twice(PixelFormat),
}

impl PixelFormats {
    /// More than any driver has: one has some thirty formats, each with up to thirty modifiers. The
    /// message of so many is a quarter of the largest.
    pub const MOST: usize = 1024;

    /// The list of `formats`.
    ///
    /// # Errors
    /// [`BadPixelFormats`] when there are none, too many, or one twice.
    pub fn new(formats: Vec<PixelFormat>) -> Result<Self, BadPixelFormats> {
        if formats.is_empty() || formats.len() > Self::MOST {
            return Err(BadPixelFormats::Count(formats.len()));
        }
        let mut known = HashSet::new();
        match formats.iter().find(|format| !known.insert(**format)) {
            Some(twice) => Err(BadPixelFormats::Twice(*twice)),
            None => Ok(Self(formats)),
        }
    }

    /// Each format, in the renderer's order.
    pub fn iter(&self) -> impl Iterator<Item = PixelFormat> + '_ {
        self.0.iter().copied()
    }

    /// Whether `format` is one of them.
    #[must_use]
    pub fn contains(&self, format: PixelFormat) -> bool {
        self.0.contains(&format)
    }
}

impl TryFrom<Vec<PixelFormat>> for PixelFormats {
    type Error = BadPixelFormats;

    fn try_from(formats: Vec<PixelFormat>) -> Result<Self, BadPixelFormats> {
        Self::new(formats)
    }
}

impl From<PixelFormats> for Vec<PixelFormat> {
    fn from(formats: PixelFormats) -> Self {
        formats.0
    }
}

/// Where a plane lies in the memory of its descriptor.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Plane {
    /// Where its first row begins.
    pub offset_bytes: u32,
    /// Bytes from one row to the next.
    pub stride_bytes: PlaneStride,
}

/// The planes of a buffer: one to four, each with a descriptor of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Plane>", into = "Vec<Plane>")]
pub struct Planes {
    first: Plane,
    others: [Option<Plane>; MAX_DESCRIPTORS - 1],
}

/// A buffer of no planes or of too many.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0} planes, where one to {MAX_DESCRIPTORS} are allowed")]
pub struct BadPlanes(pub usize);

impl Planes {
    /// These planes.
    ///
    /// # Errors
    /// [`BadPlanes`] when there are none or too many.
    pub fn new(planes: &[Plane]) -> Result<Self, BadPlanes> {
        let bad = BadPlanes(planes.len());
        let (first, rest) = planes.split_first().ok_or(bad)?;
        let mut others = [None; MAX_DESCRIPTORS - 1];
        if rest.len() > others.len() {
            return Err(bad);
        }
        others.iter_mut().zip(rest).for_each(|(other, plane)| *other = Some(*plane));
        Ok(Self { first: *first, others })
    }

    /// The first plane.
    #[must_use]
    pub const fn first(&self) -> Plane {
        self.first
    }

    /// Each plane.
    pub fn iter(&self) -> impl Iterator<Item = Plane> + '_ {
        std::iter::once(self.first).chain(self.others.iter().flatten().copied())
    }

    /// Their number.
    #[must_use]
    pub fn count(&self) -> usize {
        self.iter().count()
    }

    /// Whether descriptors of these lengths can hold planes of a buffer of `size`. The first plane has
    /// as many rows as the buffer; how many the others have only the driver knows, but each has one.
    #[must_use]
    pub fn fit(&self, size: BufferSize, lengths: &[u64]) -> bool {
        let rows = std::iter::once(u64::from(size.height())).chain(std::iter::repeat(1));
        let ends = self.iter().zip(rows).map(|(plane, rows)| {
            // Below 2³² + 2¹⁸ × 2¹⁴, so the sum cannot overflow.
            u64::from(plane.offset_bytes) + u64::from(plane.stride_bytes.value()) * rows
        });
        lengths.len() == self.count() && ends.zip(lengths).all(|(end, length)| end <= *length)
    }
}

impl TryFrom<Vec<Plane>> for Planes {
    type Error = BadPlanes;

    fn try_from(planes: Vec<Plane>) -> Result<Self, BadPlanes> {
        Self::new(&planes)
    }
}

impl From<Planes> for Vec<Plane> {
    fn from(planes: Planes) -> Self {
        planes.iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plane(offset_bytes: u32, stride: u64) -> Plane {
        Plane { offset_bytes, stride_bytes: PlaneStride::clamped(stride) }
    }

    #[test]
    fn planes_none_or_five_are_refused() {
        for count in [0, 5, 100] {
            let planes = vec![plane(0, 64); count];
            assert_eq!(Planes::new(&planes), Err(BadPlanes(count)));
        }
    }

    #[test]
    fn formats_none_too_many_or_one_twice_are_refused() {
        let format = |fourcc| PixelFormat { fourcc, modifier: u64::MAX };
        let many = |count: usize| (0..count as u32).map(format).collect::<Vec<_>>();
        assert!(PixelFormats::new(Vec::new()).is_err());
        assert!(PixelFormats::new(many(PixelFormats::MOST + 1)).is_err());
        assert!(PixelFormats::new(many(PixelFormats::MOST)).is_ok());
        let twice = vec![format(7), format(8), format(7)];
        assert_eq!(PixelFormats::new(twice), Err(BadPixelFormats::Twice(format(7))));
    }

    #[test]
    fn planes_fit_memory_that_has_their_last_byte_and_no_less() {
        let size = BufferSize::new(64, 48).expect("legal");
        let planes = Planes::new(&[plane(100, 256), plane(20_000, 128)]).expect("two");
        let (first, second) = (100 + 256 * 48, 20_000 + 128);
        assert!(planes.fit(size, &[first, second]));
        for lengths in [[first - 1, second], [first, second - 1], [0, second], [first, 0]] {
            assert!(!planes.fit(size, &lengths), "{lengths:?}");
        }
        assert!(!planes.fit(size, &[first]) && !planes.fit(size, &[first, second, second]));
    }

    proptest! {
        #[test]
        fn planes_there_and_back_are_the_same(
            numbers in prop::collection::vec(any::<(u32, u64)>(), 1..=4),
        ) {
            let planes: Vec<_> =
                numbers.into_iter().map(|(offset, stride)| plane(offset, stride)).collect();
            let kept = Planes::new(&planes).expect("one to four");
            prop_assert_eq!(kept.count(), planes.len());
            prop_assert_eq!(Vec::from(kept), planes);
        }

        #[test]
        fn planes_of_any_numbers_never_overflow(
            offset in any::<u32>(), stride in any::<u64>(), length in any::<u64>(),
        ) {
            let size = BufferSize::new(16_384, 16_384).expect("legal");
            let planes = Planes::new(&[plane(offset, stride)]).expect("one");
            let end = u128::from(offset) + u128::from(planes.first().stride_bytes.value()) * 16_384;
            prop_assert_eq!(planes.fit(size, &[length]), end <= u128::from(length));
        }
    }
}
