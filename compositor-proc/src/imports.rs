//! Apps' buffers in memory of a graphics processor, until media has said whether it can draw them.
//!
//! Decides what apps are told of such memory: nothing before media has offered a renderer, and then its
//! formats. An app that makes a buffer waits for media's answer, also over a restart of media. A media
//! that offers no renderer refuses all of them.

use std::{
    collections::{HashMap, VecDeque},
    rc::Rc,
};

use lumen_ipc::message::frames::{PixelFormat, Renderer};
use smithay::{
    backend::allocator::dmabuf::{Dmabuf, WeakDmabuf},
    reexports::{
        wayland_protocols::wp::linux_dmabuf::zv1::server::{
            zwp_linux_buffer_params_v1::{Error as ParamsError, ZwpLinuxBufferParamsV1},
            zwp_linux_dmabuf_feedback_v1::ZwpLinuxDmabufFeedbackV1,
        },
        wayland_server::{
            Resource, Weak,
            backend::{GlobalId, ObjectId},
            protocol::wl_buffer::WlBuffer,
        },
    },
};

use crate::{capture::format_of, client::MemoryInUse};

/// What media offers, and who waits for its answer.
#[derive(Debug, Default)]
pub struct Imports {
    offer: Offer,
    /// The global by which apps learn the offer, while there is one.
    pub global: Option<GlobalId>,
    /// Who is told when the offer changes.
    listeners: Vec<Weak<ZwpLinuxDmabufFeedbackV1>>,
    /// Buffers without an answer, the oldest first.
    waiting: VecDeque<Import>,
    /// The shares of their apps' limits that existing buffers have.
    in_use: HashMap<WeakDmabuf, Vec<MemoryInUse>>,
}

/// What is known of media's renderer.
#[derive(Clone, Debug, Default)]
pub enum Offer {
    /// Media has not said yet.
    #[default]
    Unknown,
    /// There is none.
    Nothing,
    /// This one.
    Renderer(Rc<Renderer>),
}

/// A buffer that an app waits for.
#[derive(Debug)]
pub struct Import {
    /// The buffer's memory.
    pub dmabuf: Dmabuf,
    /// The object that the app has made it with.
    pub params: ZwpLinuxBufferParamsV1,
    /// The buffer, if the app uses it already.
    pub buffer: Option<WlBuffer>,
    /// Whether media has been asked.
    is_asked: bool,
}

impl Import {
    /// A buffer that media has not been asked about.
    #[must_use]
    pub const fn new(
        dmabuf: Dmabuf,
        params: ZwpLinuxBufferParamsV1,
        buffer: Option<WlBuffer>,
    ) -> Self {
        Self { dmabuf, params, buffer, is_asked: false }
    }

    /// Tells the app that its buffer cannot be used. If it uses it already, the protocol has nothing
    /// but an error.
    pub fn refuse(&self) {
        if !self.params.is_alive() {
            return;
        }
        match &self.buffer {
            None => self.params.failed(),
            Some(_) => {
                let reason = "the graphics processor's driver does not take this buffer";
                self.params.post_error(ParamsError::InvalidWlBuffer, reason);
            }
        }
    }
}

impl Imports {
    /// What media offers.
    #[must_use]
    pub fn renderer(&self) -> Option<&Rc<Renderer>> {
        match &self.offer {
            Offer::Renderer(renderer) => Some(renderer),
            Offer::Unknown | Offer::Nothing => None,
        }
    }

    /// Media offers this from now on. Returns the buffers that are refused by it: those of a format that
    /// it does not take.
    #[must_use]
    pub fn set_offer(&mut self, renderer: Option<Rc<Renderer>>) -> Vec<Import> {
        self.offer = renderer.map_or(Offer::Nothing, Offer::Renderer);
        let waiting = std::mem::take(&mut self.waiting);
        let takes = |import: &Import| self.takes(format_of(&import.dmabuf)) == Some(true);
        let (kept, refused): (Vec<_>, Vec<_>) = waiting.into_iter().partition(takes);
        self.waiting = kept.into();
        refused
    }

    /// Media is gone. Its successor is asked about all that wait.
    pub fn media_is_gone(&mut self) {
        self.offer = Offer::Unknown;
        self.waiting.iter_mut().for_each(|import| import.is_asked = false);
    }

    /// Whether a new buffer of `format` may be made; `None` if there may be none of any format.
    #[must_use]
    pub fn takes(&self, format: PixelFormat) -> Option<bool> {
        match &self.offer {
            Offer::Renderer(renderer) => Some(renderer.formats.contains(format)),
            // The successor of a media will most likely take what that took, and is asked.
            Offer::Unknown if self.global.is_some() => Some(true),
            Offer::Unknown | Offer::Nothing => None,
        }
    }

    /// An app waits for a buffer, which counts for it while it exists.
    pub fn wait(&mut self, import: Import, in_use: Vec<MemoryInUse>) {
        self.in_use.insert(import.dmabuf.weak(), in_use);
        self.waiting.push_back(import);
    }

    /// The oldest buffer that media has not been asked about, while media draws.
    #[must_use]
    pub fn unasked(&self) -> Option<Dmabuf> {
        self.renderer()?;
        let unasked = self.waiting.iter().find(|import| !import.is_asked);
        unasked.map(|import| import.dmabuf.clone())
    }

    /// Media has been asked about `dmabuf`.
    pub fn note_asked(&mut self, dmabuf: &Dmabuf) {
        if let Some(import) = self.waiting.iter_mut().find(|import| import.dmabuf == *dmabuf) {
            import.is_asked = true;
        }
    }

    /// Media has answered about `dmabuf`: the app that waited for it, if one did.
    #[must_use]
    pub fn answered(&mut self, dmabuf: &Dmabuf) -> Option<Import> {
        let at = self.waiting.iter().position(|import| import.dmabuf == *dmabuf)?;
        self.waiting.remove(at)
    }

    /// Tells `listener` of further offers.
    pub fn listen(&mut self, listener: &ZwpLinuxDmabufFeedbackV1) {
        self.listeners.push(listener.downgrade());
    }

    /// Those who are told of offers.
    #[must_use]
    pub fn listeners(&self) -> Vec<ZwpLinuxDmabufFeedbackV1> {
        self.listeners.iter().filter_map(|listener| listener.upgrade().ok()).collect()
    }

    /// A listener is gone.
    pub fn forget_listener(&mut self, listener: &ObjectId) {
        self.listeners.retain(|known| known.id() != *listener);
    }

    /// A buffer was destroyed; its memory may exist for as long as media reads it.
    pub fn forget(&mut self, dmabuf: &Dmabuf) {
        self.in_use.remove(&dmabuf.weak());
        self.waiting.retain(|import| import.dmabuf != *dmabuf);
    }

    /// The object is gone with which an app has made a buffer that it does not have yet: nobody could be
    /// told of it.
    pub fn give_up(&mut self, params: &ZwpLinuxBufferParamsV1) {
        let in_vain = |import: &Import| import.buffer.is_none() && import.params == *params;
        for import in self.waiting.iter().filter(|import| in_vain(import)) {
            self.in_use.remove(&import.dmabuf.weak());
        }
        self.waiting.retain(|import| !in_vain(import));
    }

    /// A buffer was refused before the app had it.
    pub fn release(&mut self, dmabuf: &Dmabuf) {
        self.in_use.remove(&dmabuf.weak());
    }
}
