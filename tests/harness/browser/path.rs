//! The ways that a page's picture may take.

use std::fmt;

use serde::Deserialize;

/// How a browser connects to the relay.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP without TLS.
    Tcp,
    /// TLS over TCP.
    Tls,
}

impl Transport {
    /// As WebRTC's statistics name it (`RTCIceCandidateStats.relayProtocol`).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}

/// The path of a page's picture.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Path {
    /// From rtc, over UDP.
    Direct,
    /// Through the relay.
    Relayed(Transport),
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => f.write_str("direct UDP"),
            Self::Relayed(transport) => write!(f, "relay {}", transport.name().to_uppercase()),
        }
    }
}

/// A path as the page's WebRTC describes it.
#[derive(Deserialize)]
pub(super) struct SelectedPath {
    pub(super) kind: String,
    pub(super) relayed: Option<String>,
}
