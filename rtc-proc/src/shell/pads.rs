//! The end of `pads`, and what waits for it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use lumen_ipc::message::pads::{ToGamepad, ToRtc};
use lumen_ipc_runtime::channel::{Channel, NotALink};

use super::links::{Over, receive, send};
use crate::{outbox::Overflow, pad_outbox::PadOutbox};

/// The end of `pads` while there is one.
#[derive(Debug, Default)]
pub(super) struct Pads {
    channel: Option<Channel<ToRtc, ToGamepad>>,
    outbox: PadOutbox,
}

impl Pads {
    pub(super) fn attach(&mut self, link: OwnedFd) -> Result<(), NotALink> {
        self.channel = Some(Channel::from_descriptor(link)?);
        self.outbox.clear();
        Ok(())
    }

    pub(super) fn detach(&mut self) {
        *self = Self::default();
    }

    /// The next thing the gamepad worker said.
    pub(super) fn next(&self) -> Result<Option<ToRtc>, Over> {
        let Some(channel) = &self.channel else { return Ok(None) };
        Ok(receive(channel)?.map(|received| received.message))
    }

    /// Without a gamepad worker nothing waits: its successor is told all.
    pub(super) fn push(&mut self, message: ToGamepad) -> Result<(), Overflow> {
        if self.channel.is_none() {
            return Ok(());
        }
        self.outbox.push(message)
    }

    /// Sends what waits; returns how many messages that were.
    pub(super) fn flush(&mut self) -> Result<u64, Over> {
        let mut sent = 0;
        let Some(channel) = &self.channel else { return Ok(sent) };
        while let Some(message) = self.outbox.front() {
            if !send(channel, message)? {
                break;
            }
            self.outbox.pop();
            sent += 1;
        }
        Ok(sent)
    }

    pub(super) fn wants_to_send(&self) -> bool {
        self.outbox.front().is_some()
    }

    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.channel.as_ref().map(AsFd::as_fd)
    }
}
