//! One reading of both clocks, and the flow a packet came from.
//!
//! Lifetimes use the monotonic clock; only the expiry inside a credential is wall time, because
//! another process wrote it.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

pub use lumen_ipc::relay::UnixSeconds;

use crate::address::unmapped;

/// Both clocks, read together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Moment {
    /// Monotonic.
    pub at: Instant,
    /// Wall.
    pub unix: UnixSeconds,
}

impl Moment {
    /// The moment later by `duration` on both clocks.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self { at: self.at + duration, unix: UnixSeconds(self.unix.0 + duration.as_secs()) }
    }
}

/// Where a packet came from and where its answer goes: TURN's five-tuple.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Flow {
    /// The socket or connection.
    pub carrier: Carrier,
    /// The other end, as the socket names it.
    pub remote: SocketAddr,
}

/// The transport of a flow.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Carrier {
    /// A UDP socket, by its index among the granted ones.
    Datagrams(u8),
    /// A TCP or TLS connection, by a number that is never reused.
    Stream(u64),
}

impl Flow {
    /// Whether messages need framing; the handshake has then proven the sender's address.
    #[must_use]
    pub const fn is_stream(&self) -> bool {
        matches!(self.carrier, Carrier::Stream(_))
    }

    /// The client's address as reported to it.
    #[must_use]
    pub fn reflexive(&self) -> SocketAddr {
        unmapped(self.remote)
    }

    /// The unit that limits count: one IPv4 address, or an IPv6 /64, which a single customer
    /// controls.
    #[must_use]
    pub fn source(&self) -> Source {
        Source::of(self.remote.ip())
    }
}

/// A sender as the limits count it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Source(u64);

/// Marks IPv4 sources; no IPv6 address lies below this prefix (`::/8` is reserved).
const V4_MARK: u64 = 0x00ff_0000_0000_0000;

impl Source {
    /// The source that `address` belongs to.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(V4_MARK | u64::from(v4.to_bits())),
            IpAddr::V6(v6) => Self((v6.to_bits() >> 64) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_is_one_per_ipv4_address_and_per_ipv6_network() {
        let of = |text: &str| Source::of(text.parse().unwrap());
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff::9"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_ne!(of("198.51.100.1"), of("198.51.100.2"));
        assert_eq!(of("198.51.100.1"), of("::ffff:198.51.100.1"));
    }
}
