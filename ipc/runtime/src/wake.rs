//! Waking an event loop from another thread: an `eventfd`.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    sync::Arc,
};

use rustix::event::{EventfdFlags, eventfd};

/// Readable after a wake until acknowledged; any number of wakes before that count as one.
#[derive(Clone, Debug)]
pub struct Waker {
    descriptor: Arc<OwnedFd>,
}

impl Waker {
    /// A waker that has not been used yet.
    ///
    /// # Errors
    /// The kernel's error, for example when descriptors run out.
    pub fn new() -> io::Result<Self> {
        let descriptor = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self { descriptor: Arc::new(descriptor) })
    }

    /// Makes it readable.
    pub fn wake(&self) {
        // It fails only when the counter is at its limit, and then the descriptor is readable
        // already.
        let _ = rustix::io::write(&*self.descriptor, &1_u64.to_ne_bytes());
    }

    /// Makes it unreadable until the next wake.
    pub fn acknowledge(&self) {
        // "Would block" means that there was no wake, so there is nothing to acknowledge.
        let _ = rustix::io::read(&*self.descriptor, &mut [0_u8; 8]);
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl AsRawFd for Waker {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fds::readable_now;

    #[test]
    fn wake_twice_is_acknowledged_once() {
        let waker = Waker::new().expect("eventfd");
        let other = waker.clone();
        other.wake();
        waker.wake();
        assert!(readable_now(&waker).expect("poll"));
        waker.acknowledge();
        assert!(!readable_now(&waker).expect("poll"));
    }
}
