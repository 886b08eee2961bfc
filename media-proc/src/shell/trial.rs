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

use super::{
    sharing,
    watch::{self, LIMITS, SOFTWARE_LIMITS, Watch},
};
use crate::{
    draw::{Canvas, Surfaces},
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
const SOFTWARE_SIZE: (u32, u32) = (160, 90);

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
    /// Opened once for the driver that draws, and once for the one that encodes.
    node: Option<([OwnedFd; 2], NodeUse)>,
    canvas: Option<Canvas>,
    encoder: Option<Encodes>,
    watch: Option<Watch>,
}

/// How the graphics processor encodes.
#[derive(Debug)]
enum Encodes {
    /// What is copied to it.
    Copied(Box<vaapi::Encoder>),
    /// What is drawn into its memory.
    InPlace(Box<(vaapi::Encoder, Surfaces)>),
}

impl Trial {
    /// The trial that these grants are for, if they are; it takes them.
    pub(super) fn of(grants: &mut Vec<Grant>, told: Option<NodeUse>) -> Option<Self> {
        let mut take = |what| {
            let at = grants.iter().position(|grant| grant.what == what)?;
            Some(grants.swap_remove(at).descriptor)
        };
        let (report, video) = (take(ToWorker::TrialReport)?, take(ToWorker::TrialVideo)?);
        let node = told.and_then(|told| {
            Some(([take(ToWorker::RenderNode)?, take(ToWorker::RenderNode)?], told))
        });
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
        let Some((nodes, told)) = self.node.as_ref() else { return };
        let limits = if told.software { SOFTWARE_LIMITS } else { LIMITS };
        let software = told.software;
        let [for_drawing, for_encoding] = nodes.each_ref().map(OwnedFd::try_clone);
        let watch = Watch::start(limits, watch::end);
        self.watch = watch.map_err(|error| tell(&self.report, "watch over the driver", error)).ok();
        let mut canvas = self.open_canvas(for_drawing, software);
        self.encoder = self.open_encoder(for_encoding, canvas.as_mut());
        self.canvas = canvas;
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

    fn open_encoder(
        &self,
        node: io::Result<OwnedFd>,
        canvas: Option<&mut Canvas>,
    ) -> Option<Encodes> {
        let _watched = self.watch.as_ref().map(Watch::opening);
        let fails = |error: &dyn Display| {
            tell(&self.report, "encoding", format_args!("not possible: {error}"));
        };
        let node = node.map_err(|error| fails(&error)).ok()?;
        let device = Device::of_any_use(node).map_err(|error| fails(&error)).ok()?;
        device.about().iter().for_each(|(what, text)| tell(&self.report, what, text));
        let device = Rc::new(device.that_suits().map_err(|error| fails(&error)).ok()?);
        let tried = vaapi::Encoder::tried(&device, self.size(), FPS, BITRATE);
        let encoder = Box::new(tried.map_err(|error| fails(&error)).ok()?);
        tell(&self.report, "first pictures", "encoded as they were to be");
        let in_place =
            canvas.map(|canvas| sharing::open(&device, canvas, (self.size(), FPS, BITRATE)));
        Some(match in_place {
            Some(Ok(opened)) => {
                let found =
                    "drawn into the encoder's memory as plain numbers say, and encoded there";
                tell(&self.report, "without a copy", found);
                Encodes::InPlace(Box::new(opened))
            }
            Some(Err(error)) => {
                tell(&self.report, "without a copy", format_args!("not possible: {error}"));
                Encodes::Copied(encoder)
            }
            None => Encodes::Copied(encoder),
        })
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
        if let Some(canvas) = &mut self.canvas {
            let subject = "drawing and converting by the graphics processor";
            let watch = self.watch.as_ref();
            match stages::Drawing::new(canvas, &scene) {
                Ok(mut stage) => drop(measured((&self.report, watch), subject, &mut stage)),
                Err(error) => tell(&self.report, subject, error),
            }
        }
        let by_processor = Encoder::open(VideoFormat::H264ConstrainedBaseline, size, FPS, BITRATE)
            .map_err(|error| ServeError::caused("the encoder cannot be opened", error))?;
        let mut stage = stages::Encoding::new(by_processor, &scene);
        self.measured("encoding by the processor", &mut stage);
        let (mut by, mut stream) = ("the processor", stage.into_stream());
        match (self.encoder.take(), self.canvas.take()) {
            (Some(Encodes::InPlace(opened)), Some(mut canvas)) => {
                let mut stage = stages::InPlace::new(&mut canvas, &scene, *opened);
                let subject = "converting and encoding by the graphics processor, without a copy";
                if self.measured(subject, &mut stage).is_some() {
                    (by, stream) = ("the graphics processor, without a copy", stage.into_stream());
                }
            }
            (Some(Encodes::Copied(encoder)), _) => {
                let encoder = Encoder::Vaapi(encoder);
                let mut stage = stages::Encoding::new(encoder, &scene);
                if self.measured("encoding by the graphics processor", &mut stage).is_some() {
                    (by, stream) = ("the graphics processor", stage.into_stream());
                }
            }
            _ => {}
        }
        tell(&self.report, "video", format_args!("{} bytes, encoded by {by}", stream.len()));
        self.video
            .write_all(&stream)
            .map_err(|error| ServeError::caused("the video cannot be handed over", error))
    }

    fn measured<S: Stage<Error: Display>>(&self, subject: &str, stage: &mut S) -> Option<Took> {
        measured((&self.report, self.watch.as_ref()), subject, stage)
    }
}

fn measured<S: Stage<Error: Display>>(
    (report, watch): (&File, Option<&Watch>),
    subject: &str,
    stage: &mut S,
) -> Option<Took> {
    match measure(PACE, &mut Guarded { stage, watch }) {
        Ok(Some(took)) => {
            tell(report, subject, took);
            Some(took)
        }
        Ok(None) => None,
        Err(error) => {
            tell(report, subject, format_args!("fails: {error}"));
            None
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
        let _watched = self.watch.map(Watch::drawing);
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
