//! What the window shows, frame by frame.

use anyhow::Result;
use lumen_tests::{
    app::Show,
    picture::{BACKGROUND, Colour, Picture, QUADRANTS},
};

use crate::shared_pixels::{SharedPixels, Slot};

/// Side of the square that `blink` and a key over `noise` change, in pixels: about a few words of text.
const SQUARE: usize = 64;
/// Rows by which `motion` moves a frame: enough that no macroblock stays.
const MOTION_ROWS: usize = 24;
/// Rows by which `scroll` moves a frame: a line of text, a fast reader's pace at 60 frames a second.
const SCROLL_ROWS: usize = 18;

/// A rectangle of buffer pixels: left, top, width, height.
pub(crate) type Damage = (i32, i32, i32, i32);

/// The window's content and where it stands.
pub(crate) struct Animation {
    content: Content,
    tick: usize,
}

enum Content {
    /// On this colour.
    Blinking(Colour),
    Checkers,
    Colours,
    Flat(Colour),
    Noisy {
        tape: Option<Picture>,
        square: Colour,
    },
    Quadrants,
    Rolling {
        page: Option<Picture>,
        paint: fn(usize, usize) -> Picture,
        step: usize,
    },
}

impl Animation {
    pub(crate) fn of(show: Show) -> Self {
        let rolling = |paint, step| Content::Rolling { page: None, paint, step };
        let content = match show {
            Show::Blink => Content::Blinking(BACKGROUND),
            Show::Checkers => Content::Checkers,
            Show::Colours => Content::Colours,
            Show::Flash | Show::Flat => Content::Flat(BACKGROUND),
            Show::Motion => rolling(Picture::gradient, MOTION_ROWS),
            Show::Noise => Content::Noisy { tape: None, square: BACKGROUND },
            Show::Quadrants => Content::Quadrants,
            Show::Scroll => rolling(Picture::text, SCROLL_ROWS),
        };
        Self { content, tick: 0 }
    }

    /// Fills the window, or of noise the square; what blinks, and noise, go on.
    pub(crate) fn fill(&mut self, colour: Colour) {
        match &mut self.content {
            Content::Blinking(background) => *background = colour,
            Content::Noisy { square, .. } => {
                *square = colour;
                return;
            }
            content => *content = Content::Flat(colour),
        }
        self.tick = 0;
    }

    pub(crate) fn moves(&self) -> bool {
        matches!(
            self.content,
            Content::Blinking(_) | Content::Noisy { .. } | Content::Rolling { .. }
        )
    }

    /// The buffers are new: draw everything again, at their size.
    pub(crate) fn restart(&mut self) {
        self.tick = 0;
        match &mut self.content {
            Content::Noisy { tape: page, .. } | Content::Rolling { page, .. } => *page = None,
            _ => {}
        }
    }

    /// Draws the next frame to `slot`, and says what differs from the last.
    pub(crate) fn draw(&mut self, pixels: &SharedPixels, slot: Slot) -> Result<Damage> {
        let (width, height) = pixels.size();
        let everything = (0, 0, width as i32, height as i32);
        let tick = self.tick;
        self.tick += 1;
        match &mut self.content {
            Content::Flat(colour) => {
                pixels.write(slot, &Picture::filled(width, height, *colour), 0)?;
            }
            Content::Checkers => pixels.write(slot, &Picture::checkers(width, height), 0)?,
            Content::Colours => pixels.write(slot, &Picture::colours(width, height), 0)?,
            Content::Noisy { tape, square } => {
                let tape = tape.get_or_insert_with(|| Picture::noise(width, height));
                pixels.write(slot, &tape.shuffled(tick as u64), 0)?;
                let middle = (width.saturating_sub(SQUARE) / 2, height.saturating_sub(SQUARE) / 2);
                pixels.write_part(
                    slot,
                    &Picture::filled(SQUARE, SQUARE, *square),
                    middle,
                    SQUARE,
                )?;
            }
            Content::Quadrants => pixels.write(slot, &Picture::quadrants(width, height), 0)?,
            Content::Rolling { page, paint, step } => {
                let page = page.get_or_insert_with(|| paint(width, height));
                pixels.write(slot, page, tick * *step)?;
            }
            Content::Blinking(colour) => {
                return blink(pixels, slot, tick, (*colour, everything));
            }
        }
        Ok(everything)
    }
}

fn blink(
    pixels: &SharedPixels,
    slot: Slot,
    tick: usize,
    (background, everything): (Colour, Damage),
) -> Result<Damage> {
    let (width, height) = pixels.size();
    // Each buffer needs the background once; ticks 0 to 2 meet each of the three.
    if tick < 3 {
        pixels.write(slot, &Picture::filled(width, height, background), 0)?;
    }
    let (x, y) = (width / 4, height / 4);
    let colour = QUADRANTS[tick % QUADRANTS.len()];
    let rows = SQUARE.min(height - y);
    pixels.write_part(slot, &Picture::filled(SQUARE.min(width - x), rows, colour), (x, y), rows)?;
    Ok(if tick < 3 { everything } else { (x as i32, y as i32, SQUARE as i32, SQUARE as i32) })
}
