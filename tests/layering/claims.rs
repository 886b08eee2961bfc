//! The tests that `CLAIMS.md` names for what the documents claim, and the attacks it lists that
//! worked once.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

/// Every name of a test in `document`: names between backticks with at least two underscores.
pub(crate) fn tests(document: &str) -> BTreeSet<&str> {
    // Every second part stands between backticks.
    let quoted = document.split('`').skip(1).step_by(2);
    quoted.filter(|name| is_test(name)).collect()
}

fn is_test(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.bytes().all(legal) && name.matches('_').count() >= 2
}

/// An attack that worked once: a row of the table below the heading of that name.
#[derive(Debug)]
pub(crate) struct Attack<'a> {
    pub(crate) attack: &'a str,
    pub(crate) now: &'a str,
    /// What prevents it, or where `SECURITY.md` admits it.
    holds: &'a str,
    tests: BTreeSet<&'a str>,
}

const ATTACKS: &str = "\n## Attacks that worked once\n";

/// The attacks that `document` lists.
pub(crate) fn attacks(document: &str) -> Result<Vec<Attack<'_>>> {
    let (_, below) = document.split_once(ATTACKS).context("no attacks are listed")?;
    let section = below.split("\n## ").next().unwrap_or(below);
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    rows.map(|row| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let [_, attack, now, holds, named, _] = cells[..] else {
            anyhow::bail!("not four cells: {row}")
        };
        Ok(Attack { attack, now, holds, tests: tests(named) })
    })
    .collect()
}

impl Attack<'_> {
    /// A closed one has a test. Any other is admitted in `undefended`, a part of `SECURITY.md`, by
    /// an item that the row names.
    pub(crate) fn check(&self, undefended: &str) -> Result<()> {
        if self.now == "closed" {
            ensure!(!self.tests.is_empty(), "closed, and no test: {}", self.attack);
            return Ok(());
        }
        ensure!(["as root only", "admitted"].contains(&self.now), "{:?}?", self.now);
        let item = self.holds.split('*').find(|part| undefended.contains(&format!("**{part}**")));
        ensure!(item.is_some(), "{} is not admitted: {}", self.attack, self.holds);
        Ok(())
    }
}

#[test]
fn attack_without_a_test_or_an_admission_is_a_breach() {
    let document = "\n## Attacks that worked once\n| attack | now | holds | tests |\n|---|---|---|---|\n\
                    | a | closed | b | `tried_in_a_test` |\n| c | closed | d | |\n\
                    | e | admitted | *Ports* | |\n| f | admitted | *Doors* | |\n| g | open | h | |\n\
                    \n## More\n| x | y | z | |\n";
    let attacks = attacks(document).unwrap();
    let hold: Vec<_> = attacks.iter().map(|one| one.check("- **Ports**: open").is_ok()).collect();
    assert_eq!(hold, [true, false, true, false, false]);
}

#[test]
fn tests_are_names_between_backticks_and_not_files_or_words() {
    let document = "`one_two_three` of `ipc`, `vm/a.sh`, one_two_four and `not_it`";
    assert_eq!(tests(document), ["one_two_three"].into());
}
