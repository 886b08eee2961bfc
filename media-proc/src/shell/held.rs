//! The encoder of a session, which is given back while nobody watches and opened again for the first picture.

use lumen_ipc::{units::FrameSize, video::VideoFormat};
use tracing::info;

use super::encoders::Encoders;
use crate::video::{Encoder, OpenError};

#[derive(Debug)]
pub(super) struct Held {
    /// `None` while it is given back.
    encoder: Option<Encoder>,
    /// What it was opened for last.
    size: FrameSize,
    format: VideoFormat,
    name: &'static str,
}

impl From<Encoder> for Held {
    fn from(encoder: Encoder) -> Self {
        let (size, format, name) = (encoder.size(), encoder.format(), encoder.name());
        Self { encoder: Some(encoder), size, format, name }
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

    /// Gives it back.
    pub(super) fn give_back(&mut self, encoders: &Encoders) {
        // A driver that does not come back is noticed.
        let _watched = encoders.encoding();
        self.encoder = None;
    }

    /// Opens it again if it was given back, for pictures like the last. Whoever encodes one is told if that fails.
    pub(super) fn make_ready(&mut self, encoders: &Encoders) {
        if self.encoder.is_none() {
            self.encoder = encoders.open(self.format, self.size).ok();
        }
    }

    /// The encoder for pictures of this format and size, which is opened if it is another one, or was given back.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) fn of(
        &mut self,
        encoders: &Encoders,
        (format, size): (VideoFormat, FrameSize),
    ) -> Result<&mut Encoder, OpenError> {
        if (self.size, self.format) != (size, format) {
            info!(%size, %format, "opening another encoder");
            self.encoder = None;
        }
        let encoder = match self.encoder.take() {
            Some(encoder) => encoder,
            None => encoders.open(format, size)?,
        };
        (self.size, self.format, self.name) = (encoder.size(), encoder.format(), encoder.name());
        Ok(self.encoder.insert(encoder))
    }
}
