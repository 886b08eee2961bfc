//! Frames without drawing: one app's buffer is the whole picture.
//!
//! This is the case for games, videos, and above all for another compositor, which is how most
//! desktops run here. Media then reads the app's buffer itself, and the app gets it back once media
//! has read it.
//!
//! Decides whether the foremost surface hides everything else, pixel for pixel.

use std::{
    os::fd::{AsFd, OwnedFd},
    rc::Rc,
};

use lumen_ipc::units::FrameSize;
use smithay::{
    backend::renderer::{
        element::{Element, RenderElement, UnderlyingStorage},
        utils::Buffer,
    },
    reexports::wayland_server::protocol::wl_shm::Format,
    utils::{Physical, Rectangle, Scale, Transform},
    wayland::shm::{BufferData, with_buffer_contents},
};

use crate::{
    kernel::Kernel,
    pools::PoolFiles,
    render::{Cpu, SceneElement},
};

/// An app's buffer that is the whole picture.
#[derive(Debug)]
pub(super) struct Scanout {
    /// Dropping this returns it to the app.
    pub(super) buffer: Buffer,
    pub(super) file: Rc<OwnedFd>,
    pub(super) place: Place,
}

/// The place of a buffer in its file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Place {
    pub(super) offset_bytes: u32,
    pub(super) stride_bytes: u32,
}

impl Scanout {
    /// The buffer to send instead of drawing `scene`, if there is one.
    pub(super) fn of(
        scene: &[SceneElement],
        renderer: &mut Cpu,
        files: &PoolFiles,
        kernel: &dyn Kernel,
        (size, scale): (FrameSize, Scale<f64>),
    ) -> Option<Self> {
        let foremost = scene.first()?;
        let buffer = match foremost.underlying_storage(renderer)? {
            UnderlyingStorage::Wayland(buffer) => buffer.clone(),
            UnderlyingStorage::Memory(_) => return None,
        };
        let file = Rc::clone(files.of_buffer(&buffer)?);
        let data = with_buffer_contents(&buffer, |_, _, data| data).ok()?;
        let place = Place::of(data, size)?;
        let end = u64::from(place.offset_bytes) + place.bytes(size);
        (hides_all(foremost, size, scale) && holds(kernel, &file, end)).then_some(Self {
            buffer,
            file,
            place,
        })
    }
}

impl Place {
    /// The place of a buffer whose pixels are a frame of `size`.
    fn of(data: BufferData, size: FrameSize) -> Option<Self> {
        let (width, height) = (i32::from(size.width()), i32::from(size.height()));
        if (data.width, data.height) != (width, height) {
            return None;
        }
        Self::of_rows(data)
    }

    /// The place of a buffer of rows of BGRX.
    pub(super) fn of_rows(data: BufferData) -> Option<Self> {
        let offset_bytes = u32::try_from(data.offset).ok()?;
        let stride_bytes = u32::try_from(data.stride).ok()?;
        let is_readable = matches!(data.format, Format::Xrgb8888 | Format::Argb8888);
        is_readable.then_some(Self { offset_bytes, stride_bytes })
    }

    fn bytes(self, size: FrameSize) -> u64 {
        u64::from(self.stride_bytes) * u64::from(size.height())
    }
}

/// Whether nothing behind `element` is visible in a picture of `size`, and it is shown unscaled,
/// one pixel for each of the app's. An alpha channel that the app declares opaque does not count.
fn hides_all(element: &SceneElement, size: FrameSize, scale: Scale<f64>) -> bool {
    let (width, height) = (i32::from(size.width()), i32::from(size.height()));
    let picture = Rectangle::<i32, Physical>::from_size((width, height).into());
    let source = Rectangle::from_size((f64::from(width), f64::from(height)).into());
    let opaque = element.opaque_regions(scale);
    element.geometry(scale) == picture
        && element.src() == source
        && element.transform() == Transform::Normal
        && element.alpha() >= 1.0
        && opaque.iter().any(|region| region.contains_rect(picture))
}

/// Whether `file` has at least `bytes` bytes now. It can be truncated at any later time.
pub(super) fn holds(kernel: &dyn Kernel, file: &OwnedFd, bytes: u64) -> bool {
    kernel.length(file.as_fd()).is_some_and(|length| length >= bytes)
}
