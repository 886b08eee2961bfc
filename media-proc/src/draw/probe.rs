//! A pattern that a driver has to draw right before it draws anything for a viewer.
//!
//! It has every kind of what a frame is made of: pixels that are uploaded, a layer above another, one that
//! lets half of what is below through, one that is turned, and a second frame of which only a part is
//! drawn. Its samples are compared with those that [`super::colour`] computes from the same pixels.

use lumen_ipc::{
    message::frames::{
        Changed, Colour, Content, Crop, Layer, LayerList, Layers, Place, Rect, Transform,
    },
    units::{BufferSize, FrameSize, SlotIndex},
};

use super::{
    CannotDraw, Canvas, Sources, colour,
    gl::{Texture, Unusable},
};
use crate::convert::{MacroblockMap, Planes};

/// The pattern's sides: more than one run of macroblocks, and one that is cut short.
const WIDTH: u16 = 150;
const HEIGHT: u16 = 72;
/// A window on it, and where it is after it has been moved.
const WINDOW: Rect = Rect { x: 40, y: 20, width: 30, height: 18 };

/// One texture for all slots.
struct One(Texture);

impl Sources for One {
    fn texture(&self, _: SlotIndex) -> Option<&Texture> {
        Some(&self.0)
    }
}

/// Draws the pattern.
pub(super) fn try_out(canvas: &mut Canvas) -> Result<(), CannotDraw> {
    let size = FrameSize::nearest(WIDTH.into(), HEIGHT.into());
    let pixels = pattern();
    let texture = canvas.gl().bgra((WIDTH, HEIGHT))?;
    let all = Rect { x: 0, y: 0, width: WIDTH, height: HEIGHT };
    canvas.gl().upload(&texture, &pixels, usize::from(WIDTH) * 4, all);
    let sources = One(texture);
    let mut planes = Planes::new(size);
    let mut wrong = 0;
    for (window, damage) in [(false, all), (true, WINDOW)] {
        let layers = layers(size, window).ok_or(Unusable::Lacks("room for a pattern"))?;
        let mut changed = MacroblockMap::constant(size);
        changed.mark(damage);
        canvas.draw(&layers, &[damage], &sources, (&mut planes, &changed))?;
        wrong += differences(&planes, &|x, y| shown(&pixels, window, x, y));
    }
    canvas.gl().finish()?;
    canvas.picture = None;
    match wrong {
        0 => Ok(()),
        wrong => Err(CannotDraw::Wrong { wrong, all: planes.luma().len() * 3 }),
    }
}

/// Pixels of BGRA with every value in every channel, and no regularity that hides an error.
fn pattern() -> Vec<u8> {
    let pixel = |number: u32| {
        let mixed = number.wrapping_mul(2_654_435_761) ^ (number >> 3);
        let [blue, green, red, _] = mixed.to_le_bytes();
        [blue, green, red, 255]
    };
    (0..u32::from(WIDTH) * u32::from(HEIGHT)).flat_map(pixel).collect()
}

fn layers(size: FrameSize, window: bool) -> Option<Layers> {
    let buffer = BufferSize::new(WIDTH.into(), HEIGHT.into()).ok()?;
    let part = |crop, transform, place: Rect, opaque| {
        let content = Content::Buffer {
            slot: SlotIndex::clamped(0),
            crop,
            transform,
            changed: Changed::new(Vec::new()).ok()?,
        };
        let [x, y, width, height] = [place.x, place.y, place.width, place.height].map(i64::from);
        Some(Layer { content, place: Place::new(x, y, width, height).ok()?, alpha: 255, opaque })
    };
    let all = Rect { x: 0, y: 0, width: WIDTH, height: HEIGHT };
    let mut list = vec![part(Crop::whole(buffer), Transform::Normal, all, true)?];
    if window {
        let (width, height) = (f64::from(WINDOW.width), f64::from(WINDOW.height));
        let crop = Crop::new([0.0, 0.0, width, height], buffer).ok()?;
        list.push(part(crop, Transform::Turned180, WINDOW, false)?);
    }
    let ground = Colour { red: 0, green: 0, blue: 0, alpha: 255 };
    Some(Layers { size, ground, list: LayerList::new(list).ok()? })
}

/// The colour that the frame has at a place.
fn shown(pixels: &[u8], window: bool, x: u16, y: u16) -> [u8; 3] {
    let Rect { x: left, y: top, width, height } = WINDOW;
    let inside = (left..left + width).contains(&x) && (top..top + height).contains(&y);
    let (x, y) = match window && inside {
        true => (width - 1 - (x - left), height - 1 - (y - top)),
        false => (x, y),
    };
    let at = (usize::from(y) * usize::from(WIDTH) + usize::from(x)) * 4;
    match pixels.get(at..at + 3) {
        Some(&[blue, green, red]) => [red, green, blue],
        _ => [0; 3],
    }
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
