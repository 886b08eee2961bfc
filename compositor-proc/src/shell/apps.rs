//! The apps that are connected: taking them on, carrying out what they ask within a turn's bounds, and
//! telling them what the library has for them.

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
    backend::{ClientData, ClientId},
};
use tracing::warn;

use super::gate::Gate;
use crate::{
    client::{ClientCount, ClientState, REGISTRY, TooMany},
    handlers::count_descriptors_of_offers,
    policy,
    state::State,
};

/// From this number on descriptors are not for apps' files: 256 connections have three each, and frames, links
/// and transfers need some.
const RESERVE: RawFd = policy::OPEN_FILES as RawFd - 1024;

/// The fewest requests after which all objects of all apps are counted.
const CENSUS_AFTER: usize = 4096;

/// All apps.
#[derive(Debug)]
pub(super) struct Apps {
    /// What they say passes here.
    pub(super) gate: Gate,
    /// How many there are.
    pub(super) count: ClientCount,
    /// From which number on descriptors are our own reserve.
    pub(super) reserve: RawFd,
    /// Requests since all objects were counted, and at how many they are again.
    uncounted: usize,
    census_after: usize,
}

impl Apps {
    /// None yet.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub(super) fn new(now: Instant) -> io::Result<Self> {
        Ok(Self {
            gate: Gate::new(now)?,
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

    /// The clipboard's bridge connected, for which there is always room. Returns which client it is.
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
        // An app in a namespace of its own may have no number here, which the kernel states as 0 and
        // rustix takes for a number.
        let pid =
            getsockopt(&outer, PeerCredentials).ok().and_then(|peer| Pid::from_raw(peer.pid()));
        let (inner, library) = UnixStream::pair()?;
        let client = Arc::new(state(&self.count, pid));
        let client = display.handle().insert_client(library, client)?;
        self.gate.add(client.id(), outer, inner)?;
        Ok(client.id())
    }

    /// Carries out what apps have asked for, as much of it as a turn has time for.
    pub(super) fn dispatch(&mut self, display: &mut Display<State>, state: &mut State) {
        let begun = Instant::now();
        for passage in self.gate.waiting(begun) {
            let uncounted = &mut self.uncounted;
            self.gate.serve(passage, Instant::now, |client, descriptors| {
                *uncounted += read(display, state, client, descriptors);
            });
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

    /// Sends apps what they are to be told. A full or broken socket ends its app only.
    pub(super) fn flush(&mut self, display: &mut Display<State>, state: &mut State) {
        // The error is that of a client which is disconnected by it.
        let _ = display.flush_clients();
        for client in self.gate.tell_apps() {
            read(display, state, &client, 0);
        }
    }

    /// Counts the objects of every app that the library makes without telling anybody: registries.
    /// Each takes a request, so nothing is missed for long if everything is counted after as many
    /// requests as there were objects; and so a request costs no more the more objects there are.
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

/// Ends the app that has most descriptors, if that is more than its share: there are few left, which others
/// need to connect and to show anything.
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

/// Has the library carry out what it was passed of `client`, with so many descriptors. It also forgets
/// whom it is done with. Returns how many requests that were.
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
    // Fails for a client that is gone, or has asked for nothing whole.
    let requests = display.backend().dispatch_single_client(state, client.clone()).unwrap_or(0);
    if descriptors > 0
        && let Some(Some(refusal)) = with_state(display, client, |app| app.objects.unclaimed())
    {
        refusal.refuse(&display.handle(), client.clone());
        // Forgets it.
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
