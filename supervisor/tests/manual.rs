//! The manual page names every command and option of the tables, and the tables every one of its.

use std::collections::BTreeSet;

use lumen_supervisor::config::table::{COMMANDS, OPTIONS};

const PAGE: &str = include_str!("../man/lumen.1");

/// The page without its font changes and escapes.
fn plain() -> String {
    let fonts = ["\\fB", "\\fI", "\\fR"];
    fonts.iter().fold(PAGE.to_owned(), |text, font| text.replace(font, "")).replace('\\', "")
}

/// The paragraph that starts with `head`.
fn paragraph<'page>(page: &'page str, head: &str) -> Option<&'page str> {
    let starts = |text: &str| text.lines().next().is_some_and(|line| line.starts_with(head));
    page.split(".TP\n").find(|text| starts(text))
}

#[test]
fn manual_explains_each_option_as_the_table_does() {
    let page = plain();
    let wrong: Vec<&str> = OPTIONS
        .iter()
        .filter(|row| {
            let short = row.short.map_or(String::new(), |letter| format!("-{letter}, "));
            let value = row.placeholder.map_or(String::new(), |name| format!(" {name}"));
            let head = format!("{short}--{}{value}", row.name);
            let text = paragraph(&page, &head).unwrap_or_default();
            let sentences =
                [row.help.replace('`', ""), row.default.to_owned(), row.environment.to_owned()];
            !sentences.iter().all(|sentence| text.contains(sentence))
        })
        .map(|row| row.name)
        .collect();
    assert!(wrong.is_empty(), "not in man/lumen.1 as in the table: {wrong:?}");
}

#[test]
fn manual_has_no_option_the_tables_lack() {
    let known: BTreeSet<&str> =
        OPTIONS.iter().map(|row| row.name).chain(["help", "version", "app"]).collect();
    let page = plain();
    let named = page.split("--").skip(1).map(|rest| {
        let in_name =
            |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        rest.split(|letter: char| !in_name(letter)).next().unwrap_or_default()
    });
    let unknown: Vec<&str> =
        named.filter(|name| !name.is_empty() && !known.contains(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn manual_names_each_command() {
    let page = plain();
    for row in &COMMANDS {
        assert!(paragraph(&page, &format!(".B {}", row.name)).is_some(), "{}", row.name);
    }
}
