//! Validates UTF-8 that arrives in pieces. Pure.

use std::str;

/// Checks a text piece by piece; a character may span two pieces.
#[derive(Clone, Debug, Default)]
pub struct Utf8Check {
    /// The beginning of a character whose end has not arrived.
    begun: Vec<u8>,
}

/// The bytes are not UTF-8.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the bytes are not UTF-8")]
pub struct NotUtf8;

impl Utf8Check {
    /// Checks the next piece.
    ///
    /// # Errors
    /// [`NotUtf8`] when no continuation can make it valid.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), NotUtf8> {
        let mut rest = piece;
        while !self.begun.is_empty() {
            let Some((byte, after)) = rest.split_first() else { return Ok(()) };
            self.begun.push(*byte);
            rest = after;
            match str::from_utf8(&self.begun) {
                Ok(_) => self.begun.clear(),
                Err(error) if error.error_len().is_some() => return Err(NotUtf8),
                Err(_) => {}
            }
        }
        if let Err(error) = str::from_utf8(rest) {
            if error.error_len().is_some() {
                return Err(NotUtf8);
            }
            self.begun.extend(rest.iter().skip(error.valid_up_to()));
        }
        Ok(())
    }

    /// Checks that the text is complete.
    ///
    /// # Errors
    /// [`NotUtf8`] when a character is cut off.
    pub fn finish(&self) -> Result<(), NotUtf8> {
        if self.begun.is_empty() { Ok(()) } else { Err(NotUtf8) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(pieces: &[&[u8]]) -> Result<(), NotUtf8> {
        let mut check = Utf8Check::default();
        pieces.iter().try_for_each(|piece| check.push(piece))?;
        check.finish()
    }

    #[test]
    fn push_character_across_pieces_is_text_and_one_cut_off_is_not() {
        let bytes = "🦀".as_bytes();
        assert_eq!(check(&[&bytes[..1], &bytes[1..3], &[], &bytes[3..], b"x"]), Ok(()));
        assert_eq!(check(&[&bytes[..3]]), Err(NotUtf8));
        assert_eq!(check(&[&bytes[..1], b"x"]), Err(NotUtf8));
        assert_eq!(check(&[b"a\xff"]), Err(NotUtf8));
    }

    proptest! {
        #[test]
        fn pieces_are_judged_as_the_whole_is(
            bytes in prop_oneof![
                any::<String>().prop_map(String::into_bytes),
                prop::collection::vec(any::<u8>(), 0..40),
            ],
            size in 1_usize..6,
        ) {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            prop_assert_eq!(check(&pieces).is_ok(), str::from_utf8(&bytes).is_ok());
        }
    }
}
