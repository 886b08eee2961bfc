//! Encodes and decodes one message, with the limits that all links share.
//!
//! The encoding is postcard (<https://postcard.jamesmunns.com/wire-format>): it is compact, and its
//! decoder never allocates more than the input's length suggests. A message of either direction is
//! at most [`MAX_MESSAGE_BYTES`]; trailing bytes are a violation, as is a number of descriptors
//! other than the message's type states.

use serde::{Serialize, de::DeserializeOwned};

use crate::link::LinkName;

/// Largest encoded message on any link, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// A type that travels on a data link in one direction.
pub trait Message: Serialize + DeserializeOwned {
    /// The link it travels on.
    const LINK: LinkName;

    /// Whether messages of this direction may hold secrets, so that their bytes are wiped once they have
    /// been sent or decoded.
    const SECRET: bool = false;

    /// How many descriptors travel beside it, exactly.
    fn descriptors(&self) -> usize {
        0
    }
}

/// A breach of the contract by the other side of a link. The receiver closes its end at once and
/// reports it; the supervisor decides what follows.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("violation on link {link}: {what}")]
pub struct ProtocolViolation {
    /// The link on which it happened.
    pub link: LinkName,
    /// What was wrong.
    pub what: Violation,
}

/// What was wrong with a message.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Violation {
    /// The bytes are not a message of this link and direction.
    #[error("{length} bytes are not a message: {reason}")]
    Malformed {
        /// Length of the datagram in bytes.
        length: usize,
        /// The decoder's error.
        reason: String,
    },
    /// More bytes than [`MAX_MESSAGE_BYTES`].
    #[error("a message of more than {MAX_MESSAGE_BYTES} bytes")]
    Oversize,
    /// Too many or too few descriptors.
    #[error("a message came with {found} descriptors instead of {needed}")]
    Descriptors {
        /// The number that came.
        found: usize,
        /// The number that its type states.
        needed: usize,
    },
    /// Legal bytes at an illegal moment, or a value that contradicts an earlier one.
    #[error("{0}")]
    Illegal(&'static str),
}

/// A message that cannot be encoded.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("cannot encode a message for link {link}: {reason}")]
pub struct EncodeError {
    /// The link it was meant for.
    pub link: LinkName,
    /// The encoder's error.
    pub reason: String,
}

/// Encodes `message` into the front of `buffer` and returns the bytes used.
///
/// # Errors
/// [`EncodeError`] when the message does not fit the buffer.
pub fn encode<'buffer, M: Message>(
    message: &M,
    buffer: &'buffer mut [u8],
) -> Result<&'buffer [u8], EncodeError> {
    postcard::to_slice(message, buffer)
        .map(|used| &*used)
        .map_err(|error| EncodeError { link: M::LINK, reason: error.to_string() })
}

/// Decodes one datagram that came with `descriptors` descriptors.
///
/// # Errors
/// [`ProtocolViolation`] for anything but exactly one legal message with its exact count of
/// descriptors.
pub fn decode<M: Message>(bytes: &[u8], descriptors: usize) -> Result<M, ProtocolViolation> {
    let violation = |what| ProtocolViolation { link: M::LINK, what };
    if bytes.len() > MAX_MESSAGE_BYTES {
        return Err(violation(Violation::Oversize));
    }
    let malformed =
        |reason: String| violation(Violation::Malformed { length: bytes.len(), reason });
    let (message, rest) =
        postcard::take_from_bytes::<M>(bytes).map_err(|error| malformed(error.to_string()))?;
    if !rest.is_empty() {
        return Err(malformed(format!("{} bytes follow the message", rest.len())));
    }
    let needed = message.descriptors();
    if descriptors != needed {
        return Err(violation(Violation::Descriptors { found: descriptors, needed }));
    }
    Ok(message)
}
