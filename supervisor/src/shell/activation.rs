//! Sockets that the service manager made for a host, after sd_listen_fds(3).
//!
//! Decides: which socket is which, by the name that its unit gives it, and whether it is what that name
//! stands for: family, type, listening. One that is not ends the start, because whoever set it up counts on
//! it. They arrive as descriptors from 3 on, and are moved up first: a worker finds its own links at 3 and 4.

use std::{
    env, io,
    net::SocketAddr,
    os::{
        fd::{AsRawFd, OwnedFd, RawFd},
        unix::net::UnixListener,
    },
    path::{Path, PathBuf},
};

use lumen_ipc::front_door::Listen;
use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, SockType, SockaddrLike, SockaddrStorage, getsockname, getsockopt, sockopt,
    },
};

use super::ffi;

/// The first descriptor that is passed: SD_LISTEN_FDS_START of sd_listen_fds(3).
const FIRST: RawFd = 3;
/// Numbers below belong to links of workers.
const BEYOND: RawFd = 5;
/// More than any unit of Lumen's has.
const MOST: usize = 16;

/// The sockets of a host, by their names.
#[derive(Debug, Default)]
pub(crate) struct Activation {
    /// `admin`: for administrators.
    pub(crate) admin: Option<UnixListener>,
    /// `page`: for browsers.
    pub(crate) page: Option<Page>,
    /// `relay`: connections of the relay's clients, on one port.
    pub(crate) relay: Vec<(OwnedFd, SocketAddr)>,
    /// `sessions`: for the links of sessions.
    pub(crate) sessions: Option<UnixListener>,
}

/// The listening socket for browsers.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) socket: OwnedFd,
    /// Its address.
    pub(crate) listen: Listen,
}

/// Why a socket that was passed is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActivationError {
    /// The variables do not fit each other.
    #[error(
        "LISTEN_FDS is {count} and LISTEN_FDNAMES has {names} names; expected 1 to {MOST} of both"
    )]
    Count {
        /// What LISTEN_FDS says.
        count: String,
        /// How many names there are.
        names: usize,
    },
    /// A descriptor cannot be used at all.
    #[error("cannot use the socket {name} that the service manager passed")]
    Io {
        /// Its name.
        name: String,
        /// What the kernel returned.
        source: io::Error,
    },
    /// It is something else.
    #[error("the socket {name} that the service manager passed is {found}; expected {expected}")]
    Kind {
        /// Its name.
        name: String,
        /// What it is.
        found: String,
        /// What it is to be.
        expected: &'static str,
    },
    /// There are several of a name.
    #[error("the service manager passed several sockets called {0}; one is expected")]
    Several(String),
    /// Its name is not known here.
    #[error(
        "the service manager passed a socket called {0}; `lumen serve` takes page, admin, sessions and \
         relay (FileDescriptorName=), and other commands take none"
    )]
    Unknown(String),
    /// It is elsewhere than where those look who connect to it.
    #[error("the socket {name} that the service manager passed is at {found}; expected {expected}")]
    Elsewhere {
        /// Its name.
        name: &'static str,
        /// Where it is.
        found: String,
        /// Where it is to be.
        expected: PathBuf,
    },
}

/// The descriptors that were passed to this process, moved up, with their names. Call this before
/// anything else is opened.
pub(crate) fn take() -> Result<Vec<(String, OwnedFd)>, ActivationError> {
    let variable = |name: &str| env::var(name).ok();
    if variable("LISTEN_PID").is_none_or(|pid| pid.parse() != Ok(std::process::id())) {
        return Ok(Vec::new());
    }
    let Some(count) = variable("LISTEN_FDS") else { return Ok(Vec::new()) };
    let names = variable("LISTEN_FDNAMES").unwrap_or_default();
    let names: Vec<&str> = names.split(':').collect();
    if count.parse() != Ok(names.len()) || names.len() > MOST {
        return Err(ActivationError::Count { count, names: names.len() });
    }
    let moved = |(number, name): (RawFd, &&str)| {
        let failed = |source| ActivationError::Io { name: (*name).to_owned(), source };
        Ok(((*name).to_owned(), ffi::take_over(number, BEYOND).map_err(failed)?))
    };
    (FIRST..).zip(&names).map(moved).collect()
}

impl Activation {
    /// Sorts sockets by their names.
    pub(crate) fn of(passed: Vec<(String, OwnedFd)>) -> Result<Self, ActivationError> {
        let mut sockets = Self::default();
        for (name, socket) in passed {
            let kind = Kind::of(&socket)
                .map_err(|source| ActivationError::Io { name: name.clone(), source })?;
            let wrong = |expected| ActivationError::Kind {
                name: name.clone(),
                found: kind.to_string(),
                expected,
            };
            let taken = match (name.as_str(), &kind) {
                ("page", Kind::Stream(listen)) => {
                    let page = Page { socket, listen: listen.clone() };
                    sockets.page.replace(page).is_some()
                }
                ("page", _) => return Err(wrong("a listening stream socket")),
                ("admin", Kind::Stream(Listen::Unix(_))) => {
                    sockets.admin.replace(socket.into()).is_some()
                }
                ("admin", _) => return Err(wrong("a listening Unix stream socket")),
                ("sessions", Kind::Sequence) => sockets.sessions.replace(socket.into()).is_some(),
                ("sessions", _) => {
                    return Err(wrong("a listening Unix socket of sequential packets"));
                }
                ("relay", Kind::Stream(Listen::Tcp(address))) => {
                    let other = sockets.relay.first().map(|(_, other)| other.port());
                    sockets.relay.push((socket, *address));
                    other.is_some_and(|port| port != address.port())
                }
                // What the kernel limits of the relay's datagrams it limits of sockets made in a group of
                // the relay's own.
                ("relay", _) => {
                    return Err(wrong(
                        "a listening TCP socket; those for datagrams Lumen makes itself",
                    ));
                }
                _ => return Err(ActivationError::Unknown(name)),
            };
            if taken {
                return Err(ActivationError::Several(name));
            }
        }
        Ok(sockets)
    }
}

/// Checks that a listening Unix socket is where those look who connect to it, and makes it non-blocking.
pub(crate) fn ready(
    name: &'static str,
    socket: &UnixListener,
    expected: &Path,
) -> Result<(), ActivationError> {
    let failed = |source| ActivationError::Io { name: name.to_owned(), source };
    let address = socket.local_addr().map_err(failed)?;
    if address.as_pathname() != Some(expected) {
        let found = address
            .as_pathname()
            .map_or_else(|| "no path".to_owned(), |path| path.display().to_string());
        return Err(ActivationError::Elsewhere { name, found, expected: expected.to_owned() });
    }
    socket.set_nonblocking(true).map_err(failed)
}

/// What a socket is.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Kind {
    /// A listening stream socket at this address.
    Stream(Listen),
    /// A listening Unix socket of sequential packets.
    Sequence,
    /// Neither.
    Other(String),
}

impl Kind {
    fn of(socket: &OwnedFd) -> io::Result<Self> {
        let kind = match getsockopt(socket, sockopt::SockType) {
            Err(Errno::ENOTSOCK) => return Ok(Self::Other("no socket".to_owned())),
            kind => kind?,
        };
        let address: SockaddrStorage = getsockname(socket.as_raw_fd())?;
        let family = address.family();
        let listens = matches!(kind, SockType::Stream | SockType::SeqPacket)
            && getsockopt(socket, sockopt::AcceptConn)?;
        let found = match (kind, family, listens) {
            (SockType::Stream, Some(AddressFamily::Inet), true) => address
                .as_sockaddr_in()
                .map(|address| Listen::Tcp(SocketAddr::V4((*address).into()))),
            (SockType::Stream, Some(AddressFamily::Inet6), true) => address
                .as_sockaddr_in6()
                .map(|address| Listen::Tcp(SocketAddr::V6((*address).into()))),
            (SockType::Stream, Some(AddressFamily::Unix), true) => {
                let path = address.as_unix_addr().and_then(|address| address.path());
                path.and_then(|path| format!("unix:{}", path.display()).parse().ok())
            }
            (SockType::SeqPacket, Some(AddressFamily::Unix), true) => return Ok(Self::Sequence),
            _ => None,
        };
        Ok(found.map_or_else(
            || {
                let listens = if listens { "listening" } else { "not listening" };
                let family =
                    family.map_or_else(|| "unknown".to_owned(), |family| format!("{family:?}"));
                Self::Other(format!("a socket of type {kind:?} and family {family}, {listens}"))
            },
            Self::Stream,
        ))
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stream(listen) => write!(f, "a stream socket listening at {listen}"),
            Self::Sequence => f.write_str("a listening Unix socket of sequential packets"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        net::{TcpListener, UdpSocket},
        os::unix::net::{UnixDatagram, UnixStream},
    };

    use nix::sys::socket::{Backlog, SockFlag, UnixAddr, bind, listen, socket};

    use super::*;

    fn named<const N: usize>(sockets: [(&str, OwnedFd); N]) -> Result<Activation, String> {
        let sockets = sockets.map(|(name, socket)| (name.to_owned(), socket));
        Activation::of(sockets.into()).map_err(|error| error.to_string())
    }

    fn tcp() -> OwnedFd {
        TcpListener::bind("127.0.0.1:0").expect("a port").into()
    }

    fn refusal(name: &str, socket: impl Into<OwnedFd>) -> String {
        named([(name, socket.into())]).expect_err("refused")
    }

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = env::temp_dir().join(format!("lumen-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).expect("a directory");
            Self(path)
        }

        fn sequence(&self) -> OwnedFd {
            let flags = SockFlag::SOCK_CLOEXEC;
            let made =
                socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).expect("a socket");
            let address = UnixAddr::new(&self.0.join("sessions")).expect("short");
            bind(made.as_raw_fd(), &address).expect("free");
            listen(&made, Backlog::new(1).expect("small")).expect("it listens");
            made
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            // A failure only leaves the directory behind.
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn sockets_are_sorted_by_their_names() {
        let folder = Folder::new("activation-sorted");
        let admin = UnixListener::bind(folder.0.join("admin")).expect("free");
        let page = TcpListener::bind("127.0.0.1:0").expect("a port");
        let at = page.local_addr().expect("bound");
        let found = named([
            ("admin", admin.into()),
            ("sessions", folder.sequence()),
            ("page", page.into()),
            ("relay", tcp()),
        ]);
        let found = found.expect("right");
        assert_eq!(found.page.expect("passed").listen, Listen::Tcp(at));
        assert!(found.admin.is_some() && found.sessions.is_some());
        assert_eq!(found.relay.len(), 1);
    }

    #[test]
    fn page_may_be_a_unix_socket() {
        let folder = Folder::new("activation-unix");
        let path = folder.0.join("page");
        let found = named([("page", UnixListener::bind(&path).expect("free").into())]);
        let listen = found.expect("right").page.expect("passed").listen;
        assert_eq!(listen.to_string(), format!("unix:{}", path.display()));
    }

    #[test]
    fn socket_of_another_kind_than_its_name_stands_for_is_refused() {
        let folder = Folder::new("activation-kinds");
        let datagrams = || UdpSocket::bind("127.0.0.1:0").expect("a port");
        let (connected, _other) = UnixStream::pair().expect("a pair");
        let file = || File::open("/dev/null").expect("there");
        for (said, expected) in [
            (
                refusal("page", datagrams()),
                "Datagram and family Inet, not listening; expected a listening",
            ),
            (refusal("page", connected), "Stream and family Unix, not listening"),
            (refusal("page", file()), "is no socket; expected a listening stream socket"),
            (refusal("page", folder.sequence()), "sequential packets; expected a listening stream"),
            (refusal("admin", tcp()), "listening at 127.0.0.1"),
            (
                refusal("admin", UnixDatagram::unbound().expect("a socket")),
                "expected a listening Unix",
            ),
            (refusal("sessions", tcp()), "expected a listening Unix socket of sequential packets"),
            (refusal("relay", datagrams()), "expected a listening TCP socket; those for datagrams"),
        ] {
            assert!(said.contains(expected), "{expected}: {said}");
        }
    }

    #[test]
    fn socket_of_no_known_name_or_twice_of_one_is_refused() {
        for name in ["login", "session", "unknown", ""] {
            assert!(refusal(name, tcp()).contains("takes page, admin, sessions and relay"));
        }
        let twice = named([("page", tcp()), ("page", tcp())]).expect_err("refused");
        assert!(twice.contains("several sockets called page"), "{twice}");
        let ports = named([("relay", tcp()), ("relay", tcp())]).expect_err("refused");
        assert!(ports.contains("several sockets called relay"), "{ports}");
    }

    #[test]
    fn socket_at_another_path_than_is_looked_for_is_refused() {
        let folder = Folder::new("activation-path");
        let path = folder.0.join("admin");
        let admin = UnixListener::bind(&path).expect("free");
        assert!(ready("admin", &admin, &path).is_ok());
        let other =
            ready("admin", &admin, Path::new("/run/lumen/admin.sock")).expect_err("refused");
        assert!(other.to_string().contains("expected /run/lumen/admin.sock"), "{other}");
    }
}
