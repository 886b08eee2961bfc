//! The tests that `CLAIMS.md` names for what the documents claim.

use std::collections::BTreeSet;

/// Every name of a test in `document`: names between backticks with at least two underscores.
pub(crate) fn tests(document: &str) -> BTreeSet<&str> {
    // Every second part stands between backticks.
    let quoted = document.split('`').skip(1).step_by(2);
    quoted.filter(|name| is_test(name)).collect()
}

fn is_test(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.bytes().all(legal) && name.matches('_').count() >= 2
}

#[test]
fn tests_are_names_between_backticks_and_not_files_or_words() {
    let document = "`one_two_three` of `ipc`, `vm/a.sh`, one_two_four and `not_it`";
    assert_eq!(tests(document), ["one_two_three"].into());
}
