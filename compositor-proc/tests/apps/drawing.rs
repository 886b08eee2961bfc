//! A media that offers a renderer.

use lumen_ipc::{
    message::frames::{DeviceNumber, PixelFormat, PixelFormats, Renderer, ToCompositor},
    units::OutputId,
};

use crate::rig::{Rig, rig_past_its_first_frame as rig};

/// `DRM_FORMAT_XRGB8888`.
pub(crate) const XRGB: u32 = 0x3432_5258;
/// `DRM_FORMAT_ARGB8888`.
pub(crate) const ARGB: u32 = 0x3432_5241;
/// `DRM_FORMAT_NV12`.
pub(crate) const NV12: u32 = 0x3231_564e;
pub(crate) const LINEAR: u64 = 0;
/// `DRM_FORMAT_MOD_INVALID`.
pub(crate) const IMPLICIT: u64 = 0x00ff_ffff_ffff_ffff;
pub(crate) const DEVICE: DeviceNumber = DeviceNumber(0xe280);

/// A renderer that takes these formats.
pub(crate) fn renderer(formats: &[(u32, u64)]) -> Renderer {
    let format =
        |(fourcc, modifier): &(u32, u64)| PixelFormat { fourcc: *fourcc, modifier: *modifier };
    let formats = formats.iter().map(format).collect();
    Renderer { device: DEVICE, formats: PixelFormats::new(formats).expect("some") }
}

/// One that takes what apps usually have.
pub(crate) fn usual() -> Renderer {
    renderer(&[(XRGB, IMPLICIT), (ARGB, IMPLICIT), (XRGB, LINEAR), (NV12, LINEAR)])
}

/// Media offers this from now on.
pub(crate) fn offer(rig: &mut Rig, renderer: Option<Renderer>) {
    rig.tell(ToCompositor::RendererOffered { output: OutputId::PRIMARY, renderer });
    rig.wait_quietly();
}

/// A desktop past its first frame whose media draws.
pub(crate) fn drawing_rig() -> Rig {
    let mut rig = rig();
    offer(&mut rig, Some(usual()));
    if rig.frames.len() > 1 {
        rig.release();
    }
    rig
}
