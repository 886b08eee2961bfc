//! Makes untrusted text safe to show: characters that would control a terminal, or hide or reorder
//! text beside them, become escape sequences of letters and digits.
//!
//! Text is stored unchanged and escaped where it is shown. Escaping twice changes nothing.

use std::borrow::Cow;

/// Whether a character is shown as itself. Tabs are: programs use them as spaces.
#[must_use]
pub fn is_visible(character: char) -> bool {
    match character {
        '\t' => true,
        // Marks, embeddings and overrides of the bidirectional algorithm, and line and paragraph
        // separators.
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' => false,
        // Zero-width spaces, invisible operators, isolates, and deprecated format characters.
        '\u{200b}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => false,
        // Annotations and tags, which carry invisible text.
        '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => false,
        other => !other.is_control(),
    }
}

/// One line of text with everything visible: `ESC` becomes `\u{1b}`, a line end becomes `\n`.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match is_visible(character) {
            true => shown.push(character),
            false => shown.extend(character.escape_default()),
        }
    }
    Cow::Owned(shown)
}

/// The same for text of several lines: line ends stay as they are.
#[must_use]
pub fn visible_lines(text: &str) -> String {
    text.split('\n').map(visible).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn visible_writes_out_what_steers_a_terminal() {
        let title = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}1m\u{7f}";
        assert_eq!(visible(title), r"\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}1m\u{7f}");
    }

    #[test]
    fn visible_writes_out_what_makes_one_line_pass_for_another() {
        let text = "a\nrtc: b\rc\u{2028}d";
        assert_eq!(visible(text), r"a\nrtc: b\rc\u{2028}d");
    }

    #[test]
    fn visible_writes_out_what_hides_or_reorders_its_neighbours() {
        let text = "user\u{202e}gpj.exe\u{2066}\u{200b}\u{feff}\u{e0041}";
        assert_eq!(visible(text), r"user\u{202e}gpj.exe\u{2066}\u{200b}\u{feff}\u{e0041}");
    }

    #[test]
    fn visible_keeps_what_people_write() {
        for text in
            ["plain\tcolumns", "Füße, 日本語, עברית, فارسی", "می\u{200c}خواهم 👩\u{200d}💻 ▶ ≤"]
        {
            assert_eq!(visible(text), text);
        }
    }

    #[test]
    fn visible_lines_keep_their_ends_and_nothing_else_that_moves_a_cursor() {
        assert_eq!(visible_lines("one\ntwo\r\u{9b}2J\n"), "one\ntwo\\r\\u{9b}2J\n");
    }

    proptest! {
        #[test]
        fn visible_of_anything_is_visible_and_stays_as_it_is(text in any::<String>()) {
            let once = visible(&text).into_owned();
            prop_assert!(once.chars().all(is_visible));
            prop_assert_eq!(visible(&once), once.as_str());
        }
    }
}
