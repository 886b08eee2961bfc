//! Samples of the picture, drawn into the memory of an encoder.
//!
//! The surfaces are of the encoder's size, which is the picture's or smaller: where the network carries too little, the
//! picture is shrunk ([`shrink`]) on its way.

use std::os::fd::AsFd;

use lumen_ipc::{
    message::frames::{Planes as Arrangement, Rect},
    units::{BufferSize, FrameSize},
};

use super::{
    Canvas, EVERYWHERE,
    gl::{Channels, Target, Unusable},
    shrink,
};
use crate::{
    convert::{MACROBLOCK, MacroblockMap, Planes, Shrinking},
    surfaces::{PlaneMemory, Ring, SURFACES, SurfaceMemory},
};

/// Surfaces that pictures are drawn into by turns.
#[derive(Debug)]
pub struct Surfaces {
    size: FrameSize,
    ring: Ring,
    each: Vec<Surface>,
    small: Option<Small>,
}

#[derive(Debug)]
struct Surface {
    luma: Target,
    chroma: Target,
}

/// The picture, shrunk.
#[derive(Debug)]
struct Small {
    whole: FrameSize,
    shrinking: Shrinking,
    pixels: Target,
}

/// A surface that was drawn.
#[derive(Debug)]
pub struct Filled {
    /// Its number.
    pub surface: usize,
    /// What of it differs from the one that was drawn before.
    pub changed: MacroblockMap,
}

impl Surfaces {
    /// The size of their pictures.
    #[must_use]
    pub const fn size(&self) -> FrameSize {
        self.size
    }

    /// Has pictures drawn into the first only, or into all. Each shows nothing then.
    pub fn by_turns(&mut self, by_turns: bool) {
        self.ring = Ring::new(self.size, if by_turns { self.each.len() } else { 1 });
    }
}

impl Canvas {
    /// Takes the memory of an encoder for pictures of `size`.
    ///
    /// # Errors
    /// The driver does not draw into it.
    pub fn surfaces(
        &self,
        size: FrameSize,
        memory: &[SurfaceMemory],
    ) -> Result<Surfaces, Unusable> {
        let each =
            memory.iter().map(|memory| self.foreign(memory)).collect::<Result<Vec<_>, _>>()?;
        Ok(Surfaces { size, ring: Ring::new(size, each.len()), each, small: None })
    }

    /// The same in memory of the canvas's own, where no encoder is.
    ///
    /// # Errors
    /// The driver has no room.
    pub fn own_surfaces(&self, size: FrameSize) -> Result<Surfaces, Unusable> {
        let whole = |side: u16| side.next_multiple_of(MACROBLOCK as u16);
        let (width, height) = (whole(size.width()), whole(size.height()));
        let make = |_| {
            let luma = self.gl.target((width, height), Channels::One)?;
            let chroma = self.gl.target((width / 2, height / 2), Channels::Two)?;
            Ok(Surface { luma, chroma })
        };
        let each = (0..SURFACES).map(make).collect::<Result<Vec<_>, Unusable>>()?;
        Ok(Surfaces { size, ring: Ring::new(size, each.len()), each, small: None })
    }

    fn foreign(&self, memory: &SurfaceMemory) -> Result<Surface, Unusable> {
        let (width, height) = memory.coded;
        let [luma, chroma] = memory.planes;
        Ok(Surface {
            luma: self.foreign_plane(memory, luma, (width, height), Channels::One)?,
            chroma: self.foreign_plane(memory, chroma, (width / 2, height / 2), Channels::Two)?,
        })
    }

    fn foreign_plane(
        &self,
        memory: &SurfaceMemory,
        plane: PlaneMemory,
        (width, height): (u16, u16),
        channels: Channels,
    ) -> Result<Target, Unusable> {
        const REFUSED: Unusable =
            Unusable::Lacks("drawing into the surfaces of the driver that encodes");
        let size = BufferSize::new(width.into(), height.into()).map_err(|_| REFUSED)?;
        let object = memory.objects.get(plane.object).ok_or(REFUSED)?.as_fd();
        let place = Arrangement::new(&[plane.place]).map_err(|_| REFUSED)?;
        let texture = self.gl.import(size, plane.format, &place, &[object]);
        self.gl.target_in(texture.map_err(|_| REFUSED)?, channels)
    }

    /// Draws the picture into the next surface: what is not there yet, and of that only what `changed` names since the
    /// last call, or what the surface has missed. When this returns, it is there.
    ///
    /// # Errors
    /// The driver has failed, or there is no picture.
    pub fn fill(
        &mut self,
        surfaces: &mut Surfaces,
        changed: &MacroblockMap,
    ) -> Result<Filled, Unusable> {
        let picture = self.picture.take().ok_or(Unusable::Lacks("a picture"))?;
        let filled = self.fill_from(&picture, surfaces, changed);
        self.picture = Some(picture);
        filled
    }

    fn fill_from(
        &self,
        picture: &super::Picture,
        surfaces: &mut Surfaces,
        changed: &MacroblockMap,
    ) -> Result<Filled, Unusable> {
        let (whole, size) = (picture.size, surfaces.size);
        let changed = if whole == size {
            surfaces.small = None;
            changed.clone()
        } else {
            self.shrink(picture, surfaces, changed)?
        };
        surfaces.ring.changed(&changed);
        let (number, missing) = surfaces.ring.draw();
        let surface = surfaces.each.get(number).ok_or(Unusable::Lacks("a surface"))?;
        let (width, height) = surface.luma.texture().size();
        let parts: Vec<Rect> =
            missing.rects().into_iter().map(|part| widened(part, size, (width, height))).collect();
        let pixels = surfaces.small.as_ref().map_or(&picture.pixels, |small| &small.pixels);
        self.convert(pixels.texture(), (&surface.luma, &surface.chroma), &parts);
        self.gl.finish()?;
        Ok(Filled { surface: number, changed })
    }

    /// Draws the smaller picture anew where it changes, and says where that is.
    fn shrink(
        &self,
        picture: &super::Picture,
        surfaces: &mut Surfaces,
        changed: &MacroblockMap,
    ) -> Result<MacroblockMap, Unusable> {
        let (whole, size) = (picture.size, surfaces.size);
        let known = surfaces.small.take().filter(|small| small.whole == whole);
        let (small, changed) = match known {
            Some(small) => {
                let changed = small.shrinking.changed(changed);
                (small, changed)
            }
            None => {
                let pixels = self.gl.target((size.width(), size.height()), Channels::Four)?;
                let shrinking = Shrinking::new(whole, size);
                (Small { whole, shrinking, pixels }, MacroblockMap::whole(size))
            }
        };
        self.gl.draw_to(&small.pixels);
        for part in changed.rects() {
            self.gl.only_in(part);
            self.gl.rectangle(
                &self.programs.shrink,
                Some((picture.pixels.texture(), false)),
                &EVERYWHERE,
                (false, shrink::parameters(whole, size)),
            );
        }
        surfaces.small = Some(small);
        Ok(changed)
    }

    /// Reads all of a surface: for those who compare what is there.
    ///
    /// # Errors
    /// The driver has failed, or there is no such surface.
    pub fn read_surface(
        &mut self,
        surfaces: &Surfaces,
        number: usize,
        planes: &mut Planes,
    ) -> Result<(), Unusable> {
        let surface = surfaces.each.get(number).ok_or(Unusable::Lacks("a surface"))?;
        let (width, height) = (surfaces.size.width(), surfaces.size.height());
        let all = Rect { x: 0, y: 0, width, height };
        self.read_part((&surface.luma, &surface.chroma), all, planes)
    }
}

/// A part of a picture, and of what whole macroblocks exceed it by, if it reaches its edge.
const fn widened(part: Rect, size: FrameSize, (width, height): (u16, u16)) -> Rect {
    let Rect { x, y, .. } = part;
    let right = if x + part.width == size.width() { width } else { x + part.width };
    let bottom = if y + part.height == size.height() { height } else { y + part.height };
    Rect { x, y, width: right - x, height: bottom - y }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_at_an_edge_goes_on_to_the_end_of_the_surface() {
        let (size, coded) = (FrameSize::nearest(330, 180), (336, 192));
        let rect = |x, y, width, height| Rect { x, y, width, height };
        assert_eq!(widened(rect(0, 16, 64, 32), size, coded), rect(0, 16, 64, 32));
        assert_eq!(widened(rect(320, 0, 10, 16), size, coded), rect(320, 0, 16, 16));
        assert_eq!(widened(rect(0, 0, 330, 180), size, coded), rect(0, 0, 336, 192));
    }
}
