//! The manual pages name every command and option of the tables, and the tables every one of theirs.

use std::{collections::BTreeSet, ffi::OsString, fmt::Write as _, fs, path::Path};

use lumen_supervisor::config::{
    self, Invocation, Outside, UsageError,
    file::{FileText, Scope, Settings},
    table::{COMMANDS, OPTIONS, OptionRow},
};

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

/// Where the manual page of the configuration file has the keys, made from the table.
const KEYS: &str = ".SH KEYS\n";

/// A word for troff.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('`', "")
}

/// What the page says about one key.
fn entry(row: &OptionRow) -> String {
    let mut text = format!(".TP\n\\fB{}\\fR (", escaped(row.name));
    let written = match row.placeholder {
        Some(placeholder) => format!("{}: {placeholder}", row.form().allowed()),
        None => row.form().allowed().to_owned(),
    };
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{})", escaped(&written));
    let _ = writeln!(text, "{}", escaped(row.help));
    if !row.default.is_empty() {
        let _ = writeln!(text, "Default: {}.", escaped(row.default));
    }
    text
}

/// `LUMEN_TEST_TABLES=write` writes the page anew.
#[test]
fn manual_of_the_file_has_each_key_as_the_table_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("man/lumen.toml.5");
    let page = fs::read_to_string(&path).expect("there is a page");
    let (before, keys) = page.split_once(KEYS).expect("a section of keys");
    let rows = OPTIONS.iter().filter(|row| row.is_for_files());
    let expected: String = rows.map(entry).collect::<String>() + ".SH SEE ALSO\n.BR lumen (1)\n";
    if std::env::var("LUMEN_TEST_TABLES").is_ok_and(|mode| mode == "write") {
        fs::write(&path, format!("{before}{KEYS}{expected}")).expect("writable");
        return;
    }
    assert_eq!(keys, expected, "`make tables` writes man/lumen.toml.5 anew");
}

#[test]
fn example_of_the_manual_of_the_file_is_legal() {
    let page = include_str!("../man/lumen.toml.5").replace('\\', "");
    let example = page.split(".nf\n").nth(1).and_then(|rest| rest.split(".fi\n").next());
    let text = example.expect("an example").to_owned();
    let file = FileText { path: "example".to_owned(), text, scope: Scope::All };
    assert!(Settings::of(std::slice::from_ref(&file)).expect("legal").iter().count() > 3);
    struct Example(FileText);
    impl Outside for Example {
        fn variable(&self, _: &str) -> Option<String> {
            None
        }
        fn files(&self, _: Option<&Path>) -> Result<Vec<FileText>, UsageError> {
            Ok(vec![self.0.clone()])
        }
    }
    let (invocation, _) = config::parse([OsString::from("serve")], &Example(file)).expect("legal");
    assert!(matches!(invocation, Invocation::Serve(host) if host.front_door.trusted.len() == 2));
}
