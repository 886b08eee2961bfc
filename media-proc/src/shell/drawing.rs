//! Drawing by a graphics processor: what is offered to the compositor, the textures of its buffers, and the
//! watch over the driver.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use lumen_ipc::{
    codec::Violation,
    message::frames::{
        BufferAnnounced, Changed, Content, DeviceNumber, Layers, PixelFormats,
        Planes as Arrangement, Rect, Renderer,
    },
    units::{BufferSize, FrameSize, SlotIndex},
};
use lumen_ipc_runtime::shm::{GuardedView, SharedView};
use rustix::fs::{SeekFrom, fstat, seek};

use super::watch::{self, LIMITS, SOFTWARE_LIMITS, Watch};
use crate::{
    convert::{MacroblockMap, Planes},
    draw::{
        CannotDraw, Canvas, Filled, Sources, Surfaces,
        gl::{Texture, Unusable},
    },
    import::{Buffer, Buffers},
};

/// The memory of a buffer.
#[derive(Debug)]
pub(super) enum Memory {
    /// An app's, and its pixels as they were when it was last part of a frame of layers.
    App(GuardedView, Option<Texture>),
    /// An app's of a graphics processor; `None` if the driver did not take it.
    Dmabuf(Option<Texture>),
    /// The compositor's.
    Shared(SharedView),
}

impl Memory {
    /// The pixels that the processor can read; none of a graphics processor's.
    pub(super) fn pixels(&self) -> &[u8] {
        match self {
            Self::App(view, _) => view.bytes(),
            Self::Shared(view) => view.bytes(),
            Self::Dmabuf(_) => &[],
        }
    }
}

/// What draws.
#[derive(Debug)]
pub(super) struct Drawing {
    canvas: Canvas,
    watch: Watch,
    offer: Renderer,
    /// Whether the picture is drawn into the memory of the driver that encodes.
    shares: bool,
}

/// Why nothing is drawn by the node.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoDrawing {
    #[error(transparent)]
    Canvas(#[from] CannotDraw),
    #[error("its driver takes no buffers of apps")]
    Formats,
    #[error("the node cannot be examined: {0}")]
    Node(#[from] io::Error),
}

/// More formats than a message can carry are cut: the first ones are those that drivers prefer.
fn offered(formats: Vec<lumen_ipc::message::frames::PixelFormat>) -> Option<PixelFormats> {
    let mut each = Vec::new();
    for format in formats {
        if each.len() < PixelFormats::MOST && !each.contains(&format) {
            each.push(format);
        }
    }
    PixelFormats::new(each).ok()
}

impl Drawing {
    /// Opens the driver of a node and tries it.
    pub(super) fn open(node: OwnedFd, software: bool) -> Result<Self, NoDrawing> {
        let device = DeviceNumber(fstat(&node).map_err(io::Error::from)?.st_rdev);
        let limits = if software { SOFTWARE_LIMITS } else { LIMITS };
        let watch = Watch::start(limits, watch::end)?;
        let opening = watch.opening();
        let canvas = Canvas::open(Some(node), software)?;
        drop(opening);
        let formats = offered(canvas.formats()).ok_or(NoDrawing::Formats)?;
        Ok(Self { canvas, watch, offer: Renderer { device, formats }, shares: false })
    }

    /// What draws by the processor, and offers what it is told to.
    #[cfg(test)]
    pub(super) fn by_the_processor(offer: Renderer) -> Self {
        let canvas = Canvas::open(None, true).expect("tests/install.sh test installs Mesa");
        let watch = Watch::start(SOFTWARE_LIMITS, watch::end).expect("a thread");
        Self { canvas, watch, offer, shares: false }
    }

    pub(super) const fn offer(&self) -> &Renderer {
        &self.offer
    }

    /// What the driver calls itself.
    pub(super) fn renderer(&self) -> String {
        self.canvas.renderer()
    }

    /// Has the driver import an announced buffer, whose planes must lie in the memory of its descriptors.
    ///
    /// # Errors
    /// They do not, or the format was not offered.
    pub(super) fn import(
        &self,
        announced: &BufferAnnounced,
        (format, planes): (lumen_ipc::message::frames::PixelFormat, &Arrangement),
        descriptors: &[OwnedFd],
    ) -> Result<Memory, Violation> {
        if !self.offer.formats.contains(format) {
            return Err(Violation::Illegal("a buffer of a format that was not offered"));
        }
        // A descriptor that cannot tell its length has none.
        let length = |descriptor: &OwnedFd| seek(descriptor, SeekFrom::End(0)).unwrap_or(0);
        let lengths: Vec<u64> = descriptors.iter().map(length).collect();
        if !planes.fit(announced.size, &lengths) {
            return Err(Violation::Illegal("a buffer's planes leave its memory"));
        }
        let _watched = self.watch.drawing();
        // Buffers come and go also while nothing is drawn.
        self.canvas.gl().tidy();
        let descriptors: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
        let imported = match self.is_small_enough(announced.size) {
            true => self.canvas.gl().import(announced.size, format, planes, &descriptors).ok(),
            false => None,
        };
        Ok(Memory::Dmabuf(imported))
    }

    fn is_small_enough(&self, size: BufferSize) -> bool {
        size.width().max(size.height()) <= self.canvas.longest_side()
    }

    /// The canvas, and what watches over its driver.
    pub(super) const fn parts(&mut self) -> (&mut Canvas, &Watch) {
        (&mut self.canvas, &self.watch)
    }

    /// From now on the picture is drawn into the memory of the driver that encodes.
    pub(super) const fn share(&mut self) {
        self.shares = true;
    }

    /// Whether it is.
    pub(super) const fn shares(&self) -> bool {
        self.shares
    }

    /// What was drawn last is not the frame before.
    pub(super) fn missed_a_frame(&mut self) {
        self.canvas.missed_a_frame();
    }

    /// Gives back what only pictures need.
    pub(super) fn rest(&mut self) {
        let _watched = self.watch.drawing();
        self.canvas.rest();
    }

    /// Draws a frame of layers. Every buffer has been read when it is `finished`, and otherwise with [`Drawing::read`].
    ///
    /// # Errors
    /// The driver has failed.
    pub(super) fn compose(
        &mut self,
        (layers, damage): (&Layers, &[Rect]),
        buffers: &mut Buffers<Memory>,
        finished: bool,
    ) -> Result<(), Unusable> {
        let _watched = self.watch.drawing();
        for layer in layers.list.layers() {
            if let Content::Buffer { slot, changed, .. } = &layer.content
                && let Some(buffer) = buffers.get_mut(*slot)
            {
                self.upload(buffer, changed);
            }
        }
        self.canvas.compose(layers, damage, &Kept(buffers))?;
        if finished { self.canvas.finish() } else { Ok(()) }
    }

    /// Takes over a frame that the compositor has drawn, rows of BGRX of its width.
    ///
    /// # Errors
    /// The driver has failed.
    pub(super) fn take_over(
        &mut self,
        size: FrameSize,
        pixels: (&[u8], usize),
        damage: &[Rect],
    ) -> Result<(), Unusable> {
        let _watched = self.watch.drawing();
        self.canvas.take_over(size, pixels, damage)
    }

    /// Reads the picture into `planes`, where `changed` says.
    ///
    /// # Errors
    /// The driver has failed.
    pub(super) fn read(
        &mut self,
        planes: &mut Planes,
        changed: &MacroblockMap,
    ) -> Result<(), Unusable> {
        let _watched = self.watch.drawing();
        self.canvas.read(planes, changed)
    }

    /// Draws the picture into the memory of the driver that encodes.
    ///
    /// # Errors
    /// The driver has failed.
    pub(super) fn fill(
        &mut self,
        surfaces: &mut Surfaces,
        changed: &MacroblockMap,
    ) -> Result<Filled, Unusable> {
        let _watched = self.watch.drawing();
        self.canvas.fill(surfaces, changed)
    }

    /// Uploads what changed of an app's memory. A buffer for which there is no room stays without a texture.
    fn upload(&self, buffer: &mut Buffer<Memory>, changed: &Changed) {
        let Memory::App(view, texture) = &mut buffer.memory else { return };
        let size = buffer.size;
        let all = Changed::all(size);
        let (texture, changed) = match texture {
            Some(texture) => (texture, changed),
            None => {
                if !self.is_small_enough(size) {
                    return;
                }
                let Ok(made) = self.canvas.gl().bgra((size.width(), size.height())) else { return };
                (texture.insert(made), &all)
            }
        };
        let stride = buffer.stride_bytes.unwrap_or_default();
        for rect in changed.rects_within(size).unwrap_or_default() {
            self.canvas.gl().upload(texture, view.bytes(), stride, *rect);
        }
    }
}

/// The textures of kept buffers.
struct Kept<'buffers>(&'buffers Buffers<Memory>);

impl Sources for Kept<'_> {
    fn texture(&self, slot: SlotIndex) -> Option<&Texture> {
        match &self.0.get(slot)?.memory {
            Memory::App(_, texture) | Memory::Dmabuf(texture) => texture.as_ref(),
            Memory::Shared(_) => None,
        }
    }
}
