//! The `presence` link: tells gamepad for how long pads count, which is as long as somebody's input does. Gamepad
//! keeps that time itself, so a message that is lost costs no more than the pads of a viewer who is there.

use std::{rc::Rc, time::Instant};

use lumen_ipc::message::presence::{ToCompositor, ToGamepad};
use lumen_ipc_runtime::{channel::SendError, link_end::LinkEnd};
use tracing::warn;

use crate::seat::Leases;

/// Our end of the link.
pub type PresenceLink = LinkEnd<ToCompositor, ToGamepad>;

/// What gamepad knows.
#[derive(Default)]
pub(super) struct Presence {
    link: Option<Rc<PresenceLink>>,
    told: Option<Instant>,
}

impl Presence {
    /// Gamepad has a new link end, or none. It begins with nobody there.
    pub(super) fn attach(&mut self, link: Option<Rc<PresenceLink>>) {
        (self.link, self.told) = (link, None);
    }

    /// Tells gamepad what it does not know yet.
    pub(super) fn tell(&mut self, now: Instant, leases: &Leases) {
        let Some(link) = &self.link else { return };
        let until = leases.last(now);
        if until == self.told {
            return;
        }
        self.told = until;
        let message = until.map_or(ToGamepad::NOBODY, |until| ToGamepad::somebody(until - now));
        if let Err(error) = link.send(&message, &[])
            && !matches!(error, SendError::Closed)
        {
            warn!(%error, "gamepad cannot be told whether a viewer is there");
        }
    }
}
