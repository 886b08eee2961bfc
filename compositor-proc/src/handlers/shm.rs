//! `wl_shm`: apps' pixels in files they share with us.
//!
//! Smithay keeps pools and buffers but not, for others to use, the files; a frame that is one app's
//! buffer is read by media from that file ([`crate::capture`]). So requests pass by here on their
//! way, and files of pools that may hold such a buffer are kept beside Smithay's.

use std::rc::Rc;

use rustix::fs::fcntl_get_seals;
use smithay::{
    reexports::wayland_server::{
        Client, DataInit, Dispatch, DisplayHandle, Resource,
        backend::{ClientId, ObjectId},
        delegate_dispatch, delegate_global_dispatch,
        protocol::{
            wl_buffer::WlBuffer,
            wl_shm::{self, WlShm},
            wl_shm_pool::{self, WlShmPool},
        },
    },
    wayland::{
        buffer::BufferHandler,
        shm::{ShmBufferUserData, ShmHandler, ShmPoolUserData, ShmState},
        single_pixel_buffer::SinglePixelBufferUserData,
    },
};

use crate::state::State;

impl ShmHandler for State {
    fn shm_state(&self) -> &ShmState {
        &self.protocols.shm
    }
}

impl BufferHandler for State {
    fn buffer_destroyed(&mut self, buffer: &WlBuffer) {
        self.pools.buffers.remove(&buffer.id());
    }
}

impl State {
    /// Whether a pool of `bytes` may hold a buffer as large as the output.
    fn may_hold_frame(&self, bytes: i32) -> bool {
        usize::try_from(bytes).is_ok_and(|bytes| bytes >= self.output.size.pixels.frame_bytes())
    }
}

impl Dispatch<WlShm, ()> for State {
    fn request(
        state: &mut Self,
        client: &Client,
        shm: &WlShm,
        request: wl_shm::Request,
        data: &(),
        display: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        if let wl_shm::Request::CreatePool { fd, size, .. } = &request
            && state.may_hold_frame(*size)
            // Only files in memory have seals, be it none; media maps no other.
            && fcntl_get_seals(fd).is_ok()
            && let Some(pool) = newborn::<WlShmPool>(client, display, |pool| {
                pool.data::<ShmPoolUserData>().is_some()
            })
            // Without another descriptor its frames are drawn, as any others.
            && let Ok(file) = fd.try_clone()
        {
            state.pools.pools.insert(pool, Rc::new(file));
        }
        <ShmState as Dispatch<WlShm, (), Self>>::request(
            state, client, shm, request, data, display, init,
        );
    }
}

impl Dispatch<WlShmPool, ShmPoolUserData> for State {
    fn request(
        state: &mut Self,
        client: &Client,
        pool: &WlShmPool,
        request: wl_shm_pool::Request,
        data: &ShmPoolUserData,
        display: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        if let wl_shm_pool::Request::CreateBuffer { .. } = &request
            && let Some(file) = state.pools.pools.get(&pool.id())
            && let Some(buffer) = newborn::<WlBuffer>(client, display, |buffer| {
                buffer.data::<ShmBufferUserData>().is_some()
                    || buffer.data::<SinglePixelBufferUserData>().is_some()
            })
        {
            state.pools.buffers.insert(buffer, Rc::clone(file));
        }
        <ShmState as Dispatch<WlShmPool, ShmPoolUserData, Self>>::request(
            state, client, pool, request, data, display, init,
        );
    }

    fn destroyed(state: &mut Self, _client: ClientId, pool: &WlShmPool, _data: &ShmPoolUserData) {
        state.pools.pools.remove(&pool.id());
    }
}

/// The object a request is about to make: the one of its kind that nothing is known of yet. The
/// request itself does not tell its handler which.
fn newborn<Kind: Resource>(
    client: &Client,
    display: &DisplayHandle,
    is_known: impl Fn(&Kind) -> bool,
) -> Option<ObjectId> {
    let mut candidates = Vec::new();
    let listed = display.backend_handle().with_all_objects_for(client.id(), |id| {
        if id.interface().name == Kind::interface().name {
            candidates.push(id);
        }
    });
    listed.ok()?;
    candidates
        .into_iter()
        .find(|id| Kind::from_id(display, id.clone()).is_ok_and(|resource| !is_known(&resource)))
}

delegate_global_dispatch!(State: [WlShm: ()] => ShmState);
delegate_dispatch!(State: [WlBuffer: ShmBufferUserData] => ShmState);
