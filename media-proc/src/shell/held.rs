//! The encoder of a session, which is given back while nobody watches and opened again for the first picture.

use lumen_ipc::{units::FrameSize, video::VideoFormat};
use tracing::info;

use super::{
    drawing::Drawing,
    encoders::{Encoders, Opened},
    session::Failure,
};
use crate::{draw::Surfaces, video::Encoder};

#[derive(Debug)]
pub(super) struct Held {
    /// `None` while it is given back.
    opened: Option<Opened>,
    /// What it was opened for last.
    size: FrameSize,
    format: VideoFormat,
    name: &'static str,
    /// Whether pictures are drawn into its memory.
    is_drawn_into: bool,
}

impl From<Opened> for Held {
    fn from(opened: Opened) -> Self {
        let (encoder, surfaces) = &opened;
        let (size, format, name) = (encoder.size(), encoder.format(), encoder.name());
        let is_drawn_into = surfaces.is_some();
        Self { opened: Some(opened), size, format, name, is_drawn_into }
    }
}

impl Held {
    pub(super) const fn size(&self) -> FrameSize {
        self.size
    }

    pub(super) const fn format(&self) -> VideoFormat {
        self.format
    }

    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    /// Whether pictures are drawn into its memory.
    pub(super) const fn is_drawn_into(&self) -> bool {
        self.is_drawn_into
    }

    /// Gives it back.
    pub(super) fn give_back(&mut self, encoders: &Encoders) {
        // A driver that does not come back is noticed.
        let _watched = encoders.encoding();
        self.opened = None;
    }

    /// Opens it again if it was given back, for pictures like the last. Whoever encodes one is told if that fails.
    pub(super) fn make_ready(&mut self, encoders: &Encoders, drawing: Option<&mut Drawing>) {
        if self.opened.is_none() {
            self.opened = encoders.open(self.format, self.size, drawing).ok();
        }
    }

    /// The encoder for pictures of this format and size, which is opened if it is another one, or was given back, and
    /// where pictures are drawn for it.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) fn of(
        &mut self,
        encoders: &Encoders,
        (format, size): (VideoFormat, FrameSize),
        drawing: Option<&mut Drawing>,
    ) -> Result<(&mut Encoder, Option<&mut Surfaces>), Failure> {
        if (self.size, self.format) != (size, format) {
            info!(%size, %format, "opening another encoder");
            self.give_back(encoders);
        }
        let opened = match self.opened.take() {
            Some(opened) => opened,
            None => encoders.open(format, size, drawing)?,
        };
        let (encoder, surfaces) = self.opened.insert(opened);
        (self.size, self.format, self.name) = (encoder.size(), encoder.format(), encoder.name());
        self.is_drawn_into = surfaces.is_some();
        Ok((encoder, surfaces.as_mut()))
    }
}
