//! Shared memory that the compositor reads: a few buffers of one size in one memfd.
//!
//! Written with `pwrite`, so that the app needs no mapping and no `unsafe`.

use std::{fs::File, os::fd::AsFd, os::unix::fs::FileExt};

use anyhow::{Context, Result};
use lumen_tests::picture::Picture;
use nix::sys::memfd::{MFdFlags, memfd_create};
use wayland_client::{
    QueueHandle,
    protocol::{wl_buffer::WlBuffer, wl_shm, wl_shm_pool::WlShmPool},
};

use crate::window::State;

/// One is shown, one waits, one is drawn to.
const SLOTS: usize = 3;

/// Index of a buffer, stored as the user data of its `wl_buffer`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Slot {
    index: usize,
    /// Which [`SharedPixels`] it belongs to, so that a late release of an old one is recognised.
    generation: u32,
}

/// The buffers of one window size.
pub(crate) struct SharedPixels {
    file: File,
    pool: WlShmPool,
    buffers: Vec<WlBuffer>,
    busy: [bool; SLOTS],
    width: usize,
    height: usize,
    generation: u32,
}

impl SharedPixels {
    pub(crate) fn new(
        shm: &wl_shm::WlShm,
        queue: &QueueHandle<State>,
        format: wl_shm::Format,
        (width, height): (usize, usize),
        generation: u32,
    ) -> Result<Self> {
        let bytes = width * height * 4;
        let memory = memfd_create("test-app", MFdFlags::MFD_CLOEXEC).context("creating a memfd")?;
        let file = File::from(memory);
        file.set_len((bytes * SLOTS) as u64).context("sizing the memfd")?;
        let pool = shm.create_pool(file.as_fd(), (bytes * SLOTS) as i32, queue, ());
        let buffers = (0..SLOTS)
            .map(|index| {
                pool.create_buffer(
                    (bytes * index) as i32,
                    width as i32,
                    height as i32,
                    (width * 4) as i32,
                    format,
                    queue,
                    Slot { index, generation },
                )
            })
            .collect();
        Ok(Self { file, pool, buffers, busy: [false; SLOTS], width, height, generation })
    }

    pub(crate) fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// A buffer that the compositor does not read, if there is one.
    pub(crate) fn free(&self) -> Option<Slot> {
        let index = self.busy.iter().position(|busy| !busy)?;
        Some(Slot { index, generation: self.generation })
    }

    /// Writes `picture`, rolled up by `first_row` rows, to all of `slot`.
    pub(crate) fn write(&self, slot: Slot, picture: &Picture, first_row: usize) -> Result<()> {
        // At most two runs: the rows from `first_row` to the end, and those before.
        let split = first_row % self.height * self.width * 4;
        let (top, bottom) = picture.bytes().split_at(split.min(picture.bytes().len()));
        let start = self.offset(slot);
        self.file.write_all_at(bottom, start)?;
        Ok(self.file.write_all_at(top, start + bottom.len() as u64)?)
    }

    /// Writes `picture` to `slot` with its top left corner at `x`, `y`.
    pub(crate) fn write_part(
        &self,
        slot: Slot,
        picture: &Picture,
        (x, y): (usize, usize),
        rows: usize,
    ) -> Result<()> {
        for (index, row) in picture.rows_from(0, rows).enumerate() {
            let pixel = (y + index) * self.width + x;
            self.file.write_all_at(row, self.offset(slot) + (pixel * 4) as u64)?;
        }
        Ok(())
    }

    /// The buffer to attach; busy from now on.
    pub(crate) fn take(&mut self, slot: Slot) -> Option<&WlBuffer> {
        *self.busy.get_mut(slot.index)? = true;
        self.buffers.get(slot.index)
    }

    /// The compositor no longer reads `slot`.
    pub(crate) fn release(&mut self, slot: Slot) {
        if slot.generation == self.generation
            && let Some(busy) = self.busy.get_mut(slot.index)
        {
            *busy = false;
        }
    }

    fn offset(&self, slot: Slot) -> u64 {
        (slot.index * self.width * self.height * 4) as u64
    }
}

impl Drop for SharedPixels {
    fn drop(&mut self) {
        for buffer in &self.buffers {
            buffer.destroy();
        }
        self.pool.destroy();
    }
}
