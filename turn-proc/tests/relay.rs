//! The relay on real sockets over loopback: UDP, TCP and TLS, with a client of our own and with
//! coturn's `turnutils_uclient` as referee. Needs the Debian package `coturn`.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod client;

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    ops::ControlFlow,
    os::fd::{AsFd, BorrowedFd},
    process::{Command, Output},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use client::*;
use lumen_ipc_runtime::{metrics::Registry, wake::Waker};
use lumen_turn::{
    address::OwnAddresses,
    auth::credential::{Party, RelaySecret},
    framing::Framer,
    quota::{Rate, StrangerRates},
    relay::{Relay, RelayConfig, allocation::AllocationLimits},
    shell::{ConnectionLimits, Overseer, Server, Sockets, now, server_config},
};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long it waits for what must not.
const SILENCE: Duration = Duration::from_millis(200);

/// A running relay. Ends with the test.
struct Running {
    udp: SocketAddr,
    tcp: SocketAddr,
    tls: SocketAddr,
    stop: Waker,
    thread: Option<JoinHandle<()>>,
    registry: Registry,
}

/// Ends the relay when it wakes.
struct Stop(Waker);

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Overseer for Stop {
    fn heed(&mut self, _: &mut Server) -> ControlFlow<()> {
        ControlFlow::Break(())
    }
}

#[derive(Default)]
struct Setup {
    rates: StrangerRates,
    connections: ConnectionLimits,
}

/// Limits that loopback tests, all from one source, do not meet.
fn patient() -> Setup {
    let plenty = Rate { per_second: 100_000, burst: 100_000 };
    let rates =
        StrangerRates { source: plenty, datagrams: plenty, streams: plenty, attempts: plenty };
    let connections =
        ConnectionLimits { opened: plenty, opened_by_all: plenty, ..Default::default() };
    Setup { rates, connections }
}

impl Running {
    fn start(setup: Setup) -> Result<Self> {
        Self::start_on(IpAddr::V4(Ipv4Addr::LOCALHOST), setup)
    }

    fn start_on(ip: IpAddr, setup: Setup) -> Result<Self> {
        let any = SocketAddr::new(ip, 0);
        let (udp, tcp, tls) =
            (UdpSocket::bind(any)?, TcpListener::bind(any)?, TcpListener::bind(any)?);
        let addresses = (udp.local_addr()?, tcp.local_addr()?, tls.local_addr()?);
        let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
        let chain = certified.cert.pem();
        let key = certified.signing_key.serialize_pem();
        let registry = Registry::default();
        let config = RelayConfig {
            own: OwnAddresses::new(&[ip])?,
            realm: REALM.to_owned(),
            secret: RelaySecret::new(&SECRET),
            rates: setup.rates,
            limits: AllocationLimits::default(),
        };
        let relay = Relay::new(config, &registry, now())?;
        let sockets = Sockets { datagrams: vec![udp], streams: vec![tcp], secured: vec![tls] };
        let tls_config = server_config(chain.as_bytes(), key.as_bytes())?;
        let stop = Waker::new()?;
        let (stopped, counted) = (stop.clone(), registry.clone());
        let thread = std::thread::Builder::new().name("relay".to_owned()).spawn(move || {
            Server::new(sockets, relay, Some(tls_config), setup.connections, &counted)
                .and_then(|mut server| server.run(&mut Stop(stopped)))
                .unwrap();
        })?;
        let (udp, tcp, tls) = addresses;
        Ok(Self { udp, tcp, tls, stop, thread: Some(thread), registry })
    }

    fn figure(&self, name: &str) -> i64 {
        use lumen_ipc::service::MetricValue;
        let metrics = self.registry.snapshot();
        let metric = metrics.iter().find(|metric| metric.name.as_str() == name);
        match metric.map(|metric| &metric.value) {
            Some(MetricValue::Counter(count)) => i64::try_from(*count).unwrap(),
            Some(MetricValue::Gauge(value)) => *value,
            _ => panic!("no figure called {name}"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.wake();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn expires() -> u64 {
    now().unix.0 + 3600
}

/// What a client talks through.
trait Path {
    fn send(&mut self, message: &[u8]) -> Result<()>;
    fn receive(&mut self) -> Result<Vec<u8>>;

    fn ask(&mut self, message: &[u8]) -> Result<Answer> {
        self.send(message)?;
        Ok(Answer::parse(&self.receive()?))
    }
}

struct OverUdp(UdpSocket);

impl OverUdp {
    fn to(relay: SocketAddr) -> Result<Self> {
        let socket = UdpSocket::bind(SocketAddr::new(relay.ip(), 0))?;
        socket.connect(relay)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(socket))
    }

    /// Whether nothing comes.
    fn is_silent(&mut self) -> Result<bool> {
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

struct OverStream<S> {
    stream: S,
    framer: Framer,
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

fn over_tcp(relay: SocketAddr) -> Result<OverStream<TcpStream>> {
    let stream = TcpStream::connect(relay)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(OverStream { stream, framer: Framer::default() })
}

fn login(path: &mut dyn Path, client: &mut Client) -> Result<Answer> {
    let challenge = path.ask(&client.hello())?;
    client.nonce = challenge.text(NONCE_ATTRIBUTE).context("a challenge has a nonce")?;
    let request = client.allocate();
    path.ask(&request)
}

fn enter(path: &mut dyn Path, client: &mut Client) -> Result<SocketAddr> {
    let answer = login(path, client)?;
    ensure!(answer.error().is_none(), "allocation refused with {:?}", answer.error());
    answer.address(RELAYED_ATTRIBUTE).context("an allocation has a relayed address")
}

fn viewer(peer: u64) -> Client {
    Client::new(grantee(Party::Viewer, 1, peer), expires(), 1)
}

fn rtc() -> Client {
    Client::new(grantee(Party::Rtc, 1, 7), expires(), 1)
}

/// A viewer on `path` and rtc over UDP exchange data both ways.
fn exchange(relay: &Running, path: &mut dyn Path) -> Result<()> {
    let (mut at_rtc, mut rtc, mut viewer) = (OverUdp::to(relay.udp)?, rtc(), viewer(7));
    let (rtc_address, viewer_address) = (enter(&mut at_rtc, &mut rtc)?, enter(path, &mut viewer)?);
    ensure!(at_rtc.ask(&rtc.permit(viewer_address))?.error().is_none());
    ensure!(path.ask(&viewer.bind(0x4000, rtc_address))?.error().is_none());
    for round in 0..20_u8 {
        let data = vec![round; usize::from(round) * 60];
        path.send(&channel_data(0x4000, &data))?;
        let indication = Answer::parse(&at_rtc.receive()?);
        ensure!(indication.get(DATA_ATTRIBUTE) == Some(&data[..]), "towards rtc, round {round}");
        at_rtc.send(&rtc.send(viewer_address, &data))?;
        let received = path.receive()?;
        ensure!(
            received[..4 + data.len()] == channel_data(0x4000, &data)[..],
            "towards the viewer, round {round}"
        );
    }
    Ok(())
}

#[test]
fn data_passes_between_udp_and_udp() -> Result<()> {
    let relay = Running::start(patient())?;
    exchange(&relay, &mut OverUdp::to(relay.udp)?)
}

#[test]
fn data_passes_between_tcp_and_udp() -> Result<()> {
    let relay = Running::start(patient())?;
    exchange(&relay, &mut over_tcp(relay.tcp)?)
}

#[test]
fn data_passes_between_tls_and_udp() -> Result<()> {
    let relay = Running::start(patient())?;
    exchange(&relay, &mut over_tls(relay.tls)?)
}

#[test]
fn data_passes_over_ipv6() -> Result<()> {
    let relay = Running::start_on(IpAddr::V6(Ipv6Addr::LOCALHOST), patient())?;
    exchange(&relay, &mut OverUdp::to(relay.udp)?)?;
    Ok(())
}

/// TLS that believes any certificate: who the relay is does not matter to its client, whose media
/// is encrypted end to end.
fn over_tls(relay: SocketAddr) -> Result<OverStream<impl Read + Write>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    let connection = rustls::ClientConnection::new(Arc::new(config), "localhost".try_into()?)?;
    let stream = TcpStream::connect(relay)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let stream = rustls::StreamOwned::new(connection, stream);
    Ok(OverStream { stream, framer: Framer::default() })
}

#[derive(Debug)]
struct AnyCertificate(Arc<rustls::crypto::CryptoProvider>);

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

/// Runs coturn's client: allocations of a probe, two for each side of RTP, that send to each other.
fn uclient(port: u16, username: &str, password: &str, more: &[&str]) -> Result<Output> {
    Command::new("turnutils_uclient")
        .args(["-y", "-c", "-n", "20", "-z", "5", "-l", "400"])
        .args(["-p", &port.to_string(), "-u", username, "-w", password])
        .args(more)
        .arg("127.0.0.1")
        .output()
        .context("cannot run turnutils_uclient; install the package coturn")
}

fn probe(expires: u64) -> lumen_turn::auth::credential::Credential {
    mint(grantee(Party::Probe, 1, 1), expires, 1)
}

fn assert_nothing_lost(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("Total lost packets 0 (0.000000%)"), "{text}");
    assert!(output.status.success(), "{text}");
}

#[test]
fn turnutils_passes_over_udp_by_channels_and_by_indications() -> Result<()> {
    let relay = Running::start(patient())?;
    let credential = probe(expires());
    for more in [&[][..], &["-s"]] {
        let output = uclient(relay.udp.port(), &credential.username, &credential.password, more)?;
        assert_nothing_lost(&output);
    }
    Ok(())
}

#[test]
fn turnutils_passes_over_tcp() -> Result<()> {
    let relay = Running::start(patient())?;
    let credential = probe(expires());
    let output = uclient(relay.tcp.port(), &credential.username, &credential.password, &["-t"])?;
    assert_nothing_lost(&output);
    Ok(())
}

#[test]
fn turnutils_passes_over_tls() -> Result<()> {
    let relay = Running::start(patient())?;
    let credential = probe(expires());
    let output =
        uclient(relay.tls.port(), &credential.username, &credential.password, &["-t", "-S"])?;
    assert_nothing_lost(&output);
    Ok(())
}

#[test]
fn turnutils_with_wrong_expired_or_foreign_credentials_gets_nothing() -> Result<()> {
    let relay = Running::start(patient())?;
    let (good, old) = (probe(expires()), probe(now().unix.0 - 1));
    let foreign = mint(grantee(Party::Probe, 1, 2), expires(), 1);
    for (username, password) in [
        (&good.username, "wrong"),
        (&old.username, old.password.as_str()),
        (&foreign.username, good.password.as_str()),
    ] {
        let output = uclient(relay.udp.port(), username, password, &["-n", "1"])?;
        assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    assert_eq!(relay.figure("relay_allocations_count"), 0);
    assert_eq!(relay.figure("relay_packets_total"), 0);
    Ok(())
}

#[test]
fn captured_request_from_another_socket_is_stale() -> Result<()> {
    let relay = Running::start(patient())?;
    let mut victim = OverUdp::to(relay.udp)?;
    let mut client = viewer(7);
    client.nonce = victim.ask(&client.hello())?.text(NONCE_ATTRIBUTE).context("a nonce")?;
    let captured = client.allocate();
    let mut thief = OverUdp::to(relay.udp)?;
    assert_eq!(thief.ask(&captured)?.error(), Some(438));
    assert_eq!(relay.figure("relay_allocations_count"), 0);
    Ok(())
}

#[test]
fn foreign_peers_are_refused_and_nothing_leaves_the_relay() -> Result<()> {
    let relay = Running::start(patient())?;
    let target = UdpSocket::bind("127.0.0.1:0")?;
    target.set_read_timeout(Some(SILENCE))?;
    let target_port = target.local_addr()?.port();
    let mut path = OverUdp::to(relay.udp)?;
    let mut client = viewer(7);
    enter(&mut path, &mut client)?;
    let ips = [
        "::ffff:127.0.0.1",
        "127.0.0.2",
        "169.254.169.254",
        "10.0.0.1",
        "192.168.0.1",
        "::1",
        "fe80::1",
        "0.0.0.0",
        "::",
    ];
    for ip in ips {
        let peer = SocketAddr::new(ip.parse()?, target_port);
        assert_eq!(path.ask(&client.permit(peer))?.error(), Some(403), "{ip}");
        path.send(&client.send(peer, b"to the host"))?;
    }
    // The relay's own address in this test, where a socket happens to listen: it is a label only.
    let own = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), target_port);
    assert_eq!(path.ask(&client.permit(own))?.error(), None);
    path.send(&client.send(own, b"to the host"))?;
    assert!(target.recv(&mut [0; 64]).is_err(), "nothing arrives");
    assert!(relay.figure("relay_foreign_total") > 0);
    Ok(())
}

#[test]
fn flood_is_limited_and_those_inside_are_served() -> Result<()> {
    let relay = Running::start(Setup::default())?;
    let mut flood = OverUdp::to(relay.udp)?;
    let mut stranger = viewer(9);
    let (mut at_rtc, mut rtc) = (OverUdp::to(relay.udp)?, rtc());
    let (mut at_viewer, mut viewer) = (OverUdp::to(relay.udp)?, viewer(7));
    let (rtc_address, viewer_address) =
        (enter(&mut at_rtc, &mut rtc)?, enter(&mut at_viewer, &mut viewer)?);
    at_rtc.ask(&rtc.permit(viewer_address))?;
    at_viewer.ask(&viewer.permit(rtc_address))?;
    let hello = stranger.hello();
    // In rounds that fit the kernel's receive queue: what overflows it nobody can serve.
    for _ in 0..100 {
        for _ in 0..50 {
            flood.send(&hello)?;
        }
        at_viewer.send(&viewer.send(rtc_address, b"still here"))?;
        let indication = Answer::parse(&at_rtc.receive()?);
        assert_eq!(indication.get(DATA_ATTRIBUTE), Some(&b"still here"[..]));
    }
    assert!(relay.figure("relay_limited_total") > 0);
    assert!(relay.figure("relay_challenges_total") < 500);
    Ok(())
}

#[test]
fn stream_of_another_protocol_is_closed_at_once() -> Result<()> {
    let relay = Running::start(patient())?;
    let mut path = over_tcp(relay.tcp)?;
    path.stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")?;
    let mut buffer = [0; 64];
    // A close with unread bytes is a reset.
    assert!(matches!(path.stream.read(&mut buffer), Ok(0) | Err(_)));
    Ok(())
}

#[test]
fn connections_of_one_source_are_bounded_before_tls() -> Result<()> {
    let relay = Running::start(Setup::default())?;
    let connections: Vec<_> =
        (0..100).map(|_| TcpStream::connect(relay.tls)).collect::<std::io::Result<_>>()?;
    let closed = |mut stream: TcpStream| {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        matches!(stream.read(&mut [0]), Ok(0) | Err(_))
    };
    // The last ones are over the burst of one source.
    assert!(connections.into_iter().skip(60).all(closed));
    assert!(relay.figure("relay_connections_count") <= 32);
    Ok(())
}

#[test]
fn allocation_of_a_closed_connection_is_freed() -> Result<()> {
    let relay = Running::start(patient())?;
    let mut first = over_tcp(relay.tcp)?;
    let mut client = viewer(7);
    enter(&mut first, &mut client)?;
    drop(first);
    // One allocation each: the second attempt succeeds only when the first is gone.
    let mut second = over_tcp(relay.tcp)?;
    let mut again = viewer(7);
    let answer = login(&mut second, &mut again)?;
    assert_eq!(answer.error(), None);
    Ok(())
}

#[test]
fn second_allocation_of_a_peer_is_refused() -> Result<()> {
    let relay = Running::start(patient())?;
    let (mut first, mut second) = (OverUdp::to(relay.udp)?, OverUdp::to(relay.udp)?);
    enter(&mut first, &mut viewer(7))?;
    assert_eq!(login(&mut second, &mut viewer(7))?.error(), Some(486));
    assert!(second.is_silent()?, "and that is all it is told");
    Ok(())
}
