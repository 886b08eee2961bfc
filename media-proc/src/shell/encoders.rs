//! What opens a session's encoders: the graphics processor, if one encodes, or else the processor.

use std::{rc::Rc, time::Duration};

use lumen_ipc::{
    graphics::EncoderUse,
    service::MediaConfig,
    units::{Fps, FrameSize, Kbps},
    video::VideoFormat,
};

use super::{
    drawing::Drawing,
    session::Failure,
    trial::Guarded,
    watch::{Watch, Watched},
};
use crate::{
    draw::Surfaces,
    trial::{
        Took,
        clock::{Pace, measure},
        is_worth,
        scene::Scene,
        stages,
    },
    video::{
        Encoder, EncoderError, OpenError,
        vaapi::{self, Device},
    },
};

/// How many pictures each encoder is compared by, at most.
const COMPARED: usize = 30;
/// For how long, at most, beyond the first few.
const COMPARED_FOR: Duration = Duration::from_secs(1);

/// Why the graphics processor does not encode.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoEncoding {
    #[error(transparent)]
    Encode(#[from] EncoderError),
    #[error(transparent)]
    Fails(#[from] vaapi::Failure),
    #[error("no picture was encoded")]
    Nothing,
    #[error("{0}")]
    NotWorth(String),
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// What is common to all encoders of a session.
#[derive(Debug)]
pub(super) struct Encoders {
    fps: Fps,
    bitrate: Kbps,
    /// The graphics processor that encodes, if one does, and what watches over its driver.
    device: Option<(Rc<Device>, Watch)>,
}

/// An encoder, and where pictures are drawn for it, if a graphics processor draws them into its memory.
pub(super) type Opened = (Encoder, Option<Surfaces>);

impl Encoders {
    pub(super) const fn new(config: &MediaConfig) -> Self {
        Self { fps: config.max_fps, bitrate: config.bitrate, device: None }
    }

    /// Has the graphics processor encode from now on, if that is to be, and returns an encoder that was tried,
    /// and why it was chosen.
    ///
    /// # Errors
    /// It does not encode, and the processor goes on.
    pub(super) fn encode_with(
        &mut self,
        device: Device,
        watch: Watch,
        (size, told): (FrameSize, EncoderUse),
    ) -> Result<(Encoder, String), NoEncoding> {
        let device = Rc::new(device);
        let opening = watch.opening();
        let mut encoder = vaapi::Encoder::tried(&device, size, self.fps, self.bitrate)?;
        drop(opening);
        let mut why = String::new();
        if told == EncoderUse::IfWorth {
            why = self.compare(Encoder::Vaapi(Box::new(encoder)), &watch, size)?;
            let _opening = watch.opening();
            encoder = vaapi::Encoder::open(&device, size, self.fps, self.bitrate)?;
        }
        self.device = Some((device, watch));
        Ok((Encoder::Vaapi(Box::new(encoder)), why))
    }

    /// Whether `encoder` is better than the processor's, on pictures that come as fast as the desktop's; the
    /// numbers.
    fn compare(
        &self,
        encoder: Encoder,
        watch: &Watch,
        size: FrameSize,
    ) -> Result<String, NoEncoding> {
        let interval = Duration::from_micros(self.fps.interval_micros());
        let pace = Pace { interval, most: COMPARED, patience: COMPARED_FOR };
        let scene = Scene::new(size);
        let took = |encoder, watch| -> Result<Took, NoEncoding> {
            let mut stage = stages::Encoding::new(encoder, &scene);
            measure(pace, &mut Guarded { stage: &mut stage, watch })?.ok_or(NoEncoding::Nothing)
        };
        let format = VideoFormat::H264ConstrainedBaseline;
        let alone = Encoder::open(format, size, self.fps, self.bitrate)?;
        let (graphics, alone) = (took(encoder, Some(watch))?, took(alone, None)?);
        is_worth(&graphics, &alone, interval).map_err(NoEncoding::NotWorth)
    }

    /// Opens an encoder for pictures of `size`. A graphics processor knows one format only, which is the only
    /// one of H.264 that was offered.
    pub(super) fn open(
        &self,
        format: VideoFormat,
        size: FrameSize,
        drawing: Option<&mut Drawing>,
    ) -> Result<Opened, Failure> {
        let device = self.device.as_ref().filter(|_| format != VideoFormat::Vp8);
        let Some((device, watch)) = device else {
            return Ok((Encoder::open(format, size, self.fps, self.bitrate)?, None));
        };
        let _opening = watch.opening();
        let refused = |failure| Failure::Open(OpenError::Vaapi(failure));
        let (fps, bitrate) = (self.fps, self.bitrate);
        let Some(drawing) = drawing.filter(|drawing| drawing.shares()) else {
            let encoder = vaapi::Encoder::open(device, size, fps, bitrate).map_err(refused)?;
            return Ok((Encoder::Vaapi(Box::new(encoder)), None));
        };
        let opened = vaapi::Encoder::open_drawn(device, size, fps, bitrate);
        let (encoder, memory) = opened.map_err(refused)?;
        let surfaces = drawing.parts().0.surfaces(size, &memory)?;
        Ok((Encoder::Vaapi(Box::new(encoder)), Some(surfaces)))
    }

    /// While the result exists, a driver that encodes is expected to come back.
    pub(super) fn encoding(&self) -> Option<Watched<'_>> {
        self.device.as_ref().map(|(_, watch)| watch.drawing())
    }
}
