//! A trial of a graphics processor, for `lumen doctor --gpu`: a media that serves no session, is confined as one
//! that does, and tells what it finds out line by line, so that a driver that ends it has told something.
//!
//! A forbidden call fails and is named, and does not end the process ([`Policy::survived`]): so all of them are
//! found. What is drawn and encoded is a page that [`scene`](crate::trial::scene) makes.

use std::{
    fmt::Display,
    fs::File,
    io::{self, Write},
    os::fd::OwnedFd,
    rc::Rc,
    time::Duration,
};

use lumen_ipc::{
    graphics::NodeUse,
    message::grants::ToWorker,
    units::{Fps, FrameSize, Kbps},
    video::VideoFormat,
};
use lumen_ipc_runtime::{
    bootstrap::{Grant, ServeError},
    confine::Policy,
};

use super::watch::{self, LIMITS, SOFTWARE_LIMITS, Watch};
use crate::{
    draw::Canvas,
    policy,
    trial::{
        Took,
        clock::{Pace, Stage, measure},
        scene::Scene,
        stages,
    },
    video::{
        Encoder,
        vaapi::{self, Device},
    },
};

/// The pictures that are made.
const SIZE: (u32, u32) = (1920, 1080);

/// Those where the processor draws in place of a graphics processor.
const SOFTWARE_SIZE: (u32, u32) = (320, 180);

/// Two seconds, or a few pictures where everything is slow.
const PACE: Pace =
    Pace { interval: Duration::from_micros(16_667), most: 120, patience: Duration::from_secs(4) };
const FPS: Fps = Fps::clamped(60);
const BITRATE: Kbps = Kbps::clamped(20_000);

/// What is tried, and where the findings go.
#[derive(Debug)]
pub(super) struct Trial {
    report: File,
    video: File,
    node: Option<(OwnedFd, NodeUse)>,
    canvas: Option<Canvas>,
    encoder: Option<Encoder>,
    watch: Option<Watch>,
}

impl Trial {
    /// The trial that these grants are for, if they are; it takes them.
    pub(super) fn of(grants: &mut Vec<Grant>, told: Option<NodeUse>) -> Option<Self> {
        let mut take = |what| {
            let at = grants.iter().position(|grant| grant.what == what)?;
            Some(grants.swap_remove(at).descriptor)
        };
        let (report, video) = (take(ToWorker::TrialReport)?, take(ToWorker::TrialVideo)?);
        let node = told.and_then(|told| Some((take(ToWorker::RenderNode)?, told)));
        let (report, video) = (report.into(), video.into());
        Some(Self { report, video, node, canvas: None, encoder: None, watch: None })
    }

    /// The confinement of a media that serves a session with the same node.
    pub(super) fn policy(&self) -> Policy {
        match self.node {
            Some(_) => policy::drawing().survived(),
            None => policy::policy().survived(),
        }
    }

    /// Loads the drivers of the node and tries them.
    pub(super) fn warm(&mut self) {
        let Some((node, told)) = self.node.as_ref() else { return };
        let limits = if told.software { SOFTWARE_LIMITS } else { LIMITS };
        let (software, for_drawing, for_encoding) =
            (told.software, node.try_clone(), node.try_clone());
        let watch = Watch::start(limits, watch::end);
        self.watch = watch.map_err(|error| tell(&self.report, "watch over the driver", error)).ok();
        self.canvas = self.open_canvas(for_drawing, software);
        self.encoder = self.open_encoder(for_encoding, self.size());
    }

    fn size(&self) -> FrameSize {
        let software = self.node.as_ref().is_some_and(|(_, told)| told.software);
        let (width, height) = if software { SOFTWARE_SIZE } else { SIZE };
        FrameSize::nearest(width, height)
    }

    fn open_canvas(&self, node: io::Result<OwnedFd>, software: bool) -> Option<Canvas> {
        let _watched = self.watch.as_ref().map(Watch::opening);
        let node = node.map_err(|error| tell(&self.report, "drawing", error)).ok()?;
        let canvas = match Canvas::open(Some(node), software) {
            Ok(canvas) => canvas,
            Err(error) => {
                tell(&self.report, "drawing", format_args!("not possible: {error}"));
                return None;
            }
        };
        canvas.gl().about().iter().for_each(|(what, text)| tell(&self.report, what, text));
        let formats: Vec<String> = canvas
            .formats()
            .iter()
            .map(|format| {
                let name = format.fourcc.to_le_bytes().escape_ascii().to_string();
                format!("{name} {:#x}", format.modifier)
            })
            .collect();
        tell(&self.report, "buffers of apps", formats.join(", "));
        tell(&self.report, "longest side", canvas.longest_side());
        tell(&self.report, "pattern", "drawn and converted as plain numbers say, each sample");
        Some(canvas)
    }

    fn open_encoder(&self, node: io::Result<OwnedFd>, size: FrameSize) -> Option<Encoder> {
        let _watched = self.watch.as_ref().map(Watch::opening);
        let fails = |error: &dyn Display| {
            tell(&self.report, "encoding", format_args!("not possible: {error}"));
        };
        let node = node.map_err(|error| fails(&error)).ok()?;
        let device = Device::of_any_use(node).map_err(|error| fails(&error)).ok()?;
        device.about().iter().for_each(|(what, text)| tell(&self.report, what, text));
        let device = device.that_suits().map_err(|error| fails(&error)).ok()?;
        let tried = vaapi::Encoder::tried(&Rc::new(device), size, FPS, BITRATE);
        let encoder = tried.map_err(|error| fails(&error)).ok()?;
        tell(&self.report, "first pictures", "encoded as they were to be");
        Some(Encoder::Vaapi(Box::new(encoder)))
    }

    /// Measures all there is, and ends.
    ///
    /// # Errors
    /// The processor does not encode either.
    pub(super) fn run(mut self) -> Result<(), ServeError> {
        let size = self.size();
        tell(&self.report, "pictures", format_args!("{size}, {FPS} a second"));
        let scene = Scene::new(size);
        self.measured("converting by the processor", &mut stages::Converting::new(&scene));
        if let Some(mut canvas) = self.canvas.take() {
            let subject = "drawing and converting by the graphics processor";
            match stages::Drawing::new(&mut canvas, &scene) {
                Ok(mut stage) => drop(self.measured(subject, &mut stage)),
                Err(error) => tell(&self.report, subject, error),
            }
        }
        let by_processor = Encoder::open(VideoFormat::H264ConstrainedBaseline, size, FPS, BITRATE)
            .map_err(|error| ServeError::caused("the encoder cannot be opened", error))?;
        let mut stage = stages::Encoding::new(by_processor, &scene);
        self.measured("encoding by the processor", &mut stage);
        let (mut by, mut stream) = ("the processor", stage.into_stream());
        if let Some(encoder) = self.encoder.take() {
            let mut stage = stages::Encoding::new(encoder, &scene);
            if self.measured("encoding by the graphics processor", &mut stage).is_some() {
                (by, stream) = ("the graphics processor", stage.into_stream());
            }
        }
        tell(&self.report, "video", format_args!("{} bytes, encoded by {by}", stream.len()));
        self.video
            .write_all(&stream)
            .map_err(|error| ServeError::caused("the video cannot be handed over", error))
    }

    fn measured<S: Stage<Error: Display>>(&self, subject: &str, stage: &mut S) -> Option<Took> {
        let mut watched = Guarded { stage, watch: self.watch.as_ref() };
        match measure(PACE, &mut watched) {
            Ok(Some(took)) => {
                tell(&self.report, subject, took);
                Some(took)
            }
            Ok(None) => None,
            Err(error) => {
                tell(&self.report, subject, format_args!("fails: {error}"));
                None
            }
        }
    }
}

/// A stage whose driver must come back.
pub(super) struct Guarded<'stage, S> {
    pub(super) stage: &'stage mut S,
    pub(super) watch: Option<&'stage Watch>,
}

impl<S: Stage> Stage for Guarded<'_, S> {
    type Error = S::Error;

    fn prepare(&mut self, number: usize) {
        self.stage.prepare(number);
    }

    fn work(&mut self) -> Result<(), S::Error> {
        let _watched = self.watch.map(Watch::drawing);
        self.stage.work()
    }
}

/// Writes a line.
fn tell(mut report: &File, subject: &str, found: impl Display) {
    let found = found.to_string().replace(['\t', '\n'], " ");
    // A doctor that reads no more has ended, and with it this process.
    let _ = writeln!(report, "{subject}\t{}", found.trim());
}
