//! The end of `transfer`, and what waits for it.

use std::{
    collections::VecDeque,
    os::fd::{AsFd, BorrowedFd},
};

use lumen_ipc::message::transfer::{ToCompositor, ToRtc};
use lumen_ipc_runtime::{
    bootstrap::Grant,
    channel::NotALink,
    link_end::{GiveUp, LinkEnd},
};

use super::links::{Over, receive, send};

/// Most messages that wait for a busy compositor: credit bounds text to eight for each transfer, and what
/// pages may say besides is bounded in time.
const MAX_WAITING: usize = 1024;

/// The end of `transfer` while there is one.
#[derive(Debug, Default)]
pub(super) struct Transfer {
    end: Option<LinkEnd<ToRtc, ToCompositor>>,
    waiting: VecDeque<ToCompositor>,
}

impl Transfer {
    pub(super) fn attach(&mut self, grant: Grant) -> Result<(), NotALink> {
        self.end = Some(grant.into_link_end()?);
        self.waiting.clear();
        Ok(())
    }

    /// The link is over, because of this.
    pub(super) fn detach(&mut self, why: GiveUp) {
        if let Some(end) = &self.end {
            end.give_up(why);
        }
        *self = Self::default();
    }

    /// The next thing the compositor said.
    pub(super) fn next(&self) -> Result<Option<ToRtc>, Over> {
        let Some(end) = &self.end else { return Ok(None) };
        Ok(receive(end)?.map(|received| received.message))
    }

    /// Without a compositor nothing waits: its successor knows of no transfer.
    pub(super) fn push(&mut self, message: ToCompositor) {
        if self.end.is_some() {
            self.waiting.push_back(message);
        }
    }

    /// Sends what waits.
    pub(super) fn flush(&mut self) -> Result<(), Over> {
        let Some(end) = &self.end else { return Ok(()) };
        while let Some(message) = self.waiting.front() {
            if !send(end, message)? {
                break;
            }
            self.waiting.pop_front();
        }
        if self.waiting.len() > MAX_WAITING {
            return Err(Over::Deaf);
        }
        Ok(())
    }

    pub(super) fn wants_to_send(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.end.as_ref().map(AsFd::as_fd)
    }
}
