//! One transfer to an app: the end of a pipe that the app made, filled as fast as the app reads.
//!
//! The pipe's file description belongs to the app, and so does its non-blocking flag, which the app
//! can clear at any time. So it is not written directly. Bytes are written into a pipe of our own
//! and moved on by `splice` with `SPLICE_F_NONBLOCK`, which never blocks, whatever the flags of the
//! other end.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    os::fd::OwnedFd,
    rc::Rc,
    time::Instant,
};

use lumen_ipc::{
    codec::ProtocolViolation,
    flow::{Credit, Inflow},
    utf8::Utf8Check,
};
use rustix::{
    fs::{FileType, fstat},
    io::Errno,
    pipe::{PipeFlags, SpliceFlags, pipe_with, splice},
};

use super::step::{Step, bad_flow, illegal};

/// A transfer to an app.
pub(super) struct Inward {
    target: Rc<OwnedFd>,
    /// The end of our pipe that is spliced from, and the one that is written to.
    drain: OwnedFd,
    fill: OwnedFd,
    in_pipe: usize,
    waiting: VecDeque<u8>,
    flow: Inflow,
    text: Utf8Check,
    ended: bool,
    progressed: Instant,
}

impl Inward {
    /// A transfer to `target`, which must be a pipe.
    pub(super) fn new(now: Instant, target: OwnedFd) -> io::Result<Self> {
        if FileType::from_raw_mode(fstat(&target)?.st_mode) != FileType::Fifo {
            return Err(io::Error::other("the app's descriptor is not a pipe"));
        }
        let (drain, fill) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Self {
            target: Rc::new(target),
            drain,
            fill,
            in_pipe: 0,
            waiting: VecDeque::new(),
            flow: Inflow::default(),
            text: Utf8Check::default(),
            ended: false,
            progressed: now,
        })
    }

    pub(super) fn target(&self) -> Rc<OwnedFd> {
        Rc::clone(&self.target)
    }

    pub(super) const fn progressed(&self) -> Instant {
        self.progressed
    }

    /// Takes bytes from rtc.
    pub(super) fn take(&mut self, now: Instant, bytes: &[u8]) -> Result<(), ProtocolViolation> {
        if self.ended {
            return Err(illegal("bytes after the end of a transfer"));
        }
        self.text.push(bytes).map_err(|_| illegal("bytes that are not text"))?;
        self.flow.receive(bytes.len()).map_err(bad_flow)?;
        self.waiting.extend(bytes);
        self.progressed = now;
        Ok(())
    }

    /// Rtc has sent everything.
    pub(super) fn end(&mut self) -> Result<(), ProtocolViolation> {
        if self.ended {
            return Err(illegal("a transfer ended twice"));
        }
        self.text.finish().map_err(|_| illegal("a text that ends within a character"))?;
        self.ended = true;
        Ok(())
    }

    /// Whether the app has received everything.
    pub(super) fn is_complete(&self) -> bool {
        self.ended && self.waiting.is_empty() && self.in_pipe == 0
    }

    /// Moves on as much as the app's pipe takes. Returns the credit for rtc, and how to continue.
    pub(super) fn step(&mut self, now: Instant) -> (Option<Credit>, Step) {
        let mut moved = 0;
        let step = loop {
            if self.fill().is_err() {
                break Step::Over;
            }
            if self.in_pipe == 0 {
                break if self.ended { Step::Over } else { Step::Idle };
            }
            let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
            match splice(&self.drain, None, &*self.target, None, self.in_pipe, flags) {
                Ok(0) => break Step::Over,
                Ok(length) => {
                    self.in_pipe = self.in_pipe.saturating_sub(length);
                    moved += length;
                    self.progressed = now;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break Step::Blocked,
                // The app has closed its end.
                Err(_) => break Step::Over,
            }
        };
        (if moved > 0 { self.flow.release(moved) } else { None }, step)
    }

    /// Writes waiting bytes into our pipe, as far as it has room.
    fn fill(&mut self) -> Result<(), Errno> {
        while !self.waiting.is_empty() {
            let (front, back) = self.waiting.as_slices();
            let pieces = [IoSlice::new(front), IoSlice::new(back)];
            match rustix::io::writev(&self.fill, &pieces) {
                Ok(length) => {
                    self.waiting.drain(..length);
                    self.in_pipe += length;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
