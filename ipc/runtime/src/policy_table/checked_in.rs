//! The tables that are part of the sources, so that a change of a policy is seen as a change of a
//! table: in `tests/privsep/table`, one for each program that confines itself.

use std::{collections::BTreeSet, env, fmt::Write, fs, io, path::PathBuf};

use super::Table;
use crate::confine::Policy;

/// Set to `write`, it has tables written anew instead of compared.
const MODE: &str = "LUMEN_TEST_TABLES";

fn path(program: &str) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/privsep/table");
    PathBuf::from(folder).join(program).with_extension("txt")
}

/// The text of the table of `program`.
///
/// # Errors
/// Where there is no such file, or it cannot be read.
pub fn read(program: &str) -> io::Result<String> {
    fs::read_to_string(path(program))
}

/// Compares the table of `policy` with the one of `program` that is part of the sources, or writes
/// that anew if the environment asks for it. Returns how much the policy lets through.
///
/// # Errors
/// What differs, as a text.
pub fn check(program: &str, policy: &Policy) -> Result<String, String> {
    let table = Table::of(policy).map_err(|error| error.to_string())?;
    let counts: Vec<_> =
        table.counts().named().iter().map(|(name, count)| format!("{count} {name}")).collect();
    let counts = counts.join(", ");
    if !cfg!(target_arch = "x86_64") {
        return Ok(format!("{counts}; not compared, as the tables are those of x86-64"));
    }
    let text = table.text();
    match Table::parse(&text, std::process::id()) {
        Ok(again) if again == table => {}
        Ok(_) => return Err("the table's text says something else than the table".to_owned()),
        Err(error) => return Err(error.to_string()),
    }
    if env::var(MODE).is_ok_and(|mode| mode == "write") {
        fs::write(path(program), text).map_err(|error| error.to_string())?;
        return Ok(counts);
    }
    let before = read(program).map_err(|error| format!("{}: {error}", path(program).display()))?;
    if before == text { Ok(counts) } else { Err(difference(program, &before, &text)) }
}

fn difference(program: &str, before: &str, after: &str) -> String {
    let (old, new): (BTreeSet<_>, BTreeSet<_>) =
        (before.lines().collect(), after.lines().collect());
    let mut text = format!(
        "the filter of {program} is not what {} says. If that is meant, run `make tables` and \
         look at the difference before it is committed:\n",
        path(program).display()
    );
    for line in old.difference(&new) {
        // Writing to a string does not fail.
        let _ = writeln!(text, "- {line}");
    }
    for line in new.difference(&old) {
        let _ = writeln!(text, "+ {line}");
    }
    text
}
