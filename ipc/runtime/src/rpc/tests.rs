//! Transports and servers against an honest and a hostile other side.

use std::{
    net::IpAddr,
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use lumen_ipc::{
    lease::Lease,
    login::{self, Login, LoginId, LoginRefusal, Method, Progress},
    message::login::{AccountName, Answers},
    service::{AppNews, Broker, BrokerClient, BrokerRequest, BrokerResponse, Refusal, RelayPair},
    text::{Secret, Text},
    units::{PeerId, SessionId},
    vouching::VoucherFault,
};
use tarpc::{
    client::{self, NewClient},
    context,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const FROM: &str = "192.0.2.9";

/// Refuses everything.
#[derive(Clone, Default)]
struct RefusingBroker {
    /// Where there is a count, requests to resume a login are counted there, and never answered.
    stuck: Option<Arc<AtomicUsize>>,
}

impl Broker for RefusingBroker {
    async fn begin(
        self,
        _: context::Context,
        _: Method,
        from: IpAddr,
    ) -> Result<Progress, LoginRefusal> {
        assert_eq!(from.to_string(), FROM);
        Err(LoginRefusal::TooMany { retry_after_seconds: 9 })
    }

    async fn answer(
        self,
        _: context::Context,
        _: Secret,
        _: Answers,
    ) -> Result<Progress, LoginRefusal> {
        Err(LoginRefusal::Denied)
    }

    async fn returned(
        self,
        _: context::Context,
        _: Secret,
        _: Text<{ login::MAX_RETURN_BYTES }>,
    ) -> Result<Progress, LoginRefusal> {
        Err(LoginRefusal::Denied)
    }

    async fn abandon(self, _: context::Context, _: Secret) {}

    async fn keep(self, _: context::Context, _key: Secret) -> Result<Login, LoginRefusal> {
        Err(LoginRefusal::Wrong)
    }

    async fn renew(self, _: context::Context, _key: Secret) -> Option<Secret> {
        None
    }

    async fn distrusted(self, _: context::Context, _: VoucherFault, _: IpAddr) {}

    async fn resume(
        self,
        _: context::Context,
        _: Secret,
        _: Option<AccountName>,
    ) -> Result<Login, LoginRefusal> {
        if let Some(begun) = self.stuck {
            begun.fetch_add(1, Ordering::Relaxed);
            std::future::pending::<()>().await;
        }
        Err(LoginRefusal::Wrong)
    }

    async fn sign_out(self, _: context::Context, _: Secret) -> Option<(SessionId, LoginId)> {
        None
    }

    async fn mint_relay_credentials(
        self,
        _: context::Context,
        _: SessionId,
        _: PeerId,
    ) -> Option<RelayPair> {
        None
    }

    async fn watch_app(self, _: context::Context, _: u32) -> Option<AppNews> {
        None
    }

    async fn mint_lease(self, _: context::Context, _: Option<Secret>) -> Option<Lease> {
        None
    }

    async fn start_app(self, _: context::Context, _: SessionId) -> Result<(), Refusal> {
        Err(Refusal::because("there is no app"))
    }

    async fn certificate_judged(self, _: context::Context, _: u32, _: Option<Text<256>>) {}

    async fn overview(self, _: context::Context) -> lumen_ipc::service::HostStatus {
        std::future::pending().await
    }

    async fn metrics(
        self,
        _: context::Context,
        _: Option<SessionId>,
    ) -> Vec<(lumen_ipc::process::ProcessId, Vec<lumen_ipc::service::Metric>)> {
        Vec::new()
    }

    async fn watch_logins(self, _: context::Context, _: u32) -> Option<login::LoginNews> {
        None
    }

    async fn visited(self, _: context::Context, _: Vec<login::Visitor>) {}

    async fn sign_ins(
        self,
        _: context::Context,
        _: Secret,
    ) -> Option<(LoginId, Vec<login::SignIn>)> {
        None
    }

    async fn revoke(self, _: context::Context, _: Secret, _: LoginId) -> bool {
        false
    }
}

/// Serves the broker on one end and returns the other.
fn served() -> OwnedFd {
    let (ours, theirs) = StdUnixStream::pair().expect("socketpair");
    tokio::spawn(answer(theirs.into(), RefusingBroker::default().serve()));
    ours.into()
}

fn request(deadline: Duration) -> Vec<u8> {
    numbered(1, deadline)
}

fn numbered(id: u64, deadline: Duration) -> Vec<u8> {
    let mut context = context::current();
    context.deadline = Instant::now() + deadline;
    let key = Secret::new("key").expect("short");
    let message = BrokerRequest::Resume { key, named: None };
    let request = tarpc::Request { context, id, message };
    postcard::to_stdvec(&ClientMessage::Request(request)).expect("encodable")
}

/// Writes bytes to a server and returns what it answers before it closes.
async fn answer_to(bytes: &[u8]) -> Vec<u8> {
    let socket = StdUnixStream::from(served());
    socket.set_nonblocking(true).expect("a socket");
    let mut socket = UnixStream::from_std(socket).expect("a socket");
    socket.write_all(bytes).await.expect("room");
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.expect("an end");
    answer
}

#[tokio::test]
async fn call_over_a_socketpair_is_answered() {
    let transport = transport(served()).expect("a socket");
    let broker = BrokerClient::new(client::Config::default(), transport).spawn();
    let method = Method::Token(Secret::new("token").expect("short"));
    let from = FROM.parse().expect("an address");
    let answer = broker.begin(context::current(), method, from).await;
    let refusal = LoginRefusal::TooMany { retry_after_seconds: 9 };
    assert_eq!(answer.expect("a reply"), Err(refusal));
}

/// One that asks `questions` times, and is answered more often; what becomes of its connection.
async fn answered_once_too_often(questions: u64) -> io::Result<()> {
    let (ours, theirs) = StdUnixStream::pair()?;
    let NewClient { client, dispatch } =
        BrokerClient::new(client::Config::default(), transport(ours.into())?);
    let connection = tokio::spawn(dispatch);
    theirs.set_nonblocking(true)?;
    let mut theirs = UnixStream::from_std(theirs)?;
    for request_id in 0..questions {
        let asked = client.clone();
        tokio::spawn(async move { asked.watch_app(context::current(), 0).await });
        let length = theirs.read_u32().await?;
        theirs.read_exact(&mut vec![0; length as usize]).await?;
        theirs.write_all(&reply(request_id)).await?;
    }
    theirs.write_all(&reply(questions)).await?;
    // Without a breach, the connection ends now.
    drop(theirs);
    match connection.await.expect("no panic") {
        Err(tarpc::ChannelError::Read(error)) => Err(io::Error::other(error)),
        _ => Ok(()),
    }
}

fn reply(request_id: u64) -> Vec<u8> {
    let reply = Response { request_id, message: Ok(BrokerResponse::WatchApp(None)) };
    let frame = postcard::to_stdvec(&reply).expect("encodable");
    [(frame.len() as u32).to_be_bytes().to_vec(), frame].concat()
}

#[tokio::test]
async fn reply_that_nobody_asked_for_is_a_breach() {
    for questions in [0, 1, 5] {
        let error = answered_once_too_often(questions).await.expect_err("a breach");
        let error = error.get_ref().and_then(|error| error.downcast_ref::<Arc<io::Error>>());
        assert!(is_breach(error.expect("an error of reading")), "{questions} questions");
    }
}

#[tokio::test]
async fn flood_of_requests_waits_instead_of_being_worked_on_at_once() {
    let (ours, theirs) = StdUnixStream::pair().expect("socketpair");
    let begun = Arc::new(AtomicUsize::new(0));
    let broker = RefusingBroker { stuck: Some(Arc::clone(&begun)) };
    tokio::spawn(answer(theirs.into(), broker.serve()));
    let flood: Vec<u8> = (0..3 * MOST_AT_ONCE)
        .flat_map(|id| {
            let frame = numbered(id as u64, Duration::from_secs(60));
            [(frame.len() as u32).to_be_bytes().to_vec(), frame].concat()
        })
        .collect();
    ours.set_nonblocking(true).expect("a socket");
    let mut ours = UnixStream::from_std(ours).expect("a socket");
    ours.write_all(&flood).await.expect("room");
    // On one thread each yield lets the server continue until it waits.
    for _ in 0..10 * MOST_AT_ONCE {
        tokio::task::yield_now().await;
    }
    assert_eq!(begun.load(Ordering::Relaxed), MOST_AT_ONCE);
}

#[tokio::test]
async fn frame_above_the_cap_closes_the_connection() {
    let length = u32::try_from(MAX_RPC_BYTES + 1).expect("small");
    assert_eq!(answer_to(&length.to_be_bytes()).await, []);
}

#[tokio::test]
async fn frame_that_is_no_request_closes_the_connection() {
    assert_eq!(answer_to(&[0, 0, 0, 2, 0xff, 0xff]).await, []);
}

#[test]
fn decode_absurd_deadline_is_refused_before_tarpc_sees_it() {
    let legal = request(Duration::from_secs(60));
    assert!(decode_frame::<ClientMessage<BrokerRequest>>(&legal).is_ok());
    for seconds in [3602, u64::from(u32::MAX)] {
        let refusal =
            decode_frame::<ClientMessage<BrokerRequest>>(&request(Duration::from_secs(seconds)));
        assert!(matches!(refusal, Err(FrameError::Deadline { .. })), "{seconds} s");
    }
    let overflowing = postcard::to_stdvec(&(0_u32, u64::MAX, 0_u32)).expect("encodable");
    let refusal = decode_frame::<ClientMessage<BrokerRequest>>(&overflowing);
    assert!(matches!(refusal, Err(FrameError::Deadline { seconds: u64::MAX })));
}

#[test]
fn decode_surplus_bytes_is_refused() {
    let mut frame = request(Duration::from_secs(1));
    frame.push(0);
    let refusal = decode_frame::<ClientMessage<BrokerRequest>>(&frame);
    assert!(matches!(refusal, Err(FrameError::Surplus(1))));
}

#[tokio::test]
async fn transport_over_no_socket_is_an_error() {
    let null = std::fs::File::open("/dev/null").expect("open");
    let null = null.as_fd().try_clone_to_owned().expect("dup");
    assert!(transport::<Response<()>, ()>(null).is_err());
}
