//! One transfer from an app: a pipe that the app writes, read as far as rtc's credit allows.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    rc::Rc,
    time::Instant,
};

use lumen_ipc::{
    flow::{BadFlow, Credit, Outflow},
    message::transfer::{Chunk, Failure, FromSender, TransferId},
    utf8::Utf8Check,
};
use rustix::{
    io::Errno,
    pipe::{PipeFlags, pipe_with},
};

use super::step::Step;

/// A transfer from an app.
pub(super) struct Outward {
    pipe: Rc<OwnedFd>,
    flow: Outflow,
    text: Utf8Check,
    progressed: Instant,
}

/// A pipe: a non-blocking end for us to read, and a blocking end for the app, as apps expect.
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    let flags = rustix::fs::fcntl_getfl(read.as_fd())?;
    // Each end has its own flags, so the app cannot make this one block.
    rustix::fs::fcntl_setfl(read.as_fd(), flags | rustix::fs::OFlags::NONBLOCK)?;
    Ok((read, write))
}

impl Outward {
    pub(super) fn new(now: Instant, pipe: OwnedFd, credit: Credit) -> Self {
        let flow = Outflow::new(credit);
        Self { pipe: Rc::new(pipe), flow, text: Utf8Check::default(), progressed: now }
    }

    pub(super) fn pipe(&self) -> Rc<OwnedFd> {
        Rc::clone(&self.pipe)
    }

    pub(super) const fn progressed(&self) -> Instant {
        self.progressed
    }

    pub(super) fn grant(&mut self, credit: Credit) -> Result<(), BadFlow> {
        self.flow.grant(credit)
    }

    /// Reads one chunk. Returns the message for rtc, and how to continue; `None` means with another
    /// chunk.
    pub(super) fn step(
        &mut self,
        now: Instant,
        transfer: TransferId,
    ) -> (Option<FromSender>, Option<Step>) {
        let allowance = self.flow.allowance();
        if allowance == 0 {
            return (None, Some(Step::Idle));
        }
        let mut bytes = vec![0; allowance];
        match rustix::io::read(&*self.pipe, &mut bytes) {
            Ok(0) => (Some(self.end(transfer)), Some(Step::Over)),
            Ok(length) => {
                self.progressed = now;
                bytes.truncate(length);
                match self.judge(bytes) {
                    Ok(chunk) => (Some(FromSender::Sent { transfer, chunk }), None),
                    Err(failure) => {
                        (Some(FromSender::Failed { transfer, failure }), Some(Step::Over))
                    }
                }
            }
            Err(Errno::INTR) => (None, None),
            Err(Errno::AGAIN) => (None, Some(Step::Blocked)),
            Err(_) => {
                let failure = Failure::Gone;
                (Some(FromSender::Failed { transfer, failure }), Some(Step::Over))
            }
        }
    }

    fn judge(&mut self, bytes: Vec<u8>) -> Result<Chunk, Failure> {
        self.text.push(&bytes).map_err(|_| Failure::NotText)?;
        self.flow.send(bytes.len()).map_err(|_| Failure::TooLarge)?;
        // A read returns at most as many bytes as requested.
        Chunk::new(bytes).map_err(|_| Failure::TooLarge)
    }

    fn end(&self, transfer: TransferId) -> FromSender {
        match self.text.finish() {
            Ok(()) => FromSender::Ended { transfer },
            Err(_) => FromSender::Failed { transfer, failure: Failure::NotText },
        }
    }
}
