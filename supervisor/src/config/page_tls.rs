//! Whether browsers connect by TLS.

use std::path::PathBuf;

use lumen_ipc::{front_door::Listen, tls::Tls};

/// Why no password is taken by plain HTTP, and what to do.
pub const IN_CLEAR: &str = "passwords would cross the network in clear; leave --tls out, so that Lumen makes a \
                            certificate, or name one with --tls-cert and --tls-key; or listen on a loopback \
                            address or a Unix socket, behind a proxy that has a certificate";

/// How the page is served.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PageTls {
    /// By plain HTTP.
    Off,
    /// By TLS with a certificate that Lumen makes itself.
    Own,
    /// By TLS with this certificate.
    Given {
        /// File with the certificate chain, in PEM.
        certificate: PathBuf,
        /// File with the private key, in PEM.
        key: PathBuf,
    },
}

impl PageTls {
    /// What browsers get where nobody said it: plain HTTP only on this machine, and behind a Unix socket,
    /// which is for a proxy.
    #[must_use]
    pub fn by_address(listen: &Listen) -> Self {
        match listen.tcp() {
            Some(address) if !address.ip().is_loopback() => Self::Own,
            Some(_) | None => Self::Off,
        }
    }

    /// The same, without the files.
    #[must_use]
    pub const fn kind(&self) -> Tls {
        match self {
            Self::Off => Tls::Off,
            Self::Own => Tls::Own,
            Self::Given { .. } => Tls::Given,
        }
    }
}
