//! What opens a session's encoders: the graphics processor, if one encodes, or else the processor.

use std::rc::Rc;

use lumen_ipc::{
    service::MediaConfig,
    units::{Fps, FrameSize, Kbps},
    video::VideoFormat,
};

use super::watch::{Watch, Watched};
use crate::video::{
    Encoder, OpenError,
    vaapi::{self, Device},
};

/// What is common to all encoders of a session.
#[derive(Debug)]
pub(super) struct Encoders {
    fps: Fps,
    bitrate: Kbps,
    /// The graphics processor that encodes, if one does, and what watches over its driver.
    device: Option<(Rc<Device>, Watch)>,
}

impl Encoders {
    pub(super) const fn new(config: &MediaConfig) -> Self {
        Self { fps: config.max_fps, bitrate: config.bitrate, device: None }
    }

    /// Has the graphics processor encode from now on, and returns an encoder that was tried.
    ///
    /// # Errors
    /// It does not encode, and the processor goes on.
    pub(super) fn encode_with(
        &mut self,
        device: Device,
        watch: Watch,
        size: FrameSize,
    ) -> Result<Encoder, vaapi::Failure> {
        let device = Rc::new(device);
        let opening = watch.opening();
        let encoder = vaapi::Encoder::tried(&device, size, self.fps, self.bitrate)?;
        drop(opening);
        self.device = Some((device, watch));
        Ok(Encoder::Vaapi(Box::new(encoder)))
    }

    /// Opens an encoder for pictures of `size`. A graphics processor knows one format only, which is the only
    /// one that was offered.
    pub(super) fn open(&self, format: VideoFormat, size: FrameSize) -> Result<Encoder, OpenError> {
        let Some((device, watch)) = &self.device else {
            return Encoder::open(format, size, self.fps, self.bitrate);
        };
        let _opening = watch.opening();
        let encoder = vaapi::Encoder::open(device, size, self.fps, self.bitrate)?;
        Ok(Encoder::Vaapi(Box::new(encoder)))
    }

    /// While the result exists, a driver that encodes is expected to come back.
    pub(super) fn encoding(&self) -> Option<Watched<'_>> {
        self.device.as_ref().map(|(_, watch)| watch.drawing())
    }
}
