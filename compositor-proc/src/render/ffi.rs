//! The one unsafe step of drawing: a Pixman image over shared memory.

#![allow(unsafe_code, reason = "Pixman is told by pointer where to draw")]

use std::{io, os::fd::BorrowedFd};

use lumen_ipc::units::FrameSize;
use lumen_ipc_runtime::shm::SharedMemory;
use smithay::{
    backend::renderer::{
        Bind,
        pixman::{PixmanError, PixmanTarget},
    },
    reexports::pixman::{FormatCode, Image, Operation},
};

use super::Cpu;
use crate::kernel::Kernel;

/// A frame's memory, shared with media, and Pixman's view of it.
pub struct Canvas {
    // Dropped before `memory`, in the order of the fields, because the image points into the
    // memory.
    image: Image<'static, 'static>,
    memory: SharedMemory,
    size: FrameSize,
}

/// Why a canvas cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CanvasError {
    /// The memory cannot be allocated.
    #[error("cannot create the memory of a frame of {size}")]
    Memory {
        /// Size of the frame.
        size: FrameSize,
        /// The kernel's error.
        #[source]
        source: io::Error,
    },
    /// Pixman refused the memory.
    #[error("Pixman refuses a frame of {size}")]
    Image {
        /// Size of the frame.
        size: FrameSize,
    },
}

impl Canvas {
    /// Black memory for frames of `size`, tightly packed.
    ///
    /// # Errors
    /// [`CanvasError`] when there is no memory.
    pub fn new(kernel: &dyn Kernel, size: FrameSize) -> Result<Self, CanvasError> {
        let memory = kernel
            .frame_memory(size.frame_bytes())
            .map_err(|source| CanvasError::Memory { size, source })?;
        let (width, height) = (usize::from(size.width()), usize::from(size.height()));
        let start = memory.as_mut_ptr().cast::<u32>();
        // SAFETY: `start` points to `frame_bytes` = `stride_bytes` × height mapped, writable bytes,
        // page-aligned and thus aligned for u32; no row reaches beyond them. The mapping lives as
        // long as `memory`, which outlives the image: both are private fields of one struct that
        // never gives the image away, and the image is dropped first. Nothing in this process reads
        // the memory through a reference; the other process only reads.
        let image = unsafe {
            Image::from_raw_mut(
                FormatCode::X8R8G8B8,
                width,
                height,
                start,
                size.stride_bytes(),
                false,
            )
        }
        .map_err(|_| CanvasError::Image { size })?;
        Ok(Self { image, memory, size })
    }

    /// Size of the frames drawn here.
    #[must_use]
    pub const fn size(&self) -> FrameSize {
        self.size
    }

    /// The memory, to be announced.
    #[must_use]
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.memory.descriptor()
    }

    /// Copies a whole frame by a single Pixman call, which is the lower bound for the cost of a
    /// drawn frame.
    pub fn copy_from(&mut self, source: &Self) {
        let size = (i32::from(self.size.width()), i32::from(self.size.height()));
        let origin = (0, 0);
        self.image.composite32(Operation::Src, &source.image, None, origin, origin, origin, size);
    }

    /// Makes this the target of `renderer`.
    ///
    /// # Errors
    /// The renderer's error.
    pub fn bind(&mut self, renderer: &mut Cpu) -> Result<PixmanTarget<'_>, PixmanError> {
        renderer.bind(&mut self.image)
    }
}
