//! tarpc over a granted stream socket: length-delimited frames of postcard.
//!
//! Does not trust the other side. A frame above [`MAX_RPC_BYTES`], bytes that are not a request or
//! reply, trailing bytes, a deadline beyond [`LONGEST_DEADLINE`], and a reply that nobody asked for all
//! end the connection. So whoever is asked cannot keep the one who asks busy.
//!
//! Callers and servers run inside a tokio runtime; a worker's is
//! [`crate::bootstrap::Supervision::handle`].

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream as StdUnixStream},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::StreamExt;
use lumen_ipc::service::MAX_RPC_BYTES;
use serde::{Serialize, de::DeserializeOwned};
use tarpc::{
    ClientMessage, RequestName, Response,
    server::{BaseChannel, Channel as _, Serve},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::UnixStream,
};
use tokio_serde::{Deserializer, Serializer};
use tokio_util::{
    bytes::{Bytes, BytesMut},
    codec::LengthDelimitedCodec,
};

use crate::fds::make_nonblocking;

/// The transport of this project's tarpc servers and clients.
pub type Transport<Item, SinkItem> =
    tarpc::serde_transport::Transport<Stream, Item, SinkItem, Postcard>;

/// A stream socket that ends when its descriptor is closed and not before. `shutdown` would act on the
/// socket itself, whoever else holds it, so no policy allows a worker to call it on its links.
#[derive(Debug)]
pub struct Stream(UnixStream);

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }
}

/// The longest deadline of a request. tarpc adds the deadline to the current time and passes it to
/// a timer wheel, and both panic if it lies too far ahead: the caller must not be able to choose
/// that.
pub const LONGEST_DEADLINE: Duration = Duration::from_secs(3600);

/// Requests of one connection that are answered at a time. Our callers have one or two; more is a
/// flood.
const MOST_AT_ONCE: usize = 16;

/// A type that arrives in frames: [`ClientMessage`] at a server, [`Response`] at a client.
pub trait Frame: DeserializeOwned {
    /// Whether each of them answers a request.
    const IS_REPLY: bool;

    /// Examines an encoded frame before it is decoded.
    ///
    /// # Errors
    /// [`FrameError`] when decoding would not be safe.
    fn check(frame: &[u8]) -> Result<(), FrameError>;
}

impl<Request: DeserializeOwned> Frame for ClientMessage<Request> {
    const IS_REPLY: bool = false;

    fn check(frame: &[u8]) -> Result<(), FrameError> {
        // A request begins with its variant, then the deadline's seconds. A shorter frame fails to
        // decode afterwards.
        const REQUEST: u32 = FIRST_OF_REQUEST as u32;
        match postcard::take_from_bytes::<(u32, u64)>(frame) {
            Ok(((REQUEST, seconds), _)) if seconds > LONGEST_DEADLINE.as_secs() => {
                Err(FrameError::Deadline { seconds })
            }
            _ => Ok(()),
        }
    }
}

impl<Reply: DeserializeOwned> Frame for Response<Reply> {
    const IS_REPLY: bool = true;

    fn check(_: &[u8]) -> Result<(), FrameError> {
        Ok(())
    }
}

/// Wraps a connected stream socket; call it inside a tokio runtime.
///
/// # Errors
/// When the descriptor is not a socket, or outside a runtime that drives sockets.
pub fn transport<Item, SinkItem>(descriptor: OwnedFd) -> io::Result<Transport<Item, SinkItem>>
where
    Item: Frame,
    SinkItem: Serialize,
{
    make_nonblocking(&descriptor)?;
    let socket = UnixStream::from_std(StdUnixStream::from(descriptor))?;
    let framed =
        LengthDelimitedCodec::builder().max_frame_length(MAX_RPC_BYTES).new_framed(Stream(socket));
    Ok(tarpc::serde_transport::new(framed, Postcard::default()))
}

/// Whether a connection ended because of a frame that is too large or not a request or reply, and
/// not because the other side closed it.
#[must_use]
pub fn is_breach(error: &io::Error) -> bool {
    // tarpc wraps the error of a transport's encoding once more.
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<io::Error>());
    inner.unwrap_or(error).kind() == io::ErrorKind::InvalidData
}

/// Answers requests on a connected stream socket until the other side closes it, a limited number
/// at a time: further ones wait in the socket. Call it inside a tokio runtime.
///
/// # Errors
/// As [`transport`].
pub async fn answer<Service>(descriptor: OwnedFd, service: Service) -> io::Result<()>
where
    Service: Serve + Clone,
    Service::Req: RequestName,
    Service::Resp: Serialize,
    ClientMessage<Service::Req>: Frame,
{
    let requests = BaseChannel::with_defaults(transport(descriptor)?).execute(service);
    requests.for_each_concurrent(MOST_AT_ONCE, |request| request).await;
    Ok(())
}

/// The first byte of a request's frame: the variant of [`ClientMessage`].
const FIRST_OF_REQUEST: u8 = 0;

/// The encoding of frames.
#[derive(Debug, Default)]
pub struct Postcard {
    /// Requests sent and not answered, at the end that asks.
    owed: u64,
}

/// A frame that is not a request or reply.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// A request with a deadline beyond [`LONGEST_DEADLINE`].
    #[error("a request has a deadline of {seconds} s")]
    Deadline {
        /// The deadline from now, in seconds.
        seconds: u64,
    },
    /// Bytes that cannot be decoded, or a value that cannot be encoded.
    #[error("a frame is not a request or reply")]
    Malformed(#[from] postcard::Error),
    /// Bytes after the value.
    #[error("{0} bytes follow a request or reply")]
    Surplus(usize),
    /// More replies than requests.
    #[error("nobody has asked for this reply")]
    Unasked,
}

/// `tokio-serde` requires this of an encoding's error.
impl From<FrameError> for io::Error {
    fn from(error: FrameError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

impl<Value: Serialize> Serializer<Value> for Postcard {
    type Error = FrameError;

    fn serialize(mut self: Pin<&mut Self>, value: &Value) -> Result<Bytes, FrameError> {
        let frame = postcard::to_stdvec(value)?;
        // At the end that answers the count means nothing, and nobody reads it.
        self.owed = self.owed.saturating_add(u64::from(frame.first() == Some(&FIRST_OF_REQUEST)));
        Ok(frame.into())
    }
}

impl<Value: Frame> Deserializer<Value> for Postcard {
    type Error = FrameError;

    fn deserialize(mut self: Pin<&mut Self>, frame: &BytesMut) -> Result<Value, FrameError> {
        if Value::IS_REPLY {
            self.owed = self.owed.checked_sub(1).ok_or(FrameError::Unasked)?;
        }
        decode_frame(frame)
    }
}

/// Decodes one frame as the transport does; for tests and fuzzing.
///
/// # Errors
/// [`FrameError`] for anything but exactly one value.
pub fn decode_frame<Value: Frame>(frame: &[u8]) -> Result<Value, FrameError> {
    Value::check(frame)?;
    let (value, rest) = postcard::take_from_bytes(frame)?;
    if rest.is_empty() { Ok(value) } else { Err(FrameError::Surplus(rest.len())) }
}

#[cfg(test)]
mod tests {
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
        message::login::Answers,
        service::{
            AppNews, Broker, BrokerClient, BrokerRequest, BrokerResponse, Refusal, RelayPair,
        },
        text::Secret,
        units::{PeerId, SessionId},
    };
    use tarpc::{
        client::{self, NewClient},
        context,
    };
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const FROM: &str = "192.0.2.9";

    #[derive(Clone)]
    struct RefusingBroker;

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

        async fn abandon(self, _: context::Context, _: Secret) {}

        async fn resume(self, _: context::Context, _: Secret) -> Result<Login, LoginRefusal> {
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

        async fn certificate_judged(
            self,
            _: context::Context,
            _: u32,
            _: Option<lumen_ipc::text::Text<256>>,
        ) {
        }

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

    /// Never answers; counts the requests.
    #[derive(Clone)]
    struct StuckBroker(Arc<AtomicUsize>);

    impl Broker for StuckBroker {
        async fn begin(
            self,
            _: context::Context,
            _: Method,
            _: IpAddr,
        ) -> Result<Progress, LoginRefusal> {
            std::future::pending().await
        }

        async fn answer(
            self,
            _: context::Context,
            _: Secret,
            _: Answers,
        ) -> Result<Progress, LoginRefusal> {
            std::future::pending().await
        }

        async fn abandon(self, _: context::Context, _: Secret) {
            std::future::pending().await
        }

        async fn resume(self, _: context::Context, _: Secret) -> Result<Login, LoginRefusal> {
            self.0.fetch_add(1, Ordering::Relaxed);
            std::future::pending().await
        }

        async fn sign_out(self, _: context::Context, _: Secret) -> Option<(SessionId, LoginId)> {
            std::future::pending().await
        }

        async fn mint_relay_credentials(
            self,
            _: context::Context,
            _: SessionId,
            _: PeerId,
        ) -> Option<RelayPair> {
            std::future::pending().await
        }

        async fn watch_app(self, _: context::Context, _: u32) -> Option<AppNews> {
            std::future::pending().await
        }

        async fn mint_lease(self, _: context::Context, _: Option<Secret>) -> Option<Lease> {
            None
        }

        async fn start_app(self, _: context::Context, _: SessionId) -> Result<(), Refusal> {
            std::future::pending().await
        }

        async fn certificate_judged(
            self,
            _: context::Context,
            _: u32,
            _: Option<lumen_ipc::text::Text<256>>,
        ) {
        }

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
        tokio::spawn(answer(theirs.into(), RefusingBroker.serve()));
        ours.into()
    }

    fn request(deadline: Duration) -> Vec<u8> {
        numbered(1, deadline)
    }

    fn numbered(id: u64, deadline: Duration) -> Vec<u8> {
        let mut context = context::current();
        context.deadline = Instant::now() + deadline;
        let key = Secret::new("key").expect("short");
        let message = BrokerRequest::Resume { key };
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
        tokio::spawn(answer(theirs.into(), StuckBroker(Arc::clone(&begun)).serve()));
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
            let refusal = decode_frame::<ClientMessage<BrokerRequest>>(&request(
                Duration::from_secs(seconds),
            ));
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
}
