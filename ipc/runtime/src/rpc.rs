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
mod tests;
