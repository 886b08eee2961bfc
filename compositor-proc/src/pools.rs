//! Where apps' pixels lie: the files of their pools, as far as a frame may be read from them.

use std::{collections::HashMap, os::fd::OwnedFd, rc::Rc};

use smithay::reexports::wayland_server::{
    Resource, backend::ObjectId, protocol::wl_buffer::WlBuffer,
};

/// Files of pools and buffers that lie in memory and are large enough for a frame.
#[derive(Debug, Default)]
pub struct PoolFiles {
    /// By pool.
    pub pools: HashMap<ObjectId, Rc<OwnedFd>>,
    /// By buffer.
    pub buffers: HashMap<ObjectId, Rc<OwnedFd>>,
}

impl PoolFiles {
    /// Whether `buffer` still is, and its file is kept.
    #[must_use]
    pub fn has_buffer(&self, buffer: &ObjectId) -> bool {
        self.buffers.contains_key(buffer)
    }

    /// The file a buffer lies in, if it is kept.
    #[must_use]
    pub fn of_buffer(&self, buffer: &WlBuffer) -> Option<&Rc<OwnedFd>> {
        self.buffers.get(&buffer.id())
    }
}
