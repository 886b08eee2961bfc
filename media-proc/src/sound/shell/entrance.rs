//! The end of the `voice` link: for how long voices count.

use std::{
    os::fd::{AsFd, BorrowedFd},
    time::Instant,
};

use lumen_ipc::{
    lease::Stay,
    message::voice::{ToCompositor, ToSound},
};
use lumen_ipc_runtime::{channel::ReceiveError, link_end::LinkEnd};
use tracing::{info, warn};

use crate::sound::speech::Voices;

/// Our end of the link.
pub(super) type End = LinkEnd<ToSound, ToCompositor>;

/// The end, while there is one. Without one nobody's voice counts.
#[derive(Debug, Default)]
pub(super) struct Entrance(Option<End>);

impl Entrance {
    /// Takes the end of a new compositor, which says anew whose voice counts.
    pub(super) fn attach(&mut self, end: End, now: Instant, voices: &mut Voices) {
        self.0 = Some(end);
        voices.attend(now, Stay::NOBODY);
    }

    pub(super) fn interest(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(AsFd::as_fd)
    }

    /// Reads what the compositor says. Returns whether it broke the contract.
    pub(super) fn receive(&mut self, now: Instant, voices: &mut Voices) -> bool {
        while let Some(end) = &self.0 {
            match end.receive() {
                Ok(received) => voices.attend(now, received.message.0),
                Err(ReceiveError::Empty) => break,
                Err(error) => {
                    let violated = matches!(error, ReceiveError::Violation(_));
                    match error {
                        ReceiveError::Closed => info!("the compositor is restarting"),
                        error => warn!(%error, "closed the link end"),
                    }
                    self.0 = None;
                    voices.attend(now, Stay::NOBODY);
                    return violated;
                }
            }
        }
        false
    }
}
