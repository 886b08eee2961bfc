//! The one UDP socket all peers share.
//!
//! The local address of each datagram is read from the kernel and set when answering: a browser
//! recognises us by the address it sent to, and a machine has several. On a dual-stack socket IPv4
//! addresses appear mapped into IPv6; outside this module they are plain.
//!
//! Sending never blocks and never fails the process: datagrams for which the kernel has no room
//! wait, up to [`MAX_WAITING`], and those it refuses are counted and dropped.

use std::{
    collections::VecDeque,
    io::{IoSlice, IoSliceMut},
    net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use lumen_ipc_runtime::is_shut_down;
use nix::{
    cmsg_space,
    errno::Errno,
    sys::socket::{
        AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrIn,
        SockaddrIn6, SockaddrLike, SockaddrStorage, getsockname, recvmmsg, sendmsg, setsockopt,
        sockopt,
    },
};

use crate::{peer::Datagram, segmentation::Segmentation};

/// Datagrams received per call.
const RECEIVE_BATCH: usize = 16;
/// Buffer for one: more than any link's MTU, and the most that the WebRTC implementation accepts.
const RECEIVE_BYTES: usize = 2000;
/// Calls per wake-up, so that a flood does not starve pictures.
const RECEIVE_ROUNDS: usize = 8;
/// Datagrams that wait for the kernel. This is two seconds at 10 Mbit/s; older ones are stale.
const MAX_WAITING: usize = 2048;
/// Datagrams that the kernel makes from one send (`UDP_MAX_SEGMENTS` of `linux/udp.h`)…
const MAX_SEGMENTS: usize = 64;
/// …and their bytes, with room for headers below 64 KiB.
const MAX_SEGMENTED_BYTES: usize = 65_000;
/// Requested size of the kernel's buffers, each: a large keyframe.
const KERNEL_BUFFER_BYTES: usize = 2 * 1024 * 1024;

/// The socket.
#[derive(Debug)]
pub(super) struct MediaSocket {
    descriptor: OwnedFd,
    port: u16,
    is_ipv6: bool,
    segmentation: Segmentation,
    waiting: VecDeque<Datagram>,
    buffers: Vec<[u8; RECEIVE_BYTES]>,
}

/// Counts of sent and failed datagrams.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Tally {
    pub(super) sent: u64,
    pub(super) bytes: u64,
    pub(super) failed: u64,
}

/// The addresses of a received datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
}

/// The result of one send.
enum Verdict {
    Done,
    Full,
    /// The datagrams have to be sent one by one.
    Apart,
    Refused(Errno),
}

impl MediaSocket {
    /// Takes the granted socket and sets its options.
    pub(super) fn new(descriptor: OwnedFd) -> Result<Self, Errno> {
        let own: SockaddrStorage = getsockname(descriptor.as_raw_fd())?;
        let is_ipv6 = own.family() == Some(AddressFamily::Inet6);
        let port = match (own.as_sockaddr_in6(), own.as_sockaddr_in()) {
            (Some(address), _) => address.port(),
            (None, Some(address)) => address.port(),
            (None, None) => return Err(Errno::EAFNOSUPPORT),
        };
        if is_ipv6 {
            setsockopt(&descriptor, sockopt::Ipv6RecvPacketInfo, &true)?;
        } else {
            setsockopt(&descriptor, sockopt::Ipv4PacketInfo, &true)?;
        }
        // The kernel grants what its limits allow; less only means more waiting.
        let _ = setsockopt(&descriptor, sockopt::SndBuf, &KERNEL_BUFFER_BYTES);
        let _ = setsockopt(&descriptor, sockopt::RcvBuf, &KERNEL_BUFFER_BYTES);
        let buffers = vec![[0; RECEIVE_BYTES]; RECEIVE_BATCH];
        Ok(Self {
            descriptor,
            port,
            is_ipv6,
            segmentation: Segmentation::default(),
            waiting: VecDeque::new(),
            buffers,
        })
    }

    fn is_shut_down(&self) -> bool {
        is_shut_down(&self.descriptor).unwrap_or(true)
    }

    /// Whether datagrams wait for room in the kernel.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Receives all waiting datagrams.
    pub(super) fn receive(&mut self, mut take: impl FnMut(Arrival, &[u8])) -> Result<(), Errno> {
        for round in 0..RECEIVE_ROUNDS {
            let count = match self.receive_batch(&mut take) {
                Ok(count) => count,
                // One that was shut down is always readable, and never has anything.
                Err(Errno::EAGAIN) if round == 0 && self.is_shut_down() => {
                    return Err(Errno::ESHUTDOWN);
                }
                Err(Errno::EAGAIN) => return Ok(()),
                // An earlier datagram of ours was refused somewhere, which does not concern this
                // one.
                Err(
                    Errno::ECONNREFUSED | Errno::EHOSTUNREACH | Errno::ENETUNREACH | Errno::EINTR,
                ) => {
                    continue;
                }
                Err(error) => return Err(error),
            };
            if count < RECEIVE_BATCH {
                return Ok(());
            }
        }
        Ok(())
    }

    fn receive_batch(&mut self, take: &mut impl FnMut(Arrival, &[u8])) -> Result<usize, Errno> {
        let control = cmsg_space!(libc::in6_pktinfo);
        let mut headers =
            MultiHeaders::<SockaddrStorage>::preallocate(RECEIVE_BATCH, Some(control));
        let mut slices: Vec<_> =
            self.buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
        let flags = MsgFlags::MSG_DONTWAIT;
        let received =
            recvmmsg(self.descriptor.as_raw_fd(), &mut headers, slices.iter_mut(), flags, None)?;
        let mut count = 0;
        for message in received {
            count += 1;
            let source = message.address.as_ref().and_then(plain_address);
            let local = message.cmsgs().ok().and_then(|mut all| all.find_map(|it| local_ip(&it)));
            if let (Some(source), Some(local), Some(bytes)) = (source, local, message.iovs().next())
            {
                let destination = SocketAddr::new(local, self.port);
                take(Arrival { source, destination }, bytes);
            }
        }
        Ok(count)
    }

    /// Sends datagrams, after those that wait.
    pub(super) fn send(&mut self, datagrams: impl IntoIterator<Item = Datagram>) -> Tally {
        let mut tally = Tally::default();
        for datagram in datagrams {
            if self.waiting.len() < MAX_WAITING {
                self.waiting.push_back(datagram);
            } else {
                tally.failed += 1;
            }
        }
        while !self.waiting.is_empty() {
            let count = self.run_length();
            match self.send_run(count) {
                Verdict::Full => break,
                Verdict::Apart => {}
                verdict => self.retire(count, &verdict, &mut tally),
            }
        }
        tally
    }

    fn retire(&mut self, count: usize, verdict: &Verdict, tally: &mut Tally) {
        let done = self.waiting.drain(..count);
        let (datagrams, bytes) = done.fold((0, 0), |(datagrams, bytes), datagram| {
            (datagrams + 1, bytes + datagram.length() as u64)
        });
        if let Verdict::Refused(error) = verdict {
            tally.failed += datagrams;
            tracing::debug!(%error, "the kernel refused a datagram");
        } else {
            tally.sent += datagrams;
            tally.bytes += bytes;
        }
    }

    /// How many of the first datagrams one send can carry: they have the same addresses and the
    /// same length, except that the last may be shorter.
    fn run_length(&self) -> usize {
        let Some(first) = self.waiting.front() else { return 0 };
        if !self.segmentation.is_allowed(first.destination.ip()) {
            return 1;
        }
        let mut bytes = 0;
        let mut count = 0;
        for datagram in self.waiting.iter().take(MAX_SEGMENTS) {
            let length = datagram.length();
            let same = (datagram.source, datagram.destination) == (first.source, first.destination);
            if !same || length > first.length() || bytes + length > MAX_SEGMENTED_BYTES {
                break;
            }
            bytes += length;
            count += 1;
            if length < first.length() {
                break;
            }
        }
        count.max(1)
    }

    fn send_run(&mut self, count: usize) -> Verdict {
        let Some(first) = self.waiting.front() else { return Verdict::Done };
        let destination = first.destination.ip();
        let slices: Vec<_> = self.waiting.iter().take(count).flat_map(slices_of).collect();
        let segment = u16::try_from(first.length()).unwrap_or(u16::MAX);
        let segmented = (count > 1).then_some(ControlMessage::UdpGsoSegments(&segment));
        let (fd, flags) = (self.descriptor.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
        let result = if self.is_ipv6 {
            let info = info_v6(first.source);
            let mut control = vec![ControlMessage::Ipv6PacketInfo(&info)];
            control.extend(segmented);
            let to = SockaddrIn6::from(mapped(first.destination));
            sendmsg(fd, &slices, &control, flags, Some(&to))
        } else {
            let (SocketAddr::V4(from), SocketAddr::V4(to)) = (first.source, first.destination)
            else {
                return Verdict::Refused(Errno::EAFNOSUPPORT);
            };
            let info = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr { s_addr: u32::from(*from.ip()).to_be() },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            let mut control = vec![ControlMessage::Ipv4PacketInfo(&info)];
            control.extend(segmented);
            sendmsg(fd, &slices, &control, flags, Some(&SockaddrIn::from(to)))
        };
        match result {
            Ok(_) => {
                if count > 1 {
                    self.segmentation.succeeded();
                }
                Verdict::Done
            }
            Err(Errno::EAGAIN | Errno::ENOBUFS) => Verdict::Full,
            Err(error) if count > 1 && self.segmentation.refused(destination, error) => {
                Verdict::Apart
            }
            Err(error) => Verdict::Refused(error),
        }
    }
}

impl AsFd for MediaSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// The parts of a datagram, which the kernel joins.
fn slices_of(datagram: &Datagram) -> impl Iterator<Item = IoSlice<'_>> {
    let header = datagram.header.as_ref().map(|header| IoSlice::new(header));
    header.into_iter().chain([IoSlice::new(&datagram.contents)])
}

fn plain_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v6) = address.as_sockaddr_in6() {
        let v6 = SocketAddrV6::from(*v6);
        return Some(match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(IpAddr::V4(v4), v6.port()),
            None => SocketAddr::V6(v6),
        });
    }
    address.as_sockaddr_in().map(|v4| SocketAddr::V4((*v4).into()))
}

fn local_ip(control: &ControlMessageOwned) -> Option<IpAddr> {
    match control {
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            Some(IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr)).to_canonical())
        }
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(IpAddr::V4(u32::from_be(info.ipi_addr.s_addr).into()))
        }
        _ => None,
    }
}

fn mapped(address: SocketAddr) -> SocketAddrV6 {
    match address {
        SocketAddr::V4(v4) => SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0),
        SocketAddr::V6(v6) => v6,
    }
}

fn info_v6(source: SocketAddr) -> libc::in6_pktinfo {
    let source = mapped(source);
    libc::in6_pktinfo {
        ipi6_addr: libc::in6_addr { s6_addr: source.ip().octets() },
        ipi6_ifindex: source.scope_id(),
    }
}
