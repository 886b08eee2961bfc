//! A renderer that draws nothing, for frames that media draws: elements of a scene are made with it as
//! with any other, so that their places, sources and damage are the same, but no buffer is read.

use std::convert::Infallible;

use smithay::{
    backend::{
        allocator::{Fourcc, dmabuf::Dmabuf},
        renderer::{
            Color32F, ContextId, DebugFlags, Frame, ImportDma, ImportDmaWl, ImportMem, ImportMemWl,
            Renderer, RendererSuper, Texture, TextureFilter, sync::SyncPoint,
        },
    },
    reexports::wayland_server::protocol::wl_buffer::WlBuffer,
    utils::{Buffer, Physical, Rectangle, Size, Transform},
    wayland::compositor::SurfaceData,
};

/// The renderer.
#[derive(Debug, Default)]
pub struct Describer {
    context: ContextId<Unread>,
}

/// What stands for a buffer that nobody reads here.
#[derive(Clone, Copy, Debug)]
pub struct Unread;

/// A frame that cannot exist, because nothing is drawn.
#[derive(Debug)]
pub struct NoFrame(Infallible);

/// Something was to be drawn.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("nothing is drawn with a description")]
pub struct NothingIsDrawn;

impl Texture for Unread {
    fn width(&self) -> u32 {
        0
    }

    fn height(&self) -> u32 {
        0
    }

    fn format(&self) -> Option<Fourcc> {
        None
    }
}

impl RendererSuper for Describer {
    type Error = NothingIsDrawn;
    type TextureId = Unread;
    type Framebuffer<'buffer> = Unread;
    type Frame<'frame, 'buffer>
        = NoFrame
    where
        'buffer: 'frame,
        Self: 'frame;
}

impl Renderer for Describer {
    fn context_id(&self) -> ContextId<Unread> {
        self.context.clone()
    }

    fn downscale_filter(&mut self, _: TextureFilter) -> Result<(), NothingIsDrawn> {
        Ok(())
    }

    fn upscale_filter(&mut self, _: TextureFilter) -> Result<(), NothingIsDrawn> {
        Ok(())
    }

    fn set_debug_flags(&mut self, _: DebugFlags) {}

    fn debug_flags(&self) -> DebugFlags {
        DebugFlags::empty()
    }

    fn render<'frame, 'buffer>(
        &'frame mut self,
        _: &'frame mut Unread,
        _: Size<i32, Physical>,
        _: Transform,
    ) -> Result<NoFrame, NothingIsDrawn>
    where
        'buffer: 'frame,
    {
        Err(NothingIsDrawn)
    }

    fn wait(&mut self, _: &SyncPoint) -> Result<(), NothingIsDrawn> {
        Ok(())
    }
}

impl ImportMem for Describer {
    fn import_memory(
        &mut self,
        _: &[u8],
        _: Fourcc,
        _: Size<i32, Buffer>,
        _: bool,
    ) -> Result<Unread, NothingIsDrawn> {
        Ok(Unread)
    }

    fn update_memory(
        &mut self,
        _: &Unread,
        _: &[u8],
        _: Rectangle<i32, Buffer>,
    ) -> Result<(), NothingIsDrawn> {
        Ok(())
    }

    fn mem_formats(&self) -> Box<dyn Iterator<Item = Fourcc>> {
        Box::new(std::iter::empty())
    }
}

impl ImportMemWl for Describer {
    fn import_shm_buffer(
        &mut self,
        _: &WlBuffer,
        _: Option<&SurfaceData>,
        _: &[Rectangle<i32, Buffer>],
    ) -> Result<Unread, NothingIsDrawn> {
        Ok(Unread)
    }
}

impl ImportDma for Describer {
    fn import_dmabuf(
        &mut self,
        _: &Dmabuf,
        _: Option<&[Rectangle<i32, Buffer>]>,
    ) -> Result<Unread, NothingIsDrawn> {
        Ok(Unread)
    }
}

impl ImportDmaWl for Describer {}

impl Frame for NoFrame {
    type Error = NothingIsDrawn;
    type TextureId = Unread;

    fn context_id(&self) -> ContextId<Unread> {
        match self.0 {}
    }

    fn clear(&mut self, _: Color32F, _: &[Rectangle<i32, Physical>]) -> Result<(), NothingIsDrawn> {
        match self.0 {}
    }

    fn draw_solid(
        &mut self,
        _: Rectangle<i32, Physical>,
        _: &[Rectangle<i32, Physical>],
        _: Color32F,
    ) -> Result<(), NothingIsDrawn> {
        match self.0 {}
    }

    fn render_texture_from_to(
        &mut self,
        _: &Unread,
        _: Rectangle<f64, Buffer>,
        _: Rectangle<i32, Physical>,
        _: &[Rectangle<i32, Physical>],
        _: &[Rectangle<i32, Physical>],
        _: Transform,
        _: f32,
    ) -> Result<(), NothingIsDrawn> {
        match self.0 {}
    }

    fn transformation(&self) -> Transform {
        match self.0 {}
    }

    fn wait(&mut self, _: &SyncPoint) -> Result<(), NothingIsDrawn> {
        match self.0 {}
    }

    fn finish(self) -> Result<SyncPoint, NothingIsDrawn> {
        match self.0 {}
    }
}
