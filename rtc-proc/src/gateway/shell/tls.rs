//! TLS of the page's connections: the certificate, which may be replaced at any time, and the handshake.
//!
//! A handshake has as long as the head of a request, and its connection has a place among the others all
//! the while, which it loses like any silent one.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use lumen_ipc::{
    service::GatewayConfig,
    text::Text,
    tls::{MAX_PAIR_BYTES, Tls},
};
use lumen_ipc_runtime::{
    bootstrap::StartError,
    sealed::{self, SealedError},
};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tracing::{info, warn};
use zeroize::Zeroizing;

use super::{
    super::{
        certificate::{CertificateError, PageCertificate},
        self_signed,
    },
    broker::Broker,
    server::HEAD_PATIENCE,
};

/// HTTP/2 and HTTP/1.1 by their names in ALPN (RFC 7301), the preferred first.
const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";

/// The page's TLS.
#[derive(Clone)]
pub(super) struct PageTls {
    acceptor: TlsAcceptor,
    current: Arc<Current>,
}

/// The certificate that browsers see from now on.
#[derive(Debug)]
struct Current(Mutex<PageCertificate>);

/// The version of HTTP that a browser speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Version {
    One,
    Two,
}

/// What became of a pair that was granted at the start.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    pub(super) serial: u32,
    pub(super) refused: Option<Text<256>>,
}

/// The certificate to begin with.
#[derive(Debug)]
pub struct Beginning {
    certificate: PageCertificate,
    judged: Vec<Judged>,
}

impl Current {
    fn get(&self) -> PageCertificate {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.get().key)
    }
}

impl Beginning {
    /// Chooses among the pairs granted at the start, the newest last, or makes one; before confinement,
    /// because neither sealing memory nor what a library does when it first draws random numbers is
    /// permitted later. `None` where the page is served without TLS.
    ///
    /// # Errors
    /// When none of them can be used.
    pub fn new(config: &GatewayConfig, granted: Vec<OwnedFd>) -> Result<Option<Self>, StartError> {
        if config.tls != Tls::Off {
            let drawn = aws_lc_rs::default_provider().secure_random.fill(&mut [0; 32]);
            drawn.map_err(|_| StartError::new("there is no randomness for TLS"))?;
        }
        match config.tls {
            Tls::Off => Ok(None),
            Tls::Own => Self::own(config, granted).map(Some),
            Tls::Given => Self::given(granted).map(Some),
        }
    }

    fn own(config: &GatewayConfig, granted: Vec<OwnedFd>) -> Result<Self, StartError> {
        let cannot = |error| StartError::caused("cannot make a certificate for the page", error);
        let memory = granted.into_iter().next_back();
        let memory =
            memory.ok_or_else(|| StartError::new("no memory for a certificate is granted"))?;
        let copy = memory.try_clone().map_err(cannot)?;
        let bytes = match sealed::read(copy, MAX_PAIR_BYTES) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(SealedError::Unsealed) => {
                let address = config.front_door.listen.tcp().map(|address| address.ip());
                let made = self_signed::make(config.hostname.as_str(), address)
                    .map(Zeroizing::new)
                    .map_err(|error| cannot(io::Error::other(error)))?;
                sealed::fill(memory, &made).map_err(cannot)?;
                made
            }
            Err(error) => return Err(cannot(io::Error::other(error))),
        };
        let unusable = |error| StartError::caused("cannot use the page's own certificate", error);
        Ok(Self {
            certificate: PageCertificate::parse(&bytes).map_err(unusable)?,
            judged: Vec::new(),
        })
    }

    fn given(granted: Vec<OwnedFd>) -> Result<Self, StartError> {
        let mut best: Option<PageCertificate> = None;
        let mut judged = Vec::new();
        for memory in granted {
            let bytes = read(memory).map_err(|error| {
                StartError::caused("cannot read the granted certificate of the page", error)
            })?;
            let next = match &best {
                Some(present) => present.replaced_by(&bytes, now()),
                None => PageCertificate::parse(&bytes),
            };
            match next {
                Ok(next) => {
                    judged.push(Judged { serial: next.serial, refused: None });
                    best = Some(next);
                }
                // One that was in use before is the first.
                Err(error) if best.is_some() => judged.extend(refused(&bytes, &error)),
                Err(error) => {
                    let what = "cannot speak TLS with what --tls-cert and --tls-key name";
                    return Err(StartError::caused(what, error));
                }
            }
        }
        let certificate = best.ok_or_else(|| StartError::new("no certificate is granted"))?;
        if let Some(untimely) = certificate.untimely(now()) {
            warn!("{untimely}: browsers will refuse the page");
        }
        Ok(Self { certificate, judged })
    }
}

impl PageTls {
    /// Serves with this certificate, and reports what became of the granted ones. Call it inside a
    /// runtime.
    pub(super) fn new(beginning: Beginning, broker: &Broker) -> Result<Self, rustls::Error> {
        let Beginning { certificate, judged } = beginning;
        let current = Arc::new(Current(Mutex::new(certificate)));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1.to_vec()];
        for word in judged {
            broker.report_certificate(word);
        }
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), current })
    }

    /// Uses another certificate from the next handshake on, if it is no worse.
    pub(super) fn replace(&self, granted: OwnedFd, broker: &Broker) {
        let bytes = match sealed::read_once(granted, MAX_PAIR_BYTES).map(Zeroizing::new) {
            Ok(bytes) => bytes,
            Err(error) => return warn!(%error, "cannot read the granted certificate of the page"),
        };
        match self.current.get().replaced_by(&bytes, now()) {
            Ok(next) => {
                info!("browsers get another certificate from now on");
                broker.report_certificate(Judged { serial: next.serial, refused: None });
                *self.current.0.lock().unwrap_or_else(PoisonError::into_inner) = next;
            }
            Err(error) => {
                refused(&bytes, &error)
                    .into_iter()
                    .for_each(|word| broker.report_certificate(word));
            }
        }
    }

    /// Completes a handshake, and tells which version of HTTP follows.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, Version)> {
        let stream = timeout(HEAD_PATIENCE, self.acceptor.accept(stream))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let version = match stream.get_ref().1.alpn_protocol() {
            Some(HTTP_2) => Version::Two,
            _ => Version::One,
        };
        Ok((stream, version))
    }
}

fn read(memory: OwnedFd) -> Result<Zeroizing<Vec<u8>>, SealedError> {
    sealed::read(memory.as_fd().try_clone_to_owned()?, MAX_PAIR_BYTES).map(Zeroizing::new)
}

/// The word about a refused pair, if it can be named.
fn refused(granted: &[u8], error: &CertificateError) -> Option<Judged> {
    let pair = lumen_ipc::tls::Pair::decode(granted).ok()?;
    Some(Judged { serial: pair.serial, refused: Some(Text::truncated(error.to_string())) })
}

/// The time since 1970, by which certificates are valid.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
