//! The connected apps: accepting them, handling their requests within a turn's bounds, and sending them
//! the library's output.

use std::{
    io,
    os::{fd::RawFd, unix::net::UnixStream},
    sync::Arc,
    time::Instant,
};

use lumen_ipc_runtime::log::RateLimit;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use rustix::process::Pid;
use smithay::reexports::wayland_server::{
    Display,
    backend::{ClientData, ClientId, protocol::Interface},
};
use tracing::warn;

use super::gate::{Gate, Library};
use crate::{
    client::{ClientCount, ClientState, REGISTRY, TooMany, Wrong},
    handlers::{count_descriptors_of_offers, kinds_of_objects},
    policy,
    state::State,
};

/// Descriptors from this number on are reserved: 256 connections need three each, and frames, links and
/// transfers need some.
const RESERVE: RawFd = policy::OPEN_FILES as RawFd - 1024;

/// The minimum number of requests between two counts of all objects.
const CENSUS_AFTER: usize = 4096;

/// All apps.
#[derive(Debug)]
pub(super) struct Apps {
    /// Their input passes through this.
    pub(super) gate: Gate,
    /// How many are connected.
    pub(super) count: ClientCount,
    /// The first descriptor number of our own reserve.
    pub(super) reserve: RawFd,
    /// Requests since all objects were counted, and after how many they are counted again.
    uncounted: usize,
    census_after: usize,
}

impl Apps {
    /// No apps.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub(super) fn new(now: Instant) -> io::Result<Self> {
        Ok(Self {
            gate: Gate::new(kinds_of_objects(), now)?,
            count: ClientCount::default(),
            reserve: RESERVE,
            uncounted: 0,
            census_after: CENSUS_AFTER,
        })
    }

    /// An app connected.
    pub(super) fn accept(&mut self, display: &Display<State>, state: &State, stream: UnixStream) {
        static LIMIT: RateLimit = RateLimit::per_second(1);
        if !self.count.has_room() {
            state.metrics.clients_refused.increment();
            if LIMIT.allows() {
                warn!(suppressed = LIMIT.suppressed(), "too many apps are connected");
            }
            return;
        }
        match self.take_on(display, stream, ClientState::new) {
            Ok(_) => state.metrics.clients_accepted.increment(),
            Err(error) => warn!(%error, "an app could not be taken on"),
        }
    }

    /// The clipboard's bridge connected. There is always room for it. Returns its client.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub(super) fn accept_bridge(
        &mut self,
        display: &Display<State>,
        stream: UnixStream,
    ) -> io::Result<ClientId> {
        self.take_on(display, stream, ClientState::bridge)
    }

    fn take_on(
        &mut self,
        display: &Display<State>,
        outer: UnixStream,
        state: fn(&ClientCount, Option<Pid>) -> ClientState,
    ) -> io::Result<ClientId> {
        // An app in another PID namespace may have no PID here. The kernel reports that as 0, which
        // rustix takes for a PID.
        let pid =
            getsockopt(&outer, PeerCredentials).ok().and_then(|peer| Pid::from_raw(peer.pid()));
        let (inner, library) = UnixStream::pair()?;
        let client = Arc::new(state(&self.count, pid));
        let client = display.handle().insert_client(library, client)?;
        self.gate.add(client.id(), outer, inner)?;
        Ok(client.id())
    }

    /// Handles apps' requests, as many as a turn has time for.
    pub(super) fn dispatch(&mut self, display: &mut Display<State>, state: &mut State) {
        let begun = Instant::now();
        for passage in self.gate.waiting(begun) {
            let uncounted = &mut self.uncounted;
            let mut library = Counting { display, state, uncounted };
            self.gate.serve(passage, Instant::now, &mut library);
            if Gate::is_over(begun, Instant::now()) {
                break;
            }
        }
        if self.gate.highest_descriptor() >= self.reserve {
            end_greediest(display, state);
        }
        if self.uncounted >= self.census_after {
            self.take_census(display, state);
        }
    }

    /// Sends apps the library's output. A full or broken socket disconnects its app only.
    pub(super) fn flush(&mut self, display: &mut Display<State>, state: &mut State) {
        // An error disconnects the client that it concerns.
        let _ = display.flush_clients();
        for client in self.gate.tell_apps() {
            read(display, state, &client, 0);
        }
    }

    /// Counts all objects of every app, because the library makes registries without telling us. Each
    /// registry takes a request, so a count after as many requests as there were objects misses none for
    /// long, and keeps the cost per request constant.
    fn take_census(&mut self, display: &mut Display<State>, state: &mut State) {
        let handle = display.handle();
        let backend = handle.backend_handle();
        let mut clients = Vec::new();
        backend.with_all_clients(|client| clients.push(client));
        let mut all = 0;
        for id in clients {
            let (mut objects, mut registries) = (0, 0);
            // Fails for a client that is gone.
            let _ = backend.with_all_objects_for(id.clone(), |object| {
                objects += 1;
                registries += usize::from(object.interface().name == REGISTRY);
            });
            all += objects;
            if let Some(refusal) = TooMany::of(objects, registries) {
                refusal.refuse(&handle, id.clone());
                read(display, state, &id, 0);
            }
        }
        (self.uncounted, self.census_after) = (0, all.max(CENSUS_AFTER));
    }
}

/// The library, with a count of the requests that it handles.
struct Counting<'turn> {
    display: &'turn mut Display<State>,
    state: &'turn mut State,
    uncounted: &'turn mut usize,
}

impl Library for Counting<'_> {
    fn read(&mut self, client: &ClientId, descriptors: usize) -> usize {
        let requests = read(self.display, self.state, client, descriptors);
        *self.uncounted += requests;
        requests
    }

    fn has_one_of(&self, client: &ClientId, object: u32, kinds: &[&'static Interface]) -> bool {
        let backend = self.display.handle().backend_handle();
        kinds
            .iter()
            .any(|kind| backend.object_for_protocol_id(client.clone(), kind, object).is_ok())
    }

    fn refuse(&mut self, client: &ClientId, reason: Wrong) {
        reason.refuse(&self.display.handle(), client.clone());
        read(self.display, self.state, client, 0);
    }
}

/// Disconnects the app with the most descriptors, if it has more than its share: few are left, and other
/// apps need them to connect and to show anything.
fn end_greediest(display: &mut Display<State>, state: &mut State) {
    let mut clients = Vec::new();
    display.handle().backend_handle().with_all_clients(|client| clients.push(client));
    let held = |client: &ClientId| {
        with_state(display, client, |app| app.objects.descriptors()).unwrap_or(0)
    };
    let greediest = clients.into_iter().map(|client| (held(&client), client));
    let Some((descriptors, client)) = greediest.max_by_key(|(descriptors, _)| *descriptors) else {
        return;
    };
    if let Some(refusal) = TooMany::of_few_left(descriptors) {
        refusal.refuse(&display.handle(), client.clone());
        read(display, state, &client, 0);
    }
}

/// Has the library handle the input of `client`, which came with so many descriptors. The library also
/// drops clients that are disconnected. Returns the number of requests.
pub(super) fn read(
    display: &mut Display<State>,
    state: &mut State,
    client: &ClientId,
    descriptors: usize,
) -> usize {
    if descriptors > 0 {
        with_state(display, client, |app| app.objects.bring(descriptors));
        count_descriptors_of_offers(&display.handle(), client);
    }
    // Fails for a client that is gone, or that has sent no complete request.
    let requests = display.backend().dispatch_single_client(state, client.clone()).unwrap_or(0);
    if descriptors > 0
        && let Some(Some(refusal)) = with_state(display, client, |app| app.objects.unclaimed())
    {
        refusal.refuse(&display.handle(), client.clone());
        // Has the library drop the client.
        let _ = display.backend().dispatch_single_client(state, client.clone());
    }
    requests
}

fn with_state<T>(
    display: &Display<State>,
    client: &ClientId,
    look: impl FnOnce(&ClientState) -> T,
) -> Option<T> {
    let data: Arc<dyn ClientData> =
        display.handle().backend_handle().get_client_data(client.clone()).ok()?;
    data.downcast_ref::<ClientState>().map(look)
}
