//! From the state of the desktop to frames for media: the `frames` link.
//!
//! One buffer to draw in is enough: the canvas. A frame is drawn only after media has read the
//! previous one ([`Schedule`]'s one-frame invariant), so the canvas shows the last frame drawn;
//! exactly the damage is repainted, and exactly what is repainted must be converted by media. Other
//! buffers would only be older, and cold in the cache.
//!
//! If one app's buffer is the whole picture, nothing is drawn at all: media reads that buffer
//! (`scanout`). Each buffer is announced once and retired when it is gone; a new size brings a new
//! canvas, and a new link end knows no buffers (`slots`).
//!
//! Trusts media with nothing but the frame's pixels: a release of a frame that was not handed over
//! is a violation.

mod callbacks;
pub mod damage;
mod scanout;
mod schedule;
mod slots;
mod view;

pub use damage::damage_of;
pub use schedule::{IDLE_INTERVAL, Outcome, Schedule, Step, Waiting};
pub use view::View;

use std::{collections::HashSet, os::fd::AsFd, rc::Rc, time::Instant};

use lumen_ipc::{
    codec::{ProtocolViolation, Violation},
    link::LinkName,
    message::{
        frames::{
            BufferAnnounced, BufferMemory, Damage, FrameReady, FrameReleased, Picture as Place,
            ToCompositor, ToMedia,
        },
        grants::LossReason,
    },
    units::{FrameSequence, MonotonicMicros},
};
use lumen_ipc_runtime::{
    channel::SendError,
    link_end::{GiveUp, LinkEnd},
};
use smithay::{
    backend::renderer::{
        damage::OutputDamageTracker,
        element::{Element, Id, RenderElementStates},
        utils::Buffer,
    },
    output::Output,
    reexports::wayland_server::{Resource, backend::ObjectId, protocol::wl_surface::WlSurface},
    utils::{Physical, Rectangle},
};
use tracing::{error, warn};

use self::{
    callbacks::Callbacks,
    scanout::Scanout,
    slots::{Slot, Slots},
};
use crate::{
    kernel::Kernel,
    metrics::Metrics,
    output::DesktopOutput,
    render::{BACKGROUND, Canvas, CanvasError, Cpu, Scene, SceneElement, scene},
    tree::for_each_surface,
};

/// Our end of the `frames` link.
pub type FramesLink = LinkEnd<ToCompositor, ToMedia>;

/// Draws frames and hands them over.
pub struct Capture {
    /// When to draw.
    pub schedule: Schedule,
    /// Surfaces that could not be drawn and whose clients must be disconnected.
    pub faulty: HashSet<WlSurface>,
    callbacks: Callbacks,
    /// The roots of the surfaces in the last picture.
    seen: Vec<WlSurface>,
    metrics: Metrics,
    kernel: Rc<dyn Kernel>,
    renderer: Cpu,
    tracker: OutputDamageTracker,
    canvas: Canvas,
    /// Whether the canvas shows the frame the tracker remembers.
    intact: bool,
    /// Whether media has that frame, so that damage can be relative to it.
    continued: bool,
    link: Option<Rc<FramesLink>>,
    slots: Slots<ObjectId>,
    sequence: FrameSequence,
    unreleased: Option<Unreleased>,
}

/// A frame that media reads.
struct Unreleased {
    answer: FrameReleased,
    since: MonotonicMicros,
    /// The app's buffer, which the app must not draw in meanwhile.
    _buffer: Option<Buffer>,
}

/// What differs, and which part of each element is visible.
type Made = (Vec<Rectangle<i32, Physical>>, RenderElementStates);

/// The result of drawing the picture.
struct Picture {
    /// `None` when it is the same as before.
    damage: Option<Damage>,
    states: RenderElementStates,
    /// Its buffer, if it is not on the canvas.
    scanout: Option<Scanout>,
}

/// Why a frame cannot be handed over.
#[derive(Debug, thiserror::Error)]
enum HandOverError {
    #[error("media is gone")]
    NoLink,
    #[error("cannot tell media of a frame")]
    Send(#[from] SendError),
}

impl Capture {
    /// Draws `output` with `renderer`; frames have no receiver yet.
    ///
    /// # Errors
    /// [`CanvasError`] when there is no memory for a frame.
    pub fn new(
        renderer: Cpu,
        output: &DesktopOutput,
        metrics: Metrics,
        kernel: Rc<dyn Kernel>,
    ) -> Result<Self, CanvasError> {
        Ok(Self {
            schedule: Schedule::new(output.rate()),
            faulty: HashSet::new(),
            callbacks: Callbacks::default(),
            seen: Vec::new(),
            metrics,
            renderer,
            tracker: tracker_for(&output.wayland),
            canvas: Canvas::new(&*kernel, output.size.pixels)?,
            intact: false,
            continued: false,
            link: None,
            slots: Slots::default(),
            sequence: FrameSequence::default(),
            unreleased: None,
            kernel,
        })
    }

    /// The renderer, for drawing something else than a frame.
    pub const fn renderer(&mut self) -> &mut Cpu {
        &mut self.renderer
    }

    /// Sends frames to this link end from now on.
    pub fn attach(&mut self, now: Instant, link: Rc<FramesLink>) {
        self.link = Some(link);
        self.unreleased = None;
        self.slots.clear();
        self.start_over();
        self.schedule.attach(now);
    }

    /// Drops the link end: the other side closed it, or it must be given up.
    pub fn detach(&mut self) {
        self.link = None;
        self.unreleased = None;
        self.schedule.detach();
    }

    /// Handles media's release of a frame.
    ///
    /// # Errors
    /// [`ProtocolViolation`] when media does not have that frame.
    pub fn released(&mut self, released: FrameReleased) -> Result<(), ProtocolViolation> {
        let Some(frame) = self.unreleased.take_if(|frame| frame.answer == released) else {
            let what = Violation::Illegal("release of a frame that was not handed over");
            return Err(ProtocolViolation { link: LinkName::Frames, what });
        };
        self.metrics.release.record(self.kernel.now().since(frame.since));
        self.schedule.released();
        Ok(())
    }

    /// Draws what changed and hands it over.
    pub fn draw(&mut self, view: &View<'_>) {
        let outcome = self.try_draw(view);
        self.schedule.drawn(view.now, outcome);
    }

    fn try_draw(&mut self, view: &View<'_>) -> Outcome {
        if let Err(error) = self.fit_canvas(view) {
            error!(error = &error as &dyn std::error::Error, "no memory for a frame");
            return Outcome::Failed;
        }
        let committed = self.schedule.changed_since().unwrap_or(view.now);
        let started = self.kernel.now();
        let Scene { elements, roots } =
            scene(view.output, view.tree, view.drag, &mut self.renderer);
        let Some(Picture { damage, states, scanout }) = self.render(view, &elements) else {
            self.metrics.frames_failed.increment();
            return Outcome::Failed;
        };
        self.report_faults(view, &elements);
        // Roots that were visible before may not be any more.
        let gone = self.seen.iter().filter(|root| !roots.contains(root));
        callbacks::note_visibility(view, gone.chain(&roots), &states);
        self.seen = roots;
        if self.callbacks.wait_among(&self.seen) {
            self.schedule.want_callback();
        }
        let outcome = match damage {
            Some(damage) => {
                let rendered = self.kernel.now();
                self.metrics.render.record(rendered.since(started));
                self.hand_over(view, scanout, damage, (view.micros_of(committed), rendered))
            }
            None => {
                self.metrics.frames_unchanged.increment();
                Outcome::Unchanged
            }
        };
        callbacks::present(view, &self.seen, self.schedule.interval(), self.sequence);
        outcome
    }

    /// Handles a commit of a surface. If it or a child waits for a frame callback, `root`, the root
    /// of its tree, is called back.
    pub fn committed(&mut self, surface: &WlSurface, root: &WlSurface) {
        if callbacks::asks_still(surface) {
            self.callbacks.ask(root.clone());
            self.schedule.want_callback();
        }
    }

    /// Forgets a surface that is gone.
    pub fn forget(&mut self, surface: &WlSurface) {
        self.faulty.remove(surface);
        self.callbacks.forget(surface);
        self.seen.retain(|seen| seen != surface);
    }

    /// Sends frame callbacks to apps.
    pub fn call_back(&mut self, view: &View<'_>) {
        self.metrics.callback_rounds.increment();
        let left = self.callbacks.send(view, &self.seen, self.schedule.is_watched());
        self.schedule.called_back(view.now, left);
    }

    /// Makes the picture, unless an app has; `None` when it could not be drawn.
    fn render(&mut self, view: &View<'_>, elements: &[SceneElement]) -> Option<Picture> {
        let size = self.canvas.size();
        let scale = view.output.scale();
        let scanout =
            Scanout::of(elements, &mut self.renderer, view.pools, &*self.kernel, (size, scale));
        let made = match scanout {
            Some(_) => self.track(elements),
            None => self.paint(elements),
        };
        match made {
            Ok((rects, states)) => {
                self.continued = true;
                self.intact = scanout.is_none();
                Some(Picture { damage: damage_of(&rects, size), states, scanout })
            }
            Err(reason) => {
                (self.continued, self.intact) = (false, false);
                error!(reason, output = ?view.output.size, "cannot draw a frame");
                None
            }
        }
    }

    /// Computes what differs from the last frame, without drawing it.
    fn track(&mut self, elements: &[SceneElement]) -> Result<Made, String> {
        let age = usize::from(self.continued);
        let tracked = self.tracker.damage_output(age, elements);
        let (damage, states) = tracked.map_err(|error| error.to_string())?;
        Ok((damage.cloned().unwrap_or_default(), states))
    }

    /// Draws what differs from the last frame, or everything if that is not on the canvas.
    fn paint(&mut self, elements: &[SceneElement]) -> Result<Made, String> {
        let age = usize::from(self.intact);
        let renderer = &mut self.renderer;
        let mut target = self.canvas.bind(renderer).map_err(|error| error.to_string())?;
        let drawn = self
            .tracker
            .render_output(renderer, &mut target, age, elements, BACKGROUND)
            .map_err(|error| error.to_string())?;
        Ok((drawn.damage.cloned().unwrap_or_default(), drawn.states))
    }

    fn hand_over(
        &mut self,
        view: &View<'_>,
        scanout: Option<Scanout>,
        damage: Damage,
        times: (MonotonicMicros, MonotonicMicros),
    ) -> Outcome {
        let bytes = damaged_bytes(&damage, self.canvas.size());
        let (committed, rendered) = times;
        let undrawn = scanout.is_some();
        self.slots.retain(|buffer| view.pools.has_buffer(buffer));
        match self.send(view, scanout, damage, times) {
            Ok(()) => {
                let metrics = &self.metrics;
                metrics.frames_rendered.increment();
                metrics.frames_undrawn.add(undrawn.into());
                metrics.damage_bytes.add(bytes);
                metrics.commit_to_rendered.record(rendered.since(committed));
                Outcome::Sent
            }
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "a frame was lost");
                if let (HandOverError::Send(SendError::Full), Some(link)) = (&error, &self.link) {
                    link.give_up(GiveUp::Lost(LossReason::Full));
                }
                self.detach();
                Outcome::Failed
            }
        }
    }

    fn send(
        &mut self,
        view: &View<'_>,
        scanout: Option<Scanout>,
        damage: Damage,
        (committed, rendered): (MonotonicMicros, MonotonicMicros),
    ) -> Result<(), HandOverError> {
        let link = self.link.as_ref().ok_or(HandOverError::NoLink)?;
        let (output, size) = (view.output.id, self.canvas.size());
        let (slot, memory, descriptor) = match &scanout {
            Some(Scanout { buffer, file, place }) => {
                let (offset_bytes, stride_bytes) = (place.offset_bytes, place.stride_bytes);
                let memory = BufferMemory::App { offset_bytes, stride_bytes };
                (self.slots.of_app(buffer.id()), memory, file.as_fd())
            }
            None => {
                let memory = BufferMemory::Shared { stride_bytes: u32::from(size.width()) * 4 };
                (self.slots.canvas(), memory, self.canvas.descriptor())
            }
        };
        // First of all: the slot may be that of a buffer that media still has.
        while let Some(slot) = self.slots.next_retired() {
            link.send(&ToMedia::BufferRetired { output, slot }, &[])?;
        }
        let Slot { index: slot, is_new } = slot;
        if is_new {
            let buffer = BufferAnnounced { output, slot, size: size.into(), memory };
            link.send(&ToMedia::BufferAnnounced(buffer), &[descriptor])?;
            self.metrics.buffers_announced.increment();
        }
        let sequence = self.sequence.next();
        let picture = Place::Drawn(slot);
        let frame = FrameReady { output, picture, sequence, damage, committed, rendered };
        link.send(&ToMedia::FrameReady(frame), &[])?;
        self.sequence = sequence;
        self.unreleased = Some(Unreleased {
            answer: FrameReleased { output, sequence },
            since: rendered,
            _buffer: scanout.map(|scanout| scanout.buffer),
        });
        Ok(())
    }

    /// Records the surfaces that could not be drawn; the shell disconnects their clients.
    fn report_faults(&mut self, view: &View<'_>, elements: &[SceneElement]) {
        let faulty: Vec<&Id> =
            elements.iter().filter(|element| element.is_faulty()).map(Element::id).collect();
        if faulty.is_empty() {
            return;
        }
        for_each_surface(&view.roots(), |surface, _| {
            if faulty.contains(&&Id::from_wayland_resource(surface)) {
                self.faulty.insert(surface.clone());
            }
        });
        self.schedule.change(view.now);
    }

    /// Makes the canvas as large as the output. Media keeps the old memory for as long as it needs
    /// it: it has a mapping of its own.
    fn fit_canvas(&mut self, view: &View<'_>) -> Result<(), CanvasError> {
        let size = view.output.size.pixels;
        if self.canvas.size() != size {
            self.canvas = Canvas::new(&*self.kernel, size)?;
            self.slots.replace_canvas();
            self.start_over();
        }
        Ok(())
    }

    /// Makes the next frame a whole one.
    const fn start_over(&mut self) {
        (self.continued, self.intact) = (false, false);
    }
}

fn tracker_for(output: &Output) -> OutputDamageTracker {
    OutputDamageTracker::from_output(output)
}

fn damaged_bytes(damage: &Damage, size: lumen_ipc::units::FrameSize) -> u64 {
    let rects = damage.rects_within(size).unwrap_or_default();
    let pixels = rects.iter().map(|rect| u64::from(rect.width) * u64::from(rect.height));
    pixels.sum::<u64>() * lumen_ipc::units::PIXEL_BYTES as u64
}
