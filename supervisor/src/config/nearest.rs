//! "Did you mean…?": the known word nearest to an unknown one.

/// The most edits at which an unknown word still looks like a typing error.
const MAX_EDITS: usize = 3;

/// The word of `known` with the fewest edits from `word`, if they are at most [`MAX_EDITS`].
fn nearest<'known>(
    word: &str,
    known: impl IntoIterator<Item = &'known str>,
) -> Option<&'known str> {
    known
        .into_iter()
        .map(|candidate| (edits(word, candidate), candidate))
        .filter(|&(edits, candidate)| edits <= MAX_EDITS && edits < candidate.len())
        .min_by_key(|&(edits, _)| edits)
        .map(|(_, candidate)| candidate)
}

/// The nearest word as a clause for an error message, with `prefix` before the word. Empty if there
/// is none.
pub(crate) fn hint<'known>(
    word: &str,
    known: impl IntoIterator<Item = &'known str>,
    prefix: &str,
) -> String {
    nearest(word, known).map_or(String::new(), |near| format!("; did you mean {prefix}{near}?"))
}

/// The Levenshtein distance: insertions, deletions and replacements from `left` to `right`.
fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, from) in left.chars().enumerate() {
        let mut next = vec![above + 1];
        let mut before = above + 1;
        for ((&to, &diagonal), &up) in right.iter().zip(&row).zip(row.iter().skip(1)) {
            before = (diagonal + usize::from(from != to)).min(up + 1).min(before + 1);
            next.push(before);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_the_word_behind_a_slip() {
        let known = ["listen", "size", "fps", "layout"];
        assert_eq!(nearest("lisen", known), Some("listen"));
        assert_eq!(nearest("sise", known), Some("size"));
        assert_eq!(nearest("layuot", known), Some("layout"));
    }

    #[test]
    fn nearest_of_something_else_is_none() {
        assert_eq!(nearest("fullscreen", ["listen", "fps"]), None);
        assert_eq!(nearest("xyz", ["fps"]), None);
    }
}
