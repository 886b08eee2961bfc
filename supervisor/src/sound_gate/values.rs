//! The values in a message, read as the sound server's library writes them.

/// The values of a struct, each behind its length and its type, and padded to eight bytes
/// (<https://docs.pipewire.org/page_spa_pod.html>).
pub(super) struct Values<'bytes>(&'bytes [u8]);

pub(super) const INT: u32 = 4;
pub(super) const STRING: u32 = 8;
pub(super) const STRUCT: u32 = 14;

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

    pub(super) fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}
