//! Whether browsers connect by TLS.

use std::path::PathBuf;

use lumen_ipc::tls::Tls;

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
