//! The sockets that outlive every worker: TCP for browsers, UDP for media, and both for the relay.

use std::{
    fs, io,
    net::{
        IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, TcpListener, UdpSocket,
    },
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{
            fs::FileTypeExt,
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use lumen_ipc::front_door::Listen;

use nix::{
    ifaddrs::getifaddrs,
    sys::{
        socket::{
            AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, SockaddrIn6, SockaddrStorage,
            bind, getsockname, listen, setsockopt, socket, sockopt,
        },
        stat::{Mode, umask},
    },
};
use tracing::warn;

use super::{enclosure::Origin, places::Temporary};

/// Room for half a second of datagrams at the highest bit rate, each way; the kernel may give less.
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// A bound socket and its address.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) socket: OwnedFd,
    /// Its address, with the port that was assigned.
    pub(crate) address: SocketAddr,
}

/// The listening socket for browsers.
pub(crate) struct Door {
    pub(crate) socket: OwnedFd,
    /// Its address, with the port that was assigned.
    pub(crate) listen: Listen,
    /// Its file, if it is a Unix socket.
    pub(crate) file: Option<Temporary>,
}

/// Binds the listening socket for browsers.
pub(crate) fn browsers(listen: &Listen) -> io::Result<Door> {
    match listen {
        Listen::Tcp(address) => {
            let bound = listening(new(*address, SockType::Stream)?, *address)?;
            Ok(Door { socket: bound.socket, listen: Listen::Tcp(bound.address), file: None })
        }
        Listen::Unix(path) => {
            let path = Path::new(path.as_str());
            is_free(path)?;
            if fs::symlink_metadata(path).is_ok_and(|left| left.file_type().is_socket()) {
                fs::remove_file(path)?;
            }
            let socket = listening_file(path)?;
            let file = Some(Temporary::File(PathBuf::from(path)));
            Ok(Door { socket: socket.into(), listen: listen.clone(), file })
        }
    }
}

/// Listens again at the address of a socket from [`browsers`] that is closed. The file of a Unix socket
/// is known to be ours.
pub(crate) fn browsers_again(listen: &Listen) -> io::Result<OwnedFd> {
    match listen {
        Listen::Tcp(address) => Ok(listening(new(*address, SockType::Stream)?, *address)?.socket),
        Listen::Unix(path) => {
            let path = Path::new(path.as_str());
            if fs::symlink_metadata(path).is_ok_and(|left| left.file_type().is_socket()) {
                fs::remove_file(path)?;
            }
            Ok(listening_file(path)?.into())
        }
    }
}

/// Peers of this socket are trusted to speak for other clients. So only the owner and one group may
/// connect; it is the folder's group if the folder passes that on. The umask sets the mode at creation: a
/// change by path would follow a link that anybody with write access to the folder could put there.
/// No other thread may create files meanwhile, because the umask applies to the whole process.
fn listening_file(path: &Path) -> io::Result<UnixListener> {
    let usual = umask(Mode::from_bits_truncate(0o117));
    let listener = UnixListener::bind(path);
    umask(usual);
    listener
}

/// Checks that a Unix socket can be made there: nothing exists, or only a socket without a listener.
pub(crate) fn is_free(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match path.parent() {
            Some(folder) => fs::metadata(folder).map(drop),
            None => Ok(()),
        },
        Err(error) => Err(error),
        Ok(found) if !found.file_type().is_socket() => Err(io::ErrorKind::AlreadyExists.into()),
        Ok(_) => match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        },
    }
}

/// Binds and listens for one IP version only, so that the other can have its own listener.
pub(crate) fn stream(address: SocketAddr) -> io::Result<Bound> {
    let descriptor = new(address, SockType::Stream)?;
    if address.is_ipv6() {
        setsockopt(&descriptor, sockopt::Ipv6V6Only, &true)?;
    }
    listening(descriptor, address)
}

/// Binds a UDP socket to one address.
pub(crate) fn datagrams(address: SocketAddr, origin: &Origin) -> io::Result<Bound> {
    let descriptor = origin.socket(family(address))?;
    if address.is_ipv6() {
        setsockopt(&descriptor, sockopt::Ipv6V6Only, &true)?;
    }
    bind(descriptor.as_raw_fd(), &SockaddrStorage::from(address))?;
    enlarge(&descriptor)?;
    let socket = UdpSocket::from(descriptor);
    let address = socket.local_addr()?;
    Ok(Bound { socket: socket.into(), address })
}

/// How long the workers of a killed host may take to end.
const REMAINS: Duration = Duration::from_secs(3);

/// Binds an address that the workers of a killed host may hold a little longer. It blocks the thread, so
/// it is for the start only.
pub(crate) fn patiently<Had>(bind: impl Fn() -> io::Result<Had>) -> io::Result<Had> {
    let deadline = Instant::now() + REMAINS;
    loop {
        match bind() {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(10));
            }
            bound => return bound,
        }
    }
}

fn new(address: SocketAddr, kind: SockType) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket(family(address), kind, flags, None)?)
}

fn family(address: SocketAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn listening(descriptor: OwnedFd, address: SocketAddr) -> io::Result<Bound> {
    setsockopt(&descriptor, sockopt::ReuseAddr, &true)?;
    bind(descriptor.as_raw_fd(), &SockaddrStorage::from(address))?;
    listen(&descriptor, Backlog::new(128)?)?;
    let listener = TcpListener::from(descriptor);
    let address = listener.local_addr()?;
    Ok(Bound { socket: listener.into(), address })
}

/// Binds the media socket to one address, or without one to every address of the host, for both IP
/// versions if it has both.
pub(crate) fn media(address: Option<IpAddr>, port: u16, origin: &Origin) -> io::Result<Bound> {
    match address {
        Some(IpAddr::V4(address)) => ipv4(address, port, origin),
        Some(IpAddr::V6(address)) => ipv6(address, port, origin),
        None => {
            ipv6(Ipv6Addr::UNSPECIFIED, port, origin).or_else(|error| match error.raw_os_error() {
                Some(nix::libc::EAFNOSUPPORT | nix::libc::EADDRNOTAVAIL) => {
                    ipv4(Ipv4Addr::UNSPECIFIED, port, origin)
                }
                _ => Err(error),
            })
        }
    }
}

fn ipv6(address: Ipv6Addr, port: u16, origin: &Origin) -> io::Result<Bound> {
    let descriptor = origin.socket(AddressFamily::Inet6)?;
    setsockopt(&descriptor, sockopt::Ipv6V6Only, &false)?;
    setsockopt(&descriptor, sockopt::Ipv6RecvPacketInfo, &true)?;
    let address = SocketAddrV6::new(address, port, 0, 0);
    bind(descriptor.as_raw_fd(), &SockaddrIn6::from(address))?;
    enlarge(&descriptor)?;
    let address = SocketAddrV6::from(getsockname::<SockaddrIn6>(descriptor.as_raw_fd())?);
    Ok(Bound { socket: descriptor, address: address.into() })
}

fn ipv4(address: Ipv4Addr, port: u16, origin: &Origin) -> io::Result<Bound> {
    let descriptor = origin.socket(AddressFamily::Inet)?;
    setsockopt(&descriptor, sockopt::Ipv4PacketInfo, &true)?;
    let address = SocketAddrV4::new(address, port);
    bind(descriptor.as_raw_fd(), &SockaddrIn::from(address))?;
    enlarge(&descriptor)?;
    let address = SocketAddrV4::from(getsockname::<SockaddrIn>(descriptor.as_raw_fd())?);
    Ok(Bound { socket: descriptor, address: address.into() })
}

fn enlarge(descriptor: &OwnedFd) -> io::Result<()> {
    // The kernel silently caps this for ordinary users; root may exceed the cap.
    setsockopt(descriptor, sockopt::RcvBuf, &SOCKET_BUFFER_BYTES)?;
    setsockopt(descriptor, sockopt::SndBuf, &SOCKET_BUFFER_BYTES)?;
    if nix::unistd::geteuid().is_root() {
        // A root without CAP_NET_ADMIN keeps the capped size.
        let _ = setsockopt(descriptor, sockopt::RcvBufForce, &SOCKET_BUFFER_BYTES);
        let _ = setsockopt(descriptor, sockopt::SndBufForce, &SOCKET_BUFFER_BYTES);
    }
    Ok(())
}

/// The addresses of all interfaces of this host, loopback last. Needs no default route. Link-local IPv6
/// is left out: neither a candidate nor an address in a URL names an interface.
pub(crate) fn addresses() -> Vec<IpAddr> {
    let interfaces = getifaddrs()
        .map(|all| all.filter_map(|interface| ip_address(interface.address.as_ref()?)).collect());
    let found: Vec<IpAddr> = interfaces.unwrap_or_else(|error| {
        warn!(%error, "the interfaces cannot be listed; only the addresses of default routes are used");
        routed_addresses()
    });
    let mut addresses: Vec<IpAddr> = found
        .into_iter()
        .filter(|address| match address {
            IpAddr::V4(_) => true,
            IpAddr::V6(address) => !address.is_unicast_link_local(),
        })
        .collect();
    addresses.push(Ipv4Addr::LOCALHOST.into());
    addresses.sort_by_key(|address| (address.is_loopback(), *address));
    addresses.dedup();
    addresses
}

/// The source addresses of the default routes, for sandboxes that refuse to list all addresses.
/// Connecting a UDP socket sends nothing.
fn routed_addresses() -> Vec<IpAddr> {
    // Documentation addresses (RFC 5737, RFC 3849), which belong to nobody.
    let far: [SocketAddr; 2] = [
        (Ipv4Addr::new(192, 0, 2, 1), 9).into(),
        (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9).into(),
    ];
    let own = |far: SocketAddr| -> io::Result<IpAddr> {
        let any: SocketAddr = match far.is_ipv4() {
            true => (Ipv4Addr::UNSPECIFIED, 0).into(),
            false => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any)?;
        socket.connect(far)?;
        Ok(socket.local_addr()?.ip())
    };
    far.into_iter().filter_map(|far| own(far).ok()).collect()
}

/// The addresses of the media socket: first the one that the administrator gives, then the one it is
/// bound to, or each of `addresses` if it is bound to none.
pub(crate) fn candidates(
    media: SocketAddr,
    public: Option<IpAddr>,
    addresses: &[IpAddr],
) -> Vec<SocketAddr> {
    let bound = (!media.ip().is_unspecified()).then_some(media.ip());
    let own = bound.as_ref().map_or(addresses, std::slice::from_ref);
    let own = own.iter().copied().filter(|address| Some(*address) != public);
    let all = public.into_iter().chain(own);
    all.filter(|address| media.is_ipv6() || address.is_ipv4())
        .map(|address| SocketAddr::new(address, media.port()))
        .collect()
}

fn ip_address(address: &SockaddrStorage) -> Option<IpAddr> {
    if let Some(address) = address.as_sockaddr_in() {
        return Some(address.ip().into());
    }
    address.as_sockaddr_in6().map(|address| address.ip().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_of_a_socket_with_an_address_are_that_and_the_public_one() {
        let all = ["192.0.2.7", "2001:db8::7", "127.0.0.1"].map(|ip| ip.parse().expect("legal"));
        let told = |media: &str, public: Option<&str>| {
            let media = media.parse().expect("legal");
            let public = public.map(|ip| ip.parse().expect("legal"));
            candidates(media, public, &all).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(told("127.0.0.1:9", None), ["127.0.0.1:9"]);
        assert_eq!(told("192.0.2.7:9", Some("203.0.113.5")), ["203.0.113.5:9", "192.0.2.7:9"]);
        assert_eq!(told("[2001:db8::7]:9", None), ["[2001:db8::7]:9"]);
        assert_eq!(told("0.0.0.0:9", None), ["192.0.2.7:9", "127.0.0.1:9"]);
        assert_eq!(told("[::]:9", None), ["192.0.2.7:9", "[2001:db8::7]:9", "127.0.0.1:9"]);
    }
}
