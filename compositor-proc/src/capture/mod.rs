//! From the state of the desktop to frames for media: the `frames` link.
//!
//! One buffer to draw in is enough: the canvas. A frame is drawn only after media has read the
//! previous one ([`Schedule`]'s one-frame invariant), so the canvas shows the last frame drawn;
//! exactly the damage is repainted, and exactly what is repainted must be converted by media. Other
//! buffers would only be older, and cold in the cache.
//!
//! If one app's buffer is the whole picture, nothing is drawn at all: media reads that buffer
//! (`scanout`). If media has a renderer, it draws every picture that can be said in layers (`layers`).
//! Each buffer is announced once and retired when it is gone; a new size brings a new canvas, and a
//! new link end knows no buffers (`slots`).
//!
//! Trusts media with nothing but the frame's pixels: a release of a frame that was not handed over
//! is a violation.

mod callbacks;
pub mod damage;
mod layers;
mod outward;
mod scanout;
mod schedule;
mod slots;
mod view;

pub use damage::damage_of;
pub use schedule::{IDLE_INTERVAL, Outcome, REST_AFTER, Schedule, Step, Waiting};
pub use view::View;

use std::{collections::HashSet, rc::Rc, time::Instant};

use lumen_ipc::{
    codec::{ProtocolViolation, Violation},
    link::LinkName,
    message::{
        frames::{Damage, FrameReleased, Renderer},
        grants::LossReason,
    },
    units::{FrameSequence, MonotonicMicros, OutputId, SlotIndex},
};
use lumen_ipc_runtime::{channel::SendError, link_end::GiveUp};
use smithay::{
    backend::{
        allocator::dmabuf::Dmabuf,
        renderer::{
            damage::OutputDamageTracker,
            element::{Element, Id, RenderElementStates},
            utils::Buffer,
        },
    },
    output::Output,
    reexports::wayland_server::protocol::wl_surface::WlSurface,
    utils::{Physical, Rectangle},
};
use tracing::{error, warn};

use self::{
    callbacks::Callbacks,
    layers::Pane,
    outward::{Content, Outward, Stamps},
    scanout::Scanout,
};
pub use self::{
    layers::{BufferName, format_of},
    outward::FramesLink,
};
use crate::{
    kernel::Kernel,
    metrics::Metrics,
    output::DesktopOutput,
    render::{BACKGROUND, Canvas, CanvasError, Cpu, Describer, Scene, SceneElement, scene},
    tree::for_each_surface,
};

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
    /// Describes pictures for media to draw.
    describer: Describer,
    link: Option<Rc<FramesLink>>,
    outward: Outward,
    sequence: FrameSequence,
    unreleased: Option<Unreleased>,
}

/// What differs, and which part of each element is visible.
type Tracked = (Vec<Rectangle<i32, Physical>>, RenderElementStates);

/// The result of drawing the picture.
struct Picture {
    /// `None` when it is the same as before.
    damage: Option<Damage>,
    states: RenderElementStates,
    made: Made,
}

/// How a picture was made.
enum Made {
    Described(Vec<Pane>),
    Drawn,
    /// By an app.
    Elsewhere(Scanout),
}

/// A frame that media reads.
struct Unreleased {
    answer: FrameReleased,
    since: MonotonicMicros,
    /// Apps' buffers in it, which the apps must not draw in meanwhile.
    _buffers: Vec<Buffer>,
}

/// A picture, the roots of the surface trees in it, and the surfaces that could not be drawn.
type Shown = (Picture, Vec<WlSurface>, Vec<Id>);

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
            describer: Describer::default(),
            link: None,
            outward: Outward::default(),
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
        self.outward = Outward::default();
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
        let shown = self.describe(view).or_else(|| self.draw_here(view));
        let Some((Picture { damage, states, made }, roots, faulty)) = shown else {
            self.metrics.frames_failed.increment();
            return Outcome::Failed;
        };
        self.report_faults(view, &faulty);
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
                self.hand_over(view, made, damage, (view.micros_of(committed), rendered))
            }
            None => {
                self.metrics.frames_unchanged.increment();
                Outcome::Unchanged
            }
        };
        callbacks::present(view, &self.seen, self.schedule.interval(), self.sequence);
        outcome
    }

    /// Gives back the memory that only pictures need. Media is told that buffers are gone, and the next frame is a
    /// whole one.
    pub fn rest(&mut self, output: OutputId) {
        self.schedule.rested();
        // Memory that nobody has touched takes none.
        match Canvas::new(&*self.kernel, self.canvas.size()) {
            Ok(canvas) => self.canvas = canvas,
            Err(error) => {
                return warn!(error = &error as &dyn std::error::Error, "a canvas stays in memory");
            }
        }
        self.start_over();
        let Some(link) = self.link.clone() else { return };
        if let Err(error) = self.outward.rest(&link, output) {
            self.lose(&error);
        }
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

    /// The picture in layers, if media draws and can draw this one.
    fn describe(&mut self, view: &View<'_>) -> Option<Shown> {
        let renderer = self.outward.renderer.clone()?;
        let Scene { elements, roots } =
            scene(view.output, view.tree, view.drag, &mut self.describer);
        let sources = (view, &*self.kernel, &renderer.formats);
        let panes = layers::panes(&elements, &mut self.describer, sources)?;
        let (rects, states) = self.track(&elements).ok()?;
        (self.continued, self.intact) = (true, false);
        let damage = damage_of(&rects, self.canvas.size());
        let made = Made::Described(panes);
        Some((Picture { damage, states, made }, roots, Vec::new()))
    }

    /// The picture as it is drawn here, or by an app.
    fn draw_here(&mut self, view: &View<'_>) -> Option<Shown> {
        let Scene { elements, roots } =
            scene(view.output, view.tree, view.drag, &mut self.renderer);
        let picture = self.render(view, &elements)?;
        let faulty = elements.iter().filter(|element| element.is_faulty());
        Some((picture, roots, faulty.map(|element| element.id().clone()).collect()))
    }

    /// Makes the picture, unless an app has; `None` when it could not be drawn.
    fn render(&mut self, view: &View<'_>, elements: &[SceneElement]) -> Option<Picture> {
        let size = self.canvas.size();
        let scale = view.output.scale();
        let scanout =
            Scanout::of(elements, &mut self.renderer, view.pools, &*self.kernel, (size, scale));
        let tracked = match scanout {
            Some(_) => self.track(elements),
            None => self.paint(elements),
        };
        match tracked {
            Ok((rects, states)) => {
                self.continued = true;
                self.intact = scanout.is_none();
                let made = scanout.map_or(Made::Drawn, Made::Elsewhere);
                Some(Picture { damage: damage_of(&rects, size), states, made })
            }
            Err(reason) => {
                (self.continued, self.intact) = (false, false);
                error!(reason, output = ?view.output.size, "cannot draw a frame");
                None
            }
        }
    }

    /// Computes what differs from the last frame, without drawing it.
    fn track(&mut self, elements: &[impl Element]) -> Result<Tracked, String> {
        let age = usize::from(self.continued);
        let tracked = self.tracker.damage_output(age, elements);
        let (damage, states) = tracked.map_err(|error| error.to_string())?;
        Ok((damage.cloned().unwrap_or_default(), states))
    }

    /// Draws what differs from the last frame, or everything if that is not on the canvas.
    fn paint(&mut self, elements: &[SceneElement]) -> Result<Tracked, String> {
        let age = usize::from(self.intact);
        let renderer = &mut self.renderer;
        let mut target = self.canvas.bind(renderer).map_err(|error| error.to_string())?;
        let drawn = self
            .tracker
            .render_output(renderer, &mut target, age, elements, BACKGROUND)
            .map_err(|error| error.to_string())?;
        Ok((drawn.damage.cloned().unwrap_or_default(), drawn.states))
    }

    /// Media draws with this from now on, or does not draw. Returns whether it did the other before.
    pub fn set_renderer(&mut self, renderer: Option<Rc<Renderer>>) -> bool {
        let changed = self.outward.set_renderer(renderer);
        if changed {
            self.start_over();
        }
        changed
    }

    /// Announces `dmabuf`, so that media answers whether it takes it. Returns whether there was room for
    /// another question.
    pub fn ask(&mut self, output: OutputId, dmabuf: &Dmabuf) -> bool {
        let Some(link) = self.link.clone() else { return false };
        self.outward.ask(&link, output, dmabuf, &self.metrics).unwrap_or_else(|error| {
            self.lose(&error);
            false
        })
    }

    /// Media has answered about the buffer in `slot`. Returns which it is, if it still exists.
    ///
    /// # Errors
    /// [`ProtocolViolation`] when that is not the one to be answered next.
    pub fn answered(&mut self, slot: SlotIndex) -> Result<Option<Dmabuf>, ProtocolViolation> {
        self.outward.answered(slot)
    }

    fn hand_over(
        &mut self,
        view: &View<'_>,
        made: Made,
        damage: Damage,
        (committed, rendered): (MonotonicMicros, MonotonicMicros),
    ) -> Outcome {
        let size = self.canvas.size();
        let (bytes, undrawn) = (damaged_bytes(&damage, size), matches!(made, Made::Elsewhere(_)));
        let Some(link) = self.link.clone() else {
            self.detach();
            return Outcome::Failed;
        };
        self.outward.retire_destroyed(view.pools);
        let content = match made {
            Made::Described(panes) => Content::Layers(size, panes),
            Made::Drawn => Content::Canvas(&self.canvas),
            Made::Elsewhere(scanout) => Content::Scanout(size, scanout),
        };
        let answer = FrameReleased { output: view.output.id, sequence: self.sequence.next() };
        let stamps = Stamps { answer, damage, committed, rendered };
        let metrics = &self.metrics;
        match self.outward.send(&link, content, stamps, metrics) {
            Ok(buffers) => {
                metrics.frames_rendered.increment();
                metrics.frames_undrawn.add(undrawn.into());
                metrics.damage_bytes.add(bytes);
                metrics.commit_to_rendered.record(rendered.since(committed));
                self.sequence = answer.sequence;
                self.unreleased = Some(Unreleased { answer, since: rendered, _buffers: buffers });
                Outcome::Sent
            }
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "a frame was lost");
                self.lose(&error);
                Outcome::Failed
            }
        }
    }

    /// Drops the link end, on which a message could not be sent.
    fn lose(&mut self, error: &SendError) {
        if let (SendError::Full, Some(link)) = (error, &self.link) {
            link.give_up(GiveUp::Lost(LossReason::Full));
        }
        self.detach();
    }

    /// Records the surfaces that could not be drawn; the shell disconnects their clients.
    fn report_faults(&mut self, view: &View<'_>, faulty: &[Id]) {
        if faulty.is_empty() {
            return;
        }
        for_each_surface(&view.roots(), |surface, _| {
            if faulty.contains(&Id::from_wayland_resource(surface)) {
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
            self.outward.slots.replace_canvas();
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
