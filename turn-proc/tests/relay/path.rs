//! The transports of a client: UDP, TCP, TLS.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    sync::Arc,
    time::Duration,
};

use anyhow::{Result, ensure};
use lumen_turn::framing::Framer;

use crate::client::Answer;

/// How long a test waits for an expected message.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How long it waits to see that no message comes.
pub(crate) const SILENCE: Duration = Duration::from_millis(200);

/// The transport of a client.
pub(crate) trait Path {
    fn send(&mut self, message: &[u8]) -> Result<()>;
    fn receive(&mut self) -> Result<Vec<u8>>;

    fn ask(&mut self, message: &[u8]) -> Result<Answer> {
        self.send(message)?;
        Ok(Answer::parse(&self.receive()?))
    }
}

pub(crate) struct OverUdp(pub(crate) UdpSocket);

impl OverUdp {
    pub(crate) fn to(relay: SocketAddr) -> Result<Self> {
        let socket = UdpSocket::bind(SocketAddr::new(relay.ip(), 0))?;
        socket.connect(relay)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(socket))
    }

    /// Whether no message arrives.
    pub(crate) fn is_silent(&mut self) -> Result<bool> {
        self.0.set_read_timeout(Some(SILENCE))?;
        let silent = self.receive().is_err();
        self.0.set_read_timeout(Some(PATIENCE))?;
        Ok(silent)
    }
}

impl Path for OverUdp {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        self.0.send(message)?;
        Ok(())
    }

    fn receive(&mut self) -> Result<Vec<u8>> {
        let mut buffer = vec![0; 4096];
        let length = self.0.recv(&mut buffer)?;
        buffer.truncate(length);
        Ok(buffer)
    }
}

pub(crate) struct OverStream<S> {
    pub(crate) stream: S,
    pub(crate) framer: Framer,
}

impl<S> OverStream<S> {
    pub(crate) fn on(stream: S) -> Self {
        Self { stream, framer: Framer::default() }
    }
}

impl<S: Read + Write> Path for OverStream<S> {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        let mut padded = message.to_vec();
        padded.resize(message.len().next_multiple_of(4), 0);
        self.stream.write_all(&padded)?;
        self.stream.flush()?;
        Ok(())
    }

    fn receive(&mut self) -> Result<Vec<u8>> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(message) = self.framer.next_message()? {
                return Ok(message.to_vec());
            }
            let length = self.stream.read(&mut buffer)?;
            ensure!(length > 0, "the relay has closed the connection");
            self.framer.push(&buffer[..length]);
        }
    }
}

pub(crate) fn over_tcp(relay: SocketAddr) -> Result<OverStream<TcpStream>> {
    let stream = TcpStream::connect(relay)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(OverStream::on(stream))
}

/// TLS that accepts any certificate: the client need not know who the relay is, because its media
/// is encrypted end to end.
pub(crate) fn over_tls(relay: SocketAddr) -> Result<OverStream<impl Read + Write>> {
    let stream = TcpStream::connect(relay)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    tls_on(stream)
}

/// The same on an existing connection.
pub(crate) fn tls_on(stream: TcpStream) -> Result<OverStream<impl Read + Write>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    let connection = rustls::ClientConnection::new(Arc::new(config), "localhost".try_into()?)?;
    Ok(OverStream::on(rustls::StreamOwned::new(connection, stream)))
}

#[derive(Debug)]
pub(crate) struct AnyCertificate(Arc<rustls::crypto::CryptoProvider>);

mod any_certificate {
    use rustls::{
        DigitallySignedStruct, Error, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        pki_types::{CertificateDer, ServerName, UnixTime},
    };

    impl ServerCertVerifier for super::AnyCertificate {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    }
}
