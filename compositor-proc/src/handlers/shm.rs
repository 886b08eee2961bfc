//! `wl_shm`: apps' pixels in shared files.
//!
//! A pool must be memory of ordinary pages: reading any other kind of file could block or end this
//! process or media.
//!
//! Smithay keeps pools and buffers, but does not expose their files, and media reads a frame that
//! is one app's buffer, or the surfaces of one that it draws, from these files ([`crate::capture`]).
//! So requests pass through here first, and the files are kept.

use std::{
    os::fd::{AsFd, OwnedFd},
    rc::Rc,
    sync::Arc,
};

use smithay::{
    reexports::wayland_server::{
        Client, DataInit, Dispatch, DisplayHandle, GlobalDispatch, New, Resource,
        backend::{ClientId, Handle, ObjectData, ObjectId, protocol::Message},
        protocol::{
            wl_buffer::{self, WlBuffer},
            wl_shm::{self, WlShm},
            wl_shm_pool::{self, WlShmPool},
        },
    },
    wayland::{
        buffer::BufferHandler,
        shm::{ShmBufferUserData, ShmHandler, ShmPoolUserData, ShmState},
    },
};

use crate::{client::ClientState, pools::PoolFile, state::State};

/// Handles the requests of `wl_shm` before Smithay does.
pub(super) struct Shm;

impl ShmHandler for State {
    fn shm_state(&self) -> &ShmState {
        &self.protocols.shm
    }
}

impl BufferHandler for State {
    fn buffer_destroyed(&mut self, buffer: &WlBuffer) {
        self.pools.remove(&buffer.id());
    }
}

impl GlobalDispatch<WlShm, (), State> for Shm {
    fn bind(
        state: &mut State,
        display: &DisplayHandle,
        client: &Client,
        shm: New<WlShm>,
        data: &(),
        init: &mut DataInit<'_, State>,
    ) {
        <ShmState as GlobalDispatch<WlShm, (), State>>::bind(
            state, display, client, shm, data, init,
        );
    }
}

impl Dispatch<WlShm, (), State> for Shm {
    fn request(
        state: &mut State,
        client: &Client,
        shm: &WlShm,
        mut request: wl_shm::Request,
        data: &(),
        display: &DisplayHandle,
        init: &mut DataInit<'_, State>,
    ) {
        if let wl_shm::Request::CreatePool { id, fd, size } = request {
            let (pool, id) = known(id, init);
            if let Err(refusal) = state.kernel.check_pages(fd.as_fd()) {
                shm.post_error(wl_shm::Error::InvalidFd, refusal.to_string());
                return;
            }
            let file = state.kernel.keep(fd.as_fd()).map(Rc::new);
            match client.get_data::<ClientState>().map(|client| client.objects.take_memory()) {
                Some(Ok(in_use)) => state.pools.add_pool(pool, PoolFile { file, in_use }),
                Some(Err(refusal)) => refusal.refuse(display, client.id()),
                // Every client has a state, so this does not occur.
                None => {}
            }
            request = wl_shm::Request::CreatePool { id, fd, size };
        }
        <ShmState as Dispatch<WlShm, (), State>>::request(
            state, client, shm, request, data, display, init,
        );
    }
}

impl Dispatch<WlShmPool, ShmPoolUserData, State> for Shm {
    fn request(
        state: &mut State,
        client: &Client,
        pool: &WlShmPool,
        mut request: wl_shm_pool::Request,
        data: &ShmPoolUserData,
        display: &DisplayHandle,
        init: &mut DataInit<'_, State>,
    ) {
        match request {
            wl_shm_pool::Request::CreateBuffer { id, offset, width, height, stride, format } => {
                let (buffer, id) = known(id, init);
                state.pools.add_buffer(buffer, &pool.id());
                request = wl_shm_pool::Request::CreateBuffer {
                    id,
                    offset,
                    width,
                    height,
                    stride,
                    format,
                };
            }
            // Smithay would report an error and then panic at a size of zero.
            wl_shm_pool::Request::Resize { size } if size <= 0 => {
                pool.post_error(wl_shm::Error::InvalidFd, "a pool has a size above zero");
                return;
            }
            _ => {}
        }
        <ShmState as Dispatch<WlShmPool, ShmPoolUserData, State>>::request(
            state, client, pool, request, data, display, init,
        );
    }

    fn destroyed(state: &mut State, _client: ClientId, pool: &WlShmPool, _data: &ShmPoolUserData) {
        state.pools.remove(&pool.id());
    }
}

impl Dispatch<WlBuffer, ShmBufferUserData, State> for Shm {
    fn request(
        state: &mut State,
        client: &Client,
        buffer: &WlBuffer,
        request: wl_buffer::Request,
        data: &ShmBufferUserData,
        display: &DisplayHandle,
        init: &mut DataInit<'_, State>,
    ) {
        <ShmState as Dispatch<WlBuffer, ShmBufferUserData, State>>::request(
            state, client, buffer, request, data, display, init,
        );
    }

    fn destroyed(state: &mut State, client: ClientId, buffer: &WlBuffer, data: &ShmBufferUserData) {
        <ShmState as Dispatch<WlBuffer, ShmBufferUserData, State>>::destroyed(
            state, client, buffer, data,
        );
    }
}

/// The name of an object that a request makes, and the object for whoever carries the request out.
///
/// An object says its name only when it is initialised; whoever carries the request out does that
/// once more, or refuses the request and with it the client.
fn known<Kind: Resource + 'static>(
    object: New<Kind>,
    init: &mut DataInit<'_, State>,
) -> (ObjectId, New<Kind>) {
    let object = init.custom_init(object, Arc::new(Refused));
    (object.id(), New::wrap(object))
}

/// An object that no handler accepted.
struct Refused;

impl ObjectData<State> for Refused {
    fn request(
        self: Arc<Self>,
        _: &Handle,
        _: &mut State,
        _: ClientId,
        _: Message<ObjectId, OwnedFd>,
    ) -> Option<Arc<dyn ObjectData<State>>> {
        None
    }

    fn destroyed(self: Arc<Self>, _: &Handle, state: &mut State, _: ClientId, object: ObjectId) {
        state.pools.remove(&object);
    }
}
