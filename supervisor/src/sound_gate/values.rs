//! The values in a message, read as the sound server's library writes them.

/// The values of a struct, each behind its length and its type, and padded to eight bytes
/// (<https://docs.pipewire.org/page_spa_pod.html>).
pub(super) struct Values<'bytes>(&'bytes [u8]);

pub(super) const NONE: u32 = 1;
pub(super) const ID: u32 = 3;
pub(super) const INT: u32 = 4;
pub(super) const LONG: u32 = 5;
pub(super) const STRING: u32 = 8;
pub(super) const STRUCT: u32 = 14;
pub(super) const OBJECT: u32 = 15;

impl<'bytes> Values<'bytes> {
    /// Those of the struct at the beginning of a message's value. What may follow it is not for the method.
    pub(super) fn of(content: &'bytes [u8]) -> Option<Self> {
        Self(content).values()
    }

    fn next(&mut self, kind: u32) -> Option<&'bytes [u8]> {
        let (head, rest) = self.0.split_first_chunk::<8>()?;
        let mut words = head.as_chunks().0.iter().map(|word| u32::from_ne_bytes(*word));
        let (length, found) = (usize::try_from(words.next()?).ok()?, words.next()?);
        let body = rest.get(..length).filter(|_| found == kind)?;
        self.0 = rest.get(length.checked_next_multiple_of(8)?..).unwrap_or_default();
        Some(body)
    }

    pub(super) fn number(&mut self) -> Option<i32> {
        self.next(INT)?.try_into().ok().map(i32::from_ne_bytes)
    }

    /// A text, in which the server sees no other end than ours.
    pub(super) fn text(&mut self) -> Option<&'bytes str> {
        let text = self.next(STRING)?.strip_suffix(&[0])?;
        std::str::from_utf8(text).ok().filter(|text| !text.contains('\0'))
    }

    pub(super) fn values(&mut self) -> Option<Self> {
        self.next(STRUCT).map(Self)
    }

    /// Whether the next value is nothing, which then is passed over.
    pub(super) fn is_nothing(&mut self) -> bool {
        let rest = self.0;
        let is_nothing = self.next(NONE).is_some_and(<[u8]>::is_empty);
        if !is_nothing {
            self.0 = rest;
        }
        is_nothing
    }

    /// Passes over so many times these kinds of values, one after the other.
    pub(super) fn skip(&mut self, times: u32, kinds: &[u32]) -> Option<()> {
        (0..times).try_for_each(|_| kinds.iter().try_for_each(|kind| self.next(*kind).map(drop)))
    }

    /// How many of something follow. The library sends no number below zero.
    pub(super) fn count(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    pub(super) fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}
