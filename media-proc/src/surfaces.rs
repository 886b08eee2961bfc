//! Surfaces of an encoder that a graphics processor draws into: where their memory lies, which of them is drawn next,
//! and what it does not show yet. Pure.
//!
//! A driver hands such memory out as descriptors, with a place for the plane of luma and one for that of chroma. A
//! surface that comes round again shows an old picture: what has changed since then is drawn, and nothing else, as
//! swapchains do by the age of a buffer.

use std::os::fd::OwnedFd;

use lumen_ipc::{
    message::frames::{PixelFormat, Plane},
    units::FrameSize,
};

use crate::convert::MacroblockMap;

/// So many surfaces come in by turns: one is encoded, one was encoded last, which a driver may still hold, and one is
/// drawn.
pub const SURFACES: usize = 3;

/// `DRM_FORMAT_R8` and `DRM_FORMAT_GR88` (`drm_fourcc.h`): a plane of one channel, and one of two.
pub const ONE_CHANNEL: u32 = u32::from_le_bytes(*b"R8  ");
/// As above.
pub const TWO_CHANNELS: u32 = u32::from_le_bytes(*b"GR88");

/// The memory of one surface of NV12.
#[derive(Debug)]
pub struct SurfaceMemory {
    /// The descriptors.
    pub objects: Vec<OwnedFd>,
    /// Luma, and chroma.
    pub planes: [PlaneMemory; 2],
    /// Width and height of its luma: whole macroblocks.
    pub coded: (u16, u16),
}

/// Where one plane of a surface lies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PlaneMemory {
    /// The number of its descriptor.
    pub object: usize,
    /// Its format, as if it were a picture of its own.
    pub format: PixelFormat,
    /// Its place.
    pub place: Plane,
}

/// Which surface is drawn next, and what each does not show of the newest picture.
#[derive(Debug)]
pub struct Ring {
    stale: Vec<MacroblockMap>,
    next: usize,
}

impl Ring {
    /// Surfaces that show nothing of a picture of `size`.
    #[must_use]
    pub fn new(size: FrameSize, surfaces: usize) -> Self {
        Self { stale: vec![MacroblockMap::whole(size); surfaces.max(1)], next: 0 }
    }

    /// The picture has changed there.
    pub fn changed(&mut self, changed: &MacroblockMap) {
        self.stale.iter_mut().for_each(|stale| stale.add(changed));
    }

    /// The surface to draw, and what of the picture it does not show, which is drawn now.
    pub fn draw(&mut self) -> (usize, MacroblockMap) {
        let number = self.next;
        self.next = (number + 1) % self.stale.len();
        let stale = &mut self.stale[number];
        let missing = stale.clone();
        stale.clear();
        (number, missing)
    }
}

#[cfg(test)]
mod tests {
    use lumen_ipc::message::frames::Rect;

    use super::*;

    #[test]
    fn surface_that_comes_round_lacks_what_changed_since() {
        let size = FrameSize::nearest(640, 480);
        let mut ring = Ring::new(size, SURFACES);
        let at = |x| {
            let mut map = MacroblockMap::constant(size);
            map.mark(Rect { x, y: 0, width: 1, height: 1 });
            map
        };
        for number in 0..SURFACES {
            ring.changed(&at(16 * number as u16));
            assert_eq!(ring.draw(), (number, MacroblockMap::whole(size)));
        }
        ring.changed(&at(320));
        let (number, missing) = ring.draw();
        // Of the first ones it has only the first.
        let mut expected = at(320);
        expected.add(&at(16));
        expected.add(&at(32));
        assert_eq!((number, missing), (0, expected));
        // A picture that is encoded again, finer.
        let (number, missing) = ring.draw();
        let mut expected = at(320);
        expected.add(&at(32));
        assert_eq!((number, missing), (1, expected));
    }
}
