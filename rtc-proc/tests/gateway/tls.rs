//! The page by TLS: both versions of HTTP, WebSockets over both, what is not TLS, handshakes that never
//! end, and a certificate that is replaced.

use std::{
    io,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
};

use futures::SinkExt;
use hyper::{
    Method, Request, StatusCode, Version,
    body::Incoming,
    client::conn::http2,
    ext::Protocol,
    header::{self, HeaderMap},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use lumen_ipc::tls::{Pair, PairForm, Tls};
use lumen_ipc_runtime::sealed;
use lumen_rtc::gateway::{
    quota::{MAX_CONNECTIONS, MAX_STRANGERS},
    self_signed,
    shell::Event,
};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{self, aws_lc_rs},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

use crate::rig::{COOKIE, KEY, Response, Rig, TOKEN};

/// Believes everybody, and remembers whom.
#[derive(Debug, Default)]
struct Witness(Mutex<Vec<u8>>);

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = certificate.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        crypto::verify_tls12_signature(message, certificate, signed, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        crypto::verify_tls13_signature(message, certificate, signed, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Completes a handshake in which the client speaks these protocols; and the certificate it saw.
async fn handshake(
    stream: TcpStream,
    alpn: &[&[u8]],
) -> io::Result<(TlsStream<TcpStream>, Vec<u8>)> {
    let witness = Arc::new(Witness::default());
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&witness) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::try_from("desk.example").expect("a name");
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let seen = witness.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok((stream, seen))
}

async fn connect(rig: &Rig, alpn: &[&[u8]]) -> (TlsStream<TcpStream>, Vec<u8>) {
    let stream = TcpStream::connect(rig.address).await.expect("the gateway listens");
    handshake(stream, alpn).await.expect("TLS")
}

/// The certificate that a browser sees.
async fn seen(rig: &Rig) -> Vec<u8> {
    connect(rig, &[b"http/1.1"]).await.1
}

/// One request of HTTP/1.1 over TLS.
async fn exchange(rig: &Rig, request: &str) -> Response {
    let (mut stream, _) = connect(rig, &[b"http/1.1"]).await;
    stream.write_all(request.as_bytes()).await.expect("the gateway reads");
    let mut bytes = Vec::new();
    // A connection that ends without a farewell of TLS has ended, too.
    let _ = stream.read_to_end(&mut bytes).await;
    Response(String::from_utf8_lossy(&bytes).into_owned())
}

async fn get(rig: &Rig, path: &str, host: &str) -> Response {
    exchange(rig, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
        .await
}

/// The sender of requests on a connection of HTTP/2.
async fn http2_on(stream: TlsStream<TcpStream>) -> http2::SendRequest<String> {
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(connection);
    sender
}

/// A pair of certificate and key with these years and this number; and the certificate alone.
fn pair(serial: u32, years: (i32, i32)) -> (Vec<u8>, Vec<u8>) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(["desk.example".to_owned()]).expect("a name");
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    let chain = params.self_signed(&key).expect("signed").der().to_vec();
    let key = key.serialize_der();
    let pair = Pair { form: PairForm::Der, serial, chain: &chain, key: &key };
    (pair.encode(), chain)
}

async fn start(tls: Tls) -> Rig {
    Rig::start_with_tls(tls, pair(1, (2020, 4000)).0, &[]).await.0
}

#[tokio::test]
async fn page_is_the_same_by_both_versions_of_http() {
    let rig = start(Tls::Own).await;
    let one = get(&rig, "/", &rig.address.to_string()).await;
    assert_eq!(one.status(), 200, "{}", one.0);
    let mut sender = http2_on(connect(&rig, &[b"h2", b"http/1.1"]).await.0).await;
    let uri = format!("https://{}/", rig.address);
    let request = Request::get(uri).version(Version::HTTP_2).body(String::new()).expect("legal");
    let two = sender.send_request(request).await.expect("an answer");
    assert_eq!((two.status(), two.version()), (StatusCode::OK, Version::HTTP_2));
    let header = |name| two.headers().get(name).and_then(|value| value.to_str().ok());
    assert_eq!(header("content-security-policy"), one.header("content-security-policy"));
    assert_eq!(header("content-length"), one.header("content-length"));
}

#[tokio::test]
async fn http2_request_that_names_two_hosts_is_refused() {
    let rig = start(Tls::Own).await;
    let mut sender = http2_on(connect(&rig, &[b"h2"]).await.0).await;
    let request = Request::get(format!("https://{}/", rig.address))
        .header(header::HOST, "evil.example")
        .version(Version::HTTP_2)
        .body(String::new())
        .expect("legal");
    let answer = sender.send_request(request).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn browsers_are_told_to_keep_to_tls_only_of_a_name_with_a_given_certificate() {
    for (tls, host, told) in [
        (Tls::Given, "desk.example", true),
        (Tls::Given, "localhost", false),
        (Tls::Given, "127.0.0.1:8443", false),
        (Tls::Own, "desk.example", false),
    ] {
        let rig = start(tls).await;
        for path in ["/", "/nothing"] {
            let lasting = get(&rig, path, host).await;
            let header = lasting.header("strict-transport-security");
            assert_eq!(header.is_some(), told, "{tls:?} {host} {path}: {}", lasting.0);
        }
    }
}

#[tokio::test]
async fn cookie_is_one_that_no_other_server_can_plant() {
    let rig = start(Tls::Own).await;
    let address = rig.address;
    let body = format!(r#"{{"token":"{TOKEN}"}}"#);
    let log_in = |origin: &str| {
        format!(
            "POST /login HTTP/1.1\r\nHost: {address}\r\nOrigin: {origin}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let response = exchange(&rig, &log_in(&format!("https://{address}"))).await;
    let cookie = response.header("set-cookie").expect("a cookie");
    assert!(
        cookie.starts_with(&format!("__Host-lumen-{}.1={COOKIE}; ", address.port())),
        "{cookie}"
    );
    assert!(cookie.contains("; Secure"), "{cookie}");
    let unencrypted = exchange(&rig, &log_in(&format!("http://{address}"))).await;
    assert_eq!(unencrypted.status(), 403, "the page of another scheme is another page");
}

/// What a page sends to open its WebSocket, besides what the version of HTTP prescribes.
fn page_headers(rig: &Rig) -> HeaderMap {
    let value = |text: String| text.try_into().expect("a header value");
    let port = rig.address.port();
    let mut headers = HeaderMap::new();
    headers.insert(header::ORIGIN, value(format!("https://{}", rig.address)));
    headers.insert(header::COOKIE, value(format!("__Host-lumen-{port}.1={COOKIE}")));
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, value(format!("lumen, lumen-key.{KEY}")));
    headers.insert(header::SEC_WEBSOCKET_VERSION, value("13".to_owned()));
    headers
}

async fn is_welcomed(
    socket: &mut WebSocketStream<impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>,
) {
    use futures::StreamExt;

    let welcome = socket.next().await.expect("open").expect("whole");
    assert_eq!(welcome, Message::text(r#"{"type":"welcome","relay":null}"#));
}

#[tokio::test]
async fn websocket_opens_over_http1_and_over_http2() {
    let rig = start(Tls::Own).await;
    let (stream, _) = connect(&rig, &[b"http/1.1"]).await;
    let mut request = Request::get(format!("wss://{}/ws/signal", rig.address)).body(());
    let one = request.as_mut().expect("legal").headers_mut();
    *one = page_headers(&rig);
    for (name, value) in [
        ("host", rig.address.to_string()),
        ("connection", "Upgrade".to_owned()),
        ("upgrade", "websocket".to_owned()),
        ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA==".to_owned()),
    ] {
        one.insert(name, value.try_into().expect("a header value"));
    }
    let request = request.expect("legal");
    let (mut first, _) = tokio_tungstenite::client_async(request, stream).await.expect("opened");
    is_welcomed(&mut first).await;
    let mut sender = http2_on(connect(&rig, &[b"h2"]).await.0).await;
    let mut second = open_over(&mut sender, &rig).await.expect("opened");
    is_welcomed(&mut second).await;
    second.send(Message::text(r#"{"type":"offer","sdp":"offer"}"#)).await.expect("open");
    let peer = rig.offered().await;
    rig.answer(peer).await;
}

/// Opens a WebSocket on a connection of HTTP/2 (RFC 8441).
async fn open_over(
    sender: &mut http2::SendRequest<String>,
    rig: &Rig,
) -> Result<WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>, StatusCode> {
    sender.ready().await.expect("open");
    let mut request = Request::new(String::new());
    *request.method_mut() = Method::CONNECT;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = format!("https://{}/ws/signal", rig.address).parse().expect("a URI");
    *request.headers_mut() = page_headers(rig);
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    let response: hyper::Response<Incoming> =
        sender.send_request(request).await.expect("an answer");
    if response.status() != StatusCode::OK {
        return Err(response.status());
    }
    let stream = TokioIo::new(hyper::upgrade::on(response).await.expect("a stream"));
    Ok(WebSocketStream::from_raw_socket(stream, Role::Client, None).await)
}

#[tokio::test]
async fn one_connection_carries_a_few_websockets_and_no_crowd() {
    let rig = start(Tls::Own).await;
    let mut sender = http2_on(connect(&rig, &[b"h2"]).await.0).await;
    let mut opened = Vec::new();
    let refused = loop {
        match open_over(&mut sender, &rig).await {
            Ok(socket) => opened.push(socket),
            Err(status) => break status,
        }
        assert!(opened.len() < 32, "a connection carries any number");
    };
    assert_eq!((refused, opened.len()), (StatusCode::TOO_MANY_REQUESTS, 8));
}

#[tokio::test]
async fn what_is_not_tls_is_sent_to_it_or_told_what_is_wrong() {
    let rig = start(Tls::Given).await;
    let address = rig.address;
    let response = rig.get("/a?b=c").await;
    let target = format!("https://{address}/a?b=c");
    assert_eq!((response.status(), response.header("location")), (307, Some(&*target)));
    let response = rig.exchange(b"GET / HTTP/1.1\r\nHost: desk.example\r\n\r\n").await;
    assert_eq!(response.header("location"), Some("https://desk.example:80/"));
    for request in [
        "POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    ] {
        let response = rig.exchange(request.as_bytes()).await;
        assert_eq!((response.status(), response.header("location")), (400, None), "{}", response.0);
        assert!(response.body().contains("speaks TLS"), "{}", response.0);
    }
    assert_eq!(rig.exchange(b"\x80\x01junk\r\n\r\n").await.header("location"), None);
}

#[tokio::test]
async fn trusted_proxy_may_leave_tls_to_the_way_from_the_browser() {
    let (rig, _judged) =
        Rig::start_with_tls(Tls::Own, pair(1, (2020, 4000)).0, &["127.0.0.1"]).await;
    let forwarded = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n";
    assert_eq!(rig.request("GET", "/", forwarded, "").await.status(), 200);
    assert_eq!(get(&rig, "/", "desk.example").await.status(), 200, "or it speaks TLS");
}

/// What a stranger says who never finishes: nothing, half a hello, a hello that is none, half a request
/// after a whole handshake, no request after the preface of HTTP/2.
#[derive(Clone, Copy)]
enum Stall {
    Says(&'static [u8]),
    SaysInside(&'static [u8], &'static [u8]),
}

const STALLS: [Stall; 6] = [
    Stall::Says(b""),
    Stall::Says(b"\x16"),
    Stall::Says(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    Stall::SaysInside(b"http/1.1", b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "),
    Stall::SaysInside(b"h2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
    Stall::SaysInside(b"h2", b""),
];

/// A connection that stays as it is for as long as this lives.
enum Stalled {
    Open(TcpStream),
    Inside(#[expect(dead_code, reason = "it keeps the connection open")] Box<TlsStream<TcpStream>>),
    /// It had to make room before its handshake was complete.
    Gone,
}

async fn stall(rig: &Rig, from: u16, how: Stall) -> Stalled {
    let [high, low] = from.to_be_bytes();
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((Ipv4Addr::new(127, 1, high, low), 0).into()).expect("the loopback");
    let mut stream = socket.connect(rig.address).await.expect("the gateway listens");
    match how {
        Stall::Says(words) => {
            // One that had to make room already takes nothing.
            let _ = stream.write_all(words).await;
            Stalled::Open(stream)
        }
        Stall::SaysInside(protocol, words) => match handshake(stream, &[protocol]).await {
            Ok((mut stream, _)) => {
                let _ = stream.write_all(words).await;
                Stalled::Inside(Box::new(stream))
            }
            Err(_) => Stalled::Gone,
        },
    }
}

async fn stalled_handshakes_shut_nobody_out(count: u16, addresses: u16) {
    let rig = start(Tls::Own).await;
    let mut early = http2_on(connect(&rig, &[b"h2"]).await.0).await;
    let mut early = open_over(&mut early, &rig).await.expect("opened");
    is_welcomed(&mut early).await;
    let mut crowd = Vec::new();
    for (number, how) in (0..count).zip(STALLS.iter().cycle()) {
        crowd.push(stall(&rig, number % addresses, *how).await);
    }
    let mut late = http2_on(connect(&rig, &[b"h2"]).await.0).await;
    let mut late = open_over(&mut late, &rig).await.expect("opened");
    is_welcomed(&mut late).await;
    early.send(Message::text(r#"{"type":"offer","sdp":"offer"}"#)).await.expect("still open");
    rig.offered().await;
    // The first had to make room for the last.
    let gone = match &mut crowd[0] {
        Stalled::Open(stream) => matches!(stream.read(&mut [0; 1]).await, Ok(0) | Err(_)),
        Stalled::Inside(_) | Stalled::Gone => false,
    };
    assert!(gone, "the oldest stays");
}

#[tokio::test]
async fn stalled_handshakes_of_one_address_shut_nobody_out() {
    stalled_handshakes_shut_nobody_out(64, 1).await;
}

#[tokio::test]
async fn stalled_handshakes_of_many_addresses_shut_nobody_out() {
    let many = u16::try_from(MAX_CONNECTIONS + MAX_STRANGERS).expect("few");
    stalled_handshakes_shut_nobody_out(many, many).await;
}

#[tokio::test(start_paused = true)]
async fn handshake_that_never_ends_is_given_as_long_as_the_head_of_a_request() {
    let rig = start(Tls::Own).await;
    for words in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        let mut stream = TcpStream::connect(rig.address).await.expect("the gateway listens");
        stream.write_all(words).await.expect("the gateway listens");
        let begun = tokio::time::Instant::now();
        assert!(matches!(stream.read(&mut [0; 1]).await, Ok(0) | Err(_)));
        assert_eq!(begun.elapsed().as_secs(), 10, "{words:?}");
    }
}

#[tokio::test]
async fn certificate_that_replaces_another_is_used_from_the_next_handshake_on() {
    let (first, chain) = pair(1, (2020, 4000));
    let (rig, mut judged) = Rig::start_with_tls(Tls::Given, first, &[]).await;
    assert_eq!(judged.recv().await, Some((1, None)));
    assert_eq!(seen(&rig).await, chain);
    let mut old = http2_on(connect(&rig, &[b"h2"]).await.0).await;
    let (second, next_chain) = pair(2, (2020, 4000));
    replace(&rig, &second).await;
    assert_eq!(judged.recv().await, Some((2, None)));
    assert_eq!(seen(&rig).await, next_chain);
    let request = Request::get(format!("https://{}/", rig.address)).body(String::new());
    let answer = old.send_request(request.expect("legal")).await.expect("the connection lives");
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn certificate_that_is_wrong_replaces_nothing() {
    let (first, chain) = pair(1, (2020, 4000));
    let (rig, mut judged) = Rig::start_with_tls(Tls::Given, first, &[]).await;
    assert_eq!(judged.recv().await, Some((1, None)));
    let (other, _) = pair(9, (2020, 4000));
    let foreign_key = Pair::decode(&other).expect("a pair").key.to_vec();
    let mixed = Pair { form: PairForm::Der, serial: 3, chain: &chain, key: &foreign_key }.encode();
    let junk = Pair { form: PairForm::Pem, serial: 4, chain: b"junk", key: b"junk" }.encode();
    for (wrong, serial, said) in [
        (pair(2, (2020, 2021)).0, 2, "has expired"),
        (mixed, 3, "the key is not that of the certificate"),
        (junk, 4, "the certificate is not PEM"),
    ] {
        replace(&rig, &wrong).await;
        let (number, refused) = judged.recv().await.expect("a word");
        assert_eq!(number, serial);
        assert!(refused.as_deref().is_some_and(|reason| reason.contains(said)), "{refused:?}");
        assert_eq!(seen(&rig).await, chain);
    }
}

async fn replace(rig: &Rig, pair: &[u8]) {
    let memory = sealed::seal("test", pair).expect("memfd");
    rig.events.send(Event::CertificateReplaced(memory)).await.expect("the gateway serves");
}

#[tokio::test]
async fn drain_ends_connections_of_http2_that_ask_for_nothing() {
    let rig = start(Tls::Own).await;
    let idle = http2_on(connect(&rig, &[b"h2"]).await.0).await;
    rig.events.send(Event::Drain).await.expect("the gateway serves");
    assert!(rig.served.await.expect("no panic").is_ok());
    drop(idle);
}

#[tokio::test]
async fn certificate_of_its_own_is_served() {
    let made = self_signed::make("desk", None).expect("made");
    let chain = Pair::decode(&made).expect("a pair").chain.to_vec();
    let (rig, _judged) = Rig::start_with_tls(Tls::Own, made, &[]).await;
    assert_eq!(seen(&rig).await, chain);
}
