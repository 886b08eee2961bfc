//! The connection between a test and a liar: one message a datagram, with any descriptors beside it.
//!
//! The test trusts the liar it has put there, so a message that cannot be read is an error and no
//! more.

use std::{
    fs, io,
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::PermissionsExt,
    },
    path::{Path, PathBuf},
};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind,
    connect, listen, recvmsg, sendmsg, socket_with, sockopt,
};
use serde::{Serialize, de::DeserializeOwned};

/// Largest message, in bytes.
const MAX_BYTES: usize = 128 * 1024;
/// Most descriptors beside a message: the kernel's limit (`SCM_MAX_FD`).
const MAX_DESCRIPTORS: usize = 253;

/// One end of the connection.
#[derive(Debug)]
pub struct Wire(OwnedFd);

impl Wire {
    /// Connects to an entrance.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let socket = socket()?;
        connect(&socket, &SocketAddrUnix::new(path)?)?;
        Ok(Self(socket))
    }

    /// The process at the other end when it connected.
    ///
    /// # Errors
    /// The error of `getsockopt`.
    pub fn peer(&self) -> io::Result<u32> {
        let credentials = sockopt::socket_peercred(&self.0)?;
        Ok(credentials.pid.as_raw_pid().unsigned_abs())
    }

    /// Sends a message with these descriptors.
    ///
    /// # Errors
    /// When the other end is closed, or the message is too large.
    pub fn send<T: Serialize>(&self, message: &T, beside: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = postcard::to_stdvec(message).map_err(io::Error::other)?;
        if bytes.len() > MAX_BYTES {
            return Err(io::Error::other(format!("a message of {} bytes", bytes.len())));
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !beside.is_empty() && !control.push(SendAncillaryMessage::ScmRights(beside)) {
            return Err(io::Error::other(format!("{} descriptors", beside.len())));
        }
        sendmsg(&self.0, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Waits for a message; `None` when the other end is closed.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        let mut bytes = vec![0; MAX_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = recvmsg(&self.0, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags);
        let length = match received {
            Ok(received) => received.bytes,
            Err(rustix::io::Errno::CONNRESET) => 0,
            Err(error) => return Err(error.into()),
        };
        let mut beside = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                beside.extend(rights);
            }
        }
        let Some(bytes) = bytes.get(..length).filter(|bytes| !bytes.is_empty()) else {
            return Ok(None);
        };
        let message = postcard::from_bytes(bytes).map_err(io::Error::other)?;
        Ok(Some((message, beside)))
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Where liars connect; while it exists, the worker's next process is a liar.
#[derive(Debug)]
pub struct Entrance {
    listener: OwnedFd,
    path: PathBuf,
}

impl Entrance {
    /// Opens an entrance, for liars of any user.
    ///
    /// # Errors
    /// When the path cannot be used.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        let listener = socket()?;
        bind(&listener, &SocketAddrUnix::new(&path)?)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
        listen(&listener, 16)?;
        Ok(Self { listener, path })
    }

    /// Takes the next liar.
    ///
    /// # Errors
    /// The error of `accept`.
    pub fn accept(&self) -> io::Result<Wire> {
        Ok(Wire(accept_with(&self.listener, SocketFlags::CLOEXEC)?))
    }
}

impl AsFd for Entrance {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for Entrance {
    fn drop(&mut self) {
        // Gone already if the folder is.
        let _ = fs::remove_file(&self.path);
    }
}

fn socket() -> io::Result<OwnedFd> {
    let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    Ok(socket_with(family, kind, SocketFlags::CLOEXEC, None)?)
}
