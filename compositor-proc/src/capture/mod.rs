//! From the state of the desktop to frames in media's hands: the `frames` link.
//!
//! One buffer is enough. A frame is drawn only after media has read the one before
//! ([`Schedule`]'s one-frame invariant), so the buffer's content is always the last frame: its age
//! is 1, exactly the damage is repainted, and what is repainted is exactly what media must convert.
//! More buffers would only be older, and cold in the cache. A new size or a new link end starts a
//! new generation, with everything damaged.
//!
//! Trusts media with nothing but the frame's pixels: a release of what was not handed over is a
//! violation.

mod callbacks;
mod damage;
mod schedule;

pub use damage::damage_of;
pub use schedule::{IDLE_INTERVAL, Outcome, Schedule, Step, Waiting};

use std::rc::Rc;

use lumen_ipc::{
    codec::{ProtocolViolation, Violation},
    link::LinkName,
    message::frames::{BufferAnnounced, Damage, FrameReady, FrameReleased, ToCompositor, ToMedia},
    units::{BufferGeneration, FrameSequence, MonotonicMicros, SlotIndex},
};
use lumen_ipc_runtime::{
    channel::{Channel, SendError},
    clock,
};
use smithay::{
    backend::renderer::{
        damage::OutputDamageTracker,
        element::{Element, Id, RenderElementStates},
        pixman::PixmanRenderer,
    },
    output::Output,
};
use tracing::{error, info, warn};

use crate::{
    render::{BACKGROUND, Canvas, CanvasError, SceneElement, scene},
    state::State,
};

/// Our end of the `frames` link.
pub type FramesLink = Channel<ToCompositor, ToMedia>;

/// The one buffer, see the module's page.
const SLOT: SlotIndex = SlotIndex::MIN;

/// Draws frames and hands them over.
pub struct Capture {
    renderer: PixmanRenderer,
    tracker: OutputDamageTracker,
    canvas: Canvas,
    /// Whether the canvas shows the frame the tracker remembers.
    intact: bool,
    link: Option<Rc<FramesLink>>,
    generation: BufferGeneration,
    announced: bool,
    sequence: FrameSequence,
    unreleased: Option<(FrameReleased, MonotonicMicros)>,
}

/// Frames that cannot be handed over.
#[derive(Debug, thiserror::Error)]
enum HandOverError {
    #[error("media is gone")]
    NoLink,
    #[error("cannot tell media of a frame")]
    Send(#[from] SendError),
}

impl Capture {
    /// Draws `output` with `renderer`; nobody takes the frames yet.
    ///
    /// # Errors
    /// [`CanvasError`] when there is no memory for a frame.
    pub fn new(renderer: PixmanRenderer, state: &State) -> Result<Self, CanvasError> {
        Ok(Self {
            renderer,
            tracker: tracker_for(&state.output.wayland),
            canvas: Canvas::new(state.output.size)?,
            intact: false,
            link: None,
            generation: BufferGeneration::default(),
            announced: false,
            sequence: FrameSequence::default(),
            unreleased: None,
        })
    }

    /// What draws, for drawing something else than a frame.
    pub const fn renderer(&mut self) -> &mut PixmanRenderer {
        &mut self.renderer
    }

    /// Frames go to this link end from now on.
    pub fn attach(&mut self, state: &mut State, link: Rc<FramesLink>) {
        self.link = Some(link);
        self.unreleased = None;
        self.start_generation();
        state.schedule.attach(state.now());
    }

    /// The link end is closed, by the peer or because it must not be listened to.
    pub fn detach(&mut self, state: &mut State) {
        self.link = None;
        self.unreleased = None;
        state.schedule.detach();
    }

    /// Applies what media says.
    ///
    /// # Errors
    /// [`ProtocolViolation`] for the release of a frame that is not media's.
    pub fn apply(
        &mut self,
        state: &mut State,
        message: ToCompositor,
    ) -> Result<(), ProtocolViolation> {
        match message {
            ToCompositor::FrameReleased(released) => {
                let Some((_, handed_over)) = self.unreleased.take_if(|(one, _)| *one == released)
                else {
                    let what = Violation::Illegal("release of a frame that was not handed over");
                    return Err(ProtocolViolation { link: LinkName::Frames, what });
                };
                state.metrics.release.record(clock::now().since(handed_over));
                state.schedule.released();
            }
            ToCompositor::ViewersChanged { watching } => {
                info!(watching, "viewers changed");
                state.schedule.set_watching(state.now(), watching);
            }
        }
        Ok(())
    }

    /// Draws what changed and hands it over.
    pub fn draw(&mut self, state: &mut State) -> Outcome {
        if let Err(error) = self.fit_canvas(state) {
            error!(error = &error as &dyn std::error::Error, "no memory for a frame");
            return Outcome::Failed;
        }
        let committed = state.schedule.changed_since().unwrap_or_else(|| state.now());
        let started = clock::now();
        let elements = scene(state, &mut self.renderer);
        let Some((damage, states)) = self.render(state, &elements) else {
            state.metrics.frames_failed.increment();
            return Outcome::Failed;
        };
        report_faults(state, &elements);
        callbacks::note_visibility(state, &states);
        let outcome = match damage {
            Some(damage) => {
                let rendered = clock::now();
                state.metrics.render.record(rendered.since(started));
                let committed = state.micros_of(committed);
                self.hand_over(state, damage, committed, rendered)
            }
            None => {
                state.metrics.frames_unchanged.increment();
                Outcome::Unchanged
            }
        };
        callbacks::present(state, self.sequence);
        outcome
    }

    /// Lets apps draw.
    pub fn call_back(&mut self, state: &mut State) -> Waiting {
        state.metrics.callback_rounds.increment();
        callbacks::send(state)
    }

    /// The damage of the picture as drawn, `None` when it is the same as before; or nothing at all
    /// when it could not be drawn.
    fn render(
        &mut self,
        state: &State,
        elements: &[SceneElement],
    ) -> Option<(Option<Damage>, RenderElementStates)> {
        let age = usize::from(self.intact);
        let size = self.canvas.size();
        let drawn =
            self.canvas.bind(&mut self.renderer).map_err(|error| error.to_string()).and_then(
                |mut target| {
                    let renderer = &mut self.renderer;
                    self.tracker
                        .render_output(renderer, &mut target, age, elements, BACKGROUND)
                        .map_err(|error| error.to_string())
                },
            );
        match drawn {
            Ok(result) => {
                self.intact = true;
                let damage = result.damage.and_then(|rects| damage_of(rects, size));
                Some((damage, result.states))
            }
            Err(reason) => {
                self.intact = false;
                error!(reason, output = ?state.output.size, "cannot draw a frame");
                None
            }
        }
    }

    fn hand_over(
        &mut self,
        state: &mut State,
        damage: Damage,
        committed: MonotonicMicros,
        rendered: MonotonicMicros,
    ) -> Outcome {
        let bytes = damaged_bytes(&damage, self.canvas.size());
        match self.send(damage, committed, rendered) {
            Ok(()) => {
                let metrics = &state.metrics;
                metrics.frames_rendered.increment();
                metrics.damage_bytes.add(bytes);
                metrics.commit_to_rendered.record(rendered.since(committed));
                Outcome::Sent
            }
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "a frame was lost");
                self.detach(state);
                Outcome::Failed
            }
        }
    }

    fn send(
        &mut self,
        damage: Damage,
        committed: MonotonicMicros,
        rendered: MonotonicMicros,
    ) -> Result<(), HandOverError> {
        let link = self.link.as_ref().ok_or(HandOverError::NoLink)?;
        let (generation, slot, size) = (self.generation, SLOT, self.canvas.size());
        if !self.announced {
            let stride_bytes = u32::from(size.width()) * 4;
            let buffer = BufferAnnounced { generation, slot, size, stride_bytes };
            link.send(&ToMedia::BufferAnnounced(buffer), &[self.canvas.descriptor()])?;
            self.announced = true;
        }
        let sequence = self.sequence.next();
        let frame = FrameReady { generation, slot, sequence, damage, committed, rendered };
        link.send(&ToMedia::FrameReady(frame), &[])?;
        self.sequence = sequence;
        self.unreleased = Some((FrameReleased { generation, slot, sequence }, rendered));
        Ok(())
    }

    /// Makes the canvas as large as the output. Media keeps the old memory for as long as it
    /// needs it: the mapping is its own.
    fn fit_canvas(&mut self, state: &State) -> Result<(), CanvasError> {
        if self.canvas.size() != state.output.size {
            self.canvas = Canvas::new(state.output.size)?;
            self.start_generation();
        }
        if !self.announced {
            state.metrics.buffers_announced.increment();
        }
        Ok(())
    }

    const fn start_generation(&mut self) {
        self.generation = BufferGeneration(self.generation.0.wrapping_add(1));
        self.announced = false;
        self.intact = false;
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

/// Notes whose surfaces could not be drawn; the shell disconnects them.
fn report_faults(state: &mut State, elements: &[SceneElement]) {
    let faulty: Vec<&Id> =
        elements.iter().filter(|element| element.is_faulty()).map(Element::id).collect();
    if faulty.is_empty() {
        return;
    }
    let mut found = Vec::new();
    callbacks::for_each_surface(state, |surface, _| {
        if faulty.contains(&&Id::from_wayland_resource(surface)) {
            found.push(surface.clone());
        }
    });
    state.faulty.extend(found);
    state.changed();
}
