//! Completions for bash.

use std::fmt::Write as _;

use lumen_supervisor::config::table::{COMMANDS, CommandRow, OPTIONS};

use crate::words::{self, MADE, Values};

const BEGIN: &str = r#"# shellcheck shell=bash

_lumen() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} at
    COMPREPLY=()
    # bash makes words of their own of `=` and what follows it.
    if [ "$word" = = ]; then
        word=''
    elif [ "$before" = = ]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    if ((COMP_CWORD > 1)); then
        for ((at = 2; at < COMP_CWORD; at++)); do
            if [ "${COMP_WORDS[at]}" = -- ]; then
                mapfile -t COMPREPLY < <(compgen -A command -A file -- "$word")
                return
            fi
        done
"#;

/// The file.
pub(crate) fn text() -> String {
    let mut text = MADE.to_owned() + BEGIN;
    text.push_str("        case $before in\n");
    let mut named: Vec<&str> = Vec::new();
    for row in &OPTIONS {
        // Options of one name differ in what they are about, and not in what may be typed.
        if named.contains(&row.name) {
            continue;
        }
        named.push(row.name);
        let action = match words::values(row) {
            Values::None => continue,
            Values::Any => "return".to_owned(),
            Values::Files => "-A file".to_owned(),
            Values::Users => "-A user".to_owned(),
            Values::Words(words) => format!("-W '{}'", words.join(" ")),
        };
        let (name, action) = (row.name, generate(&action));
        line(&mut text, format_args!("            --{name}) {action} ;;"));
    }
    text.push_str("        esac\n    fi\n");
    text.push_str("    if ((COMP_CWORD == 1)); then\n");
    let names: Vec<&str> = COMMANDS.iter().map(|row| row.name).collect();
    let first = format!("-W '{} --help --version'", names.join(" "));
    line(&mut text, format_args!("        {}", generate(&first)));
    text.push_str("    fi\n    case $command in\n");
    for row in &COMMANDS {
        line(&mut text, format_args!("        {}) {} ;;", row.name, generate(&candidates(row))));
    }
    text.push_str("    esac\n}\n\ncomplete -F _lumen lumen\n");
    text
}

fn candidates(row: &CommandRow) -> String {
    let mut all = words::operands(row).join(" ");
    for option in row.command.options() {
        // Writing to a String cannot fail.
        let _ = write!(all, " --{}", option.name);
    }
    let files = if words::takes_files(row) { "-A file " } else { "" };
    format!("{files}-W '{} --help'", all.trim_start())
}

/// Offers what `compgen` makes of these arguments.
fn generate(arguments: &str) -> String {
    match arguments {
        "return" => "return".to_owned(),
        _ => format!("mapfile -t COMPREPLY < <(compgen {arguments} -- \"$word\"); return"),
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}
