//! The link to the host's supervisor, with blocking calls that have a deadline.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Instant,
};

use lumen_ipc::message::login::{ToLeader, ToSupervisor};
use lumen_ipc_runtime::channel::{Channel, NotALink, ReceiveError, Received, SendError};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, OFlags},
    io::Errno,
};

/// This process's end.
#[derive(Debug)]
pub(super) struct Link(Channel<ToLeader, ToSupervisor>);

/// Why no message came.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    /// The supervisor has closed its end: the person has gone, or the host has.
    #[error("the host has closed the link")]
    Closed,
    /// It took too long.
    #[error("it took too long")]
    TooSlow,
    /// The supervisor broke the contract, or the kernel refused.
    #[error(transparent)]
    Broken(#[from] ReceiveError),
    /// The kernel refused to wait.
    #[error("cannot wait for the host")]
    Io(#[from] io::Error),
}

/// Why descriptor 0 is no link.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoLink {
    #[error("lumen-login is started by systemd for each sign-in, and not by hand")]
    Kind(#[from] NotALink),
    #[error("cannot take descriptor 0")]
    Io(#[from] io::Error),
}

impl Link {
    /// Takes descriptor 0, and puts `/dev/null` in its place.
    pub(super) fn take() -> Result<Self, NoLink> {
        let link = Channel::from_descriptor(io::stdin().as_fd().try_clone_to_owned()?)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let null = rustix::fs::open(c"/dev/null", flags, Mode::empty()).map_err(io::Error::from)?;
        rustix::stdio::dup2_stdin(null).map_err(io::Error::from)?;
        Ok(Self(link))
    }

    /// Another descriptor of this end, for the process that serves it from then on.
    pub(super) fn duplicate(&self) -> io::Result<OwnedFd> {
        self.0.as_fd().try_clone_to_owned()
    }

    /// Waits for a message.
    pub(super) fn receive(&self, deadline: Instant) -> Result<ToLeader, Lost> {
        loop {
            match self.0.receive() {
                Ok(received) => return Ok(received.message),
                Err(ReceiveError::Empty) => {}
                Err(ReceiveError::Closed) => return Err(Lost::Closed),
                Err(broken) => return Err(broken.into()),
            }
            if !wait(self.0.as_fd(), PollFlags::IN, Some(deadline))? {
                return Err(Lost::TooSlow);
            }
        }
    }

    /// A message with its descriptors, if one is waiting.
    pub(super) fn receive_now(&self) -> Result<Option<Received<ToLeader>>, Lost> {
        match self.0.receive() {
            Ok(received) => Ok(Some(received)),
            Err(ReceiveError::Empty) => Ok(None),
            Err(ReceiveError::Closed) => Err(Lost::Closed),
            Err(broken) => Err(broken.into()),
        }
    }

    /// Sends a message. The host reads all of them, and there are few, so a full link is a broken one.
    pub(super) fn send(
        &self,
        message: &ToSupervisor,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), SendError> {
        self.0.send(message, descriptors)
    }

    /// Waits until a moment, or less if the supervisor closes its end.
    pub(super) fn pause(&self, until: Instant) -> io::Result<()> {
        wait(self.0.as_fd(), PollFlags::RDHUP, Some(until)).map(|_| ())
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until one of these events, or the closing of the other end; false when the deadline came first.
fn wait(
    descriptor: BorrowedFd<'_>,
    events: PollFlags,
    deadline: Option<Instant>,
) -> io::Result<bool> {
    let mut polled = [PollFd::new(&descriptor, events)];
    loop {
        let left = deadline.map(|deadline| timespec(deadline, Instant::now()));
        match poll(&mut polled, left.as_ref()) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The time from `now` to `deadline`, as poll(2) takes it.
pub(super) fn timespec(deadline: Instant, now: Instant) -> Timespec {
    let left = deadline.saturating_duration_since(now);
    let tv_sec = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
    Timespec { tv_sec, tv_nsec: left.subsec_nanos().into() }
}
