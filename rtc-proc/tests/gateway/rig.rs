//! A gateway over loopback between a scripted supervisor, a scripted rtc, and clients that can be
//! as rude as they like.

mod client;
mod supervisor;

use std::{
    net::{IpAddr, SocketAddr},
    os::unix::net::UnixStream,
};

use lumen_ipc::{
    front_door::{BasePath, FrontDoor, Listen, Network},
    link::LinkName,
    login::LoginId,
    message::{
        handover::{ToGateway as FromTurn, ToTurn},
        session::TokenDigest,
        signalling::{Sdp, ToGateway, ToRtc},
    },
    process::ProcessId,
    service::{AuthMode, GatewayConfig, Handover, HostStatus, Metric},
    text::{Secret, Text},
    tls::Tls,
    units::{PeerId, SessionId},
    vouching::VoucherHeader,
};
use lumen_ipc_runtime::{
    AsyncChannel, bootstrap::ServeError, channel::Channel, link_end::LinkGuard, metrics::Registry,
    sealed,
};
use lumen_rtc::gateway::shell::{
    Beginning, Event, HandoverLink, Listener, Parts, SignallingLink, run,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    task::JoinHandle,
};
use tokio_tungstenite::{
    client_async,
    tungstenite::{Error, client::IntoClientRequest, http::HeaderValue},
};

use supervisor::{Supervisor, supervisor};

pub(crate) use client::{Browser, Response};
pub(crate) use supervisor::{App, Logins};

/// The token that the scripted supervisor accepts, and the half of a key that it gives as a cookie
/// for it.
pub(crate) const TOKEN: &str = "right";
/// An account that signs in with the answer "right".
pub(crate) const ACCOUNT: &str = "alice";
/// Its attempt.
pub(crate) const ATTEMPT: &str = "attempt";
/// The identity provider's address.
pub(crate) const PROVIDER: &str = "https://id.example.org/authorize";
/// The attempt of a browser that is there.
pub(crate) const ERRAND: &str = "errand";
pub(crate) const COOKIE: &str = "c00kie";
/// The half that takes its place when it is old.
pub(crate) const RENEWED_COOKIE: &str = "fr35h1";
/// The other half of every key, which a page stores.
pub(crate) const KEY: &str = "1.p4g3k3";
/// That half without the number of its session.
const HALF: &str = "p4g3k3";
/// The cookie of a browser that has logged in to another session.
pub(crate) const ELSEWHERE_COOKIE: &str = "e1sewhere";
/// That session.
pub(crate) const ELSEWHERE: SessionId = SessionId(2);
/// The token that the supervisor refuses because of too many attempts.
pub(crate) const TOKEN_TOO_OFTEN: &str = "often";
pub(crate) const RETRY_AFTER: u16 = 17;
/// The token for which the supervisor never answers.
pub(crate) const TOKEN_UNANSWERED: &str = "unanswered";
/// The cookie of another login.
pub(crate) const OTHER_COOKIE: &str = "b1scuit";
pub(crate) const LOGIN: LoginId = LoginId(1);
pub(crate) const OTHER_LOGIN: LoginId = LoginId(2);
/// Seconds that a login lasts unless it is resumed.
pub(crate) const LIFE: u32 = 3600;

/// What [`Rig::answer`] sends, as browsers receive it.
pub(crate) const ANSWER: &str = r#"{"type":"answer","sdp":"answer","ticket":"ticket"}"#;

pub(crate) fn ticket() -> Secret {
    Secret::new("ticket").expect("short")
}

/// Rtc's end of the signalling link.
pub(crate) type RtcLink = AsyncChannel<ToRtc, ToGateway>;

pub(crate) struct Rig {
    pub(crate) address: SocketAddr,
    pub(crate) rtc: RtcLink,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) served: JoinHandle<Result<(), ServeError>>,
}

/// How a page is served.
#[derive(Default)]
struct Page {
    trusted: Vec<Network>,
    base: BasePath,
    handover: Handover,
    link: Option<HandoverLink>,
    tls: Tls,
    /// The pair that is granted at the start.
    certificate: Vec<u8>,
    metrics_token: Option<TokenDigest>,
    voucher: Option<VoucherHeader>,
    provider: Option<Text<64>>,
}

/// Both ends of a signalling link.
pub(crate) fn signalling_link() -> (SignallingLink, RtcLink) {
    let (gateway, rtc) = Channel::pair().expect("socketpair");
    (gateway.into(), AsyncChannel::new(rtc).expect("epoll"))
}

/// The relay's end of the handover link.
pub(crate) type RelayLink = AsyncChannel<ToTurn, FromTurn>;

/// Both ends of a handover link.
pub(crate) fn handover_link() -> (HandoverLink, RelayLink) {
    let (gateway, relay) = Channel::pair().expect("socketpair");
    (gateway.into(), AsyncChannel::new(relay).expect("epoll"))
}

/// Sends bytes and returns all that comes back until the other end closes.
async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &[u8]) -> Response {
    // A refusal may come, and the connection end, before all is written.
    let _ = stream.write_all(request).await;
    let mut bytes = Vec::new();
    // A reset after the response is an end too.
    let _ = stream.read_to_end(&mut bytes).await;
    Response(String::from_utf8_lossy(&bytes).into_owned())
}

impl Rig {
    pub(crate) async fn start(auth: AuthMode) -> Self {
        Self::start_with_app(auth).await.0
    }

    /// With the supervisor's side of the app.
    pub(crate) async fn start_with_app(auth: AuthMode) -> (Self, App) {
        let (broker, app) = Supervisor::new(false);
        (Self::start_with_broker(auth, supervisor(broker)).await, app)
    }

    /// With the supervisor's side of the logins.
    pub(crate) async fn start_with_logins() -> (Self, Logins) {
        Self::start_with_logins_by(AuthMode::Token).await
    }

    /// The same, in either way.
    pub(crate) async fn start_with_logins_by(auth: AuthMode) -> (Self, Logins) {
        let (broker, _) = Supervisor::new(false);
        let logins = broker.logins.clone();
        (Self::start_with_broker(auth, supervisor(broker)).await, logins)
    }

    /// With a relay, whose connections on this port are recognised by `handover`; and the relay's
    /// end of their link.
    pub(crate) async fn start_with_relay(handover: Handover) -> (Self, RelayLink) {
        let (gateway, relay) = handover_link();
        let broker = supervisor(Supervisor::new(true).0);
        let (trusted, base) = (Vec::new(), BasePath::default());
        let rig =
            Self::start_with(AuthMode::Token, broker, trusted, base, handover, Some(gateway)).await;
        (rig, relay)
    }

    /// Behind proxies of the `trusted` networks that serve it under `base`; and the addresses of
    /// login attempts.
    pub(crate) async fn start_behind_proxies(
        trusted: &[&str],
        base: &str,
    ) -> (Self, mpsc::UnboundedReceiver<IpAddr>) {
        let (tried, from) = mpsc::unbounded_channel();
        let broker = Supervisor { tried: Some(tried), ..Supervisor::new(false).0 };
        let broker = supervisor(broker);
        let trusted = trusted.iter().map(|text| text.parse().expect("a network")).collect();
        let base = base.parse().expect("a base path");
        let handover = Handover::default();
        (Self::start_with(AuthMode::Token, broker, trusted, base, handover, None).await, from)
    }

    pub(crate) async fn start_with_broker(auth: AuthMode, broker: UnixStream) -> Self {
        let (trusted, base) = (Vec::new(), BasePath::default());
        Self::start_with(auth, broker, trusted, base, Handover::default(), None).await
    }

    async fn start_with(
        auth: AuthMode,
        broker: UnixStream,
        trusted: Vec<Network>,
        base: BasePath,
        handover: Handover,
        link: Option<HandoverLink>,
    ) -> Self {
        let page = Page { trusted, base, handover, link, ..Page::default() };
        Self::start_page(auth, broker, page).await
    }

    /// With the page's own TLS, and the supervisor's word about what it grants.
    pub(crate) async fn start_with_tls(
        tls: Tls,
        certificate: Vec<u8>,
        trusted: &[&str],
    ) -> (Self, mpsc::UnboundedReceiver<(u32, Option<String>)>) {
        let (judge, judged) = mpsc::unbounded_channel();
        let broker = Supervisor { judge: Some(judge), ..Supervisor::new(false).0 };
        let trusted = trusted.iter().map(|text| text.parse().expect("a network")).collect();
        let page = Page { trusted, tls, certificate, ..Page::default() };
        (Self::start_page(AuthMode::Token, supervisor(broker), page).await, judged)
    }

    /// With a supervisor that has this to say to those who watch over it, who have a token or are proxies.
    pub(crate) async fn start_watched(
        (overview, metrics): (HostStatus, Vec<(ProcessId, Vec<Metric>)>),
        metrics_token: Option<TokenDigest>,
        trusted: &[&str],
    ) -> Self {
        let broker = Supervisor { overview: Some(overview), metrics, ..Supervisor::new(false).0 };
        let trusted = trusted.iter().map(|text| text.parse().expect("a network")).collect();
        let page = Page { trusted, metrics_token, ..Page::default() };
        Self::start_page(AuthMode::Token, supervisor(broker), page).await
    }

    /// With a proxy that vouches for accounts, and the supervisor's side of the logins.
    pub(crate) async fn start_vouched() -> (Self, Logins) {
        let (broker, _) = Supervisor::new(false);
        let logins = broker.logins.clone();
        let voucher = Some("X-Remote-User".parse().expect("legal"));
        let page = Page { voucher, ..Page::default() };
        (Self::start_page(AuthMode::Password, supervisor(broker), page).await, logins)
    }

    /// With an identity provider of this name, under this path.
    pub(crate) async fn start_with_provider(name: &str, base: &str) -> Self {
        let provider = Some(Text::new(name).expect("short"));
        let base = base.parse().expect("a base path");
        let page = Page { provider, base, ..Page::default() };
        Self::start_page(AuthMode::Password, supervisor(Supervisor::new(false).0), page).await
    }

    async fn start_page(auth: AuthMode, broker: UnixStream, page: Page) -> Self {
        let Page { trusted, base, handover, link, tls, certificate, metrics_token, .. } = page;
        let (voucher, provider) = (page.voucher, page.provider);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("bound");
        let (signalling, rtc) = signalling_link();
        let config = GatewayConfig {
            auth,
            front_door: FrontDoor { listen: Listen::Tcp(address), trusted, base },
            hostname: Text::new("desk").expect("short"),
            handover,
            tls,
            metrics_token,
            voucher,
            provider,
        };
        let granted = (tls != Tls::Off).then(|| sealed::seal("test", &certificate).expect("memfd"));
        let certificate = Beginning::new(&config, granted.into_iter().collect()).expect("a pair");
        let listener = Listener::Tcp(listener);
        let signalling = vec![(SessionId::SOLE, signalling)];
        let broker = (broker.into(), LinkGuard::unsupervised(LinkName::Broker));
        let parts = Parts { config, listener, signalling, broker, handover: link, certificate };
        let (events, receiver) = mpsc::channel(8);
        let served = tokio::spawn(async move {
            run(parts, receiver, &Registry::default(), Box::new(drop)).await
        });
        Self { address, rtc, events, served }
    }

    /// Sends bytes and returns all that comes back until the gateway closes.
    pub(crate) async fn exchange(&self, request: &[u8]) -> Response {
        let stream = TcpStream::connect(self.address).await.expect("the gateway listens");
        exchange(stream, request).await
    }

    /// The same over a connection to the proxy's socket, which is the proxy's or another user's.
    pub(crate) async fn exchange_by_proxy(&self, vouches: bool, request: &[u8]) -> Response {
        let (ours, theirs) = UnixStream::pair().expect("socketpair");
        theirs.set_nonblocking(true).expect("a socket");
        ours.set_nonblocking(true).expect("a socket");
        let connected = Event::ProxyConnected { connection: theirs.into(), vouches };
        self.events.send(connected).await.expect("the gateway serves");
        let ours = tokio::net::UnixStream::from_std(ours).expect("epoll");
        exchange(ours, request).await
    }

    /// A request of this gateway's own page.
    pub(crate) async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> Response {
        let address = self.address;
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Length: {length}\r\n{headers}\r\n{body}"
        );
        self.exchange(request.as_bytes()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request("GET", path, "", "").await
    }

    /// A login as the page makes it, with this body.
    pub(crate) async fn log_in(&self, body: &str) -> Response {
        let origin = self.address;
        let headers = format!("Origin: http://{origin}\r\nContent-Type: application/json\r\n");
        self.request("POST", "/login", &headers, body).await
    }

    /// The headers that bring both halves of a key.
    pub(crate) fn shown(&self, cookie: &str) -> String {
        format!("Cookie: lumen-{}.1={cookie}\r\nLumen-Key: {KEY}\r\n", self.address.port())
    }

    /// Opens the WebSocket with both halves of a key; the status when it is refused.
    pub(crate) async fn open(&self, origin: &str, cookie: Option<&str>) -> Result<Browser, u16> {
        self.open_through("", origin, cookie, Some(KEY)).await
    }

    /// As [`Self::open`], with these halves, through a proxy that forwards for `source`; empty for
    /// none.
    pub(crate) async fn open_through(
        &self,
        source: &str,
        origin: &str,
        cookie: Option<&str>,
        key: Option<&str>,
    ) -> Result<Browser, u16> {
        let address = self.address;
        let mut request =
            format!("ws://{address}/ws/signal").into_client_request().expect("an address");
        let origin = HeaderValue::try_from(origin).expect("a header value");
        request.headers_mut().insert("origin", origin);
        if !source.is_empty() {
            let source = HeaderValue::try_from(source).expect("a header value");
            request.headers_mut().insert("x-forwarded-for", source);
        }
        if let Some(cookie) = cookie {
            let cookie = format!("lumen-{}.1={cookie}", address.port());
            let cookie = HeaderValue::try_from(cookie).expect("a header value");
            request.headers_mut().insert("cookie", cookie);
        }
        let protocols =
            key.map_or_else(|| "lumen".to_owned(), |key| format!("lumen, lumen-key.{key}"));
        let protocols = HeaderValue::try_from(protocols).expect("a header value");
        request.headers_mut().insert("sec-websocket-protocol", protocols);
        let stream = TcpStream::connect(address).await.expect("the gateway listens");
        match client_async(request, stream).await {
            Ok((socket, _)) => Ok(Browser(socket)),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("no HTTP answer: {error}"),
        }
    }

    /// A browser that has logged in and been welcomed, without a relay.
    pub(crate) async fn browser(&self) -> Browser {
        let mut browser = self.newcomer().await;
        assert_eq!(browser.hears().await, r#"{"type":"welcome","relay":null}"#);
        browser
    }

    /// A browser of another session, which has been welcomed, and the rtc of that session.
    pub(crate) async fn browser_elsewhere(&self) -> (Browser, RtcLink) {
        let (gateway, rtc) = signalling_link();
        let replaced = Event::SignallingReplaced(ELSEWHERE, gateway);
        self.events.send(replaced).await.expect("the gateway serves");
        let origin = format!("http://{}", self.address);
        let mut browser = self.open(&origin, Some(ELSEWHERE_COOKIE)).await.expect("logged in");
        assert_eq!(browser.hears().await, r#"{"type":"welcome","relay":null}"#);
        (browser, rtc)
    }

    /// A browser that has logged in.
    pub(crate) async fn newcomer(&self) -> Browser {
        let origin = format!("http://{}", self.address);
        self.open(&origin, Some(COOKIE)).await.expect("everything is in order")
    }

    /// The next message to rtc.
    pub(crate) async fn heard(&self) -> ToRtc {
        self.rtc.receive().await.expect("a message").message
    }

    /// The peer of the next offer to rtc, after its introduction.
    pub(crate) async fn offered(&self) -> PeerId {
        let ToRtc::PeerJoined { peer, .. } = self.heard().await else {
            panic!("not an introduction")
        };
        let ToRtc::OfferMade { peer: offering, .. } = self.heard().await else {
            panic!("not an offer")
        };
        assert_eq!(peer, offering);
        peer
    }

    pub(crate) async fn answer(&self, peer: PeerId) {
        let (sdp, ticket) = (Sdp::new("answer").expect("short"), ticket());
        let answer = ToGateway::AnswerMade { peer, sdp, ticket };
        self.rtc.send(&answer, &[]).await.expect("the gateway reads");
    }
}
