//! One connected app, and how much of us it may use.

use std::{
    collections::HashMap,
    ffi::CString,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use lumen_ipc_runtime::log::RateLimit;
use rustix::process::Pid;
use smithay::{
    reexports::wayland_server::{
        DisplayHandle,
        backend::{ClientData, ClientId, DisconnectReason},
    },
    wayland::compositor::CompositorClientState,
};
use tracing::{debug, warn};

/// Apps connected at once. A desktop has dozens; each costs descriptors.
pub const MAX_CLIENTS: usize = 256;

/// Objects of all kinds that one app may have at once. A browser has some thousand.
pub const MAX_OBJECTS: usize = 65_536;

/// Objects of a kind that one app may have at once, unless the kind has a bound of its own.
const MAX_OF_A_KIND: usize = 8192;

/// Objects that one app may have at once of a kind that has no request to destroy it.
const MAX_UNDYING: usize = 16_384;

/// The kind of object that is made without our being told.
pub const REGISTRY: &str = "wl_registry";

/// Kinds with other bounds: what costs more than a few bytes, and what is needed by the thousand.
const BOUNDS: [(&str, usize); 11] = [
    // One for each request of a surface that was not answered yet.
    ("wl_callback", 16_384),
    ("wp_presentation_feedback", 16_384),
    // An app that is done with one of these cannot say so. Drivers make one for a single question, with
    // every new size of a window, so an app that runs for days has thousands.
    (REGISTRY, MAX_UNDYING),
    ("wl_shm", MAX_UNDYING),
    // A browser has some hundred. Each keeps copies of its regions.
    ("wl_surface", 2048),
    ("wl_region", 2048),
    // Smithay goes down a tree of surfaces by recursion.
    ("wl_subsurface", 1024),
    // And a tree of popups. Menus nest a few levels deep.
    ("xdg_popup", 256),
    // A window that somebody could find again is one of some dozens, and every one may be drawn.
    ("xdg_toplevel", 256),
    // Panels have a handful, and each commit of one arranges them all.
    ("zwlr_layer_surface_v1", 64),
    // Each has a descriptor, of which the process has 4096.
    ("wl_shm_pool", MAX_MEMORIES),
];

/// Files of pixels that one app may share with us at once, whether their pools still exist or only
/// buffers in them.
pub const MAX_MEMORIES: usize = 1024;

/// Descriptors that one app may send ahead of their requests. Libraries send those of all requests that
/// they have gathered first: 4096 bytes of the shortest are 256.
pub const MAX_UNCLAIMED: usize = 300;

/// Rectangles of one region. That of a round window has two for each row of pixels.
const MAX_RECTANGLES: usize = 1024;

/// Commits of parts of windows that may wait for that of the whole. One or two are what apps have.
const MAX_COMMITS: usize = 1024;

/// Configure events that an app may ask for without answering those before.
const MAX_CONFIGURES: usize = 1024;

/// Descriptors that an app may keep when few are left for all. A browser has some dozens.
const FAIR_SHARE: usize = 64;

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
    /// What it has made.
    pub objects: Objects,
    /// Whose process it is, or which passed the connection on.
    pid: Option<Pid>,
    is_bridge: bool,
    count: ClientCount,
}

impl ClientState {
    /// An app that counts itself in `count` until it is gone.
    #[must_use]
    pub fn new(count: &ClientCount, pid: Option<Pid>) -> Self {
        count.0.fetch_add(1, Ordering::Relaxed);
        Self {
            compositor: CompositorClientState::default(),
            objects: Objects::default(),
            pid,
            is_bridge: false,
            count: count.clone(),
        }
    }

    /// The clipboard's bridge, which counts as an app does.
    #[must_use]
    pub fn bridge(count: &ClientCount, pid: Option<Pid>) -> Self {
        let mut state = Self::new(count, pid);
        state.is_bridge = true;
        state
    }

    /// Whether it may see and replace what is copied without having the keyboard.
    #[must_use]
    pub const fn is_bridge(&self) -> bool {
        self.is_bridge
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
        static LIMIT: RateLimit = RateLimit::per_second(5);
        let pid = self.pid.map(Pid::as_raw_nonzero);
        match reason {
            DisconnectReason::ConnectionClosed => debug!(?client, ?pid, "app disconnected"),
            DisconnectReason::ProtocolError(error) => {
                if LIMIT.allows() {
                    let (object, reason) = (error.object_interface, error.message);
                    let suppressed = LIMIT.suppressed();
                    warn!(suppressed, ?pid, %object, %reason, "an app is disconnected");
                }
            }
        }
    }
}

/// The objects of one app, by kind.
#[derive(Debug, Default)]
pub struct Objects {
    counts: Mutex<Counts>,
    memories: Arc<AtomicUsize>,
    /// Descriptors that it sent and that belong to no request yet.
    unclaimed: AtomicUsize,
    /// Rectangles of each region, by its number.
    rectangles: Mutex<HashMap<u32, usize>>,
    /// Commits of parts that wait for their whole's.
    commits: AtomicUsize,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_kind: HashMap<&'static str, usize>,
}

/// An app has as many as it may.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("more than {bound} of {kind} at once")]
pub struct TooMany {
    kind: &'static str,
    bound: usize,
}

/// A file of pixels that one app shares with us, for as long as anything lies in it.
#[derive(Debug)]
pub struct MemoryInUse(Arc<AtomicUsize>);

impl Drop for MemoryInUse {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl TooMany {
    /// Of all kinds together.
    const OBJECTS: Self = Self { kind: "all objects", bound: MAX_OBJECTS };

    /// What is too much of an app that has so many objects, so many of them registries.
    #[must_use]
    pub fn of(objects: usize, registries: usize) -> Option<Self> {
        let bound = bound_of(REGISTRY);
        if registries > bound {
            return Some(Self { kind: REGISTRY, bound });
        }
        (objects > MAX_OBJECTS).then_some(Self::OBJECTS)
    }

    /// What is too much of an app that leaves so many configure events unanswered and asks for more.
    #[must_use]
    pub fn of_configures(unanswered: usize) -> Option<Self> {
        within(unanswered, "configure events without an answer", MAX_CONFIGURES).err()
    }

    /// What is too much of an app that has so many descriptors when few are left.
    #[must_use]
    pub fn of_few_left(descriptors: usize) -> Option<Self> {
        within(descriptors, "descriptors while few are left", FAIR_SHARE).err()
    }

    /// Tells the app so, by the one error that Wayland has for this, and disconnects it.
    pub fn refuse(&self, display: &DisplayHandle, client: ClientId) {
        /// `wl_display.error.no_memory`, on the display itself, the first of all objects.
        const NO_MEMORY: u32 = 2;
        const DISPLAY: u32 = 1;
        let backend = display.backend_handle();
        let mut found = None;
        // Fails for a client that is gone.
        let _ = backend.with_all_objects_for(client, |object| {
            if object.protocol_id() == DISPLAY {
                found = Some(object);
            }
        });
        if let Some((object, message)) = found.zip(CString::new(self.to_string()).ok()) {
            backend.post_error(object, NO_MEMORY, message);
        }
    }
}

impl Objects {
    /// The app makes an object of this kind.
    ///
    /// # Errors
    /// [`TooMany`] when it had better be disconnected.
    pub fn make(&self, kind: &'static str) -> Result<(), TooMany> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all += 1;
        let count = counts.by_kind.entry(kind).or_default();
        *count += 1;
        let bound = bound_of(kind);
        if *count > bound {
            return Err(TooMany { kind, bound });
        }
        if counts.all > MAX_OBJECTS {
            return Err(TooMany::OBJECTS);
        }
        Ok(())
    }

    /// An object of this kind is gone. One that we made for the app was never counted.
    pub fn unmake(&self, kind: &'static str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.by_kind.get_mut(kind).filter(|count| **count > 0) {
            *count -= 1;
            counts.all -= 1;
        }
    }

    /// A region gets one more rectangle.
    ///
    /// # Errors
    /// [`TooMany`] when its app had better be disconnected.
    pub fn add_rectangle(&self, region: u32) -> Result<(), TooMany> {
        let mut rectangles = self.rectangles.lock().unwrap_or_else(PoisonError::into_inner);
        let count = rectangles.entry(region).or_default();
        *count += 1;
        within(*count, "rectangles in a region", MAX_RECTANGLES)
    }

    /// A region is gone.
    pub fn forget_region(&self, region: u32) {
        self.rectangles.lock().unwrap_or_else(PoisonError::into_inner).remove(&region);
    }

    /// A part is committed, and its whole is not.
    ///
    /// # Errors
    /// [`TooMany`] when its app had better be disconnected.
    pub fn add_commit(&self) -> Result<(), TooMany> {
        let count = self.commits.fetch_add(1, Ordering::Relaxed) + 1;
        within(count, "commits that wait for another", MAX_COMMITS)
    }

    /// So many commits have taken effect.
    pub fn forget_commits(&self, count: usize) {
        self.commits.fetch_sub(count, Ordering::Relaxed);
    }

    /// How many descriptors the app has here, its connection aside.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        self.memories.load(Ordering::Relaxed) + self.unclaimed.load(Ordering::Relaxed)
    }

    /// The app sends descriptors, of requests that are to come.
    pub fn bring(&self, descriptors: usize) {
        self.unclaimed.fetch_add(descriptors, Ordering::Relaxed);
    }

    /// A request takes so many descriptors.
    pub fn claim(&self, descriptors: usize) {
        let rest = |unclaimed: usize| Some(unclaimed.saturating_sub(descriptors));
        // Never fails: there is always a rest.
        let _ = self.unclaimed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest);
    }

    /// What is too much of an app that keeps sending descriptors and no requests for them.
    #[must_use]
    pub fn unclaimed(&self) -> Option<TooMany> {
        let count = self.unclaimed.load(Ordering::Relaxed);
        within(count, "descriptors without a request", MAX_UNCLAIMED).err()
    }

    /// The app shares another file with us.
    ///
    /// # Errors
    /// [`TooMany`] when it had better be disconnected.
    pub fn take_memory(&self) -> Result<MemoryInUse, TooMany> {
        let before = self.memories.fetch_add(1, Ordering::Relaxed);
        let memory = MemoryInUse(Arc::clone(&self.memories));
        if before < MAX_MEMORIES {
            Ok(memory)
        } else {
            Err(TooMany { kind: "files with pixels", bound: MAX_MEMORIES })
        }
    }
}

fn within(count: usize, kind: &'static str, bound: usize) -> Result<(), TooMany> {
    if count > bound { Err(TooMany { kind, bound }) } else { Ok(()) }
}

/// How many objects of a kind one app may have at once.
#[must_use]
pub fn bound_of(kind: &str) -> usize {
    let own = BOUNDS.iter().find(|(name, _)| *name == kind);
    own.map_or(MAX_OF_A_KIND, |(_, bound)| *bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_up_to_the_bound_of_their_kind_may_be_made_and_made_again() {
        let objects = Objects::default();
        let bound = bound_of("xdg_popup");
        for _ in 0..3 {
            assert!((0..bound).all(|_| objects.make("xdg_popup").is_ok()));
            (0..bound).for_each(|_| objects.unmake("xdg_popup"));
        }
        assert!((0..bound).all(|_| objects.make("xdg_popup").is_ok()));
        assert_eq!(objects.make("xdg_popup"), Err(TooMany { kind: "xdg_popup", bound }));
        assert!(objects.make("wl_region").is_ok(), "another kind has a bound of its own");
    }

    #[test]
    fn objects_of_all_kinds_together_are_bounded() {
        let objects = Objects::default();
        let kinds = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
        let made = (0..MAX_OBJECTS).all(|index| objects.make(kinds[index % kinds.len()]).is_ok());
        assert!(made);
        assert!(objects.make("j").is_err());
    }

    #[test]
    fn unmake_of_what_was_never_counted_frees_no_room() {
        let objects = Objects::default();
        objects.unmake("wl_data_offer");
        assert!(objects.make("wl_data_offer").is_ok());
        let counts = objects.counts.lock().expect("not poisoned");
        assert_eq!((counts.all, counts.by_kind["wl_data_offer"]), (1, 1));
    }

    #[test]
    fn memory_is_in_use_until_the_last_that_lies_in_it_is_gone() {
        let objects = Objects::default();
        let mut taken: Vec<MemoryInUse> =
            (0..MAX_MEMORIES).map(|_| objects.take_memory().expect("room")).collect();
        assert!(objects.take_memory().is_err());
        taken.pop();
        assert!(objects.take_memory().is_ok());
    }
}
