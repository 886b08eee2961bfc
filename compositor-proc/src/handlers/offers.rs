//! Offers of what is copied or dragged: objects that we make for an app, and through which it sends a
//! descriptor with each request to paste.
//!
//! Smithay handles these requests itself, so they do not pass through the table of [`super::objects`],
//! which counts descriptors as claimed. So each offer gets a handler here that counts them and passes
//! the request on to Smithay's.

use std::{os::fd::OwnedFd, sync::Arc};

use smithay::reexports::wayland_server::{
    DisplayHandle,
    backend::{
        ClientId, Handle, ObjectData, ObjectId,
        protocol::{ArgumentType, Message},
    },
};

use crate::{client::ClientState, state::State};

/// The first id of objects that the server makes.
const FIRST_OF_SERVER: u32 = 0xff00_0000;

/// Installs the counting handler on all offers of the client that do not have it yet.
pub fn count_descriptors_of_offers(display: &DisplayHandle, client: &ClientId) {
    let backend = display.backend_handle();
    let mut offers = Vec::new();
    // Fails for a client that is gone.
    let _ = backend.with_all_objects_for(client.clone(), |object| {
        if object.protocol_id() >= FIRST_OF_SERVER && takes_descriptors(&object) {
            offers.push(object);
        }
    });
    for offer in offers {
        let Ok(inner) = backend.get_object_data::<State>(offer.clone()) else { continue };
        if inner.downcast_ref::<Counted>().is_none() {
            // Fails for an object that is gone.
            let _ = backend.set_object_data::<State>(offer, Arc::new(Counted(inner)));
        }
    }
}

fn takes_descriptors(object: &ObjectId) -> bool {
    let requests = object.interface().requests;
    requests.iter().any(|request| request.signature.contains(&ArgumentType::Fd))
}

/// Counts descriptors, and leaves the rest to Smithay's handler.
struct Counted(Arc<dyn ObjectData<State>>);

impl ObjectData<State> for Counted {
    fn request(
        self: Arc<Self>,
        handle: &Handle,
        state: &mut State,
        client: ClientId,
        message: Message<ObjectId, OwnedFd>,
    ) -> Option<Arc<dyn ObjectData<State>>> {
        let kind = message.sender_id.interface();
        let request = kind.requests.get(usize::from(message.opcode));
        let is_descriptor = |argument: &&ArgumentType| matches!(argument, ArgumentType::Fd);
        let descriptors =
            request.map_or(0, |request| request.signature.iter().filter(is_descriptor).count());
        if let Ok(data) = handle.get_client_data(client.clone())
            && let Some(app) = data.downcast_ref::<ClientState>()
        {
            app.objects.claim(descriptors);
        }
        Arc::clone(&self.0).request(handle, state, client, message)
    }

    fn destroyed(
        self: Arc<Self>,
        handle: &Handle,
        state: &mut State,
        client: ClientId,
        object: ObjectId,
    ) {
        Arc::clone(&self.0).destroyed(handle, state, client, object);
    }
}
