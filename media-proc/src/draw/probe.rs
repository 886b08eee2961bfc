//! A pattern that a driver has to draw right before it draws anything for a viewer.
//!
//! It has every kind of what a frame is made of: pixels that are uploaded, a layer above another, one that
//! lets half of what is below through, one that is turned, and a second frame of which only a part is
//! drawn. Its samples are compared with those that [`super::colour`] computes from the same pixels.

use lumen_ipc::{
    message::frames::{Changed, Content, Crop, Layer, LayerList, Layers, Place, Rect, Transform},
    units::{BufferSize, FrameSize, SlotIndex},
};

use super::{CannotDraw, Canvas, Sheet, Surfaces, colour, gl::Unusable, one_buffer, shrink};
use crate::convert::{MacroblockMap, Planes};

/// The pattern's sides: more than one run of macroblocks, and one that is cut short.
const WIDTH: u16 = 150;
const HEIGHT: u16 = 72;
/// A window on it.
const WINDOW: Rect = Rect { x: 40, y: 20, width: 30, height: 18 };

/// A pattern as large as a frame, whose frames show a window or none by turns.
#[derive(Debug)]
pub struct Pattern {
    size: FrameSize,
    pixels: Vec<u8>,
    sheet: Sheet,
}

/// Draws the pattern.
pub(super) fn try_out(canvas: &mut Canvas) -> Result<(), CannotDraw> {
    let size = FrameSize::nearest(WIDTH.into(), HEIGHT.into());
    let pattern = Pattern::new(canvas, size)?;
    let mut planes = Planes::new(size);
    let mut wrong = 0;
    for number in 0..2 {
        let changed = pattern.draw(canvas, number)?;
        canvas.read(&mut planes, &changed)?;
        wrong += pattern.wrong(&planes, number);
    }
    canvas.finish()?;
    canvas.picture = None;
    match wrong {
        0 => Ok(()),
        wrong => Err(CannotDraw::Wrong { wrong, all: planes.luma().len() * 3 }),
    }
}

impl Pattern {
    /// A pattern of this size.
    ///
    /// # Errors
    /// The driver has no room.
    pub fn new(canvas: &Canvas, size: FrameSize) -> Result<Self, Unusable> {
        let (width, height) = (size.width(), size.height());
        let pixels = pattern(u32::from(width) * u32::from(height));
        let sheet = Sheet(canvas.gl().bgra((width, height))?);
        let all = Rect { x: 0, y: 0, width, height };
        canvas.gl().upload(&sheet.0, &pixels, usize::from(width) * 4, all);
        Ok(Self { size, pixels, sheet })
    }

    /// Draws the frame with this number, and says what differs from the one before.
    ///
    /// # Errors
    /// The driver has failed.
    pub fn draw(&self, canvas: &mut Canvas, number: usize) -> Result<MacroblockMap, Unusable> {
        let (width, height) = (self.size.width(), self.size.height());
        let damage = if number == 0 { Rect { x: 0, y: 0, width, height } } else { WINDOW };
        let layers = layers(self.size, has_window(number));
        let layers = layers.ok_or(Unusable::Lacks("room for a pattern"))?;
        if number == 0 {
            canvas.missed_a_frame();
        }
        canvas.compose(&layers, &[damage], &self.sheet)?;
        let mut changed = MacroblockMap::constant(self.size);
        changed.mark(damage);
        Ok(changed)
    }

    /// How many of these samples are not the frame's with this number, at its size or at a smaller one.
    #[must_use]
    pub fn wrong(&self, planes: &Planes, number: usize) -> usize {
        let whole = |x, y| self.shown(has_window(number), x, y);
        let sizes = (self.size, planes.size());
        if sizes.0 == sizes.1 {
            return differences(planes, &whole);
        }
        differences(planes, &|x, y| shrink::mean(sizes, (x, y), &whole))
    }

    /// The same of a surface.
    ///
    /// # Errors
    /// The driver has failed.
    pub fn wrong_in(
        &self,
        canvas: &mut Canvas,
        (surfaces, which): (&Surfaces, usize),
        number: usize,
    ) -> Result<usize, Unusable> {
        let mut planes = Planes::new(surfaces.size());
        canvas.read_surface(surfaces, which, &mut planes)?;
        Ok(self.wrong(&planes, number))
    }

    /// The colour that the frame has at a place.
    fn shown(&self, window: bool, x: u16, y: u16) -> [u8; 3] {
        let Rect { x: left, y: top, width, height } = WINDOW;
        let inside = (left..left + width).contains(&x) && (top..top + height).contains(&y);
        let (x, y) = match window && inside {
            true => (width - 1 - (x - left), height - 1 - (y - top)),
            false => (x, y),
        };
        let at = (usize::from(y) * usize::from(self.size.width()) + usize::from(x)) * 4;
        match self.pixels.get(at..at + 3) {
            Some(&[blue, green, red]) => [red, green, blue],
            _ => [0; 3],
        }
    }
}

const fn has_window(number: usize) -> bool {
    number % 2 == 1
}

/// Pixels of BGRA with every value in every channel, and no regularity that hides an error.
fn pattern(pixels: u32) -> Vec<u8> {
    let pixel = |number: u32| {
        let mixed = number.wrapping_mul(2_654_435_761) ^ (number >> 3);
        let [blue, green, red, _] = mixed.to_le_bytes();
        [blue, green, red, 255]
    };
    (0..pixels).flat_map(pixel).collect()
}

fn layers(size: FrameSize, window: bool) -> Option<Layers> {
    let mut layers = one_buffer(size)?;
    if !window {
        return Some(layers);
    }
    let (width, height) = (f64::from(WINDOW.width), f64::from(WINDOW.height));
    let content = Content::Buffer {
        slot: SlotIndex::clamped(0),
        crop: Crop::new([0.0, 0.0, width, height], BufferSize::from(size)).ok()?,
        transform: Transform::Turned180,
        changed: Changed::new(Vec::new()).ok()?,
    };
    let [x, y, width, height] = [WINDOW.x, WINDOW.y, WINDOW.width, WINDOW.height].map(i64::from);
    let place = Place::new(x, y, width, height).ok()?;
    let mut list = layers.list.layers().to_vec();
    list.push(Layer { content, place, alpha: 255, opaque: false });
    layers.list = LayerList::new(list).ok()?;
    Some(layers)
}

/// How many samples of `planes` are not those of a frame with these colours.
#[must_use]
pub fn differences(planes: &Planes, colour_at: &dyn Fn(u16, u16) -> [u8; 3]) -> usize {
    let (width, height) = (planes.size().width(), planes.size().height());
    let places = || (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let luma = places().map(|(x, y)| colour::luma(colour_at(x, y)));
    let halves = (0..height / 2).flat_map(|y| (0..width / 2).map(move |x| (x * 2, y * 2)));
    let chroma: Vec<[u8; 2]> = halves
        .map(|(x, y)| {
            let around = [(x, y), (x + 1, y), (x, y + 1), (x + 1, y + 1)];
            colour::chroma(around.map(|(x, y)| colour_at(x, y)))
        })
        .collect();
    let wrong_luma = luma.zip(planes.luma()).filter(|(expected, found)| expected != *found);
    let blue = chroma.iter().zip(planes.blue()).filter(|([blue, _], found)| blue != *found);
    let red = chroma.iter().zip(planes.red()).filter(|([_, red], found)| red != *found);
    wrong_luma.count() + blue.count() + red.count()
}
