//! The end of `transfer`, and what waits for it.

use std::{collections::VecDeque, os::fd::BorrowedFd};

use lumen_ipc::message::transfer::{ToCompositor, ToRtc};
use lumen_ipc_runtime::{bootstrap::Grant, channel::NotALink, link_end::GiveUp};

use super::links::{MaybeEnd, Over, send_waiting};

/// Most messages that wait for a busy compositor: credit bounds text to eight for each transfer, and what
/// pages may say besides is bounded in time.
const MAX_WAITING: usize = 1024;

/// The end of `transfer` while there is one.
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

    /// The link is over, because of this.
    pub(super) fn detach(&mut self, why: GiveUp) {
        self.end.detach(why);
        *self = Self::default();
    }

    /// The next thing the compositor said.
    pub(super) fn next(&self) -> Result<Option<ToRtc>, Over> {
        self.end.next()
    }

    /// Without a compositor nothing waits: its successor knows of no transfer.
    pub(super) fn push(&mut self, message: ToCompositor) {
        if self.end.get().is_some() {
            self.waiting.push_back(message);
        }
    }

    /// Sends what waits.
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
