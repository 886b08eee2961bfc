//! The `presence` and `voice` links: tell gamepad for how long pads count, which is as long as somebody's input
//! does, and sound for how long voices count. Both keep that time themselves, so a message that is lost costs no
//! more than the pads, or the voice, of a viewer who is there.

use std::{rc::Rc, time::Instant};

use lumen_ipc::{
    codec::Message,
    lease::Stay,
    message::{presence, voice},
};
use lumen_ipc_runtime::{channel::SendError, link_end::LinkEnd};
use tracing::warn;

/// Our end of the link to gamepad.
pub type PresenceLink = LinkEnd<presence::ToCompositor, presence::ToGamepad>;
/// Our end of the link to sound.
pub type VoiceLink = LinkEnd<voice::ToCompositor, voice::ToSound>;

/// What a worker knows of how long something counts.
pub(super) struct Teller<In, Out> {
    link: Option<Rc<LinkEnd<In, Out>>>,
    told: Option<Instant>,
}

impl<In, Out> Default for Teller<In, Out> {
    fn default() -> Self {
        Self { link: None, told: None }
    }
}

impl<In: Message, Out: Message> Teller<In, Out> {
    /// The worker has a new link end, or none. It begins with nobody there.
    pub(super) fn attach(&mut self, link: Option<Rc<LinkEnd<In, Out>>>) {
        (self.link, self.told) = (link, None);
    }

    /// Tells the worker that something counts until then, if it does not know yet.
    pub(super) fn tell(&mut self, now: Instant, until: Option<Instant>, say: fn(Stay) -> Out) {
        let Some(link) = &self.link else { return };
        if until == self.told {
            return;
        }
        self.told = until;
        let stay = until.map_or(Stay::NOBODY, |until| Stay::somebody(until - now));
        if let Err(error) = link.send(&say(stay), &[])
            && !matches!(error, SendError::Closed)
        {
            warn!(%error, "a worker cannot be told whether a viewer is there");
        }
    }
}
