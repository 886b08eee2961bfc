//! tarpc over a granted stream socket: length-delimited frames of postcard.
//!
//! Trusts: nobody on the other side. A frame above [`MAX_RPC_BYTES`], bytes that are no request or
//! reply, and bytes left over all end the connection, in both directions.
//!
//! Callers and servers run inside a tokio runtime; a worker's is
//! [`crate::bootstrap::Supervision::handle`].

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream as StdUnixStream},
    pin::Pin,
};

use lumen_ipc::service::MAX_RPC_BYTES;
use serde::{Serialize, de::DeserializeOwned};
use tokio::net::UnixStream;
use tokio_serde::{Deserializer, Serializer};
use tokio_util::{
    bytes::{Bytes, BytesMut},
    codec::LengthDelimitedCodec,
};

/// What tarpc's servers and clients of this project speak through.
pub type Transport<Item, SinkItem> =
    tarpc::serde_transport::Transport<UnixStream, Item, SinkItem, Postcard>;

/// Wraps a connected stream socket; call it inside a tokio runtime.
///
/// # Errors
/// When the descriptor is no socket, or outside a runtime that drives sockets.
pub fn transport<Item, SinkItem>(descriptor: OwnedFd) -> io::Result<Transport<Item, SinkItem>>
where
    Item: DeserializeOwned,
    SinkItem: Serialize,
{
    let socket = StdUnixStream::from(descriptor);
    socket.set_nonblocking(true)?;
    let framed = LengthDelimitedCodec::builder()
        .max_frame_length(MAX_RPC_BYTES)
        .new_framed(UnixStream::from_std(socket)?);
    Ok(tarpc::serde_transport::new(framed, Postcard))
}

/// The encoding of frames.
#[derive(Clone, Copy, Debug)]
pub struct Postcard;

/// A frame that is no request or reply.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Bytes that decode to nothing, or a value that cannot be encoded.
    #[error("a frame that is no request or reply")]
    Malformed(#[from] postcard::Error),
    /// Bytes after the value.
    #[error("{0} bytes follow a request or reply")]
    Surplus(usize),
}

/// What `tokio-serde` asks of an encoding's error.
impl From<FrameError> for io::Error {
    fn from(error: FrameError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

impl<Value: Serialize> Serializer<Value> for Postcard {
    type Error = FrameError;

    fn serialize(self: Pin<&mut Self>, value: &Value) -> Result<Bytes, FrameError> {
        Ok(postcard::to_stdvec(value)?.into())
    }
}

impl<Value: DeserializeOwned> Deserializer<Value> for Postcard {
    type Error = FrameError;

    fn deserialize(self: Pin<&mut Self>, frame: &BytesMut) -> Result<Value, FrameError> {
        decode_frame(frame)
    }
}

/// Decodes one frame, as the transport does: for tests and fuzzing.
///
/// # Errors
/// [`FrameError`] for anything but exactly one value.
pub fn decode_frame<Value: DeserializeOwned>(frame: &[u8]) -> Result<Value, FrameError> {
    let (value, rest) = postcard::take_from_bytes(frame)?;
    if rest.is_empty() { Ok(value) } else { Err(FrameError::Surplus(rest.len())) }
}
