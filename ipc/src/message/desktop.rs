//! `desktop`: compositor → rtc, what viewers must know besides the picture. No message goes back.
//!
//! On a new link end the compositor states everything once, so rtc can restart at any time.

use serde::{Deserialize, Serialize};

use crate::{
    codec::Message,
    line::Line,
    link::LinkName,
    text::Text,
    units::{OutputId, OutputSize},
};

/// Compositor → rtc.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToRtc {
    /// The output it is about.
    pub output: OutputId,
    /// The news.
    pub statement: Statement,
}

/// News about an output for its viewers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Statement {
    /// The cursor has another look there.
    CursorChanged(Cursor),
    /// The output has another size.
    OutputResized(OutputSize),
    /// The title of the focused window; empty when there is none.
    TitleChanged(Line<256>),
}

/// Rtc → compositor. There are no such messages.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToCompositor {}

/// The look of the cursor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Cursor {
    /// Not shown.
    Hidden,
    /// A named shape: a CSS cursor name, which `wp_cursor_shape_v1` shares.
    Named(Text<32>),
    /// A picture made by the app.
    Image(CursorImage),
}

/// A cursor picture.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedCursorImage", into = "UncheckedCursorImage")]
pub struct CursorImage {
    width: u8,
    height: u8,
    hotspot_x: u8,
    hotspot_y: u8,
    rgba: Vec<u8>,
}

/// An invalid cursor picture.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "a cursor of {width}x{height} with hot spot {hotspot_x},{hotspot_y} and {bytes} bytes; \
     at most {max}x{max}, the hot spot inside, four bytes a pixel",
    max = CursorImage::MAX_SIDE
)]
pub struct BadCursorImage {
    /// Width in pixels.
    pub width: u8,
    /// Height in pixels.
    pub height: u8,
    /// Hot spot from the left.
    pub hotspot_x: u8,
    /// Hot spot from the top.
    pub hotspot_y: u8,
    /// Bytes of pixels.
    pub bytes: usize,
}

impl CursorImage {
    /// Largest side in pixels: 120 × 120 × 4 bytes leave room in a 64 KiB message.
    pub const MAX_SIDE: u8 = 120;

    /// A picture of `width` × `height` pixels, straight (not premultiplied) RGBA rows from the top.
    ///
    /// # Errors
    /// [`BadCursorImage`] when the numbers contradict each other or the limit.
    pub fn new(
        (width, height): (u8, u8),
        (hotspot_x, hotspot_y): (u8, u8),
        rgba: Vec<u8>,
    ) -> Result<Self, BadCursorImage> {
        let sides = [width, height];
        let legal = sides.iter().all(|side| (1..=Self::MAX_SIDE).contains(side))
            && hotspot_x < width
            && hotspot_y < height
            && rgba.len() == usize::from(width) * usize::from(height) * 4;
        if !legal {
            let bytes = rgba.len();
            return Err(BadCursorImage { width, height, hotspot_x, hotspot_y, bytes });
        }
        Ok(Self { width, height, hotspot_x, hotspot_y, rgba })
    }

    /// Width and height in pixels.
    #[must_use]
    pub const fn size(&self) -> (u8, u8) {
        (self.width, self.height)
    }

    /// The pixel that points, from the top left.
    #[must_use]
    pub const fn hotspot(&self) -> (u8, u8) {
        (self.hotspot_x, self.hotspot_y)
    }

    /// Straight RGBA rows from the top.
    #[must_use]
    pub fn rgba(&self) -> &[u8] {
        &self.rgba
    }
}

#[derive(Serialize, Deserialize)]
struct UncheckedCursorImage {
    size: (u8, u8),
    hotspot: (u8, u8),
    rgba: Vec<u8>,
}

impl TryFrom<UncheckedCursorImage> for CursorImage {
    type Error = BadCursorImage;

    fn try_from(image: UncheckedCursorImage) -> Result<Self, BadCursorImage> {
        Self::new(image.size, image.hotspot, image.rgba)
    }
}

impl From<CursorImage> for UncheckedCursorImage {
    fn from(image: CursorImage) -> Self {
        Self { size: image.size(), hotspot: image.hotspot(), rgba: image.rgba }
    }
}

impl Message for ToRtc {
    const LINK: LinkName = LinkName::Desktop;
}

impl Message for ToCompositor {
    const LINK: LinkName = LinkName::Desktop;
}
