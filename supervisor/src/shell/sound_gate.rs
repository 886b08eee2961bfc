//! Passes on what the sound worker and the sound server say, as far as the worker may ask for it
//! ([`Gate`]). Each connection has a thread of its own, which ends with either side.

use std::{
    collections::VecDeque,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    thread,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::{
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
    },
};
use tracing::{debug, warn};

use crate::sound_gate::Gate;

/// Bytes read at once.
const BLOCK: usize = 32 * 1024;
/// Descriptors that go with one message at most, as in the sound server's library.
const MOST_DESCRIPTORS: usize = 28;
/// Descriptors that may wait for the rest of their message.
const MOST_WAITING: usize = 2 * MOST_DESCRIPTORS;
/// The stack of a thread that only passes on.
const STACK: usize = 256 * 1024;

/// A connection for the sound worker that leads to `server` and lets through what the worker may ask for: a
/// source, too, where there may be a microphone.
pub(super) fn guarded(server: OwnedFd, microphone: bool) -> io::Result<OwnedFd> {
    let (worker, ours) = UnixStream::pair()?;
    worker.set_nonblocking(true)?;
    let named = thread::Builder::new().name("sound gate".to_owned()).stack_size(STACK);
    named.spawn(move || match pass_on(&ours, &server, microphone) {
        Ok(()) => debug!("a connection to the sound server has ended"),
        Err(error) => warn!(%error, "a connection of sound to the sound server is closed"),
    })?;
    Ok(worker.into())
}

/// Passes on what both sides say until one of them ends the connection, or the worker asks for what it may not
/// have.
fn pass_on(worker: &UnixStream, server: &OwnedFd, microphone: bool) -> io::Result<()> {
    let mut gate = Gate::new(microphone);
    let (mut asked, mut told) = (Portion::default(), Portion::default());
    loop {
        let mut both =
            [worker.as_fd(), server.as_fd()].map(|end| PollFd::new(end, PollFlags::POLLIN));
        poll(&mut both, PollTimeout::NONE)?;
        let [worker_says, server_says] = both.map(|end| end.any().unwrap_or(true));
        if worker_says {
            if !asked.read(worker)? {
                return Ok(());
            }
            let bytes = std::mem::take(&mut asked.bytes);
            asked.bytes = gate.pass(&bytes).map_err(io::Error::other)?;
            asked.write(server)?;
        }
        if server_says {
            if !told.read(server)? {
                return Ok(());
            }
            told.write(worker)?;
        }
    }
}

/// Bytes, and the descriptors that go with them.
#[derive(Default)]
struct Portion {
    bytes: Vec<u8>,
    descriptors: VecDeque<OwnedFd>,
}

impl Portion {
    /// Reads what there is; `false` when the other side has ended the connection.
    fn read(&mut self, from: &impl AsFd) -> io::Result<bool> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut block = vec![0; BLOCK];
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let received = match recvmsg(from, &mut [IoSliceMut::new(&mut block)], &mut control, flags)
        {
            Err(Errno::AGAIN | Errno::INTR) => return Ok(true),
            Err(Errno::CONNRESET) => return Ok(false),
            received => received?,
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptors.extend(descriptors);
            }
        }
        if self.descriptors.len() > MOST_WAITING {
            return Err(io::Error::other("more descriptors than messages have"));
        }
        self.bytes.extend(block.get(..received.bytes).unwrap_or_default());
        Ok(received.bytes > 0)
    }

    /// Writes all of it. Descriptors of a message that is not complete wait for its last byte.
    fn write(&mut self, to: &impl AsFd) -> io::Result<()> {
        let mut rest = self.bytes.as_slice();
        while !rest.is_empty() {
            let count = self.descriptors.len().min(MOST_DESCRIPTORS);
            // More descriptors than go with one piece go with the next one.
            let length = if count < self.descriptors.len() { 1 } else { rest.len() };
            let piece = rest.get(..length).unwrap_or(rest);
            let mut space =
                [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            let taken: Vec<_> = self.descriptors.iter().take(count).map(AsFd::as_fd).collect();
            if !taken.is_empty() {
                control.push(SendAncillaryMessage::ScmRights(&taken));
            }
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match sendmsg(to, &[IoSlice::new(piece)], &mut control, flags) {
                Ok(sent) => {
                    rest = rest.get(sent..).unwrap_or_default();
                    self.descriptors.drain(..count);
                }
                Err(Errno::AGAIN) => {
                    poll(&mut [PollFd::new(to.as_fd(), PollFlags::POLLOUT)], PollTimeout::NONE)?;
                }
                Err(Errno::INTR) => {}
                // The reading side says that the connection has ended.
                Err(Errno::PIPE | Errno::CONNRESET) => break,
                Err(error) => return Err(error.into()),
            }
        }
        self.bytes.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Read, Write},
    };

    use super::*;

    /// A message without a value: of object 7, which can make nothing, and of the core, which has no such method.
    fn message(object: u32, method: u32) -> Vec<u8> {
        [object, method << 24, 0, 0].map(u32::to_ne_bytes).concat()
    }

    /// The worker's end and the server's.
    fn connection() -> (UnixStream, UnixStream) {
        let (server, far) = UnixStream::pair().expect("a pair");
        let worker = UnixStream::from(guarded(far.into(), false).expect("a thread"));
        worker.set_nonblocking(false).expect("a socket");
        (worker, server)
    }

    #[test]
    fn what_is_refused_closes_the_connection_and_does_not_reach_the_server() {
        let (mut worker, mut server) = connection();
        worker.write_all(&message(7, 1)).expect("room");
        let mut said = [0; 16];
        server.read_exact(&mut said).expect("a message");
        assert_eq!(said.as_slice(), message(7, 1));
        worker.write_all(&message(0, 255)).expect("room");
        let mut rest = Vec::new();
        assert_eq!(server.read_to_end(&mut rest).ok(), Some(0), "{rest:?}");
        assert_eq!(worker.read_to_end(&mut rest).ok(), Some(0), "{rest:?}");
    }

    #[test]
    fn descriptors_pass_with_their_message() {
        let (worker, server) = connection();
        let file = || OwnedFd::from(File::open("/dev/null").expect("there"));
        let descriptors = (0..MOST_WAITING).map(|_| file()).collect();
        let mut sent = Portion { bytes: message(7, 3), descriptors };
        sent.write(&server).expect("room");
        let mut received = Portion::default();
        while received.bytes.len() < 16 {
            poll(&mut [PollFd::new(worker.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)
                .expect("a socket");
            assert!(received.read(&worker).expect("open"));
        }
        assert_eq!(received.bytes, message(7, 3));
        assert_eq!(received.descriptors.len(), MOST_WAITING);
    }
}
