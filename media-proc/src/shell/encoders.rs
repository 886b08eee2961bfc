//! What opens a session's encoders: the graphics processor, if one encodes, or else the processor.

use std::{rc::Rc, time::Duration};

use lumen_ipc::{
    graphics::{EncoderUse, Encoding},
    service::MediaConfig,
    text::Text,
    units::{Fps, FrameSize, Kbps},
    video::VideoFormat,
};

use super::{
    drawing::Drawing,
    session::Failure,
    sharing,
    trial::Guarded,
    watch::{Watch, Watched},
};
use crate::{
    draw::Surfaces,
    trial::{
        Took,
        clock::{Pace, measure},
        is_fast_enough, is_worth,
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
    #[error(transparent)]
    Stage(#[from] stages::Fails),
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
    /// and what it is. Where pictures can be drawn into its memory, they are.
    ///
    /// # Errors
    /// It does not encode, and the processor goes on.
    pub(super) fn encode_with(
        &mut self,
        device: Device,
        drawing: &mut Drawing,
        (size, told): (FrameSize, EncoderUse),
    ) -> Result<(Opened, Encoding), NoEncoding> {
        let driver = Text::truncated(device.name());
        let (device, watch) = (Rc::new(device), drawing.parts().1.clone());
        let compares = told == EncoderUse::IfWorth;
        let (canvas, _) = drawing.parts();
        let opening = watch.opening();
        let shared = sharing::open(&device, canvas, (size, self.fps, self.bitrate));
        drop(opening);
        let opened = match shared {
            Ok(mut opened) => {
                let mut reason = String::new();
                if compares {
                    let compared = self.compare_shared(opened, drawing);
                    // Nobody has asked for the pictures that were compared.
                    drawing.rest();
                    (opened, reason) = compared?;
                }
                drawing.share();
                let (encoder, surfaces) = opened;
                let reason = Text::truncated(reason);
                let encoder = Encoder::Vaapi(Box::new(encoder));
                ((encoder, Some(surfaces)), Encoding::InPlace { driver, reason })
            }
            Err(no_sharing) => {
                let opening = watch.opening();
                let encoder = vaapi::Encoder::tried(&device, size, self.fps, self.bitrate)?;
                drop(opening);
                let mut encoder = Encoder::Vaapi(Box::new(encoder));
                let mut reason = format!("with a copy, because {no_sharing}");
                if compares {
                    let compared;
                    (encoder, compared) = self.compare(encoder, &watch, size)?;
                    reason = format!("{compared}; {reason}");
                }
                ((encoder, None), Encoding::Vaapi { driver, reason: Text::truncated(reason) })
            }
        };
        self.device = Some((device, watch));
        Ok(opened)
    }

    fn pace(&self) -> Pace {
        let interval = Duration::from_micros(self.fps.interval_micros());
        Pace { interval, most: COMPARED, patience: COMPARED_FOR }
    }

    /// Whether drawing into `opened` and encoding there is better than reading back and encoding by the processor, on
    /// pictures that come as fast as the desktop's; the numbers.
    fn compare_shared(
        &self,
        (encoder, surfaces): (vaapi::Encoder, Surfaces),
        drawing: &mut Drawing,
    ) -> Result<((vaapi::Encoder, Surfaces), String), NoEncoding> {
        let (pace, size) = (self.pace(), surfaces.size());
        let scene = Scene::new(size);
        let alone = self.by_the_processor(VideoFormat::H264ConstrainedBaseline, size)?;
        let (canvas, watch) = drawing.parts();
        let mut shared = stages::InPlace::new(canvas, &scene, (encoder, surfaces));
        let graphics = measure(pace, &mut Guarded { stage: &mut shared, watch: Some(watch) })?
            .ok_or(NoEncoding::Nothing)?;
        let (canvas, opened) = shared.into_parts();
        is_fast_enough(&graphics, pace.interval).map_err(NoEncoding::NotWorth)?;
        let mut reading = stages::ReadBack::new(canvas, &scene, alone);
        let alone = measure(pace, &mut Guarded { stage: &mut reading, watch: Some(watch) })?
            .ok_or(NoEncoding::Nothing)?;
        let why = is_worth(&graphics, &alone, pace.interval).map_err(NoEncoding::NotWorth)?;
        Ok((opened, why))
    }

    /// Whether `encoder` is better than the processor's, on pictures that come as fast as the desktop's; the
    /// numbers.
    fn compare(
        &self,
        encoder: Encoder,
        watch: &Watch,
        size: FrameSize,
    ) -> Result<(Encoder, String), NoEncoding> {
        let (pace, scene) = (self.pace(), Scene::new(size));
        let took = |encoder, watch| -> Result<(Took, Encoder), NoEncoding> {
            let mut stage = stages::Encoding::new(encoder, &scene);
            let took = measure(pace, &mut Guarded { stage: &mut stage, watch })?;
            Ok((took.ok_or(NoEncoding::Nothing)?, stage.into_encoder()))
        };
        let alone = self.by_the_processor(VideoFormat::H264ConstrainedBaseline, size)?;
        let (graphics, encoder) = took(encoder, Some(watch))?;
        let (alone, _) = took(alone, None)?;
        let why = is_worth(&graphics, &alone, pace.interval).map_err(NoEncoding::NotWorth)?;
        Ok((encoder, why))
    }

    fn by_the_processor(&self, format: VideoFormat, size: FrameSize) -> Result<Encoder, OpenError> {
        Encoder::open(format, size, self.fps, self.bitrate)
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
            return Ok((self.by_the_processor(format, size)?, None));
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
