//! The `frames` link: buffers and frames in, planes and changed macroblocks out.
//!
//! A frame is released as soon as its damage is converted, or drawn and read back, before it is encoded, so
//! that the compositor can draw the next one meanwhile. The demand for the output is sent as a state: while the
//! link has no room, only the newest demand waits, however often rtc changes it.

use std::{
    collections::VecDeque,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use lumen_ipc::{
    codec::{ProtocolViolation, Violation},
    demand::OutputDemand,
    link::LinkName,
    message::frames::{
        BufferAnnounced, BufferMemory, FrameReady, FrameReleased, ToCompositor, ToMedia,
    },
    units::OutputId,
};
use lumen_ipc_runtime::{
    channel::{ReceiveError, SendError},
    clock,
    link_end::LinkEnd,
    shm::{GuardedView, MapError, SharedView},
};

use super::{
    Broken,
    drawing::{Drawing, Memory},
    figures::Figures,
    shown::Shown,
};
use crate::{
    convert::{Frame, MacroblockMap, Planes},
    import::{Buffers, Frame as Brought, Rows},
};

/// Media's end.
pub(super) type Frames = LinkEnd<ToMedia, ToCompositor>;

/// Messages read in one round, so that a compositor that sends without end cannot starve rtc.
const AT_ONCE: usize = 8;

/// Answers about buffers that wait for room on the link: more than the compositor asks for at a time.
const MOST_ANSWERS: usize = 64;

/// One output: the link end while there is a compositor, and the picture, which outlives the link.
#[derive(Debug)]
pub(super) struct Screen {
    output: OutputId,
    /// The demand for the output; `None` before rtc's first.
    wanted: Option<OutputDemand>,
    link: Option<Link>,
    picture: Option<Shown>,
    /// What draws frames of layers; without it, none come.
    drawing: Option<Drawing>,
    /// Whether samples are left where they are drawn until somebody wants them.
    lazy: bool,
}

#[derive(Debug)]
struct Link {
    end: Frames,
    buffers: Buffers<Memory>,
    /// The release of a frame whose pixels have been read, while the link has no room for it.
    read: Option<FrameReleased>,
    /// What was decided about announced buffers, while the link has no room for it.
    answers: VecDeque<ToCompositor>,
    /// Whether the compositor was told what media draws with.
    introduced: bool,
    /// The demand that the compositor was sent last.
    told: Option<OutputDemand>,
    /// Whether no frame has come yet on this link. Damage of the first one is relative to nothing,
    /// so all of it is converted.
    fresh: bool,
}

/// What a round of messages brought.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Taken {
    /// The screen changed.
    pub(super) changed: bool,
    /// The screen has another size, or comes from another compositor.
    pub(super) anew: bool,
    /// Nobody watches, and the compositor has given its buffers back: there is no screen until it draws one.
    pub(super) rests: bool,
}

impl Screen {
    /// A screen of `output` without a compositor.
    pub(super) const fn new(output: OutputId) -> Self {
        Self { output, wanted: None, link: None, picture: None, drawing: None, lazy: false }
    }

    /// Takes the link end of a new compositor, which replaces the one before.
    pub(super) fn attach(&mut self, end: Frames) {
        self.link = Some(Link {
            end,
            buffers: Buffers::new(self.output, self.drawing.is_some()),
            read: None,
            answers: VecDeque::new(),
            introduced: false,
            told: None,
            fresh: true,
        });
    }

    /// Lets frames of layers be drawn from now on. Before any link is read.
    pub(super) fn draw_with(&mut self, drawing: Drawing) {
        self.drawing = Some(drawing);
        if let Some(link) = &mut self.link {
            link.buffers = Buffers::new(self.output, true);
        }
    }

    /// Closes the link end, for the reason `why`.
    pub(super) fn detach(&mut self, why: &Broken) {
        if let Some(link) = self.link.take() {
            link.end.give_up(why.verdict());
        }
    }

    /// The descriptor to poll, and whether to poll it for writing too.
    pub(super) fn interest(&self) -> Option<(BorrowedFd<'_>, bool)> {
        let waits = |link: &Link| {
            let has_news = link.read.is_some() || !link.answers.is_empty();
            has_news || !link.introduced || link.told != self.wanted
        };
        self.link.as_ref().map(|link| (link.end.as_fd(), waits(link)))
    }

    /// The newest screen, if any frame has come.
    pub(super) fn picture(&mut self) -> Option<&mut Shown> {
        self.picture.as_mut()
    }

    /// The same with what draws.
    pub(super) fn parts(&mut self) -> (Option<&mut Shown>, Option<&mut Drawing>) {
        (self.picture.as_mut(), self.drawing.as_mut())
    }

    /// Gives back what only pictures need.
    pub(super) fn rest(&mut self) {
        if let Some(drawing) = &mut self.drawing {
            drawing.rest();
        }
    }

    /// Whether samples are left where they are drawn until somebody wants them.
    pub(super) const fn set_lazy(&mut self, lazy: bool) {
        self.lazy = lazy;
    }

    /// Sets the demand for the output.
    pub(super) const fn want(&mut self, demand: OutputDemand) {
        self.wanted = Some(demand);
    }

    /// Sends the compositor what it has not been sent yet, if the link has room.
    pub(super) fn tell(&mut self) -> Result<(), Broken> {
        let Some(link) = &mut self.link else { return Ok(()) };
        link.release()?;
        if !link.introduced {
            let output = self.output;
            let renderer = self.drawing.as_ref().map(|drawing| drawing.offer().clone());
            link.introduced = link.say(&ToCompositor::RendererOffered { output, renderer })?;
        }
        if !link.introduced || !link.answer()? {
            return Ok(());
        }
        if let Some(demand) = self.wanted.filter(|_| link.told != self.wanted)
            && link.say(&ToCompositor::DemandChanged { output: self.output, demand })?
        {
            link.told = self.wanted;
        }
        Ok(())
    }

    /// Reads what the compositor sent.
    pub(super) fn receive(&mut self, figures: &Figures) -> Result<Taken, Broken> {
        let mut taken = Taken::default();
        let Some(link) = &mut self.link else { return Ok(taken) };
        for _ in 0..AT_ONCE {
            match link.end.receive() {
                Ok(received) => match received.message {
                    ToMedia::BufferAnnounced(announced) => {
                        link.announced(&announced, received.descriptors, self.drawing.as_ref())?;
                    }
                    ToMedia::BufferRetired { output, slot } => {
                        link.buffers.retire(output, slot).map_err(violation)?;
                        if link.buffers.is_empty() && !self.wanted.is_some_and(|it| it.watched) {
                            link.fresh = true;
                            taken.rests |= self.picture.take().is_some();
                        }
                    }
                    ToMedia::FrameReady(ready) => {
                        let drawing = self.drawing.as_mut().map(|drawing| (drawing, self.lazy));
                        let brought = link.frame(&mut self.picture, &ready, (drawing, figures))?;
                        taken.changed |= brought.changed;
                        taken.anew |= brought.anew;
                        taken.rests = false;
                    }
                },
                Err(ReceiveError::Empty) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(taken)
    }
}

impl Link {
    /// Sends a message; returns whether there was room for it.
    fn say(&self, message: &ToCompositor) -> Result<bool, Broken> {
        match self.end.send(message, &[]) {
            Ok(()) => Ok(true),
            Err(SendError::Full) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends the release of a frame that was read.
    fn release(&mut self) -> Result<(), Broken> {
        if let Some(released) = self.read
            && self.say(&ToCompositor::FrameReleased(released))?
        {
            self.read = None;
        }
        Ok(())
    }

    /// Sends what was decided about buffers; returns whether there was room for all of it.
    fn answer(&mut self) -> Result<bool, Broken> {
        while let Some(answer) = self.answers.front() {
            if !self.say(answer)? {
                return Ok(false);
            }
            self.answers.pop_front();
        }
        Ok(true)
    }

    fn announced(
        &mut self,
        announced: &BufferAnnounced,
        descriptors: Vec<OwnedFd>,
        drawing: Option<&Drawing>,
    ) -> Result<(), Broken> {
        if let (BufferMemory::Dmabuf { format, planes }, Some(drawing)) =
            (announced.memory, drawing)
        {
            let imported =
                drawing.import(announced, (format, &planes), &descriptors).map_err(violation)?;
            let (output, slot) = (announced.output, announced.slot);
            let answer = match imported {
                Memory::Dmabuf(None) => ToCompositor::BufferRefused { output, slot },
                _ => ToCompositor::BufferAccepted { output, slot },
            };
            self.buffers.announce(announced, None, imported).map_err(violation)?;
            if self.answers.len() >= MOST_ANSWERS {
                return Err(violation(Violation::Illegal("more questions than are answered")));
            }
            self.answers.push_back(answer);
            return self.answer().map(drop);
        }
        let rows = Rows::of(announced, self.buffers.is_offered()).map_err(violation)?;
        let descriptor = descriptors
            .into_iter()
            .next()
            .ok_or_else(|| violation(Violation::Illegal("a buffer without memory")))?;
        let memory = if matches!(announced.memory, BufferMemory::App { .. }) {
            GuardedView::map(descriptor, rows.offset_bytes.into(), rows.bytes)
                .map(|view| Memory::App(view, None))
        } else {
            SharedView::map(descriptor, rows.bytes).map(Memory::Shared)
        };
        let memory = memory.map_err(unusable)?;
        self.buffers.announce(announced, Some(rows), memory).map_err(violation)
    }

    fn frame(
        &mut self,
        picture: &mut Option<Shown>,
        ready: &FrameReady,
        (drawing, figures): (Option<(&mut Drawing, bool)>, &Figures),
    ) -> Result<Taken, Broken> {
        if self.read.is_some() {
            // The compositor cannot have seen the release of the frame before.
            return Err(violation(Violation::Illegal("a frame before the last was released")));
        }
        let taken = clock::now();
        let brought = self.buffers.frame(ready).map_err(violation)?;
        let (size, rects) = match &brought {
            Brought::Drawn { size, damage, .. } => (*size, *damage),
            Brought::Layers { layers, damage } => (layers.size, *damage),
        };
        let known = picture.take().filter(|shown| shown.size == size);
        let anew = self.fresh || known.is_none();
        let shown = picture.insert(known.unwrap_or_else(|| Shown::new(size)));
        let mut damage = MacroblockMap::constant(size);
        rects.iter().for_each(|rect| damage.mark(*rect));
        if anew {
            damage.mark_all();
        }
        match (brought, drawing) {
            (Brought::Drawn { memory, stride_bytes, .. }, drawing) => {
                match drawing {
                    Some((drawing, lazy)) if drawing.shares() => {
                        if anew {
                            drawing.missed_a_frame();
                        }
                        let pixels = (memory.pixels(), stride_bytes);
                        drawing.take_over(size, pixels, rects).map_err(Broken::Drawing)?;
                        shown.unread.add(&damage);
                        if lazy {
                            figures.frames_mapped.increment();
                        } else {
                            shown.read(Some(drawing), figures).map_err(Broken::Drawing)?;
                        }
                        count_app(memory, figures);
                    }
                    drawing => {
                        figures.frames_mapped.increment();
                        convert((memory, stride_bytes), (shown.planes(), &damage), figures)?;
                        if let Some((drawing, _)) = drawing {
                            drawing.missed_a_frame();
                        }
                    }
                }
                // What it shows is not counted among the frames of layers.
                if let Memory::App(_, texture) = memory {
                    *texture = None;
                }
            }
            (Brought::Layers { layers, .. }, Some((drawing, lazy))) => {
                if anew {
                    drawing.missed_a_frame();
                }
                drawing
                    .compose((layers, rects), &mut self.buffers, lazy)
                    .map_err(Broken::Drawing)?;
                shown.unread.add(&damage);
                if !lazy {
                    shown.read(Some(drawing), figures).map_err(Broken::Drawing)?;
                }
                figures.frames_drawn.increment();
            }
            (Brought::Layers { .. }, None) => {
                return Err(violation(Violation::Illegal("layers that nothing draws")));
            }
        }
        self.fresh = false;
        let converted = clock::now();
        self.read = Some(FrameReleased { output: ready.output, sequence: ready.sequence });
        self.release()?;

        shown.note(ready, &damage, taken, converted);
        figures.frames_taken.increment();
        figures.macroblocks_converted.add(damage.changed() as u64);
        figures.frame_wait.record(taken.since(ready.rendered));
        figures.convert.record(converted.since(taken));
        Ok(Taken { changed: damage.changed() > 0, anew, rests: false })
    }
}

/// What the compositor did wrong; or that we cannot map what is right, which is nobody's fault.
fn unusable(error: MapError) -> Broken {
    tracing::info!(
        error = &error as &dyn std::error::Error,
        "an announced buffer cannot be mapped"
    );
    if error.is_our_own() {
        return Broken::Io(std::io::Error::other(error));
    }
    violation(Violation::Illegal("a buffer's memory is unsealed, too small or not ordinary memory"))
}

/// Converts the damaged part of a frame.
fn convert(
    (memory, stride_bytes): (&mut Memory, usize),
    (planes, damage): (&mut Planes, &MacroblockMap),
    figures: &Figures,
) -> Result<(), Broken> {
    let frame = Frame::new(memory.pixels(), stride_bytes, damage.size())
        .map_err(|_| violation(Violation::Illegal("a frame larger than its buffer")))?;
    planes.update(frame, damage).map_err(std::io::Error::other).map_err(Broken::Io)?;
    count_app(memory, figures);
    Ok(())
}

/// Counts a frame that was read, if it is an app's.
fn count_app(memory: &mut Memory, figures: &Figures) {
    if let Memory::App(view, _) = memory {
        figures.app_frames_taken.increment();
        figures.frames_torn.add(view.is_torn().into());
    }
}

fn violation(what: Violation) -> Broken {
    ProtocolViolation { link: LinkName::Frames, what }.into()
}
