//! The end of `transfer`, and what waits for it.

use std::{
    collections::VecDeque,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use lumen_ipc::message::transfer::{ToCompositor, ToRtc};
use lumen_ipc_runtime::channel::{Channel, NotALink};

use super::links::{Over, receive, send};

/// Most messages that wait for a busy compositor: credit bounds text to eight for each transfer, and what
/// pages may say besides is bounded in time.
const MAX_WAITING: usize = 1024;

/// The end of `transfer` while there is one.
#[derive(Debug, Default)]
pub(super) struct Transfer {
    channel: Option<Channel<ToRtc, ToCompositor>>,
    waiting: VecDeque<ToCompositor>,
}

impl Transfer {
    pub(super) fn attach(&mut self, link: OwnedFd) -> Result<(), NotALink> {
        self.channel = Some(Channel::from_descriptor(link)?);
        self.waiting.clear();
        Ok(())
    }

    pub(super) fn detach(&mut self) {
        *self = Self::default();
    }

    /// The next thing the compositor said.
    pub(super) fn next(&self) -> Result<Option<ToRtc>, Over> {
        let Some(channel) = &self.channel else { return Ok(None) };
        Ok(receive(channel)?.map(|received| received.message))
    }

    /// Without a compositor nothing waits: its successor knows of no transfer.
    pub(super) fn push(&mut self, message: ToCompositor) {
        if self.channel.is_some() {
            self.waiting.push_back(message);
        }
    }

    /// Sends what waits.
    pub(super) fn flush(&mut self) -> Result<(), Over> {
        let Some(channel) = &self.channel else { return Ok(()) };
        while let Some(message) = self.waiting.front() {
            if !send(channel, message)? {
                break;
            }
            self.waiting.pop_front();
        }
        if self.waiting.len() > MAX_WAITING {
            return Err(Over::Failed("the compositor does not read".to_owned()));
        }
        Ok(())
    }

    pub(super) fn wants_to_send(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.channel.as_ref().map(AsFd::as_fd)
    }
}
