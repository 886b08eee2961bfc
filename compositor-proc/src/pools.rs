//! The files of apps' pools: counted, and kept, so that media can read apps' pixels.

use std::{collections::HashMap, os::fd::OwnedFd, rc::Rc};

use smithay::reexports::wayland_server::{
    Resource, backend::ObjectId, protocol::wl_buffer::WlBuffer,
};

use crate::client::MemoryInUse;

/// The file of a pool.
#[derive(Debug)]
pub struct PoolFile {
    /// The file; `None` if no descriptor was left to keep it with.
    pub file: Option<Rc<OwnedFd>>,
    /// Its share of its app's limit.
    pub in_use: MemoryInUse,
}

/// The files of pools, by the pools and buffers in them.
#[derive(Debug, Default)]
pub struct PoolFiles {
    pools: HashMap<ObjectId, Rc<PoolFile>>,
    buffers: HashMap<ObjectId, Rc<PoolFile>>,
}

impl PoolFiles {
    /// Adds a pool.
    pub fn add_pool(&mut self, pool: ObjectId, file: PoolFile) {
        self.pools.insert(pool, Rc::new(file));
    }

    /// Adds a buffer of a pool.
    pub fn add_buffer(&mut self, buffer: ObjectId, pool: &ObjectId) {
        if let Some(file) = self.pools.get(pool) {
            self.buffers.insert(buffer, Rc::clone(file));
        }
    }

    /// Removes a destroyed pool or buffer.
    pub fn remove(&mut self, object: &ObjectId) {
        self.pools.remove(object);
        self.buffers.remove(object);
    }

    /// Whether `buffer` exists.
    #[must_use]
    pub fn has_buffer(&self, buffer: &ObjectId) -> bool {
        self.buffers.contains_key(buffer)
    }

    /// The file of a buffer, if it was kept.
    #[must_use]
    pub fn of_buffer(&self, buffer: &WlBuffer) -> Option<&Rc<OwnedFd>> {
        self.buffers.get(&buffer.id())?.file.as_ref()
    }
}
