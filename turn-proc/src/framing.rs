//! Splits a byte stream (TCP, TLS) into messages (RFC 8656, section 2.1 and section 12.5).
//!
//! Decides where a message ends, and ends a stream that is not TURN, because it cannot be
//! resynchronised. Holds less than one message between calls.
//!
//! Trusts nothing; the content of a message is checked by [`crate::wire`].

use bytes::{Buf, BytesMut};

use crate::wire::{CHANNEL_HEADER_BYTES, HEADER_BYTES, MAX_MESSAGE_BYTES, Malformed};

/// Bytes of a stream that are not a whole message yet.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: BytesMut,
}

impl Framer {
    /// Adds bytes that were read. Call [`Self::next_message`] until it returns `None` before the
    /// next push.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, with its padding.
    ///
    /// # Errors
    /// [`Malformed`] when the stream carries another protocol; it must then be closed.
    pub fn next_message(&mut self) -> Result<Option<BytesMut>, Malformed> {
        let Some(&[first, _, l0, l1]) = self.buffer.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let whole = match first {
            0x00..=0x3f => HEADER_BYTES + length,
            0x40..=0x7f => (CHANNEL_HEADER_BYTES + length).next_multiple_of(4),
            _ => return Err(Malformed("a stream of another protocol")),
        };
        if whole > MAX_MESSAGE_BYTES {
            return Err(Malformed("a message longer than any the relay carries"));
        }
        if self.buffer.remaining() < whole {
            return Ok(None);
        }
        Ok(Some(self.buffer.split_to(whole)))
    }

    /// Bytes held of an incomplete message.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A STUN header followed by `body` zero bytes.
    fn stun(body: u16) -> Vec<u8> {
        let mut message = vec![0; HEADER_BYTES + usize::from(body)];
        message[2..4].copy_from_slice(&body.to_be_bytes());
        message
    }

    fn channel_data(length: u16) -> Vec<u8> {
        let padded = (CHANNEL_HEADER_BYTES + usize::from(length)).next_multiple_of(4);
        let mut message = vec![0x40; padded];
        message[2..4].copy_from_slice(&length.to_be_bytes());
        message
    }

    #[test]
    fn next_message_other_protocols_end_the_stream() {
        for bytes in [[0x80, 0, 0, 0], [0xff; 4]] {
            let mut framer = Framer::default();
            framer.push(&bytes);
            assert!(framer.next_message().is_err());
        }
        let mut framer = Framer::default();
        framer.push(b"GET / HTTP/1.1\r\n");
        assert!(framer.next_message().is_err(), "an announced length beyond any message");
    }

    proptest! {
        #[test]
        fn next_message_is_the_same_however_the_stream_is_cut(
            lengths in prop::collection::vec((0_u16..400, any::<bool>()), 1..12),
            cuts in prop::collection::vec(1_usize..97, 1..64),
        ) {
            let messages: Vec<Vec<u8>> = lengths
                .iter()
                .map(|&(length, data)| if data { channel_data(length) } else { stun(length) })
                .collect();
            let stream = messages.concat();
            let mut framer = Framer::default();
            let mut found = Vec::new();
            let mut rest = stream.as_slice();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                rest = after;
                framer.push(piece);
                while let Some(message) = framer.next_message().unwrap() {
                    found.push(message.to_vec());
                }
                prop_assert!(framer.pending() < MAX_MESSAGE_BYTES);
            }
            prop_assert_eq!(found, messages);
        }

        #[test]
        fn next_message_arbitrary_bytes_never_hold_more_than_one(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
        ) {
            let mut framer = Framer::default();
            'stream: for piece in pieces {
                framer.push(&piece);
                loop {
                    match framer.next_message() {
                        Ok(Some(message)) => prop_assert!(message.len() <= MAX_MESSAGE_BYTES),
                        Ok(None) => break,
                        Err(_) => break 'stream,
                    }
                }
                prop_assert!(framer.pending() < MAX_MESSAGE_BYTES);
            }
        }
    }
}
