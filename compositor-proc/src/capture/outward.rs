//! What media is told of frames and buffers.
//!
//! Buffers in memory of a graphics processor are announced when an app makes them, because only media
//! can tell whether its driver takes them; all others are announced with the first frame that shows
//! them. Media answers the former in the order in which they were announced.

use std::{
    collections::VecDeque,
    os::fd::{AsFd, BorrowedFd},
    rc::Rc,
};

use lumen_ipc::{
    codec::{ProtocolViolation, Violation},
    link::LinkName,
    message::frames::{
        BufferAnnounced, BufferMemory, Content as LayerContent, Damage, FrameReady, FrameReleased,
        Layer, LayerList, Layers, Picture as Place, Renderer, ToCompositor, ToMedia,
    },
    units::{FrameSize, MonotonicMicros, OutputId, SlotIndex},
};
use lumen_ipc_runtime::{channel::SendError, link_end::LinkEnd};
use smithay::{
    backend::{
        allocator::dmabuf::{Dmabuf, WeakDmabuf},
        renderer::utils::Buffer,
    },
    reexports::wayland_server::Resource,
};

use super::{
    layers::{self, Announced, BufferName, Pane, Pixels, Read, Store},
    scanout::Scanout,
    slots::{Slot, Slots},
};
use crate::{
    metrics::Metrics,
    pools::PoolFiles,
    render::{BACKGROUND, Canvas},
};

/// Our end of the `frames` link.
pub type FramesLink = LinkEnd<ToCompositor, ToMedia>;

/// Announced buffers of graphics processors that media has not answered: more would fill the link if an
/// app made hundreds at once.
const UNANSWERED: usize = 16;

/// What is known of one link end.
#[derive(Debug, Default)]
pub(super) struct Outward {
    /// The renderer that media has offered.
    pub(super) renderer: Option<Rc<Renderer>>,
    pub(super) slots: Slots<BufferName>,
    read: Read,
    /// Announced buffers of graphics processors that media has not answered, the oldest first.
    asked: VecDeque<(SlotIndex, WeakDmabuf)>,
}

/// Where a picture is.
pub(super) enum Content<'canvas> {
    /// Drawn here.
    Canvas(&'canvas Canvas),
    /// Nowhere: media draws it.
    Layers(FrameSize, Vec<Pane>),
    /// In an app's buffer.
    Scanout(FrameSize, Scanout),
}

/// The numbers and times of a frame.
pub(super) struct Stamps {
    pub(super) answer: FrameReleased,
    pub(super) damage: Damage,
    pub(super) committed: MonotonicMicros,
    pub(super) rendered: MonotonicMicros,
}

impl Outward {
    /// Media draws with this from now on, or does not draw. Returns whether it did the other before.
    pub(super) fn set_renderer(&mut self, renderer: Option<Rc<Renderer>>) -> bool {
        let draws = renderer.is_some();
        self.slots.expect_layers(draws);
        std::mem::replace(&mut self.renderer, renderer).is_some() != draws
    }

    /// Retires the buffers that apps have destroyed.
    pub(super) fn retire_destroyed(&mut self, pools: &PoolFiles) {
        self.slots.retain(|name| match name {
            BufferName::Dmabuf(dmabuf) => !dmabuf.is_gone(),
            BufferName::File(buffer) => pools.has_buffer(buffer),
        });
    }

    /// Retires all buffers. Media takes those of graphics processors again with the next frame that shows them.
    pub(super) fn rest(&mut self, link: &FramesLink, output: OutputId) -> Result<(), SendError> {
        self.slots.retire_all();
        self.tell_retired(link, output)
    }

    /// Announces `dmabuf`, so that media answers whether it takes it. Returns whether there was room for
    /// another question.
    pub(super) fn ask(
        &mut self,
        link: &FramesLink,
        output: OutputId,
        dmabuf: &Dmabuf,
        metrics: &Metrics,
    ) -> Result<bool, SendError> {
        if self.asked.len() >= UNANSWERED {
            return Ok(false);
        }
        if let Some(announced) = layers::of_dmabuf(dmabuf) {
            self.slot(link, output, &announced, metrics)?;
        }
        Ok(true)
    }

    /// Media has answered about the buffer in `slot`. Returns which it is, if it still exists.
    pub(super) fn answered(
        &mut self,
        slot: SlotIndex,
    ) -> Result<Option<Dmabuf>, ProtocolViolation> {
        match self.asked.pop_front() {
            Some((asked, dmabuf)) if asked == slot => Ok(dmabuf.upgrade()),
            _ => {
                let what = Violation::Illegal("an answer about a buffer that is not the next");
                Err(ProtocolViolation { link: LinkName::Frames, what })
            }
        }
    }

    /// Sends a frame, after the buffers in it that media does not have. Returns apps' buffers in it, which
    /// the apps must not draw in before media has released the frame.
    pub(super) fn send(
        &mut self,
        link: &FramesLink,
        content: Content<'_>,
        stamps: Stamps,
        metrics: &Metrics,
    ) -> Result<Vec<Buffer>, SendError> {
        let Stamps { answer: FrameReleased { output, sequence }, damage, committed, rendered } =
            stamps;
        let mut buffers = Vec::new();
        let picture = match content {
            Content::Canvas(canvas) => self.canvas(link, output, canvas, metrics)?,
            Content::Scanout(size, Scanout { buffer, file, place }) => {
                let (offset_bytes, stride_bytes) = (place.offset_bytes, place.stride_bytes);
                let announced = Announced {
                    name: BufferName::File(buffer.id()),
                    size: size.into(),
                    memory: BufferMemory::App { offset_bytes, stride_bytes },
                    store: Store::File(file),
                };
                buffers.push(buffer);
                Place::Drawn(self.slot(link, output, &announced, metrics)?)
            }
            Content::Layers(size, panes) => {
                let mut list = LayerList::default();
                for pane in panes {
                    // `layers::panes` makes no more than fit.
                    if !list.push(self.layer(link, output, pane, &mut buffers, metrics)?) {
                        break;
                    }
                }
                Place::Layers(Layers { size, ground: layers::colour(BACKGROUND), list })
            }
        };
        let frame = FrameReady { output, picture, sequence, damage, committed, rendered };
        link.send(&ToMedia::FrameReady(frame), &[])?;
        Ok(buffers)
    }

    fn canvas(
        &mut self,
        link: &FramesLink,
        output: OutputId,
        canvas: &Canvas,
        metrics: &Metrics,
    ) -> Result<Place, SendError> {
        let Slot { index: slot, is_new } = self.slots.canvas();
        self.tell_retired(link, output)?;
        if is_new {
            let memory =
                BufferMemory::Shared { stride_bytes: u32::from(canvas.size().width()) * 4 };
            let announced = BufferAnnounced { output, slot, size: canvas.size().into(), memory };
            announce(link, announced, &[canvas.descriptor()], metrics)?;
        }
        Ok(Place::Drawn(slot))
    }

    /// A pane as a layer. Its buffer is announced if it must be, and added to `buffers`.
    fn layer(
        &mut self,
        link: &FramesLink,
        output: OutputId,
        pane: Pane,
        buffers: &mut Vec<Buffer>,
        metrics: &Metrics,
    ) -> Result<Layer, SendError> {
        let Pane { pixels, place, alpha, opaque } = pane;
        let content = match pixels {
            Pixels::Colour(colour) => LayerContent::Colour(colour),
            Pixels::Buffer { announced, buffer, crop, transform, surface } => {
                let slot = self.slot(link, output, &announced, metrics)?;
                let changed = self.read.changed(slot, &surface, announced.size);
                buffers.push(buffer);
                LayerContent::Buffer { slot, crop, transform, changed }
            }
        };
        Ok(Layer { content, place, alpha, opaque })
    }

    /// The slot of an app's buffer, which is announced if media does not have it.
    fn slot(
        &mut self,
        link: &FramesLink,
        output: OutputId,
        buffer: &Announced,
        metrics: &Metrics,
    ) -> Result<SlotIndex, SendError> {
        let Slot { index: slot, is_new } = self.slots.of_app(buffer.name.clone());
        // First of all: the slot may be that of a buffer that media still has.
        self.tell_retired(link, output)?;
        if is_new {
            let announced =
                BufferAnnounced { output, slot, size: buffer.size, memory: buffer.memory };
            match &buffer.store {
                Store::File(file) => announce(link, announced, &[file.as_fd()], metrics)?,
                Store::Dmabuf(dmabuf) => {
                    let planes: Vec<_> = dmabuf.handles().collect();
                    announce(link, announced, &planes, metrics)?;
                    self.asked.push_back((slot, dmabuf.weak()));
                }
            }
        }
        Ok(slot)
    }

    fn tell_retired(&mut self, link: &FramesLink, output: OutputId) -> Result<(), SendError> {
        while let Some(slot) = self.slots.next_retired() {
            self.read.forget(slot);
            link.send(&ToMedia::BufferRetired { output, slot }, &[])?;
        }
        Ok(())
    }
}

fn announce(
    link: &FramesLink,
    buffer: BufferAnnounced,
    descriptors: &[BorrowedFd<'_>],
    metrics: &Metrics,
) -> Result<(), SendError> {
    link.send(&ToMedia::BufferAnnounced(buffer), descriptors)?;
    metrics.buffers_announced.increment();
    Ok(())
}
