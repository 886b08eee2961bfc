//! The relay's grants: its sockets, its secret and its certificate.
//!
//! The sockets outlive the worker, so that a restart refuses nobody. There is one UDP socket for
//! each address of this machine, because an answer must leave from the address that was asked; TCP
//! needs only a listener for each IP version.

use std::{
    fs::File,
    io::{self, Read},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use lumen_ipc::message::grants::ToWorker;
use lumen_ipc_runtime::sealed;
use tracing::{info, warn};
use zeroize::Zeroizing;

use super::{
    enclosure::Origin,
    sockets::{self, Bound},
    standing::Standing,
};
use crate::{
    broker::{
        NoRandomness,
        relay::{RelayMint, RelayRoutes},
        state::{KeptPort, KeptRelay},
    },
    config::{RelayConfig, RelayTls},
};

/// Most UDP sockets; a machine with more addresses uses them for another purpose.
const MOST_ADDRESSES: usize = 32;
/// Ports tried until one is free on every address.
const TRIES: usize = 16;
/// The name of a certificate's or a key's memory in `/proc/PID/fd`.
const PEM: &str = "lumen-relay-pem";
/// Longest certificate chain or key, in bytes.
const MOST_PEM_BYTES: usize = 64 * 1024;

/// Why the relay cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RelayError {
    /// Its port cannot be bound.
    #[error("cannot bind the relay's port {port}; choose another with --{option}")]
    Bind {
        /// The port.
        port: u16,
        /// The option that sets it.
        option: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
    /// The certificate or the key cannot be read.
    #[error("cannot read {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// It is not a PEM file.
    #[error("{path} is not a PEM file of at most {MOST_PEM_BYTES} bytes")]
    NotPem {
        /// The file.
        path: PathBuf,
    },
    /// The secret cannot be drawn.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// Memory for the secret or the key cannot be allocated.
    #[error("cannot seal memory for the relay")]
    Seal(#[source] io::Error),
}

/// Everything that the relay is granted.
pub(crate) struct Relay {
    datagrams: Vec<Standing>,
    streams: Vec<Standing>,
    secured: Vec<Standing>,
    secret: OwnedFd,
    certificate: Option<OwnedFd>,
    key: Option<OwnedFd>,
}

/// UDP and TCP on one port.
struct Sockets {
    port: u16,
    datagrams: Vec<Bound>,
    streams: Vec<Bound>,
}

/// Addresses that follow from the sockets.
pub(crate) struct RelayFacts {
    /// The relay's UDP address for processes of this machine.
    pub(crate) near: Option<SocketAddr>,
    /// The addresses that relayed addresses are made of, the public address first.
    pub(crate) own: Vec<IpAddr>,
    /// What is to be remembered of it.
    pub(crate) kept: KeptRelay,
}

/// The addresses and ports of this machine.
pub(crate) struct Whereabouts<'start> {
    /// Whether only programs of this machine are served.
    pub(crate) local: bool,
    /// The gateway's port, if it has one.
    pub(crate) shared: Option<u16>,
    /// Every address of this host.
    pub(crate) addresses: &'start [IpAddr],
    /// The address that the administrator named.
    pub(crate) public: Option<IpAddr>,
}

impl Relay {
    /// Binds the sockets, reads the files and draws the secret. Where a predecessor's is `kept`, that
    /// secret is used, and the ports that it had, as far as they can be had.
    pub(crate) fn set(
        config: &RelayConfig,
        host: &Whereabouts<'_>,
        kept: Option<KeptRelay>,
        (origin, passed): (&Origin, Vec<(OwnedFd, SocketAddr)>),
    ) -> Result<(Self, RelayMint, RelayFacts), RelayError> {
        let local = host.local;
        let tls = config.tls.as_ref();
        let asked = (config.port, tls.map_or(0, |tls| tls.port));
        let wanted = kept
            .as_ref()
            .map_or(asked, |kept| (kept.port.wanted(asked.0), kept.secured.wanted(asked.1)));
        // What the predecessor had may be in use for a moment more.
        let bind = |addresses: &[IpAddr], port| match kept.is_some() && port != 0 {
            true => sockets::patiently(|| bind(addresses, &wildcards(local), port, origin)),
            false => bind(addresses, &wildcards(local), port, origin),
        };
        let addresses = addresses(host.addresses, local);
        let sockets = match passed.is_empty() {
            true => chosen_or_free(wanted.0, "relay-port", |port| bind(&addresses, port))?,
            false => beside(passed, &addresses, origin)?,
        };
        let secured =
            tls.map(|_| chosen_or_free(wanted.1, "relay-tls-port", |port| bind(&[], port)));
        let secured = secured.transpose()?;
        let routes = RelayRoutes {
            public: host.public,
            port: sockets.port,
            secured: secured.as_ref().map(|secured| secured.port),
            shared: host.shared,
            name: tls.and_then(|tls| tls.name.clone()),
        };
        let ports = [
            KeptPort { asked: asked.0, bound: sockets.port },
            KeptPort { asked: asked.1, bound: routes.secured.unwrap_or(0) },
        ];
        let mint = match kept {
            Some(kept) => RelayMint::with_secret(kept.secret, routes)?,
            None => RelayMint::new(routes)?,
        };
        let facts = RelayFacts {
            near: near(&sockets.datagrams),
            own: own(host.addresses, host.public),
            kept: KeptRelay {
                secret: Zeroizing::new(*mint.secret()),
                port: ports[0],
                secured: ports[1],
            },
        };
        let secret = sealed::seal("lumen-relay-secret", mint.secret()).map_err(RelayError::Seal)?;
        let (certificate, key) = match tls {
            Some(RelayTls { certificate, key, .. }) => {
                (Some(sealed_file(certificate)?), Some(sealed_file(key)?))
            }
            None => (None, None),
        };
        let secured = secured.map(|secured| secured.streams).unwrap_or_default();
        let relay = Self {
            datagrams: {
                let origin = origin.clone();
                standing(sockets.datagrams, move |address| sockets::datagrams(address, &origin))
            },
            streams: standing(sockets.streams, sockets::stream),
            secured: standing(secured, sockets::stream),
            secret,
            certificate,
            key,
        };
        Ok((relay, mint, facts))
    }

    /// Has the next worker speak TLS with another certificate.
    pub(crate) fn renew_certificate(&mut self, chain: &[u8], key: &[u8]) -> io::Result<()> {
        let sealed = [sealed::seal(PEM, chain)?, sealed::seal(PEM, key)?];
        let [certificate, key] = sealed;
        (self.certificate, self.key) = (Some(certificate), Some(key));
        Ok(())
    }

    /// All descriptors of one kind of grant.
    pub(crate) fn descriptors(&self, grant: ToWorker) -> Vec<BorrowedFd<'_>> {
        match grant {
            ToWorker::RelayCertificate => self.certificate.iter().map(AsFd::as_fd).collect(),
            ToWorker::RelayDatagrams => self.datagrams.iter().flat_map(Standing::get).collect(),
            ToWorker::RelayKey => self.key.iter().map(AsFd::as_fd).collect(),
            ToWorker::RelaySecret => vec![self.secret.as_fd()],
            ToWorker::RelaySecured => self.secured.iter().flat_map(Standing::get).collect(),
            ToWorker::RelayStreams => self.streams.iter().flat_map(Standing::get).collect(),
            _ => Vec::new(),
        }
    }

    /// Its sockets of a kind.
    pub(crate) fn standing(&mut self, grant: ToWorker) -> &mut [Standing] {
        match grant {
            ToWorker::RelayDatagrams => &mut self.datagrams,
            ToWorker::RelaySecured => &mut self.secured,
            ToWorker::RelayStreams => &mut self.streams,
            _ => &mut [],
        }
    }
}

fn standing(
    bound: Vec<Bound>,
    bind: impl Fn(SocketAddr) -> io::Result<Bound> + Clone + 'static,
) -> Vec<Standing> {
    let standing = |bound: Bound| {
        let (address, bind) = (bound.address, bind.clone());
        Standing::new(bound.socket, move || bind(address).map(|bound| bound.socket))
    };
    bound.into_iter().map(standing).collect()
}

/// Whether the relay's ports could be bound, and where; they are closed at once.
pub(crate) fn try_ports(
    port: u16,
    tls: Option<u16>,
    all: &[IpAddr],
    local: bool,
) -> Result<Vec<IpAddr>, RelayError> {
    let failed = |port, option| move |source| RelayError::Bind { port, option, source };
    let origin = &Origin::default();
    let sockets = bind(&addresses(all, local), &wildcards(local), port, origin)
        .map_err(failed(port, "relay-port"))?;
    if let Some(port) = tls {
        bind(&[], &wildcards(local), port, origin).map_err(failed(port, "relay-tls-port"))?;
    }
    Ok(sockets.datagrams.iter().map(|bound| bound.address.ip()).collect())
}

/// The addresses at which the relay receives datagrams.
fn addresses(all: &[IpAddr], local: bool) -> Vec<IpAddr> {
    all.iter().copied().filter(|ip| !local || ip.is_loopback()).take(MOST_ADDRESSES).collect()
}

/// The addresses at which it accepts connections.
fn wildcards(local: bool) -> [IpAddr; 2] {
    match local {
        true => [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        false => [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
    }
}

/// The relay's address for this machine: on loopback, if there is one.
fn near(datagrams: &[Bound]) -> Option<SocketAddr> {
    let loopback = datagrams.iter().find(|bound| bound.address.ip().is_loopback());
    loopback.or_else(|| datagrams.first()).map(|bound| bound.address)
}

/// The addresses that relayed addresses are made of: the public one replaces all others of its
/// family.
fn own(all: &[IpAddr], public: Option<IpAddr>) -> Vec<IpAddr> {
    let other = |ip: &&IpAddr| public.is_none_or(|public| ip.is_ipv4() != public.is_ipv4());
    public.into_iter().chain(all.iter().filter(other).copied()).collect()
}

/// Binds the sockets for datagrams to the port of those for connections, which the service manager made.
fn beside(
    passed: Vec<(OwnedFd, SocketAddr)>,
    addresses: &[IpAddr],
    origin: &Origin,
) -> Result<Sockets, RelayError> {
    let port = passed.first().map_or(0, |(_, address)| address.port());
    let failed = |source| RelayError::Bind { port, option: "relay-port", source };
    let mut datagrams = Vec::new();
    for ip in addresses {
        let bound = sockets::datagrams(SocketAddr::new(*ip, port), origin);
        datagrams.extend(if_there(bound, *ip).map_err(failed)?);
    }
    let bound = |(socket, address)| Bound { socket, address };
    Ok(Sockets { port, datagrams, streams: passed.into_iter().map(bound).collect() })
}

/// Binds `port`, or a free one if it is in use.
fn chosen_or_free(
    port: u16,
    option: &'static str,
    bind: impl Fn(u16) -> io::Result<Sockets>,
) -> Result<Sockets, RelayError> {
    let failed = |source| RelayError::Bind { port, option, source };
    let in_use = |error: &io::Error| error.kind() == io::ErrorKind::AddrInUse;
    let mut tried = match port {
        0 => None,
        port => Some(bind(port)),
    };
    let taken = matches!(&tried, Some(Err(error)) if in_use(error));
    // A port that the kernel finds free on one address may be in use on another.
    for _ in 0..TRIES {
        match &tried {
            Some(Err(error)) if in_use(error) => {}
            Some(_) => break,
            None => {}
        }
        tried = Some(bind(0));
    }
    let sockets = tried.unwrap_or_else(|| bind(0)).map_err(failed)?;
    if taken {
        info!("port {port} is in use; the relay takes {} (--{option} chooses)", sockets.port);
    }
    Ok(sockets)
}

/// Binds all sockets to one port, which the first socket chooses if `port` is zero. An address or
/// IP version that this machine lacks is left out.
fn bind(
    datagrams: &[IpAddr],
    streams: &[IpAddr],
    port: u16,
    origin: &Origin,
) -> io::Result<Sockets> {
    let mut sockets = Sockets { port, datagrams: Vec::new(), streams: Vec::new() };
    for ip in streams {
        let address = SocketAddr::new(*ip, sockets.port);
        if let Some(bound) = if_there(sockets::stream(address), *ip)? {
            sockets.port = bound.address.port();
            sockets.streams.push(bound);
        }
    }
    for ip in datagrams {
        let address = SocketAddr::new(*ip, sockets.port);
        if let Some(bound) = if_there(sockets::datagrams(address, origin), *ip)? {
            sockets.port = bound.address.port();
            sockets.datagrams.push(bound);
        }
    }
    match sockets.streams.is_empty() {
        true => Err(io::Error::from(io::ErrorKind::AddrNotAvailable)),
        false => Ok(sockets),
    }
}

fn if_there(bound: io::Result<Bound>, ip: IpAddr) -> io::Result<Option<Bound>> {
    match bound {
        Ok(bound) => Ok(Some(bound)),
        Err(error) => match error.raw_os_error() {
            Some(nix::libc::EAFNOSUPPORT | nix::libc::EADDRNOTAVAIL) => {
                // IPv6 is disabled, or an address was removed or is not ready.
                if !ip.is_unspecified() && !ip.is_loopback() {
                    warn!("the relay is unreachable at {ip}, because the address is not ready");
                }
                Ok(None)
            }
            _ => Err(error),
        },
    }
}

/// A PEM file in sealed memory. Only the confined relay parses its content.
fn sealed_file(path: &Path) -> Result<OwnedFd, RelayError> {
    let pem = read_pem(path)?;
    sealed::seal(PEM, &pem).map_err(RelayError::Seal)
}

/// The content of a PEM file, wiped when dropped.
fn read_pem(path: &Path) -> Result<Zeroizing<Vec<u8>>, RelayError> {
    let failed = |source| RelayError::File { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    // Allocated in full, so that no reallocation leaves a copy of a key behind.
    let mut pem = Zeroizing::new(Vec::with_capacity(MOST_PEM_BYTES + 1));
    let most = u64::try_from(MOST_PEM_BYTES).unwrap_or(u64::MAX);
    file.take(most + 1).read_to_end(&mut pem).map_err(failed)?;
    let marked = pem.windows(11).any(|window| window == b"-----BEGIN ");
    match marked && pem.len() <= MOST_PEM_BYTES {
        true => Ok(pem),
        false => Err(RelayError::NotPem { path: path.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    #[test]
    fn addresses_of_a_local_desktop_are_loopback_only() {
        let all = ips(&["192.0.2.7", "2001:db8::7", "127.0.0.1", "::1"]);
        assert_eq!(addresses(&all, true), ips(&["127.0.0.1", "::1"]));
        assert_eq!(addresses(&all, false), all);
        assert!(wildcards(true).iter().all(IpAddr::is_loopback));
    }

    #[test]
    fn own_public_address_stands_for_all_of_its_family() {
        let all = ips(&["192.0.2.7", "2001:db8::7", "127.0.0.1"]);
        let public = Some("203.0.113.5".parse().expect("an address"));
        assert_eq!(own(&all, public), ips(&["203.0.113.5", "2001:db8::7"]));
        assert_eq!(own(&all, None), all);
    }

    #[test]
    fn pem_file_that_is_none_is_refused() {
        let refused = read_pem(Path::new("/proc/self/cmdline"));
        assert!(matches!(refused, Err(RelayError::NotPem { .. })));
        let missing = read_pem(Path::new("/proc/self/no-such-file"));
        assert!(matches!(missing, Err(RelayError::File { .. })));
    }
}
