//! What a package installs and the tables of commands and options decide: the configuration file and the
//! shells' completions. `LUMEN_TEST_TABLES=write` writes the files anew (`make tables`).

mod bash;
mod configuration;
mod fish;
mod words;
mod zsh;

use std::{fs, path::Path, process::Command};

use lumen_supervisor::config::table::{COMMANDS, OPTIONS};

/// Compares a file of the repository, named from this crate's folder, with what the tables make.
fn compare(file: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var("LUMEN_TEST_TABLES").is_ok_and(|mode| mode == "write") {
        // Other tests may be reading it.
        let written = path.with_extension("new");
        fs::write(&written, expected).expect("writable");
        fs::rename(&written, &path).expect("writable");
        return;
    }
    let found = fs::read_to_string(&path).expect("the file is there");
    assert_eq!(found, expected, "`make tables` writes {file} anew");
}

#[test]
fn file_of_the_package_is_what_the_table_makes() {
    compare("../systemd/lumen.toml", &configuration::text());
}

#[test]
fn completions_are_what_the_tables_make() {
    compare("completions/lumen.bash", &bash::text());
    compare("completions/_lumen", &zsh::text());
    compare("completions/lumen.fish", &fish::text());
}

/// What a shell says to a script.
fn said(shell: &str, arguments: &[&str], script: &str) -> String {
    let output = Command::new(shell).args(arguments).arg("-c").arg(script).output();
    let output = output.unwrap_or_else(|error| {
        panic!("{shell} does not run ({error}): tests/install.sh test installs it")
    });
    let (text, errors) = (output.stdout, String::from_utf8_lossy(&output.stderr).into_owned());
    assert!(output.status.success() && errors.is_empty(), "{shell}: {errors}");
    String::from_utf8(text).expect("text")
}

/// Command lines without their last word, that word, and what it may become.
const TYPED: [(&str, &str, &[&str]); 9] = [
    ("lumen", "se", &["serve", "session", "sessions"]),
    ("lumen serve", "--login-l", &["--login-life"]),
    ("lumen serve --auth", "pass", &["password"]),
    ("lumen serve --relay off --tls", "o", &["on", "off"]),
    ("lumen session --size 640x480 --pad", "x", &["xbox360", "xboxone"]),
    ("lumen restart", "me", &["media"]),
    ("lumen logs", "xs", &["xserver"]),
    ("lumen config", "sh", &["show"]),
    ("lumen doctor", "--js", &["--json"]),
];

/// Words without order.
fn sorted<'word>(words: impl IntoIterator<Item = &'word str>) -> Vec<&'word str> {
    let mut words: Vec<_> = words.into_iter().collect();
    words.sort_unstable();
    words
}

#[test]
fn bash_completes_commands_options_values_and_operands() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/completions/lumen.bash");
    for (line, word, expected) in TYPED {
        let at = line.split(' ').count();
        let script = format!(
            "source {file}; COMP_WORDS=({line} {word}); COMP_CWORD={at}; _lumen; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        let offered = said("bash", &["--norc", "--noprofile"], &script);
        assert_eq!(sorted(offered.lines()), sorted(expected.iter().copied()), "{line} {word}");
    }
}

#[test]
fn fish_completes_commands_options_values_and_operands() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/completions/lumen.fish");
    for (line, word, expected) in TYPED {
        let script = format!("source {file}; complete -C '{line} {word}'");
        let offered = said("fish", &["--no-config"], &script);
        let words = offered.lines().filter_map(|line| line.split('\t').next());
        // fish also offers what contains the word.
        let words = words.filter(|offered| offered.starts_with(word));
        assert_eq!(sorted(words), sorted(expected.iter().copied()), "{line} {word}");
    }
}

/// zsh completes for a terminal only: so it gets one, and the words that it would add to the line.
#[test]
fn zsh_completes_commands_options_values_and_operands() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/completions");
    let lines = TYPED.map(|(line, word, _)| format!("{line} {word}"));
    let said = said("zsh", &["-f"], &zsh::asking(folder, lines.iter().map(String::as_str)));
    let mut answers = said.split("\n--\n");
    for (line, word, expected) in TYPED {
        let offered = answers.next().unwrap_or_default();
        assert_eq!(sorted(offered.lines()), sorted(expected.iter().copied()), "{line} {word}");
    }
}

#[test]
fn completions_name_every_command_and_option() {
    let texts = [bash::text(), fish::text(), zsh::text()];
    for text in &texts {
        for row in &COMMANDS {
            assert!(text.contains(row.name), "{}", row.name);
        }
        for row in &OPTIONS {
            assert!(text.contains(row.name), "{}", row.name);
        }
    }
}
