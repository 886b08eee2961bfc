//! One connected app, and how much of us it may use.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use smithay::{
    reexports::wayland_server::backend::{ClientData, ClientId, DisconnectReason},
    wayland::compositor::CompositorClientState,
};
use tracing::debug;

/// Apps connected at once. A desktop has dozens; each costs descriptors.
pub const MAX_CLIENTS: usize = 256;

/// Surfaces of one app at once. A browser has some hundred; the bound keeps a runaway app from
/// taking all memory.
pub const MAX_SURFACES: usize = 4096;

/// How many apps are connected.
#[derive(Clone, Debug, Default)]
pub struct ClientCount(Arc<AtomicUsize>);

impl ClientCount {
    /// Whether there is room for one more.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.0.load(Ordering::Relaxed) < MAX_CLIENTS
    }

    /// How many there are.
    #[must_use]
    pub fn value(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// What we keep for one app.
#[derive(Debug)]
pub struct ClientState {
    /// Smithay's own bookkeeping.
    pub compositor: CompositorClientState,
    surfaces: AtomicUsize,
    count: ClientCount,
}

impl ClientState {
    /// An app that counts itself in `count` until it is gone.
    #[must_use]
    pub fn new(count: &ClientCount) -> Self {
        count.0.fetch_add(1, Ordering::Relaxed);
        Self {
            compositor: CompositorClientState::default(),
            surfaces: AtomicUsize::new(0),
            count: count.clone(),
        }
    }

    /// The app made a surface. Returns whether it may.
    pub fn surface_created(&self) -> bool {
        self.surfaces.fetch_add(1, Ordering::Relaxed) < MAX_SURFACES
    }

    /// One of its surfaces is gone.
    pub fn surface_destroyed(&self) {
        self.surfaces.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for ClientState {
    fn drop(&mut self) {
        self.count.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ClientData for ClientState {
    fn initialized(&self, client: ClientId) {
        debug!(?client, "app connected");
    }

    fn disconnected(&self, client: ClientId, reason: DisconnectReason) {
        debug!(?client, ?reason, "app disconnected");
    }
}
