//! Text from apps, such as titles, that is shown beside our own text: in a browser's tab, in a list.
//!
//! Escape sequences would be ugly there, so characters that would control, hide or reorder text beside them
//! are left out. [`crate::visible`] defines them, and escapes them for terminals and logs.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{text::Text, visible::is_visible};

/// One line of visible text, of at most `MAX` bytes of UTF-8.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Text<MAX>", into = "Text<MAX>")]
pub struct Line<const MAX: usize>(Text<MAX>);

/// The text contains a character that is not visible or that ends the line.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not visible in a line")]
pub struct NotVisible(pub char);

impl<const MAX: usize> Line<MAX> {
    /// The visible part of `outside`, truncated to fit. Line ends and tabs become spaces.
    #[must_use]
    pub fn of(outside: &str) -> Self {
        let shown = outside.chars().map(|character| match character {
            '\t' | '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => ' ',
            other => other,
        });
        Self(Text::truncated(shown.filter(|character| belongs(*character)).collect::<String>()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

fn belongs(character: char) -> bool {
    character != '\t' && is_visible(character)
}

impl<const MAX: usize> TryFrom<Text<MAX>> for Line<MAX> {
    type Error = NotVisible;

    fn try_from(text: Text<MAX>) -> Result<Self, NotVisible> {
        match text.as_str().chars().find(|character| !belongs(*character)) {
            Some(character) => Err(NotVisible(character)),
            None => Ok(Self(text)),
        }
    }
}

impl<const MAX: usize> From<Line<MAX>> for Text<MAX> {
    fn from(line: Line<MAX>) -> Self {
        line.0
    }
}

impl<const MAX: usize> fmt::Display for Line<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn of_leaves_out_what_reorders_hides_or_steers() {
        let title =
            "in\u{202e}voice\u{202c}gpj.exe\u{2066}\u{200b}\u{1b}]0;x\u{7}\u{9b}2J\u{e0041}";
        assert_eq!(Line::<256>::of(title).as_str(), "invoicegpj.exe]0;x2J");
    }

    #[test]
    fn of_makes_one_line() {
        assert_eq!(Line::<256>::of("a\nb\tc\u{2028}d").as_str(), "a b c d");
    }

    #[test]
    fn of_keeps_what_people_write() {
        for text in ["Füße, 日本語, עברית, فارسی", "می\u{200c}خواهم 👩\u{200d}💻 ▶ ≤"]
        {
            assert_eq!(Line::<256>::of(text).as_str(), text);
        }
    }

    #[test]
    fn text_that_is_no_line_is_refused() {
        for character in ['\n', '\t', '\u{1b}', '\u{202e}'] {
            let text = Text::<8>::truncated(format!("a{character}"));
            assert_eq!(Line::try_from(text), Err(NotVisible(character)));
        }
    }

    proptest! {
        #[test]
        fn of_anything_is_visible_short_and_stays_as_it_is(outside in any::<String>()) {
            let line = Line::<16>::of(&outside);
            prop_assert!(line.as_str().chars().all(belongs) && line.as_str().len() <= 16);
            prop_assert_eq!(&Line::of(line.as_str()), &line);
            prop_assert_eq!(Line::try_from(Text::from(line.clone())), Ok(line));
        }

        #[test]
        fn of_what_is_visible_is_the_same(text in "[a-zäß日👩 -~]{0,40}") {
            let line = Line::<4096>::of(&text);
            prop_assert_eq!(line.as_str(), text);
        }
    }
}
