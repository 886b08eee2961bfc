//! What may stand at a place of the command line, as all shells' completions need it.

use lumen_ipc::{log::LogSource, process::Worker};
use lumen_supervisor::config::table::{CommandRow, Form, OptionRow};

/// The first line of every file of completions.
pub(crate) const MADE: &str =
    "# Completions of lumen, made of its tables of commands and options by `make tables`.\n";

/// What the value of an option is chosen from.
pub(crate) enum Values {
    /// There is no value.
    None,
    /// Names of files and directories.
    Files,
    /// Names of accounts.
    Users,
    /// These words.
    Words(Vec<&'static str>),
    /// Whatever the user types.
    Any,
}

/// The values of an option: its placeholder decides.
pub(crate) fn values(row: &OptionRow) -> Values {
    let Some(placeholder) = row.placeholder else { return Values::None };
    // Words stand in small letters; a word in capitals names what varies.
    let words: Vec<_> = placeholder.split('|').filter(|word| is_literal(word)).collect();
    match row.form() {
        Form::Path => Values::Files,
        _ if placeholder == "PATH" => Values::Files,
        _ if row.name == "user" => Values::Users,
        _ if words.is_empty() => Values::Any,
        _ => Values::Words(words),
    }
}

fn is_literal(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// The operands of a command that have names known beforehand.
pub(crate) fn operands(row: &CommandRow) -> Vec<&'static str> {
    let words = row.operands.split([' ', '|', '[', ']']).filter(|word| !word.is_empty());
    words
        .flat_map(|word| match word {
            "WORKER" => Worker::ALL.map(Worker::name).to_vec(),
            "SOURCE" => LogSource::ALL.map(LogSource::name).to_vec(),
            literal if !literal.starts_with('-') && is_literal(literal) => vec![literal],
            _ => Vec::new(),
        })
        .collect()
}

/// Whether a file may be an operand.
pub(crate) fn takes_files(row: &CommandRow) -> bool {
    row.operands.contains("FILE")
}

/// Whether a command line of an app follows.
pub(crate) fn takes_an_app(row: &CommandRow) -> bool {
    row.operands.contains("-- CMD")
}

/// The first sentence of an option's help, without the full stop and without marks of code.
pub(crate) fn gist(row: &OptionRow) -> String {
    let end = [". ", "; ", ": "].iter().filter_map(|mark| row.help.find(mark)).min();
    row.help[..end.unwrap_or(row.help.len())].trim_end_matches('.').replace('`', "")
}
