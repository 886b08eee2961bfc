//! HTTP to the provider, with a limit on everything: no redirects, no proxies of the environment's, no connection that
//! others could read, few seconds, few bytes.

use std::{fs, path::Path, sync::Arc, time::Duration};

use http::{Request, Response};
use lumen_ipc::message::oidc::OidcFailure;
use ureq::{
    Agent,
    config::Config,
    tls::{PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem},
};

use crate::{answer::NoAnswer, errand::Failure, settings::is_safe};

/// Where the machine's authorities are: on Debian, on Fedora, on openSUSE.
const AUTHORITIES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
];
/// How long one request may take in all.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest answer in bytes: keys and certificates of a large provider.
const MOST_BYTES: u64 = 512 * 1024;

/// A client.
#[derive(Debug)]
pub(super) struct Web(Agent);

impl Web {
    /// A client that trusts the authorities of this file, or the machine's.
    pub(super) fn new(authorities: Option<&Path>) -> Result<Self, Failure> {
        let roots = roots(authorities).map_err(|why| Failure::new(OidcFailure::Settings, why))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        // This warms the cryptography library up, too: it examines the processor and the kernel's randomness here, before
        // the fence.
        let mut drawn = [0; 1];
        provider
            .secure_random
            .fill(&mut drawn)
            .map_err(|_| Failure::new(OidcFailure::Settings, "the machine has no randomness"))?;
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(roots)
            .unversioned_rustls_crypto_provider(provider)
            .build();
        let config = Config::builder()
            .tls_config(tls)
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .user_agent("lumen-oidc")
            .build();
        Ok(Self(config.new_agent()))
    }

    /// The answer to a request.
    pub(super) fn ask(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, NoAnswer> {
        let url = request.uri().to_string();
        if !is_safe(&url) {
            return Err(NoAnswer::InClear(url));
        }
        let web = |error: ureq::Error| match error {
            ureq::Error::BodyExceedsLimit(most) => NoAnswer::TooLong { url: url.clone(), most },
            error => NoAnswer::Unreachable { url: url.clone(), why: error.to_string() },
        };
        let (head, mut body) = match request.method() == http::Method::GET {
            // ureq sends a body's length with a GET otherwise.
            true => self.0.run(request.map(|_| ())),
            false => self.0.run(request),
        }
        .map_err(web)?
        .into_parts();
        let bytes = body.with_config().limit(MOST_BYTES).read_to_vec().map_err(web)?;
        Ok(Response::from_parts(head, bytes))
    }
}

/// The certificates of authorities in this file, or the machine's.
fn roots(file: Option<&Path>) -> Result<RootCerts, String> {
    let usual = || AUTHORITIES.iter().map(Path::new).find(|path| path.exists());
    let Some(path) = file.or_else(usual) else {
        return Err(
            "this machine knows no certificate authorities: install the package ca-certificates"
                .into(),
        );
    };
    let pem = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    match certificates.is_empty() {
        true => Err(format!("{} has no certificate", path.display())),
        false => Ok(RootCerts::new_with_certs(&certificates)),
    }
}
