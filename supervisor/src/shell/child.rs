//! One child of this process from its start until it is reaped, and all signals that it is sent.
//!
//! INVARIANT: no signal goes to a number that may belong to another process.
//! - A process is signalled by its pidfd, which refers to that process only, for ever.
//! - A process group has no descriptor. Its number is that of its leader, the child, which the
//!   kernel does not reuse before the child is reaped. So a group is signalled only until then; a
//!   lock, which the reaper holds as well, ensures that.
//! - Where a container refuses pidfds, the same lock makes the child's own number safe.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};

use nix::{
    errno::Errno,
    fcntl::OFlag,
    sys::{
        signal::{Signal, kill, killpg},
        wait::{Id, WaitPidFlag, waitid as wait_here},
    },
    unistd::{self, Pid},
};
use rustix::{
    io::Errno as PidFdErrno,
    process::{
        Pid as PidFdPid, PidfdFlags, Signal as PidFdSignal, WaitId, WaitIdOptions, WaitOptions,
        pidfd_open, pidfd_send_signal, waitid,
    },
};
use tracing::warn;

use super::family;
use crate::lifecycle::Verdict;

/// A child.
#[derive(Debug)]
pub(crate) struct Child {
    pid: Pid,
    pidfd: Option<OwnedFd>,
    reaped: Mutex<bool>,
}

impl Child {
    /// The child with this number, which has not been reaped.
    pub(crate) fn new(pid: Pid) -> Self {
        let named = PidFdPid::from_raw(pid.as_raw());
        let pidfd = named.and_then(|named| pidfd_open(named, PidfdFlags::empty()).ok());
        Self { pid, pidfd, reaped: Mutex::new(false) }
    }

    /// Its number, which is valid until it is reaped.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// A descriptor that is readable when the child has ended: its pidfd, or, where a container
    /// refuses those, a pipe whose other end is closed by a thread that waits for the child without
    /// reaping it. `None` where neither works.
    pub(crate) fn end_descriptor(&self) -> Option<OwnedFd> {
        match &self.pidfd {
            Some(pidfd) => pidfd.as_fd().try_clone_to_owned().ok(),
            None => self.end_pipe().ok(),
        }
    }

    fn end_pipe(&self) -> io::Result<OwnedFd> {
        let (ended, alive) = unistd::pipe2(OFlag::O_CLOEXEC)?;
        let pid = self.pid;
        let waits = move || {
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
            while wait_here(Id::Pid(pid), flags) == Err(Errno::EINTR) {}
            drop(alive);
        };
        // The thread ends with the child and holds nothing of it.
        thread::Builder::new().name(format!("wait {pid}")).stack_size(WAIT_STACK).spawn(waits)?;
        Ok(ended)
    }

    /// Sends it a signal, if it has not been reaped; returns whether it was sent.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        let reaped = self.lock();
        let by_pidfd = PidFdSignal::from_named_raw(signal as i32).zip(self.pidfd.as_ref());
        let sent = match by_pidfd.map(|(signal, pidfd)| pidfd_send_signal(pidfd, signal)) {
            // A seccomp filter may allow pidfds to be opened but not to be used.
            None | Some(Err(PidFdErrno::PERM | PidFdErrno::NOSYS)) if !*reaped => {
                kill(self.pid, signal).map_err(io::Error::from)
            }
            None => Err(Errno::ESRCH.into()),
            Some(sent) => sent.map_err(io::Error::from),
        };
        drop(reaped);
        told(sent)
    }

    /// Sends a signal to its process group, if it leads one and has not been reaped; returns
    /// whether it was sent.
    pub(crate) fn signal_group(&self, signal: Signal) -> bool {
        let reaped = self.lock();
        let sent = if *reaped { Err(Errno::ESRCH) } else { killpg(self.pid, signal) };
        drop(reaped);
        told(sent.map_err(io::Error::from))
    }

    /// Whether it has ended. Never blocks.
    pub(crate) fn has_ended(&self) -> bool {
        let Some(pid) = PidFdPid::from_raw(self.pid.as_raw()) else { return true };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        // An error means that there is no such child.
        !matches!(waitid(WaitId::Pid(pid), options), Ok(None))
    }

    /// Reaps it after its end. Never blocks.
    pub(crate) fn reap(&self) -> Verdict {
        let mut reaped = self.lock();
        let status = family::reap(self.pid, WaitOptions::NOHANG);
        *reaped = true;
        let Some(status) = status else { return Verdict::Killed(0) };
        let killed = || Verdict::Killed(status.terminating_signal().unwrap_or(0));
        status.exit_status().map_or_else(killed, Verdict::Exited)
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.reaped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stack of a thread that only waits.
const WAIT_STACK: usize = 64 * 1024;

fn told(sent: io::Result<()>) -> bool {
    match sent {
        Ok(()) => true,
        Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => false,
        Err(error) => {
            warn!(%error, "cannot signal a child");
            false
        }
    }
}
