//! When the window flashes: moments of the monotonic clock that standard input names, one a line, in
//! nanoseconds. Each flash begins with its moment and lasts as long as the sound that belongs to it.

use std::{
    collections::VecDeque,
    io::{ErrorKind, Read, Stdin, stdin},
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use anyhow::{Context, Result};
use lumen_tests::{
    picture::{BACKGROUND, Colour},
    step::{BEEP_MILLIS, FLASH},
};
use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    time::{ClockId, clock_gettime},
};

/// What was asked for and is not shown yet.
pub(crate) struct Flashes {
    orders: Stdin,
    line: Vec<u8>,
    /// What the window becomes, and when, since the monotonic clock's zero.
    due: VecDeque<(Duration, Colour)>,
}

impl Flashes {
    pub(crate) fn new() -> Result<Self> {
        let orders = stdin();
        let flags = OFlag::from_bits_retain(fcntl(&orders, FcntlArg::F_GETFL)?);
        fcntl(&orders, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        Ok(Self { orders, line: Vec::new(), due: VecDeque::new() })
    }

    /// What tells that there are orders.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.orders.as_fd()
    }

    /// Reads the orders that have come.
    pub(crate) fn read(&mut self) -> Result<()> {
        let mut bytes = [0; 256];
        loop {
            match self.orders.lock().read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(count) => self.line.extend(bytes.iter().take(count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        while let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
            let rest = self.line.split_off(end + 1);
            let line = std::mem::replace(&mut self.line, rest);
            let nanos = str::from_utf8(&line)?.trim().parse().context("nanoseconds")?;
            let begins = Duration::from_nanos(nanos);
            let ends = begins + Duration::from_millis(BEEP_MILLIS.into());
            self.due.extend([(begins, FLASH), (ends, BACKGROUND)]);
        }
        Ok(())
    }

    /// How long until the next change.
    pub(crate) fn wait(&self) -> Result<Option<Duration>> {
        let now = now()?;
        Ok(self.due.front().map(|(at, _)| at.saturating_sub(now)))
    }

    /// The colour that the window is to have from now on, if it changes, and since when.
    pub(crate) fn take(&mut self) -> Result<Option<(Duration, Colour)>> {
        if self.wait()? != Some(Duration::ZERO) {
            return Ok(None);
        }
        Ok(self.due.pop_front())
    }
}

/// The monotonic clock's time.
pub(crate) fn now() -> Result<Duration> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?))
}
