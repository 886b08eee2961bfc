//! One connected app, and how many of the compositor's resources it may use.

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
        protocol::__interfaces::WL_DISPLAY_INTERFACE,
    },
    wayland::compositor::CompositorClientState,
};
use tracing::{debug, warn};

/// Apps connected at once. A desktop has dozens; each costs descriptors.
pub const MAX_CLIENTS: usize = 256;

/// Objects of all kinds that one app may have at once. A browser has about a thousand.
pub const MAX_OBJECTS: usize = 65_536;

/// Objects of one kind that one app may have at once, unless the kind has its own bound.
const MAX_OF_A_KIND: usize = 8192;

/// Objects that one app may have at once of a kind without a destroy request.
const MAX_UNDYING: usize = 16_384;

/// The kind of object that the library makes without telling us.
pub const REGISTRY: &str = "wl_registry";

/// Kinds with their own bounds: those that cost more than a few bytes, and those needed by the thousand.
const BOUNDS: [(&str, usize); 12] = [
    // One for each unanswered request of a surface.
    ("wl_callback", 16_384),
    ("wp_presentation_feedback", 16_384),
    // Apps cannot destroy these. Drivers make one for every new size of a window, so an app that runs for
    // days has thousands.
    (REGISTRY, MAX_UNDYING),
    ("wl_shm", MAX_UNDYING),
    // A browser has about a hundred. Each keeps copies of its regions.
    ("wl_surface", 2048),
    ("wl_region", 2048),
    // Smithay walks a tree of surfaces recursively.
    ("wl_subsurface", 1024),
    // It also walks a tree of popups recursively. Menus nest a few levels deep.
    ("xdg_popup", 256),
    // Nobody finds their way among more than some dozens, and each may be drawn.
    ("xdg_toplevel", 256),
    // Panels have a handful, and each commit of one rearranges all.
    ("zwlr_layer_surface_v1", 64),
    // Each holds a descriptor; the process may have 4096.
    ("wl_shm_pool", MAX_MEMORIES),
    // Each is there to make one buffer, and holds up to four descriptors meanwhile.
    ("zwp_linux_buffer_params_v1", 256),
];

/// Pixel files that one app may share with us at once. A file counts while its pool or any buffer in it
/// exists.
pub const MAX_MEMORIES: usize = 1024;

/// Descriptors that one app may send ahead of their requests. Libraries send the descriptors of all
/// buffered requests first: a full buffer of 4096 bytes holds 256 of the shortest.
pub const MAX_UNCLAIMED: usize = 300;

/// Rectangles in one region. The region of a round window has two for each row of pixels.
const MAX_RECTANGLES: usize = 1024;

/// Commits of subsurfaces that may wait for their parent's commit. Apps have one or two.
const MAX_COMMITS: usize = 1024;

/// Configure events that an app may request while it leaves earlier ones unanswered.
const MAX_CONFIGURES: usize = 1024;

/// Descriptors that an app may keep when few are left. A browser has some dozens.
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
    /// The objects that it has made.
    pub objects: Objects,
    /// The process that connected; it may have passed the connection on.
    pid: Option<Pid>,
    is_bridge: bool,
    count: ClientCount,
}

impl ClientState {
    /// An app, counted in `count` until it is dropped.
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

    /// The clipboard's bridge, counted like an app.
    #[must_use]
    pub fn bridge(count: &ClientCount, pid: Option<Pid>) -> Self {
        let mut state = Self::new(count, pid);
        state.is_bridge = true;
        state
    }

    /// Whether it may read and replace the clipboard without keyboard focus.
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
    /// Descriptors it sent whose requests have not arrived yet.
    unclaimed: AtomicUsize,
    /// The number of rectangles in each region, by the region's id.
    rectangles: Mutex<HashMap<u32, usize>>,
    /// Commits of subsurfaces that wait for their parent's.
    commits: AtomicUsize,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_kind: HashMap<&'static str, usize>,
}

/// An app exceeds a bound.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("more than {bound} of {kind} at once")]
pub struct TooMany {
    kind: &'static str,
    bound: usize,
}

/// An app has sent a request that the library must not see.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Wrong {
    /// It has no string where the protocol says that there is one.
    #[error("a string is null where none may be")]
    NullString,
    /// It lacks arguments or a descriptor.
    #[error("a request lacks arguments or a descriptor")]
    Unfinished,
}

/// A pixel file that an app shares with us, counted until this is dropped.
#[derive(Debug)]
pub struct MemoryInUse(Arc<AtomicUsize>);

impl Drop for MemoryInUse {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl TooMany {
    /// Too many objects of all kinds together.
    const OBJECTS: Self = Self { kind: "all objects", bound: MAX_OBJECTS };

    /// The bound exceeded by an app with so many objects, so many of them registries.
    #[must_use]
    pub fn of(objects: usize, registries: usize) -> Option<Self> {
        let bound = bound_of(REGISTRY);
        if registries > bound {
            return Some(Self { kind: REGISTRY, bound });
        }
        (objects > MAX_OBJECTS).then_some(Self::OBJECTS)
    }

    /// The bound exceeded by an app that requests more configure events with so many unanswered.
    #[must_use]
    pub fn of_configures(unanswered: usize) -> Option<Self> {
        within(unanswered, "configure events without an answer", MAX_CONFIGURES).err()
    }

    /// The bound exceeded by an app that holds so many descriptors when few are left.
    #[must_use]
    pub fn of_few_left(descriptors: usize) -> Option<Self> {
        within(descriptors, "descriptors while few are left", FAIR_SHARE).err()
    }

    /// Disconnects the app with the error that Wayland has for this.
    pub fn refuse(&self, display: &DisplayHandle, client: ClientId) {
        /// `wl_display.error.no_memory`.
        const NO_MEMORY: u32 = 2;
        disconnect(display, client, NO_MEMORY, &self.to_string());
    }
}

impl Wrong {
    /// Disconnects the app with the error that Wayland has for this.
    pub fn refuse(&self, display: &DisplayHandle, client: ClientId) {
        /// `wl_display.error.invalid_method`.
        const INVALID_METHOD: u32 = 1;
        disconnect(display, client, INVALID_METHOD, &self.to_string());
    }
}

/// Disconnects the app with an error of the display.
fn disconnect(display: &DisplayHandle, client: ClientId, error: u32, message: &str) {
    const DISPLAY: u32 = 1;
    let backend = display.backend_handle();
    let found = backend.object_for_protocol_id(client, &WL_DISPLAY_INTERFACE, DISPLAY);
    // There is none for a client that is gone.
    if let Some((object, message)) = found.ok().zip(CString::new(message).ok()) {
        backend.post_error(object, error, message);
    }
}

impl Objects {
    /// The app makes an object of this kind.
    ///
    /// # Errors
    /// [`TooMany`] when the app must be disconnected.
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

    /// An object of this kind is gone. Objects that we made for the app were never counted.
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
    /// [`TooMany`] when the app must be disconnected.
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

    /// A subsurface is committed, and its parent is not.
    ///
    /// # Errors
    /// [`TooMany`] when the app must be disconnected.
    pub fn add_commit(&self) -> Result<(), TooMany> {
        let count = self.commits.fetch_add(1, Ordering::Relaxed) + 1;
        within(count, "commits that wait for another", MAX_COMMITS)
    }

    /// So many waiting commits have taken effect.
    pub fn forget_commits(&self, count: usize) {
        self.commits.fetch_sub(count, Ordering::Relaxed);
    }

    /// How many descriptors the app holds here, without its connection.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        self.memories.load(Ordering::Relaxed) + self.unclaimed.load(Ordering::Relaxed)
    }

    /// The app sent descriptors whose requests are still to come.
    pub fn bring(&self, descriptors: usize) {
        self.unclaimed.fetch_add(descriptors, Ordering::Relaxed);
    }

    /// A request took so many descriptors.
    pub fn claim(&self, descriptors: usize) {
        let rest = |unclaimed: usize| Some(unclaimed.saturating_sub(descriptors));
        // Never fails: the closure always returns a value.
        let _ = self.unclaimed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest);
    }

    /// The bound exceeded by an app that sends descriptors without requests for them.
    #[must_use]
    pub fn unclaimed(&self) -> Option<TooMany> {
        let count = self.unclaimed.load(Ordering::Relaxed);
        within(count, "descriptors without a request", MAX_UNCLAIMED).err()
    }

    /// The app shares another pixel file with us.
    ///
    /// # Errors
    /// [`TooMany`] when the app must be disconnected.
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
