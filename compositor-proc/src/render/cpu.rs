//! Pixman, kept away from memory of graphics processors.
//!
//! Reading such memory takes requests to a driver, which this process may not make, and a mapping of it
//! may be slow or refused. An app's buffer in such memory therefore stands for nothing visible here;
//! media draws it ([`super::Describer`]).

use smithay::{
    backend::{
        allocator::{Fourcc, dmabuf::Dmabuf},
        renderer::{
            Bind, ContextId, DebugFlags, ExportMem, ImportDma, ImportDmaWl, ImportMem, ImportMemWl,
            Offscreen, Renderer, RendererSuper, TextureFilter,
            pixman::{
                PixmanError, PixmanFrame, PixmanMapping, PixmanRenderer, PixmanTarget,
                PixmanTexture,
            },
            sync::SyncPoint,
        },
    },
    reexports::{pixman::Image, wayland_server::protocol::wl_buffer::WlBuffer},
    utils::{Buffer, Physical, Rectangle, Size, Transform},
    wayland::compositor::SurfaceData,
};

/// Draws on the processor.
#[derive(Debug)]
pub struct Cpu {
    pixman: PixmanRenderer,
    /// One transparent pixel, in the place of what is not read.
    nothing: PixmanTexture,
}

impl Cpu {
    /// A renderer.
    ///
    /// # Errors
    /// [`PixmanError`] when there is no memory.
    pub fn new() -> Result<Self, PixmanError> {
        let mut pixman = PixmanRenderer::new()?;
        let nothing = pixman.import_memory(&[0; 4], Fourcc::Argb8888, (1, 1).into(), false)?;
        Ok(Self { pixman, nothing })
    }
}

impl RendererSuper for Cpu {
    type Error = PixmanError;
    type TextureId = PixmanTexture;
    type Framebuffer<'buffer> = PixmanTarget<'buffer>;
    type Frame<'frame, 'buffer>
        = PixmanFrame<'frame, 'buffer>
    where
        'buffer: 'frame,
        Self: 'frame;
}

impl Renderer for Cpu {
    fn context_id(&self) -> ContextId<PixmanTexture> {
        self.pixman.context_id()
    }

    fn downscale_filter(&mut self, filter: TextureFilter) -> Result<(), PixmanError> {
        self.pixman.downscale_filter(filter)
    }

    fn upscale_filter(&mut self, filter: TextureFilter) -> Result<(), PixmanError> {
        self.pixman.upscale_filter(filter)
    }

    fn set_debug_flags(&mut self, flags: DebugFlags) {
        self.pixman.set_debug_flags(flags);
    }

    fn debug_flags(&self) -> DebugFlags {
        self.pixman.debug_flags()
    }

    fn render<'frame, 'buffer>(
        &'frame mut self,
        target: &'frame mut PixmanTarget<'buffer>,
        size: Size<i32, Physical>,
        transform: Transform,
    ) -> Result<PixmanFrame<'frame, 'buffer>, PixmanError>
    where
        'buffer: 'frame,
    {
        self.pixman.render(target, size, transform)
    }

    fn wait(&mut self, sync: &SyncPoint) -> Result<(), PixmanError> {
        self.pixman.wait(sync)
    }

    fn cleanup_texture_cache(&mut self) -> Result<(), PixmanError> {
        self.pixman.cleanup_texture_cache()
    }
}

impl ImportMem for Cpu {
    fn import_memory(
        &mut self,
        data: &[u8],
        format: Fourcc,
        size: Size<i32, Buffer>,
        flipped: bool,
    ) -> Result<PixmanTexture, PixmanError> {
        self.pixman.import_memory(data, format, size, flipped)
    }

    fn update_memory(
        &mut self,
        texture: &PixmanTexture,
        data: &[u8],
        region: Rectangle<i32, Buffer>,
    ) -> Result<(), PixmanError> {
        self.pixman.update_memory(texture, data, region)
    }

    fn mem_formats(&self) -> Box<dyn Iterator<Item = Fourcc>> {
        self.pixman.mem_formats()
    }
}

impl ImportMemWl for Cpu {
    fn import_shm_buffer(
        &mut self,
        buffer: &WlBuffer,
        surface: Option<&SurfaceData>,
        damage: &[Rectangle<i32, Buffer>],
    ) -> Result<PixmanTexture, PixmanError> {
        self.pixman.import_shm_buffer(buffer, surface, damage)
    }
}

impl ImportDma for Cpu {
    fn import_dmabuf(
        &mut self,
        _: &Dmabuf,
        _: Option<&[Rectangle<i32, Buffer>]>,
    ) -> Result<PixmanTexture, PixmanError> {
        Ok(self.nothing.clone())
    }
}

impl ImportDmaWl for Cpu {}

impl ExportMem for Cpu {
    type TextureMapping = PixmanMapping;

    fn copy_framebuffer(
        &mut self,
        target: &PixmanTarget<'_>,
        region: Rectangle<i32, Buffer>,
        format: Fourcc,
    ) -> Result<PixmanMapping, PixmanError> {
        self.pixman.copy_framebuffer(target, region, format)
    }

    fn copy_texture(
        &mut self,
        texture: &PixmanTexture,
        region: Rectangle<i32, Buffer>,
        format: Fourcc,
    ) -> Result<PixmanMapping, PixmanError> {
        self.pixman.copy_texture(texture, region, format)
    }

    fn can_read_texture(&mut self, texture: &PixmanTexture) -> Result<bool, PixmanError> {
        self.pixman.can_read_texture(texture)
    }

    fn map_texture<'a>(&mut self, mapping: &'a PixmanMapping) -> Result<&'a [u8], PixmanError> {
        self.pixman.map_texture(mapping)
    }
}

impl Offscreen<Image<'static, 'static>> for Cpu {
    fn create_buffer(
        &mut self,
        format: Fourcc,
        size: Size<i32, Buffer>,
    ) -> Result<Image<'static, 'static>, PixmanError> {
        self.pixman.create_buffer(format, size)
    }
}

impl Bind<Image<'static, 'static>> for Cpu {
    fn bind<'a>(
        &mut self,
        target: &'a mut Image<'static, 'static>,
    ) -> Result<PixmanTarget<'a>, PixmanError> {
        self.pixman.bind(target)
    }
}
