//! The end of `pads`, and its queue.

use std::os::fd::BorrowedFd;

use lumen_ipc::message::pads::{ToGamepad, ToRtc};
use lumen_ipc_runtime::{bootstrap::Grant, channel::NotALink, link_end::GiveUp};

use super::links::{MaybeEnd, Over, send};
use crate::{outbox::Overflow, pad_outbox::PadOutbox};

/// The end of `pads`, while there is one.
#[derive(Debug, Default)]
pub(super) struct Pads {
    end: MaybeEnd<ToRtc, ToGamepad>,
    outbox: PadOutbox,
}

impl Pads {
    pub(super) fn attach(&mut self, grant: Grant) -> Result<(), NotALink> {
        self.end.attach(grant)?;
        self.outbox.clear();
        Ok(())
    }

    /// Closes the end, for the reason `why`.
    pub(super) fn detach(&mut self, why: GiveUp) {
        self.end.detach(why);
        *self = Self::default();
    }

    /// The next message from the gamepad worker.
    pub(super) fn next(&self) -> Result<Option<ToRtc>, Over> {
        self.end.next()
    }

    /// Without a gamepad worker nothing is queued: its successor is told everything.
    pub(super) fn push(&mut self, message: ToGamepad) -> Result<(), Overflow> {
        if self.end.get().is_none() {
            return Ok(());
        }
        self.outbox.push(message)
    }

    /// Sends waiting messages; returns how many.
    pub(super) fn flush(&mut self) -> Result<u64, Over> {
        let mut sent = 0;
        let Some(end) = self.end.get() else { return Ok(sent) };
        while let Some(message) = self.outbox.front() {
            if !send(end, message)? {
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
        self.end.descriptor()
    }
}
