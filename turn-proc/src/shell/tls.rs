//! The relay's TLS configuration, made from a certificate and a key.

use std::sync::Arc;

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
};

/// Why a certificate or key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file contains no certificate.
    #[error("the TLS certificate is not PEM")]
    Certificate(#[source] pem::Error),
    /// The file contains no key.
    #[error("the TLS key is not PEM")]
    Key(#[source] pem::Error),
    /// They do not belong together, or have an unsupported type.
    #[error("the TLS certificate and key cannot be used")]
    Unusable(#[from] rustls::Error),
}

/// Configures TLS 1.2 and 1.3 with a certificate chain and its key, both PEM.
///
/// # Errors
/// [`TlsError`] names the unusable part.
pub fn server_config(chain: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<_, _>>()
        .map_err(TlsError::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(TlsError::Key)?;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}
