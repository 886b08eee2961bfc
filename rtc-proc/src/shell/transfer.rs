//! The end of the `transfer` link, and the queue for it.

use std::{collections::VecDeque, os::fd::BorrowedFd};

use lumen_ipc::message::transfer::{ToCompositor, ToRtc};
use lumen_ipc_runtime::{bootstrap::Grant, channel::NotALink, link_end::GiveUp};

use super::links::{MaybeEnd, Over, send_waiting};

/// Most messages that wait for a busy compositor: credit bounds text to eight messages for each
/// transfer, and the rate of the pages' other messages is bounded.
const MAX_WAITING: usize = 1024;

/// The end of the `transfer` link, while there is one.
#[derive(Debug, Default)]
pub(super) struct Transfer {
    end: MaybeEnd<ToRtc, ToCompositor>,
    waiting: VecDeque<ToCompositor>,
}

impl Transfer {
    pub(super) fn attach(&mut self, grant: Grant) -> Result<(), NotALink> {
        self.end.attach(grant)?;
        self.waiting.clear();
        Ok(())
    }

    /// Gives the link up, for this reason.
    pub(super) fn detach(&mut self, why: GiveUp) {
        self.end.detach(why);
        *self = Self::default();
    }

    /// The next message of the compositor.
    pub(super) fn next(&self) -> Result<Option<ToRtc>, Over> {
        self.end.next()
    }

    /// Without a compositor nothing is queued: its successor does not know the transfers.
    pub(super) fn push(&mut self, message: ToCompositor) {
        if self.end.get().is_some() {
            self.waiting.push_back(message);
        }
    }

    /// Sends what is queued.
    pub(super) fn flush(&mut self) -> Result<(), Over> {
        let Some(end) = self.end.get() else { return Ok(()) };
        send_waiting(end, &mut self.waiting)?;
        if self.waiting.len() > MAX_WAITING {
            return Err(Over::Deaf);
        }
        Ok(())
    }

    pub(super) fn wants_to_send(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.end.descriptor()
    }
}
