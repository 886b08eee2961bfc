//! The text of `lumen --help` and `lumen COMMAND --help`, made from the tables.

use std::fmt::Write as _;

use super::table::{COMMANDS, Command, OptionRow};

/// The width at which help text is wrapped, in characters.
const WIDTH: usize = 92;
/// Column at which an option's sentence starts.
const INDENT: usize = 30;

/// The text of `lumen --help`.
#[must_use]
pub fn overview() -> String {
    let mut text = String::from(
        "lumen - a Linux desktop in your browser\n\n\
         Usage: lumen COMMAND [OPTIONS]\n\n\
         Commands:\n",
    );
    for row in &COMMANDS {
        entry(&mut text, row.name, row.summary, 12);
    }
    text.push_str("\nExamples:\n");
    for (line, does) in COMMANDS.iter().flat_map(|row| row.examples) {
        example(&mut text, line, does);
    }
    text.push_str(
        "\nEvery option can also be set by the LUMEN_... variable named beside it, and most in\n\
         /etc/lumen/lumen.toml; the command line wins over the variable, and that over the file.\n\
         `lumen COMMAND --help` tells all about one command, `lumen --version` the \
         version.\n",
    );
    text
}

/// The text of `lumen COMMAND --help`.
#[must_use]
pub fn of(command: Command) -> String {
    let row = command.row();
    let mut text = format!("{}\n\nUsage: lumen {} {}", row.summary, row.name, row.operands);
    text.truncate(text.trim_end().len());
    text.push('\n');
    if !row.details.is_empty() {
        text.push('\n');
        for line in wrapped(row.details, WIDTH) {
            let _ = writeln!(text, "{line}"); // Writing to a String cannot fail.
        }
    }
    text.push_str("\nOptions:\n");
    for option in command.options() {
        entry(&mut text, &usage(option), &explained(option), INDENT);
    }
    entry(&mut text, "-h, --help", "Print this.", INDENT);
    if !row.examples.is_empty() {
        text.push_str("\nExamples:\n");
        for (line, does) in row.examples {
            example(&mut text, line, does);
        }
    }
    text
}

/// The form of an option: `--listen ADDR:PORT`.
pub(crate) fn usage(option: &OptionRow) -> String {
    let short = option.short.map_or(String::new(), |letter| format!("-{letter}, "));
    let value = option.placeholder.map_or(String::new(), |name| format!(" {name}"));
    format!("{short}--{}{value}", option.name)
}

fn explained(option: &OptionRow) -> String {
    let default = match option.default {
        "" => String::new(),
        value => format!("default {value}, "),
    };
    format!("{} [{default}{}]", option.help, option.environment)
}

fn entry(text: &mut String, term: &str, meaning: &str, indent: usize) {
    let mut term = format!("  {term}");
    if term.len() + 2 > indent {
        text.push_str(&term);
        text.push('\n');
        term.clear();
    }
    for line in wrapped(meaning, WIDTH - indent) {
        let _ = writeln!(text, "{term:indent$}{line}"); // Writing to a String cannot fail.
        term.clear();
    }
}

fn example(text: &mut String, line: &str, does: &str) {
    let _ = writeln!(text, "  {line}\n      {does}"); // Writing to a String cannot fail.
}

/// `text` in lines of at most `width` characters, broken at spaces.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_of_a_command_names_each_of_its_options() {
        for row in &COMMANDS {
            let text = of(row.command);
            for option in row.command.options() {
                assert!(text.contains(&format!("--{}", option.name)), "{} {}", row.name, text);
                assert!(text.contains(option.environment), "{} {}", row.name, text);
            }
        }
    }

    #[test]
    fn help_fits_its_width() {
        let texts = COMMANDS.iter().map(|row| of(row.command)).chain([overview()]);
        let long: Vec<String> = texts
            .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
            .filter(|line| line.chars().count() > WIDTH + 8)
            .collect();
        assert_eq!(long, Vec::<String>::new());
    }

    #[test]
    fn overview_names_each_command() {
        for row in &COMMANDS {
            assert!(overview().contains(row.name));
        }
    }
}
