//! Operations on descriptors that several modules need.

use std::{io, os::fd::AsFd};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    io::Errno,
};

/// Makes calls on a descriptor never block. It uses `fcntl`, whose arguments a system call filter can
/// check; std uses `ioctl(FIONBIO)`, whose argument lies in memory.
///
/// # Errors
/// The kernel's error.
pub fn make_nonblocking(source: impl AsFd) -> io::Result<()> {
    let flags = fcntl_getfl(&source)?;
    Ok(fcntl_setfl(&source, flags | OFlags::NONBLOCK)?)
}

/// Whether a socket was shut down for receiving, which whoever else holds it can do.
///
/// # Errors
/// The kernel's error.
pub fn is_shut_down(socket: impl AsFd) -> io::Result<bool> {
    let mut polled = [PollFd::new(&socket, PollFlags::RDHUP)];
    poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    Ok(polled[0].revents().intersects(PollFlags::HUP | PollFlags::RDHUP))
}

/// Waits until `source` is readable or its other end is closed.
pub(crate) fn wait_readable(source: impl AsFd) -> io::Result<()> {
    poll_readable(source, None).map(|_| ())
}

/// Whether `source` is readable at this moment.
#[cfg(test)]
pub(crate) fn readable_now(source: impl AsFd) -> io::Result<bool> {
    poll_readable(source, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))
}

fn poll_readable(source: impl AsFd, patience: Option<&Timespec>) -> io::Result<bool> {
    let mut polled = [PollFd::new(&source, PollFlags::IN)];
    loop {
        match poll(&mut polled, patience) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
