//! `wl_surface` and `wl_region`: what an app may pile up in them.
//!
//! Requests pass by here on their way to Smithay, which keeps whatever it is told: rectangles of a
//! region, damage until it is committed, commits of a part until its whole is committed. A few are what
//! apps have; thousands would be all memory, and time that grows with their square. Much damage is
//! stated more coarsely, which only makes more of the picture be drawn; who piles up the rest is
//! disconnected.

use std::sync::atomic::{AtomicUsize, Ordering};

use smithay::{
    reexports::wayland_server::{
        Client, DataInit, Dispatch, DisplayHandle, Resource,
        backend::ClientId,
        protocol::{
            wl_region::{self, WlRegion},
            wl_surface::{self, WlSurface},
        },
    },
    wayland::compositor::{
        CompositorState, RegionUserData, SurfaceAttributes, SurfaceUserData, is_sync_subsurface,
        with_states,
    },
};

use crate::{
    client::{ClientState, TooMany},
    damage::coarsen,
    state::State,
};

/// Who carries out the requests of surfaces and regions: Smithay, after a look at them.
pub(super) struct Surfaces;

impl Dispatch<WlSurface, SurfaceUserData, State> for Surfaces {
    fn request(
        state: &mut State,
        client: &Client,
        surface: &WlSurface,
        request: wl_surface::Request,
        data: &SurfaceUserData,
        display: &DisplayHandle,
        init: &mut DataInit<'_, State>,
    ) {
        let is_damage = matches!(
            request,
            wl_surface::Request::Damage { .. } | wl_surface::Request::DamageBuffer { .. }
        );
        if matches!(request, wl_surface::Request::Commit) && is_sync_subsurface(surface) {
            wait(client, surface, display);
        }
        <CompositorState as Dispatch<WlSurface, SurfaceUserData, State>>::request(
            state, client, surface, request, data, display, init,
        );
        if is_damage {
            with_states(surface, |states| {
                coarsen(&mut states.cached_state.get::<SurfaceAttributes>().pending().damage);
            });
        }
    }

    fn destroyed(state: &mut State, client: ClientId, surface: &WlSurface, data: &SurfaceUserData) {
        if let Some(client) = surface.client() {
            applied(&client, surface);
        }
        <CompositorState as Dispatch<WlSurface, SurfaceUserData, State>>::destroyed(
            state, client, surface, data,
        );
    }
}

impl Dispatch<WlRegion, RegionUserData, State> for Surfaces {
    fn request(
        state: &mut State,
        client: &Client,
        region: &WlRegion,
        request: wl_region::Request,
        data: &RegionUserData,
        display: &DisplayHandle,
        init: &mut DataInit<'_, State>,
    ) {
        if matches!(request, wl_region::Request::Add { .. } | wl_region::Request::Subtract { .. })
            && let Some(app) = client.get_data::<ClientState>()
            && let Err(refusal) = app.objects.add_rectangle(region.id().protocol_id())
        {
            refusal.refuse(display, client.id());
            return;
        }
        <CompositorState as Dispatch<WlRegion, RegionUserData, State>>::request(
            state, client, region, request, data, display, init,
        );
    }

    fn destroyed(state: &mut State, client: ClientId, region: &WlRegion, data: &RegionUserData) {
        if let Some(client) = region.client()
            && let Some(app) = client.get_data::<ClientState>()
        {
            app.objects.forget_region(region.id().protocol_id());
        }
        <CompositorState as Dispatch<WlRegion, RegionUserData, State>>::destroyed(
            state, client, region, data,
        );
    }
}

/// Commits of a surface that wait for its parent's.
#[derive(Default)]
struct Waiting(AtomicUsize);

/// A part is committed, which takes effect with its whole.
fn wait(client: &Client, surface: &WlSurface, display: &DisplayHandle) {
    let Some(app) = client.get_data::<ClientState>() else { return };
    with_states(surface, |states| {
        states.data_map.insert_if_missing_threadsafe(Waiting::default);
        if let Some(waiting) = states.data_map.get::<Waiting>() {
            waiting.0.fetch_add(1, Ordering::Relaxed);
        }
    });
    if let Err(refusal) = app.objects.add_commit() {
        refusal.refuse(display, client.id());
    }
}

/// What was committed of a surface has taken effect, or is gone with it.
pub(super) fn applied(client: &Client, surface: &WlSurface) {
    let waited = with_states(surface, |states| {
        let waiting = states.data_map.get::<Waiting>();
        waiting.map_or(0, |waiting| waiting.0.swap(0, Ordering::Relaxed))
    });
    if waited > 0
        && let Some(app) = client.get_data::<ClientState>()
    {
        app.objects.forget_commits(waited);
    }
}

/// A configure event that `surface`'s client asked for is to be sent: whether it has acknowledged enough of
/// those before. If not, it is disconnected.
pub(super) fn may_ask_again(
    display: &DisplayHandle,
    surface: &WlSurface,
    unanswered: usize,
) -> bool {
    let Some(refusal) = TooMany::of_configures(unanswered) else { return true };
    if let Some(client) = surface.client() {
        refusal.refuse(display, client.id());
    }
    false
}
