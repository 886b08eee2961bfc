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
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, bind, recvmsg,
    sendmsg, sendmsg_addr, socket_with, socketpair, sockopt,
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
    /// Makes a connection and sends its other end to an entrance. A host denies its workers `connect`.
    ///
    /// # Errors
    /// When there is no entrance.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
        let (own, other) = socketpair(family, kind, SocketFlags::CLOEXEC, None)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let beside = [other.as_fd()];
        if !control.push(SendAncillaryMessage::ScmRights(&beside)) {
            return Err(io::Error::other("no room for a descriptor"));
        }
        let (to, bytes) = (SocketAddrUnix::new(path)?, [IoSlice::new(&[0])]);
        sendmsg_addr(datagrams()?, &to, &bytes, &mut control, SendFlags::NOSIGNAL)?;
        Ok(Self(own))
    }

    /// The process that made the connection.
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

/// Where liars send connections; while it exists, the worker's next process is a liar.
#[derive(Debug)]
pub struct Entrance {
    socket: OwnedFd,
    path: PathBuf,
}

impl Entrance {
    /// Opens an entrance, for liars of any user.
    ///
    /// # Errors
    /// When the path cannot be used.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        let socket = datagrams()?;
        bind(&socket, &SocketAddrUnix::new(&path)?)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
        Ok(Self { socket, path })
    }

    /// Takes the next liar.
    ///
    /// # Errors
    /// When there is no connection in what came.
    pub fn accept(&self) -> io::Result<Wire> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let flags = RecvFlags::CMSG_CLOEXEC;
        recvmsg(&self.socket, &mut [IoSliceMut::new(&mut byte)], &mut control, flags)?;
        let sent = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut rights) => rights.next(),
            _ => None,
        });
        sent.map(Wire).ok_or_else(|| io::Error::other("no connection"))
    }
}

impl AsFd for Entrance {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Entrance {
    fn drop(&mut self) {
        // Gone already if the folder is.
        let _ = fs::remove_file(&self.path);
    }
}

fn datagrams() -> io::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?)
}
