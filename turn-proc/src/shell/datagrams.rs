//! One UDP socket: receives and sends datagrams in batches, up to [`BATCH`] per system call.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem,
    net::{SocketAddr, UdpSocket},
    os::fd::AsRawFd,
};

use bytes::BytesMut;
use lumen_ipc_runtime::is_shut_down;
use nix::{
    errno::Errno,
    sys::socket::{
        ControlMessage, MsgFlags, MultiHeaders, SockaddrLike, SockaddrStorage, recvmmsg, sendmmsg,
    },
};

use crate::wire::MAX_MESSAGE_BYTES;

/// Datagrams handled with one system call.
pub(super) const BATCH: usize = 64;

/// A socket with its receive and send buffers.
pub(super) struct Datagrams {
    socket: UdpSocket,
    received: Box<[[u8; MAX_MESSAGE_BYTES]]>,
    receiving: MultiHeaders<SockaddrStorage>,
    sending: MultiHeaders<SockaddrStorage>,
    outbox: Vec<(BytesMut, SockaddrStorage)>,
    queued: usize,
}

/// A received datagram: its place in the receive buffers and its sender.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received {
    index: usize,
    length: usize,
    /// Its sender.
    pub(super) from: SocketAddr,
}

impl Datagrams {
    pub(super) fn new(socket: UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        // An address that cannot be sent to, so that a mistake causes an error instead of a packet.
        let nowhere = SockaddrStorage::from(SocketAddr::from(([0, 0, 0, 0], 0)));
        Ok(Self {
            socket,
            received: vec![[0; MAX_MESSAGE_BYTES]; BATCH].into_boxed_slice(),
            receiving: MultiHeaders::preallocate(BATCH, None),
            sending: MultiHeaders::preallocate(BATCH, None),
            outbox: vec![(BytesMut::with_capacity(MAX_MESSAGE_BYTES), nowhere); BATCH],
            queued: 0,
        })
    }

    pub(super) const fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Receives at most [`BATCH`] datagrams into `list`. True if there may be more.
    pub(super) fn receive(&mut self, list: &mut Vec<Received>) -> io::Result<bool> {
        list.clear();
        let mut slices: Vec<[IoSliceMut<'_>; 1]> =
            self.received.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
        let fd = self.socket.as_raw_fd();
        let results = match recvmmsg(
            fd,
            &mut self.receiving,
            slices.iter_mut(),
            MsgFlags::MSG_DONTWAIT,
            None,
        ) {
            Ok(results) => results,
            // One that was shut down is always readable, and never has anything.
            Err(Errno::EAGAIN) if is_shut_down(&self.socket)? => {
                return Err(Errno::ESHUTDOWN.into());
            }
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let mut count = 0;
        for (index, message) in results.enumerate() {
            count += 1;
            // A truncated datagram is longer than any message.
            let whole = !message.flags.contains(MsgFlags::MSG_TRUNC);
            if let Some(from) = message.address.as_ref().and_then(address_of).filter(|_| whole) {
                list.push(Received { index, length: message.bytes, from });
            }
        }
        Ok(count == BATCH)
    }

    /// The bytes of a datagram of the last [`Self::receive`].
    pub(super) fn bytes(&self, received: &Received) -> &[u8] {
        let buffer = self.received.get(received.index).map_or(&[][..], |buffer| buffer);
        buffer.get(..received.length).unwrap_or_default()
    }

    /// Queues the bytes of `packet` for the next flush. `packet` gets a spare buffer in exchange.
    pub(super) fn queue(&mut self, packet: &mut BytesMut, to: SocketAddr) -> io::Result<()> {
        if self.queued == BATCH {
            self.flush()?;
        }
        if let Some((bytes, address)) = self.outbox.get_mut(self.queued) {
            mem::swap(bytes, packet);
            *address = SockaddrStorage::from(to);
            self.queued += 1;
        }
        Ok(())
    }

    /// Sends what is queued. Datagrams for which the kernel has no room are dropped; one that
    /// cannot be sent does not hold up those behind it.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let fd = self.socket.as_raw_fd();
        let mut rest = self.outbox.get(..mem::take(&mut self.queued)).unwrap_or_default();
        while !rest.is_empty() {
            let slices: Vec<[IoSlice<'_>; 1]> =
                rest.iter().map(|(bytes, _)| [IoSlice::new(bytes)]).collect();
            let addresses: Vec<Option<SockaddrStorage>> =
                rest.iter().map(|(_, address)| Some(*address)).collect();
            let no_control: [ControlMessage<'_>; 0] = [];
            let sent = sendmmsg(
                fd,
                &mut self.sending,
                slices.iter(),
                addresses,
                no_control,
                MsgFlags::MSG_DONTWAIT,
            );
            let done = match sent {
                Ok(results) => results.count().max(1),
                Err(Errno::EAGAIN | Errno::ENOBUFS) => return Ok(()),
                Err(Errno::EBADF | Errno::ENOTSOCK) => return Err(Errno::EBADF.into()),
                // The error belongs to the first datagram: no route, or refused by a firewall.
                Err(_) => 1,
            };
            rest = rest.get(done..).unwrap_or_default();
        }
        Ok(())
    }
}

fn address_of(storage: &SockaddrStorage) -> Option<SocketAddr> {
    match storage.family()? {
        nix::sys::socket::AddressFamily::Inet => {
            Some(SocketAddr::V4((*storage.as_sockaddr_in()?).into()))
        }
        nix::sys::socket::AddressFamily::Inet6 => {
            Some(SocketAddr::V6((*storage.as_sockaddr_in6()?).into()))
        }
        _ => None,
    }
}
