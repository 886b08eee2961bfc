//! A timer an event loop can poll: a `timerfd` on the monotonic clock.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    time::{Duration, Instant},
};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// Readable once the instant it is armed for has come, until acknowledged.
#[derive(Debug)]
pub struct Timer {
    descriptor: OwnedFd,
}

impl Timer {
    /// A timer that is not armed.
    ///
    /// # Errors
    /// The kernel's error, for example when descriptors run out.
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Self { descriptor: timerfd_create(TimerfdClockId::Monotonic, flags)? })
    }

    /// Arms it for `at`, replacing the previous instant. An instant in the past fires at once.
    ///
    /// # Errors
    /// The kernel's error, which does not occur in practice.
    pub fn arm(&self, at: Instant) -> io::Result<()> {
        // Zero would disarm it.
        let left = at.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
        self.set(left)
    }

    /// Disarms it.
    pub fn disarm(&self) {
        // A timerfd refuses only malformed times, and zero is well formed.
        let _ = self.set(Duration::ZERO);
    }

    /// Makes it unreadable until it fires again.
    pub fn acknowledge(&self) {
        // "Would block" means that it has not fired, so there is nothing to acknowledge.
        let _ = rustix::io::read(&self.descriptor, &mut [0_u8; 8]);
    }

    fn set(&self, left: Duration) -> io::Result<()> {
        let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
        let setting = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec { tv_sec: seconds, tv_nsec: left.subsec_nanos().into() },
        };
        timerfd_settime(&self.descriptor, TimerfdTimerFlags::empty(), &setting)?;
        Ok(())
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fds::{readable_now, wait_readable};

    #[test]
    fn arm_in_the_past_fires_until_acknowledged() {
        let timer = Timer::new().expect("timerfd");
        timer.arm(Instant::now()).expect("arm");
        wait_readable(&timer).expect("poll");
        timer.acknowledge();
        assert!(!readable_now(&timer).expect("poll"));
    }

    #[test]
    fn disarm_before_its_time_keeps_it_silent() {
        let timer = Timer::new().expect("timerfd");
        timer.arm(Instant::now() + Duration::from_secs(3600)).expect("arm");
        timer.disarm();
        assert!(!readable_now(&timer).expect("poll"));
    }
}
