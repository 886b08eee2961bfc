//! Messages of the `transfer` data channel: the clipboards of the page's system and of the desktop.
//!
//! A message is one tag byte and big-endian fields; anything else is a [`DecodeError`], and its
//! peer is closed. Offers and transfers are numbered by u32, counted up by the side that makes the
//! offer or the request. The table:
//!
//! | from | tag | fields |
//! |---|---|---|
//! | page | 20 | offer, bytes u32: the page's system has text |
//! | page | 21 | transfer, offer: it requests the desktop's text |
//! | page | 22 | transfer: it does not want the rest |
//! | page | 23 | transfer, 1 to 8192 bytes: a part of its text |
//! | page | 24 | transfer: its text is complete |
//! | page | 25 | transfer: the rest will not come |
//! | desktop | a0 | directions u8: bit 1 for text of the desktop, bit 2 for text of the page |
//! | desktop | a1 | offer: an app has copied text |
//! | desktop | a2 | offer: the page's offer is what apps paste |
//! | desktop | a3 | offer: the page's offer is not, or not any more |
//! | desktop | a4 | transfer, offer, credit u32: an app pastes the page's text |
//! | desktop | a5 | transfer, credit u32: the page may send so many more bytes |
//! | desktop | a6 | transfer: the rest is not wanted |
//! | desktop | a7 | transfer, 1 to 8192 bytes: a part of the desktop's text |
//! | desktop | a8 | transfer: the desktop's text is complete |
//! | desktop | a9 | transfer, [`Failure`] u8: the rest will not come |

use lumen_ipc::{
    flow::Credit,
    message::transfer::{Chunk, ClipboardPolicy, Failure, OfferId},
};

use super::decode::DecodeError;

/// Largest message of the channel in bytes.
pub const MAX_TRANSFER_MESSAGE_BYTES: usize = 5 + Chunk::MAX_BYTES;

const OFFERED: u8 = 0x20;
const REQUESTED: u8 = 0x21;
const CANCELLED: u8 = 0x22;
const SENT: u8 = 0x23;
const ENDED: u8 = 0x24;
const FAILED: u8 = 0x25;

const WAYS: u8 = 0xa0;
const DESKTOP_OFFERED: u8 = 0xa1;
const TAKEN: u8 = 0xa2;
const LAPSED: u8 = 0xa3;
const DESKTOP_REQUESTED: u8 = 0xa4;
const GRANTED: u8 = 0xa5;
const DESKTOP_CANCELLED: u8 = 0xa6;
const DESKTOP_SENT: u8 = 0xa7;
const DESKTOP_ENDED: u8 = 0xa8;
const DESKTOP_FAILED: u8 = 0xa9;

/// What a page says about the clipboard.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PageSays {
    /// Its system has text.
    Offered {
        /// The page's number for the offer.
        offer: u32,
        /// Size of the text in bytes.
        bytes: u32,
    },
    /// It requests the text of an app's offer.
    Requested {
        /// The page's number for the transfer.
        transfer: u32,
        /// Which offer.
        offer: OfferId,
    },
    /// It does not want the rest.
    Cancelled {
        /// The page's number for the transfer.
        transfer: u32,
    },
    /// A part of its text.
    Sent {
        /// The number of the transfer as requested.
        transfer: u32,
        /// The bytes.
        chunk: Chunk,
    },
    /// Its text is complete.
    Ended {
        /// The number of the transfer as requested.
        transfer: u32,
    },
    /// The rest of its text will not come.
    Failed {
        /// The number of the transfer as requested.
        transfer: u32,
    },
}

/// Decodes a message of a page.
///
/// # Errors
/// [`DecodeError`] for anything but exactly one message of the table.
pub fn decode(message: &[u8]) -> Result<PageSays, DecodeError> {
    let (&tag, fields) = message.split_first().ok_or(DecodeError::Empty)?;
    let length = DecodeError::Length { tag, length: message.len() };
    let one = |length| number(fields, length);
    match tag {
        OFFERED => pair(fields, length).map(|(offer, bytes)| PageSays::Offered { offer, bytes }),
        REQUESTED => pair(fields, length)
            .map(|(transfer, offer)| PageSays::Requested { transfer, offer: OfferId(offer) }),
        CANCELLED => one(length).map(|transfer| PageSays::Cancelled { transfer }),
        SENT => {
            let (transfer, bytes) =
                fields.split_first_chunk::<4>().ok_or_else(|| length.clone())?;
            let chunk = Chunk::new(bytes.to_vec()).map_err(|_| length)?;
            Ok(PageSays::Sent { transfer: u32::from_be_bytes(*transfer), chunk })
        }
        ENDED => one(length).map(|transfer| PageSays::Ended { transfer }),
        FAILED => one(length).map(|transfer| PageSays::Failed { transfer }),
        unknown => Err(DecodeError::Tag(unknown)),
    }
}

/// Encodes which directions are open to this page.
#[must_use]
pub fn ways(policy: ClipboardPolicy) -> Vec<u8> {
    vec![WAYS, u8::from(policy.from_desktop()) | u8::from(policy.to_desktop()) << 1]
}

/// Encodes that an app has copied text.
#[must_use]
pub fn offered(offer: OfferId) -> Vec<u8> {
    tagged(DESKTOP_OFFERED, &[offer.0])
}

/// Encodes that the page's offer is what apps paste.
#[must_use]
pub fn taken(offer: u32) -> Vec<u8> {
    tagged(TAKEN, &[offer])
}

/// Encodes that the page's offer is not what apps paste.
#[must_use]
pub fn lapsed(offer: u32) -> Vec<u8> {
    tagged(LAPSED, &[offer])
}

/// Encodes a request for the page's text.
#[must_use]
pub fn requested(transfer: u32, offer: u32, credit: Credit) -> Vec<u8> {
    tagged(DESKTOP_REQUESTED, &[transfer, offer, credit.bytes()])
}

/// Encodes that the page may send more of its text.
#[must_use]
pub fn granted(transfer: u32, credit: Credit) -> Vec<u8> {
    tagged(GRANTED, &[transfer, credit.bytes()])
}

/// Encodes that the rest of the page's text is not wanted.
#[must_use]
pub fn cancelled(transfer: u32) -> Vec<u8> {
    tagged(DESKTOP_CANCELLED, &[transfer])
}

/// Encodes a piece of the desktop's text.
#[must_use]
pub fn sent(transfer: u32, chunk: &Chunk) -> Vec<u8> {
    let mut message = tagged(DESKTOP_SENT, &[transfer]);
    message.extend_from_slice(chunk.bytes());
    message
}

/// Encodes that the desktop's text is complete.
#[must_use]
pub fn ended(transfer: u32) -> Vec<u8> {
    tagged(DESKTOP_ENDED, &[transfer])
}

/// Encodes that the rest of the desktop's text will not come.
#[must_use]
pub fn failed(transfer: u32, failure: Failure) -> Vec<u8> {
    let reason = match failure {
        Failure::Busy => 0,
        Failure::Gone => 1,
        Failure::NotText => 2,
        Failure::Stalled => 3,
        Failure::TooLarge => 4,
    };
    let mut message = tagged(DESKTOP_FAILED, &[transfer]);
    message.push(reason);
    message
}

fn tagged(tag: u8, numbers: &[u32]) -> Vec<u8> {
    let mut message = vec![tag];
    numbers.iter().for_each(|number| message.extend(number.to_be_bytes()));
    message
}

fn number(fields: &[u8], length: DecodeError) -> Result<u32, DecodeError> {
    fields.try_into().map(u32::from_be_bytes).map_err(|_| length)
}

fn pair(fields: &[u8], length: DecodeError) -> Result<(u32, u32), DecodeError> {
    let (one, other) = fields.split_first_chunk::<4>().ok_or_else(|| length.clone())?;
    Ok((u32::from_be_bytes(*one), number(other, length)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decode_of_another_length_or_tag_is_refused() {
        assert_eq!(decode(&[]), Err(DecodeError::Empty));
        assert_eq!(decode(&[0x26, 0, 0, 0, 1]), Err(DecodeError::Tag(0x26)));
        let lengths = [(0x20, 8), (0x21, 8), (0x22, 4), (0x24, 4), (0x25, 4)];
        for (tag, right) in lengths {
            for fields in (0..12).filter(|fields| *fields != right) {
                let message = [&[tag][..], &vec![0; fields]].concat();
                let error = DecodeError::Length { tag, length: fields + 1 };
                assert_eq!(decode(&message), Err(error));
            }
        }
        for fields in [0, 4, 4 + Chunk::MAX_BYTES + 1] {
            assert!(decode(&[&[0x23][..], &vec![0; fields]].concat()).is_err(), "{fields}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..32)) {
            let _ = decode(&bytes);
        }
    }
}
