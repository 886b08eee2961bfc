//! `zwp_linux_dmabuf_v1`: apps' buffers in memory of a graphics processor.
//!
//! The compositor neither maps such memory nor makes any request of a driver: it checks what an app
//! says of its buffer, as far as that can be checked without one, and asks media ([`crate::imports`]).
//! Smithay has an implementation of this protocol, too, which is not used because it seeks in the
//! descriptors and adds an app's numbers without a check; its type for such buffers is.

use std::{
    rc::Rc,
    sync::{Mutex, PoisonError},
};

use lumen_ipc::message::frames::{PixelFormat, Renderer};
use smithay::{
    backend::allocator::{Modifier, dmabuf::Dmabuf},
    reexports::{
        wayland_protocols::wp::linux_dmabuf::zv1::server::{
            zwp_linux_buffer_params_v1::{self, ZwpLinuxBufferParamsV1},
            zwp_linux_dmabuf_feedback_v1::{self, TrancheFlags, ZwpLinuxDmabufFeedbackV1},
            zwp_linux_dmabuf_v1::{self, ZwpLinuxDmabufV1},
        },
        wayland_server::{
            Client, DataInit, Dispatch, DisplayHandle, GlobalDispatch, New, Resource,
            backend::ClientId,
            protocol::wl_buffer::{self, WlBuffer},
        },
    },
};
use tracing::{debug, info, warn};

pub(super) use self::params::Params;
use self::params::{Refused, Wish};
use crate::{imports::Import, state::State};

mod params;

/// The newest version we speak.
const VERSION: u32 = 5;

/// Handles the requests of `zwp_linux_dmabuf_v1` and of what is made with it.
pub(super) struct Dmabufs;

impl State {
    /// Media offers this renderer from now on, or none.
    pub fn renderer_offered(&mut self, renderer: Option<Renderer>) {
        let offers = renderer.is_some();
        let renderer = renderer.map(Rc::new);
        let changed = self.capture.set_renderer(renderer.clone());
        let refused = self.imports.set_offer(renderer);
        if !refused.is_empty() {
            info!(buffers = refused.len(), "media does not take what its predecessor took");
        }
        for import in refused {
            import.refuse();
            self.imports.release(&import.dmabuf);
        }
        if offers {
            self.announce_renderer();
        } else if let Some(global) = self.imports.global.take() {
            // Apps may bind it before they know that it is gone, so it is not removed.
            self.display.disable_global::<Self>(global);
        }
        if changed {
            self.rearranged();
        }
    }

    fn announce_renderer(&mut self) {
        match self.imports.global {
            None => {
                let global = self.display.create_global::<Self, ZwpLinuxDmabufV1, ()>(VERSION, ());
                self.imports.global = Some(global);
            }
            Some(_) => self.imports.listeners().iter().for_each(|listener| self.tell(listener)),
        }
    }

    /// Asks media about the buffers that apps wait for, as many as it may be asked about at once.
    pub fn ask_about_imports(&mut self) {
        while let Some(dmabuf) = self.imports.unasked() {
            if !self.capture.ask(self.output.id, &dmabuf) {
                return;
            }
            self.imports.note_asked(&dmabuf);
        }
    }

    /// Media takes a buffer or refuses it.
    pub fn import_answered(&mut self, dmabuf: &Dmabuf, accepted: bool) {
        let Some(import) = self.imports.answered(dmabuf) else {
            if !accepted {
                debug!("media refuses a buffer that its predecessor took, or that is gone");
            }
            return;
        };
        if accepted {
            self.accept(&import);
        } else {
            import.refuse();
            self.imports.release(dmabuf);
        }
    }

    fn accept(&mut self, import: &Import) {
        if import.buffer.is_some() {
            self.changed();
            return;
        }
        let client = import.params.client();
        let buffer = client.and_then(|client| {
            let dmabuf = import.dmabuf.clone();
            client.create_resource::<WlBuffer, Dmabuf, Self>(&self.display, 1, dmabuf).ok()
        });
        match buffer {
            Some(buffer) => import.params.created(&buffer),
            // The app is gone.
            None => self.imports.release(&import.dmabuf),
        }
    }

    /// Tells an app which formats media takes, and on which device it allocates best.
    fn tell(&self, listener: &ZwpLinuxDmabufFeedbackV1) {
        let Some(renderer) = self.imports.renderer() else { return };
        let device = renderer.device.0.to_ne_bytes().to_vec();
        let formats: Vec<PixelFormat> = renderer.formats.iter().collect();
        let table: Vec<u8> = formats.iter().flat_map(entry).collect();
        // A table for each listener: one that was shared could be changed by any of them.
        let memory = match self.kernel.frame_memory(table.len()) {
            Ok(memory) => memory,
            Err(error) => return warn!(%error, "no memory to tell an app of formats"),
        };
        // As long as its memory.
        let _ = memory.write(0, &table);
        let indices = (0..formats.len() as u16).flat_map(u16::to_ne_bytes).collect();
        listener.format_table(memory.descriptor(), table.len() as u32);
        listener.main_device(device.clone());
        listener.tranche_target_device(device);
        listener.tranche_flags(TrancheFlags::empty());
        listener.tranche_formats(indices);
        listener.tranche_done();
        listener.done();
    }
}

/// An entry of the table of formats.
fn entry(format: &PixelFormat) -> [u8; 16] {
    let mut entry = [0; 16];
    let (fourcc, modifier) = (format.fourcc.to_ne_bytes(), format.modifier.to_ne_bytes());
    let bytes = fourcc.into_iter().chain([0; 4]).chain(modifier);
    entry.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
    entry
}

impl GlobalDispatch<ZwpLinuxDmabufV1, (), State> for Dmabufs {
    fn bind(
        state: &mut State,
        _: &DisplayHandle,
        _: &Client,
        dmabuf: New<ZwpLinuxDmabufV1>,
        (): &(),
        init: &mut DataInit<'_, State>,
    ) {
        let dmabuf = init.init(dmabuf, ());
        // Newer apps ask.
        if dmabuf.version() >= zwp_linux_dmabuf_v1::REQ_GET_DEFAULT_FEEDBACK_SINCE {
            return;
        }
        let Some(renderer) = state.imports.renderer() else { return };
        let implicit = u64::from(Modifier::Invalid);
        for PixelFormat { fourcc, modifier } in renderer.formats.iter() {
            if dmabuf.version() >= zwp_linux_dmabuf_v1::EVT_MODIFIER_SINCE {
                dmabuf.modifier(fourcc, (modifier >> 32) as u32, modifier as u32);
            } else if modifier == implicit {
                dmabuf.format(fourcc);
            }
        }
    }
}

impl Dispatch<ZwpLinuxDmabufV1, (), State> for Dmabufs {
    fn request(
        state: &mut State,
        _: &Client,
        _: &ZwpLinuxDmabufV1,
        request: zwp_linux_dmabuf_v1::Request,
        (): &(),
        _: &DisplayHandle,
        init: &mut DataInit<'_, State>,
    ) {
        match request {
            zwp_linux_dmabuf_v1::Request::CreateParams { params_id } => {
                init.init(params_id, Mutex::<Params>::default());
            }
            // One answer for all surfaces: there is one renderer.
            zwp_linux_dmabuf_v1::Request::GetDefaultFeedback { id }
            | zwp_linux_dmabuf_v1::Request::GetSurfaceFeedback { id, .. } => {
                let listener = init.init(id, ());
                state.imports.listen(&listener);
                state.tell(&listener);
            }
            _ => {}
        }
    }
}

impl Dispatch<ZwpLinuxDmabufFeedbackV1, (), State> for Dmabufs {
    fn request(
        _: &mut State,
        _: &Client,
        _: &ZwpLinuxDmabufFeedbackV1,
        _: zwp_linux_dmabuf_feedback_v1::Request,
        (): &(),
        _: &DisplayHandle,
        _: &mut DataInit<'_, State>,
    ) {
    }

    fn destroyed(state: &mut State, _: ClientId, listener: &ZwpLinuxDmabufFeedbackV1, (): &()) {
        state.imports.forget_listener(&listener.id());
    }
}

impl Dispatch<ZwpLinuxBufferParamsV1, Mutex<Params>, State> for Dmabufs {
    fn request(
        state: &mut State,
        client: &Client,
        params: &ZwpLinuxBufferParamsV1,
        request: zwp_linux_buffer_params_v1::Request,
        data: &Mutex<Params>,
        display: &DisplayHandle,
        init: &mut DataInit<'_, State>,
    ) {
        let mut planes = data.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = match request {
            zwp_linux_buffer_params_v1::Request::Add {
                fd,
                plane_idx,
                offset,
                stride,
                modifier_hi,
                modifier_lo,
            } => {
                let modifier = u64::from(modifier_hi) << 32 | u64::from(modifier_lo);
                planes.add(client, plane_idx, fd, (offset, stride), modifier)
            }
            zwp_linux_buffer_params_v1::Request::Create { width, height, format, flags } => {
                let wish = Wish { width, height, fourcc: format, flags };
                planes.make(wish, &state.imports, &*state.kernel).map(|made| match made {
                    Some((dmabuf, in_use)) => {
                        let import = Import::new(dmabuf, params.clone(), None);
                        state.imports.wait(import, in_use);
                    }
                    None => params.failed(),
                })
            }
            zwp_linux_buffer_params_v1::Request::CreateImmed {
                buffer_id,
                width,
                height,
                format,
                flags,
            } => {
                let wish = Wish { width, height, fourcc: format, flags };
                planes.make(wish, &state.imports, &*state.kernel).and_then(|made| {
                    let (dmabuf, in_use) = made.ok_or(Refused::Unusable)?;
                    let buffer = init.init(buffer_id, dmabuf.clone());
                    let import = Import::new(dmabuf, params.clone(), Some(buffer));
                    state.imports.wait(import, in_use);
                    Ok(())
                })
            }
            _ => Ok(()),
        };
        match outcome {
            Ok(()) => {}
            Err(Refused::TooMany(refusal)) => refusal.refuse(display, client.id()),
            Err(refused) => params.post_error(refused.code(), refused.to_string()),
        }
    }

    fn destroyed(
        state: &mut State,
        _: ClientId,
        params: &ZwpLinuxBufferParamsV1,
        _: &Mutex<Params>,
    ) {
        state.imports.give_up(params);
    }
}

impl Dispatch<WlBuffer, Dmabuf, State> for Dmabufs {
    fn request(
        _: &mut State,
        _: &Client,
        _: &WlBuffer,
        _: wl_buffer::Request,
        _: &Dmabuf,
        _: &DisplayHandle,
        _: &mut DataInit<'_, State>,
    ) {
    }

    fn destroyed(state: &mut State, _: ClientId, _: &WlBuffer, dmabuf: &Dmabuf) {
        state.imports.forget(dmabuf);
    }
}
