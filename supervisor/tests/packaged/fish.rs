//! Completions for fish.

use std::fmt::Write as _;

use lumen_supervisor::config::table::{COMMANDS, OPTIONS};

use crate::words::{self, MADE, Values};

/// The file.
pub(crate) fn text() -> String {
    let mut text = MADE.to_owned() + "complete --command lumen --no-files\n";
    for row in &COMMANDS {
        add(
            &mut text,
            &format!("-n __fish_use_subcommand -a {} -d '{}'", row.name, quoted(row.summary)),
        );
    }
    add(&mut text, "-n __fish_use_subcommand -l version -d 'Print the version'");
    add(&mut text, "-s h -l help -d 'Print help'");
    for row in &COMMANDS {
        let operands = words::operands(row).join(" ");
        if !operands.is_empty() {
            add(&mut text, &format!("{} -a '{operands}'", of(&[row.name])));
        }
        if words::takes_files(row) || words::takes_an_app(row) {
            add(&mut text, &format!("{} -F", of(&[row.name])));
        }
    }
    for row in &OPTIONS {
        let commands: Vec<&str> = row.commands.iter().map(|command| command.row().name).collect();
        let short = row.short.map_or(String::new(), |letter| format!(" -s {letter}"));
        let value = match words::values(row) {
            Values::None => String::new(),
            Values::Any => " -x".to_owned(),
            Values::Files => " -r -F".to_owned(),
            Values::Users => " -x -a '(__fish_complete_users)'".to_owned(),
            Values::Words(words) => format!(" -x -a '{}'", words.join(" ")),
        };
        let gist = quoted(&words::gist(row));
        add(&mut text, &format!("{}{short} -l {}{value} -d '{gist}'", of(&commands), row.name));
    }
    text
}

/// After one of these commands.
fn of(commands: &[&str]) -> String {
    format!("-n '__fish_seen_subcommand_from {}'", commands.join(" "))
}

fn add(text: &mut String, what: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "complete -c lumen {what}");
}

/// Inside single quotes.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}
