//! Strings with a length limit, for all text that crosses a link.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroize;

/// UTF-8 text of at most `MAX` bytes.
#[derive(Clone, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Text<const MAX: usize>(String);

/// Text longer than its limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("text of {length} bytes where at most {max} are allowed")]
pub struct TextTooLong {
    /// Length found, in bytes.
    pub length: usize,
    /// Limit, in bytes.
    pub max: usize,
}

impl<const MAX: usize> Text<MAX> {
    /// Wraps `text` if it is short enough.
    ///
    /// # Errors
    /// [`TextTooLong`] when `text` has more than `MAX` bytes.
    pub fn new(text: impl Into<String>) -> Result<Self, TextTooLong> {
        let text = text.into();
        if text.len() > MAX {
            return Err(TextTooLong { length: text.len(), max: MAX });
        }
        Ok(Self(text))
    }

    /// Wraps `text`, cutting it at the last character boundary that fits: for titles and reasons,
    /// where a shortened text is better than none.
    pub fn truncated(text: impl Into<String>) -> Self {
        let mut text = text.into();
        if text.len() > MAX {
            text.truncate(text.floor_char_boundary(MAX));
        }
        Self(text)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, owned.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl<const MAX: usize> TryFrom<String> for Text<MAX> {
    type Error = TextTooLong;

    fn try_from(text: String) -> Result<Self, TextTooLong> {
        Self::new(text)
    }
}

impl<const MAX: usize> From<Text<MAX>> for String {
    fn from(text: Text<MAX>) -> Self {
        text.0
    }
}

impl<const MAX: usize> fmt::Debug for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A secret of at most 256 bytes (token, key or password). `Debug` never shows it, and its memory is wiped
/// when it is dropped.
#[derive(Clone, Eq, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Secret(Text<256>);

// Not derived, which would encode a copy that nobody wipes.
impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.reveal())
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.0.zeroize();
    }
}

impl Secret {
    /// Wraps a secret.
    ///
    /// # Errors
    /// [`TextTooLong`] when it has more than 256 bytes.
    pub fn new(secret: impl Into<String>) -> Result<Self, TextTooLong> {
        Text::new(secret).map(Self)
    }

    /// The secret itself: only for comparing it and for sending it to its owner.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// "1 viewer", "2 viewers": a count and its noun, whose plural must only add an s.
#[must_use]
pub fn counted(count: usize, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_adds_an_s_to_all_but_one() {
        let shown = [0, 1, 2].map(|count| counted(count, "peer"));
        assert_eq!(shown, ["0 peers", "1 peer", "2 peers"]);
    }

    #[test]
    fn new_at_limit_is_accepted_and_above_is_refused() {
        assert_eq!(Text::<4>::new("äö").map(Text::into_string), Ok("äö".to_owned()));
        assert_eq!(Text::<3>::new("äö"), Err(TextTooLong { length: 4, max: 3 }));
    }

    #[test]
    fn truncated_cuts_at_character_boundary() {
        assert_eq!(Text::<3>::truncated("äö").as_str(), "ä");
    }

    #[test]
    fn secret_debug_hides_the_secret() {
        let secret = Secret::new("hunter2").expect("short enough");
        assert!(!format!("{secret:?}").contains("hunter2"));
    }
}
