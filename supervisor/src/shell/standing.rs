//! Sockets that outlive the workers they are granted to, one after another.
//!
//! The workers share one socket, not copies of it, so a compromised worker may have left it useless for
//! the next: shut down, or in blocking mode. The policies forbid workers both, but this code does not rely
//! on that. It tests a socket before it is granted again, and replaces a useless one at the same address.

use std::{
    fmt, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, SockType, SockaddrStorage, getsockname, getsockopt, sendto, sockopt},
};
use tracing::{debug, error, warn};

/// A socket and how it was made.
pub(crate) struct Standing {
    /// `None` while it cannot be created.
    socket: Option<OwnedFd>,
    /// Whether `make` binds another address than that of the socket.
    misplaced: bool,
    make: Box<dyn Fn() -> io::Result<OwnedFd>>,
}

/// What is wrong with a socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    /// It could not be made the last time.
    Absent,
    /// It does not listen.
    Deaf,
    /// It is to be at another address.
    Misplaced,
    /// Nothing can be received from it, or sent.
    Shut,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "could not be made the last time",
            Self::Deaf => "does not listen any more",
            Self::Misplaced => "is to be at another address",
            Self::Shut => "has been shut down",
        })
    }
}

impl Standing {
    /// Wraps an open socket. `make` creates another at the same address after this one is closed.
    pub(crate) fn new(
        socket: impl Into<OwnedFd>,
        make: impl Fn() -> io::Result<OwnedFd> + 'static,
    ) -> Self {
        Self { socket: Some(socket.into()), misplaced: false, make: Box::new(make) }
    }

    /// The socket, unless it could not be created.
    pub(crate) fn get(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }

    /// Has the socket replaced before it is granted again, because its address has changed.
    pub(crate) fn misplace(&mut self) {
        self.misplaced = true;
    }

    /// Replaces the socket if it is useless. No worker may hold it at this moment.
    pub(crate) fn renew(&mut self, name: &dyn fmt::Display) {
        let Some(fault) = self.fault() else { return };
        match fault {
            Fault::Misplaced => debug!("the socket for {name} {fault}"),
            _ => warn!("the socket for {name} {fault}; making another at its address"),
        }
        // The new socket needs the address.
        self.socket = None;
        match (self.make)() {
            Ok(socket) => {
                self.socket = Some(socket);
                self.misplaced = false;
            }
            // The worker that needs it ends, and its next start tries again.
            Err(error) => error!(%error, "no socket for {name} can be made"),
        }
    }

    fn fault(&self) -> Option<Fault> {
        let Some(socket) = &self.socket else { return Some(Fault::Absent) };
        if self.misplaced {
            return Some(Fault::Misplaced);
        }
        fault(socket).unwrap_or(Some(Fault::Shut))
    }
}

/// Tests a socket, and makes it non-blocking.
fn fault(socket: &OwnedFd) -> Result<Option<Fault>, Errno> {
    lumen_ipc_runtime::make_nonblocking(socket).map_err(|_| Errno::EBADF)?;
    let is_stream = getsockopt(socket, sockopt::SockType)? == SockType::Stream;
    if is_stream && !getsockopt(socket, sockopt::AcceptConn)? {
        return Ok(Some(Fault::Deaf));
    }
    let shut = lumen_ipc_runtime::is_shut_down(socket).map_err(|_| Errno::EBADF)?;
    let shut = shut || !is_stream && !can_send(socket)?;
    Ok(shut.then_some(Fault::Shut))
}

/// Whether a datagram socket can send: it sends an empty datagram to itself, which its worker drops.
/// Nothing else shows that sending has been shut down.
fn can_send(socket: &OwnedFd) -> Result<bool, Errno> {
    let own: SockaddrStorage = getsockname(socket.as_raw_fd())?;
    let (v4, v6) = (own.as_sockaddr_in(), own.as_sockaddr_in6());
    let own: SocketAddr = match (v4, v6) {
        (Some(v4), _) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        (Some(v4), _) => (v4.ip(), v4.port()).into(),
        (_, Some(v6)) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, v6.port()).into(),
        (_, Some(v6)) => (v6.ip(), v6.port()).into(),
        (None, None) => return Ok(true),
    };
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    let sent = sendto(socket.as_raw_fd(), &[], &SockaddrStorage::from(own), flags);
    // A firewall or a full buffer is not the socket's fault.
    Ok(sent != Err(Errno::EPIPE))
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        net::{TcpListener, UdpSocket},
        os::{
            linux::net::SocketAddrExt,
            unix::net::{SocketAddr, UnixListener},
        },
        rc::Rc,
        sync::atomic::{AtomicU32, Ordering},
    };

    use nix::sys::socket::{Shutdown, shutdown};

    use super::*;

    /// A socket, and how often it was replaced.
    fn standing(socket: OwnedFd) -> (Standing, Rc<Cell<u32>>) {
        let made = Rc::new(Cell::new(0));
        let count = Rc::clone(&made);
        let again = move || {
            count.set(count.get() + 1);
            Ok(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.into())
        };
        (Standing::new(socket, again), made)
    }

    fn sockets() -> [(&'static str, OwnedFd); 4] {
        // Tests run side by side in one process, so each call takes a name of its own.
        static CALLS: AtomicU32 = AtomicU32::new(0);
        let call = CALLS.fetch_add(1, Ordering::Relaxed);
        let name = format!("lumen-standing-{}-{call}", std::process::id());
        let address = SocketAddr::from_abstract_name(name).expect("a short name");
        [
            ("TCP", TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port").into()),
            ("UDP", UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port").into()),
            ("all UDP", UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).expect("a port").into()),
            ("Unix", UnixListener::bind_addr(&address).expect("a free name").into()),
        ]
    }

    #[test]
    fn socket_that_serves_stays() {
        for (name, socket) in sockets() {
            let (mut standing, made) = standing(socket);
            standing.renew(&name);
            assert_eq!((standing.get().is_some(), made.get()), (true, 0), "{name}");
        }
    }

    #[test]
    fn socket_shut_down_in_a_way_that_spoils_it_is_made_anew() {
        for way in [Shutdown::Read, Shutdown::Write, Shutdown::Both] {
            for (name, socket) in sockets() {
                // UDP reports that it is not connected, but shuts down all the same.
                let _ = shutdown(socket.as_raw_fd(), way);
                let (mut standing, made) = standing(socket);
                standing.renew(&name);
                // A listener sends nothing, so shutting down its sending does no harm.
                let spoils = way != Shutdown::Write || name.ends_with("UDP");
                assert_eq!(made.get(), u32::from(spoils), "{name}, {way:?}");
                assert!(standing.get().is_some());
            }
        }
    }

    #[test]
    fn socket_that_cannot_be_made_is_tried_again_each_time() {
        let (mut standing, made) =
            standing(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port").into());
        standing.socket = None;
        standing.renew(&"a test");
        assert_eq!((standing.get().is_some(), made.get()), (true, 1));
    }

    #[test]
    fn socket_whose_address_has_changed_is_made_anew_once() {
        for (name, socket) in sockets() {
            let (mut standing, made) = standing(socket);
            standing.misplace();
            standing.renew(&name);
            standing.renew(&name);
            assert_eq!((standing.get().is_some(), made.get()), (true, 1), "{name}");
        }
    }

    #[test]
    fn socket_that_blocks_is_made_non_blocking() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let (mut standing, _) = standing(socket.try_clone().expect("a descriptor").into());
        standing.renew(&"a test");
        let waited = socket.recv_from(&mut [0; 1]).and_then(|_| socket.recv_from(&mut [0; 1]));
        assert_eq!(waited.expect_err("nothing more").kind(), io::ErrorKind::WouldBlock);
    }
}
