//! How browsers reach the gateway: the address it listens on, the proxies it trusts, and the path
//! of its page.
//!
//! An administrator writes all three on a command line; they are parsed here, once.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use crate::text::Text;

/// Longest path of a Unix socket: the kernel's field (unix(7)) without its final zero.
pub const MAX_SOCKET_PATH_BYTES: usize = 107;
/// Longest base path in bytes.
pub const MAX_BASE_PATH_BYTES: usize = 128;
/// Beginnings of the gateway's own paths. A base path that began like one could not be told from it
/// where a proxy strips the base path.
const OWN_PATHS: [&str; 7] = ["api", "healthz", "login", "metrics", "readyz", "src", "ws"];
/// The prefix of a Unix socket's path.
const UNIX: &str = "unix:";

/// How a browser reaches the gateway.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct FrontDoor {
    /// The address or path of the listener.
    pub listen: Listen,
    /// The proxies whose headers about a browser's address, host and scheme are believed. So are
    /// those of every client of a Unix socket.
    pub trusted: Vec<Network>,
    /// The path of the page.
    pub base: BasePath,
}

impl FrontDoor {
    /// Whether only programs of this machine are served: it listens on loopback, and no proxy
    /// forwards other clients.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self.listen {
            Listen::Tcp(address) => address.ip().is_loopback() && self.trusted.is_empty(),
            Listen::Unix(_) => false,
        }
    }
}

/// What the gateway listens on.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Listen {
    /// An address and a port.
    Tcp(SocketAddr),
    /// A Unix socket, by its absolute path.
    Unix(Text<MAX_SOCKET_PATH_BYTES>),
}

impl Listen {
    /// The address, if it listens on TCP.
    #[must_use]
    pub const fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

/// Text that is not an address to listen on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "expected an address and a port, such as 127.0.0.1:8080 or [::]:8080, or unix: and the absolute \
     path of a socket, at most {MAX_SOCKET_PATH_BYTES} bytes long"
)]
pub struct BadListen;

impl FromStr for Listen {
    type Err = BadListen;

    fn from_str(text: &str) -> Result<Self, BadListen> {
        match text.strip_prefix(UNIX) {
            Some(path) if path.starts_with('/') && !path.ends_with('/') && !path.contains('\0') => {
                Text::new(path).map(Self::Unix).map_err(|_| BadListen)
            }
            Some(_) => Err(BadListen),
            None => text.parse().map(Self::Tcp).map_err(|_| BadListen),
        }
    }
}

impl TryFrom<String> for Listen {
    type Error = BadListen;

    fn try_from(text: String) -> Result<Self, BadListen> {
        text.parse()
    }
}

impl From<Listen> for String {
    fn from(listen: Listen) -> Self {
        listen.to_string()
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{path}"),
        }
    }
}

/// All addresses with a common prefix: a network, or a single host.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    first: IpAddr,
    bits: u8,
}

/// Text that is not a network.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadNetwork {
    /// Neither an address nor a network.
    #[error("expected an address or a network, such as 192.0.2.1 or 2001:db8::/64")]
    Syntax,
    /// Bits beyond the prefix are set, so it is unclear whether a network or an address is meant.
    #[error("{0} has bits beyond the length of the network; write {1}, or the address alone")]
    HostBits(IpAddr, Network),
    /// It contains every address.
    #[error("every client would be trusted; name the proxy's address or its network")]
    Everybody,
}

impl Network {
    /// The network of the first `bits` bits of `address`.
    ///
    /// # Errors
    /// [`BadNetwork`] when `bits` is zero or too large, or other bits are set.
    pub fn new(address: IpAddr, bits: u8) -> Result<Self, BadNetwork> {
        let most = match address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        match bits {
            0 => return Err(BadNetwork::Everybody),
            bits if bits > most => return Err(BadNetwork::Syntax),
            _ => {}
        }
        let network = Self { first: masked(address, bits), bits };
        if network.first != address {
            return Err(BadNetwork::HostBits(address, network));
        }
        // A network of IPv4-mapped addresses is the IPv4 network, because addresses are compared in
        // canonical form.
        match (address.to_canonical(), bits.checked_sub(96)) {
            (IpAddr::V4(_), Some(0)) if address.is_ipv6() => Err(BadNetwork::Everybody),
            (IpAddr::V4(first), Some(bits)) if address.is_ipv6() => {
                Ok(Self { first: first.into(), bits })
            }
            _ => Ok(network),
        }
    }

    /// Whether `address` belongs to it, in whatever form it is written.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && masked(address, self.bits) == self.first
    }
}

/// `address` with the bits beyond the first `bits` cleared.
fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits.into())).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits.into())).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| BadNetwork::Syntax)?;
        let bits = match bits {
            // `parse` would accept a sign.
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                bits.parse().map_err(|_| BadNetwork::Syntax)?
            }
            Some(_) => return Err(BadNetwork::Syntax),
            None if address.is_ipv4() => 32,
            None => 128,
        };
        Self::new(address, bits)
    }
}

impl TryFrom<String> for Network {
    type Error = BadNetwork;

    fn try_from(text: String) -> Result<Self, BadNetwork> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

/// The path under which browsers find the page; it begins and ends with a slash.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BasePath(Text<MAX_BASE_PATH_BYTES>);

/// Text that is not a base path.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "expected a path that begins and ends with a slash, such as /desk/, of letters, digits and . _ ~ \
     -, at most {MAX_BASE_PATH_BYTES} bytes long, and not beginning like one of Lumen's own: /{}/",
    OWN_PATHS.join("/, /")
)]
pub struct BadBasePath;

impl BasePath {
    /// The path, with its slashes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The path without its last slash: the prefix of the gateway's own paths.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.as_str().strip_suffix('/').unwrap_or_default()
    }

    /// Whether the page is at the root of its site.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.as_str() == "/"
    }
}

impl Default for BasePath {
    fn default() -> Self {
        Self(Text::truncated("/"))
    }
}

impl FromStr for BasePath {
    type Err = BadBasePath;

    fn from_str(text: &str) -> Result<Self, BadBasePath> {
        // Only characters that need no escaping (RFC 3986, section 2.3), because proxies write
        // others differently.
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
        let segment = |segment: &str| {
            !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(legal)
        };
        let inner = text.strip_prefix('/').ok_or(BadBasePath)?;
        if !inner.is_empty() {
            let inner = inner.strip_suffix('/').ok_or(BadBasePath)?;
            let own = inner.split('/').next().is_some_and(|first| OWN_PATHS.contains(&first));
            if own || !inner.split('/').all(segment) {
                return Err(BadBasePath);
            }
        }
        Text::new(text).map(Self).map_err(|_| BadBasePath)
    }
}

impl TryFrom<String> for BasePath {
    type Error = BadBasePath;

    fn try_from(text: String) -> Result<Self, BadBasePath> {
        text.parse()
    }
}

impl From<BasePath> for String {
    fn from(base: BasePath) -> Self {
        base.0.into_string()
    }
}

impl fmt::Display for BasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn network(text: &str) -> Network {
        text.parse().expect("a network")
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn listen_is_written_as_it_is_read() {
        for text in ["127.0.0.1:8080", "[::]:80", "unix:/run/lumen/web.sock"] {
            assert_eq!(text.parse::<Listen>().expect("legal").to_string(), text);
        }
        let long = format!("unix:/{}", "x".repeat(MAX_SOCKET_PATH_BYTES));
        for text in
            ["", "8080", "127.0.0.1", "unix:", "unix:web.sock", "unix:/run/", "unix:/a\0", &long]
        {
            assert_eq!(text.parse::<Listen>(), Err(BadListen), "{text:?}");
        }
    }

    #[test]
    fn front_door_is_local_on_the_loopback_without_a_proxy_only() {
        let local = |listen: &str, trusted: &[&str]| {
            let trusted = trusted.iter().map(|text| network(text)).collect();
            let listen = listen.parse().expect("legal");
            FrontDoor { listen, trusted, base: BasePath::default() }.is_local()
        };
        assert!(local("127.0.0.1:8080", &[]) && local("[::1]:8080", &[]));
        assert!(!local("127.0.0.1:8080", &["127.0.0.1"]));
        assert!(!local("0.0.0.0:8080", &[]) && !local("unix:/run/lumen.sock", &[]));
    }

    #[test]
    fn network_has_its_own_addresses_and_no_other() {
        for (text, own, other) in [
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("192.0.2.1", "::ffff:192.0.2.1", "::192.0.2.1"),
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "::1"),
            ("2001:db8::/64", "2001:db8::7", "2001:db8:0:1::7"),
            ("::1", "::1", "127.0.0.1"),
        ] {
            assert!(network(text).contains(address(own)), "{own} in {text}");
            assert!(!network(text).contains(address(other)), "{other} in {text}");
        }
    }

    #[test]
    fn network_ambiguous_empty_or_boundless_is_refused() {
        for text in [
            "",
            "proxy.example",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10/8",
            "::/129",
            "[::1]",
        ] {
            assert_eq!(text.parse::<Network>(), Err(BadNetwork::Syntax), "{text}");
        }
        for text in ["0.0.0.0/0", "::/0", "::ffff:0.0.0.0/96"] {
            assert_eq!(text.parse::<Network>(), Err(BadNetwork::Everybody), "{text}");
        }
        let error = "10.1.0.0/8".parse::<Network>().expect_err("which?");
        assert!(error.to_string().contains("10.0.0.0/8"), "{error}");
    }

    #[test]
    fn base_path_of_plain_segments_between_slashes_is_one() {
        for text in ["/", "/desk/", "/a/b.c/~d_e-f/"] {
            assert_eq!(text.parse::<BasePath>().expect("legal").as_str(), text);
        }
        let long = format!("/{}/", "x".repeat(MAX_BASE_PATH_BYTES));
        for text in [
            "", "desk", "/desk", "desk/", "//", "/a//b/", "/../", "/./", "/a b/", "/%41/", "/a?b/",
            "/;/", "/ws/", "/api/v1/", &long,
        ] {
            assert_eq!(text.parse::<BasePath>(), Err(BadBasePath), "{text}");
        }
        assert_eq!("/desk/".parse::<BasePath>().expect("legal").prefix(), "/desk");
        assert_eq!(BasePath::default().prefix(), "");
    }

    proptest! {
        #[test]
        fn network_is_written_as_it_is_read_and_has_its_first_address(
            bits in any::<u128>(), length in 1_u8..=128, v4 in any::<bool>()
        ) {
            let (address, length) = match v4 {
                true => (Ipv4Addr::from_bits(bits as u32).into(), length.min(32)),
                false => (IpAddr::from(Ipv6Addr::from_bits(bits)), length),
            };
            let network = Network::new(masked(address, length), length).expect("no bits beyond");
            prop_assert!(network.contains(address));
            prop_assert_eq!(network.to_string().parse::<Network>(), Ok(network));
        }
    }
}
