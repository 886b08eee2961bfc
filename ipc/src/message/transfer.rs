//! `transfer`: rtc ↔ compositor, content of any length that one side offers and the other requests.
//! It carries the clipboard.
//!
//! An offer names the kind of content, and its size if known, never the content. A receiver
//! requests the content and grants credit: the number of bytes that the sender may send. It grants
//! more as it passes on what came. Content is sent in chunks, and each transfer ends once: the
//! sender says that it is complete or that it failed, or the receiver cancels it. Both directions
//! are alike, so that an app's content for a page and a page's for an app use the same messages.
//!
//! Content is sent in messages and not by descriptor: so rtc, which strangers reach first, never
//! holds a descriptor that an app made, and needs no permission to read one.
//!
//! INVARIANT: a receiver numbers its transfers upward and never reuses a number on one link end, so
//! that late chunks of a cancelled transfer differ from chunks that were never requested.
//! [`crate::flow`] does the arithmetic of credit. The end of the link ends all transfers and
//! offers.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{codec::Message, flow::Credit, link::LinkName};

/// Most bytes of one transfer. A sender stops there; more is a violation.
pub const MAX_TRANSFER_BYTES: u64 = 64 * 1024 * 1024;

/// Most transfers in one direction at a time: one for each peer there can be.
pub const MAX_TRANSFERS: usize = 16;

/// Identifies an offer: counted up by the side that makes it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct OfferId(pub u32);

/// Identifies a transfer: counted up by the side that requests it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct TransferId(pub u32);

/// A kind of content.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum Kind {
    /// UTF-8 text.
    Text,
}

/// In which directions text may be copied. Rtc and compositor both enforce it; pages cannot change
/// it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub enum ClipboardPolicy {
    /// Both directions.
    #[default]
    Both,
    /// From apps to viewers only.
    FromDesktop,
    /// Neither direction.
    Off,
    /// From viewers to apps only.
    ToDesktop,
}

impl ClipboardPolicy {
    /// Whether viewers may copy from apps.
    #[must_use]
    pub const fn from_desktop(self) -> bool {
        matches!(self, Self::Both | Self::FromDesktop)
    }

    /// Whether apps may paste from viewers.
    #[must_use]
    pub const fn to_desktop(self) -> bool {
        matches!(self, Self::Both | Self::ToDesktop)
    }
}

/// Content that can be requested.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// Its number.
    pub offer: OfferId,
    /// Its kind.
    pub kind: Kind,
    /// Its size in bytes, if that is known before it is read.
    pub bytes: Option<u32>,
}

/// Rtc → compositor.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum ToCompositor {
    /// A page has this on its clipboard. It replaces the previous offer.
    Offered(Offer),
    /// A page's offer is void.
    Withdrawn {
        /// Which offer.
        offer: OfferId,
    },
    /// About content of an app, which rtc receives.
    Receiver(FromReceiver),
    /// About content of a page, which rtc sends.
    Sender(FromSender),
}

/// Compositor → rtc.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum ToRtc {
    /// An app has this on its clipboard. It replaces the previous offer, and every page's.
    Offered(Offer),
    /// A page's offer is what apps paste from now on.
    Taken {
        /// Which.
        offer: OfferId,
    },
    /// A page's offer is not, or not any more, what apps paste.
    Lapsed {
        /// Which.
        offer: OfferId,
    },
    /// About content of a page, which the compositor receives.
    Receiver(FromReceiver),
    /// About content of an app, which the compositor sends.
    Sender(FromSender),
}

/// A message of the receiver of content.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum FromReceiver {
    /// It requests the content of an offer.
    Requested {
        /// The transfer that begins.
        transfer: TransferId,
        /// Which offer.
        offer: OfferId,
        /// In which kind.
        kind: Kind,
        /// How many bytes may be sent at once.
        credit: Credit,
    },
    /// It allows more bytes.
    Granted {
        /// Of which transfer.
        transfer: TransferId,
        /// How many.
        credit: Credit,
    },
    /// It does not want the rest.
    Cancelled {
        /// Of which transfer.
        transfer: TransferId,
    },
}

/// A message of the sender of content.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum FromSender {
    /// The next bytes.
    Sent {
        /// Of which transfer.
        transfer: TransferId,
        /// The bytes.
        chunk: Chunk,
    },
    /// The content is complete.
    Ended {
        /// Which transfer.
        transfer: TransferId,
    },
    /// The rest will not come.
    Failed {
        /// Of which transfer.
        transfer: TransferId,
        /// Why.
        failure: Failure,
    },
}

/// Why content does not come.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub enum Failure {
    /// Too many transfers are under way.
    Busy,
    /// The content that was offered is gone.
    Gone,
    /// It is not text in UTF-8.
    NotText,
    /// Its owner did not write it in time.
    Stalled,
    /// It is longer than [`MAX_TRANSFER_BYTES`].
    TooLarge,
}

/// Bytes of content: at least one, at most [`Chunk::MAX_BYTES`].
#[derive(Clone, Eq, PartialEq)]
pub struct Chunk(Vec<u8>);

/// A chunk that is empty or too long.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a chunk of {bytes} bytes; it has 1 to {max}", max = Chunk::MAX_BYTES)]
pub struct BadChunk {
    /// How many it has.
    pub bytes: usize,
}

impl Chunk {
    /// Most bytes of a chunk. Each chunk is one message of a data channel, and delays all others on
    /// their way to the network: at 10 Mbit/s by less than 7 ms.
    pub const MAX_BYTES: usize = 8 * 1024;

    /// A chunk of `bytes`.
    ///
    /// # Errors
    /// [`BadChunk`] when there are none or too many.
    pub fn new(bytes: Vec<u8>) -> Result<Self, BadChunk> {
        if (1..=Self::MAX_BYTES).contains(&bytes.len()) {
            Ok(Self(bytes))
        } else {
            Err(BadChunk { bytes: bytes.len() })
        }
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, owned.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Content is private: only its length is shown.
impl std::fmt::Debug for Chunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Chunk({} bytes)", self.0.len())
    }
}

/// As bytes, not as a sequence of numbers, each of which would be encoded separately.
impl Serialize for Chunk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Chunk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl de::Visitor<'_> for Bytes {
            type Value = Chunk;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "1 to {} bytes", Chunk::MAX_BYTES)
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Chunk, E> {
                Chunk::new(bytes.to_vec()).map_err(E::custom)
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

impl FromReceiver {
    /// The transfer it is about.
    #[must_use]
    pub const fn transfer(&self) -> TransferId {
        match self {
            Self::Requested { transfer, .. }
            | Self::Granted { transfer, .. }
            | Self::Cancelled { transfer } => *transfer,
        }
    }
}

impl FromSender {
    /// The transfer it is about.
    #[must_use]
    pub const fn transfer(&self) -> TransferId {
        match self {
            Self::Sent { transfer, .. }
            | Self::Ended { transfer }
            | Self::Failed { transfer, .. } => *transfer,
        }
    }
}

impl Message for ToCompositor {
    const LINK: LinkName = LinkName::Transfer;
}

impl Message for ToRtc {
    const LINK: LinkName = LinkName::Transfer;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::MAX_MESSAGE_BYTES;

    fn sent(bytes: Vec<u8>) -> ToRtc {
        let chunk = Chunk(bytes);
        ToRtc::Sender(FromSender::Sent { transfer: TransferId(1), chunk })
    }

    fn decoded(message: &ToRtc) -> bool {
        let mut buffer = vec![0; MAX_MESSAGE_BYTES];
        let bytes = postcard::to_slice(message, &mut buffer).expect("it fits");
        postcard::from_bytes::<ToRtc>(bytes).is_ok_and(|decoded| decoded == *message)
    }

    #[test]
    fn chunk_of_a_legal_length_arrives_and_any_other_is_refused() {
        for length in [1, 2, Chunk::MAX_BYTES] {
            assert!(decoded(&sent(vec![0xff; length])), "{length}");
        }
        for length in [0, Chunk::MAX_BYTES + 1] {
            assert!(!decoded(&sent(vec![0xff; length])), "{length}");
        }
    }

    #[test]
    fn chunk_debug_hides_the_content() {
        assert_eq!(format!("{:?}", Chunk(b"secret".to_vec())), "Chunk(6 bytes)");
    }
}
