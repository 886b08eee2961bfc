//! Completions for zsh.

use std::fmt::Write as _;

use lumen_supervisor::config::table::{COMMANDS, CommandRow, OptionRow};

use crate::words::{self, MADE, Values};

/// The file, which zsh takes for the body of the function `_lumen`.
pub(crate) fn text() -> String {
    let mut text = format!("#compdef lumen\n{MADE}\n");
    text.push_str("local -a commands=(\n");
    for row in &COMMANDS {
        line(&mut text, format_args!("    '{}:{}'", row.name, quoted(row.summary)));
    }
    text.push_str(
        ")\nif (( CURRENT == 2 )); then\n    _describe command commands\n    \
         _arguments '--help[Print help]' '--version[Print the version]'\n    return\nfi\n\
         local command=$words[2]\nshift words\n(( CURRENT-- ))\ncase $command in\n",
    );
    for row in &COMMANDS {
        of(&mut text, row);
    }
    text.push_str("esac\n");
    text
}

fn of(text: &mut String, row: &CommandRow) {
    line(text, format_args!("    {})\n        _arguments '--help[Print help]' \\", row.name));
    for option in row.command.options() {
        line(text, format_args!("            {} \\", specification(option)));
    }
    let operands = words::operands(row).join(" ");
    let rest = match (words::takes_an_app(row), words::takes_files(row)) {
        (true, _) => "'*::app:_normal'".to_owned(),
        (_, true) => format!("'1:operand:({operands})' '*:file:_files'"),
        _ if operands.is_empty() => "'*:operand:'".to_owned(),
        _ => format!("'*:operand:({operands})'"),
    };
    line(text, format_args!("            {rest} ;;"));
}

fn specification(row: &OptionRow) -> String {
    let gist = quoted(&words::gist(row)).replace('[', "\\[").replace(']', "\\]");
    let what = row.placeholder.unwrap_or_default().replace(':', "\\:");
    let value = match words::values(row) {
        Values::None => String::new(),
        Values::Any => format!(":{what}:"),
        Values::Files => format!(":{what}:_files"),
        Values::Users => format!(":{what}:_users"),
        Values::Words(words) => format!(":{what}:({})", words.join(" ")),
    };
    let long = format!("--{}{}", row.name, if value.is_empty() { "" } else { "=" });
    match row.short {
        Some(letter) => format!("{{-{letter},{long}}}'[{gist}]{value}'"),
        None => format!("'{long}[{gist}]{value}'"),
    }
}

/// Inside single quotes, without what zsh takes for the end of a name.
fn quoted(text: &str) -> String {
    text.replace('\'', "'\\''").replace('`', "").replace(':', "\\:")
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}

/// A script that prints what an interactive zsh would offer for each of these lines, and a line `--` after
/// each: it catches the words on their way from the completion to the line's editor.
pub(crate) fn asking<'line>(folder: &str, typed: impl IntoIterator<Item = &'line str>) -> String {
    let mut script = format!(
        r#"
zmodload zsh/zpty
zpty asked zsh -f -i
zpty -w asked 'PS1= fpath=({folder} $fpath); autoload -Uz compinit; compinit -D -u
compadd() {{ builtin compadd -O offered "$@"; (( $#offered )) && print -rl -- "<"${{^offered}}">"; builtin compadd "$@" }}
zstyle ":completion:*" list-grouped false; bindkey "^I" complete-word; print -- begin-
'
zpty -r asked line '*begin-*'
"#
    );
    for line in typed {
        // ^U empties the line.
        let ask = format!(
            r#"
zpty -n -w asked $'{line}\t'
zpty -n -w asked $'\x15print -- end-\n'
zpty -r asked line '*end-*end-*'
print -r -- "$line" | tr -d '\r' | sed -n 's/.*<\(.*\)>.*/\1/p' | sed 's/=$//' | sort -u
print -- --
"#
        );
        script.push_str(&ask);
    }
    script
}
