//! The configuration file of a package: every option with its explanation and its default, commented out, but
//! for how people sign in.

use std::{ffi::OsString, fmt::Write as _, path::Path};

use lumen_ipc::service::AuthMode;
use lumen_supervisor::config::{
    self, Invocation, Outside, UsageError,
    file::{FileText, Scope, Settings},
    table::{Command, Form, Key, OPTIONS, OptionRow},
};

/// The width at which explanations are wrapped.
const WIDTH: usize = 92;

const BEGIN: &str = "\
# What Lumen is like on this machine: of its host (`lumen serve`, the service lumen) and of desktops.
# Here stands every option with its default, commented out. lumen.toml(5) says how values are written.
#
# `lumen config check` names every fault, `lumen config show` what is set. `systemctl reload lumen` reads this
# file anew; what needs a restart, the log and `lumen status` name. The address for browsers is that of
# lumen.socket: `systemctl edit lumen.socket`.
";

/// What the file sets: accounts of the machine sign in with their passwords. (The option's default is right
/// for a desktop that somebody starts for themselves.)
const SET: (Key, &str) = (Key::Auth, "password");

/// The file.
pub(crate) fn text() -> String {
    let mut text = BEGIN.to_owned();
    let is_hosts = |row: &&OptionRow| row.commands.contains(&Command::Serve);
    let rows = || OPTIONS.iter().filter(|row| row.is_for_files());
    text.push_str("\n# ---- The host ----\n");
    rows().filter(is_hosts).for_each(|row| entry(&mut text, row));
    text.push_str("\n# ---- Desktops ----\n");
    rows().filter(|row| !is_hosts(row)).for_each(|row| entry(&mut text, row));
    text
}

fn entry(text: &mut String, row: &OptionRow) {
    text.push('\n');
    for line in wrapped(row.help) {
        line_of(text, format_args!("# {line}"));
    }
    if let Some(placeholder) = row.placeholder {
        line_of(text, format_args!("# Value: {placeholder}"));
    }
    match SET {
        (key, value) if key == row.key => line_of(text, format_args!("{} = \"{value}\"", row.name)),
        _ => line_of(text, format_args!("#{} = {}", row.name, default(row))),
    }
}

fn line_of(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}

/// The default as a file writes it.
fn default(row: &OptionRow) -> String {
    match (row.form(), row.default) {
        (Form::Switch, _) | (Form::OnOff, "off") => "false".to_owned(),
        (Form::OnOff, _) => "true".to_owned(),
        (Form::List, "") => "[]".to_owned(),
        (Form::Number | Form::NumberOrText, number) if number.parse::<u32>().is_ok() => {
            number.to_owned()
        }
        (_, value) => format!("{value:?}"),
    }
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + 1 + word.len() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A machine with this file.
struct Machine(FileText);

impl Outside for Machine {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn files(&self, _: Option<&Path>) -> Result<Vec<FileText>, UsageError> {
        Ok(vec![self.0.clone()])
    }
}

fn parsed(text: &str, arguments: &[&str]) -> Invocation {
    let (path, text) = ("lumen.toml".to_owned(), text.to_owned());
    let file = FileText { path, text, scope: Scope::All };
    let arguments = arguments.iter().map(OsString::from);
    config::parse(arguments, &Machine(file)).expect("legal").0
}

#[test]
fn file_of_the_package_lets_accounts_sign_in_and_sets_nothing_else() {
    let Invocation::Serve(with) = parsed(&text(), &["serve"]) else { panic!("serve") };
    assert_eq!(with.auth, AuthMode::Password);
    let Invocation::Serve(without) = parsed("", &["serve", "--auth", "password"]) else {
        panic!("serve")
    };
    assert_eq!(with, without);
}

#[test]
fn every_commented_option_is_a_legal_line_with_the_default() {
    let is_option = |line: &str| line.starts_with(|first: char| first.is_ascii_lowercase());
    let uncommented: Vec<String> = text()
        .lines()
        .map(|line| {
            line.strip_prefix('#').filter(|rest| is_option(rest)).unwrap_or(line).to_owned()
        })
        .collect();
    let uncommented = uncommented.join("\n");
    let file = FileText { path: "f".to_owned(), text: uncommented.clone(), scope: Scope::All };
    let set = Settings::of(&[file]).expect("legal").iter().count();
    assert_eq!(set, OPTIONS.iter().filter(|row| row.is_for_files()).count());
    assert_eq!(parsed(&uncommented, &["serve"]), parsed(&text(), &["serve"]));
    // A limit that a file names is a condition for the start, even if it is the default's.
    let Invocation::Session(session) = parsed(&uncommented, &["session"]) else {
        panic!("session")
    };
    assert!(session.limits.memory.is_chosen);
}
