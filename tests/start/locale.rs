//! A locale that the caller names and this machine lacks, as with logins by SSH.
//!
//! Needs foot, which refuses to work in anything but UTF-8.

use std::fs;

use anyhow::{Result, ensure};
use lumen_tests::{patience::wait_for, rig::Setup, stage::Folder};

/// A locale that no machine has.
const NOWHERE: &str = "xx_YY.UTF-8";

/// Starts a terminal with these variables; returns what a shell in it reports as its character set,
/// and Lumen's output.
fn terminal(variables: &[(&str, &str)]) -> Result<(String, String)> {
    let notes = Folder::new("locale", 0o1777)?;
    let note = notes.path().join("note");
    let script = "locale charmap >\"$1.part\" 2>&1; mv \"$1.part\" \"$1\"; read wait";
    let app = ["foot", "sh", "-c", script, "sh", &note.to_string_lossy()];
    let setup =
        variables.iter().fold(Setup::new(), |setup, (name, value)| setup.variable(name, *value));
    let rig = setup.app(app).start()?;
    let note = wait_for("the shell in the terminal writes", || fs::read_to_string(&note).ok())?;
    Ok((note.trim().to_owned(), rig.said()))
}

#[test]
fn terminal_works_under_a_locale_that_is_not_there_and_one_line_says_which() -> Result<()> {
    for variable in ["LANG", "LC_ALL", "LC_CTYPE"] {
        let (characters, said) = terminal(&[(variable, NOWHERE)])?;
        ensure!(characters == "UTF-8", "{variable}: {characters}");
        let lines: Vec<_> = said.lines().filter(|line| line.contains(NOWHERE)).collect();
        ensure!(lines.len() == 1, "{variable}: {lines:?}");
        ensure!(lines.iter().all(|line| line.contains("C.UTF-8")), "{lines:?}");
    }
    Ok(())
}

#[test]
fn terminal_works_under_a_locale_without_utf8_and_a_line_says_so() -> Result<()> {
    for variable in ["LANG", "LC_ALL"] {
        let (characters, said) = terminal(&[(variable, "POSIX")])?;
        ensure!(characters == "UTF-8", "{variable}: {characters}");
        ensure!(said.contains("not UTF-8"), "{variable}: {said}");
    }
    Ok(())
}

#[test]
fn terminal_works_without_any_locale_and_nothing_is_said() -> Result<()> {
    let (characters, said) = terminal(&[("LANG", "")])?;
    ensure!(
        characters == "UTF-8" && !said.contains("gets C.UTF-8 instead"),
        "{characters}: {said}"
    );
    Ok(())
}
