//! Proves what a process gives up that starts workers ([`crate::confine::Restraint`]): a real child for
//! every call that it denies, and for each way of using files.

use std::{
    env, fs,
    io::{self, Write},
    path::Path,
    process::{Command, ExitCode as ProcessExitCode},
};

use super::{CHILD, REFUSED, RETURNED, legal, name, outcome};
use crate::{
    confine::{self, Denied, Restraint},
    ffi,
};

/// Something with files or processes, and whether it must work.
#[derive(Debug)]
pub struct Deed {
    /// What it is.
    pub name: &'static str,
    /// Does it; the directory is the one that the test made.
    pub act: fn(&Path) -> io::Result<()>,
    /// Whether it must work under the restraint.
    pub works: bool,
}

/// Checks every denial of `restraint`, which is told a directory of the test's own, and every deed; or
/// is a child that checks one. The `main` of a test.
#[must_use]
pub fn main(restraint: fn(&Path) -> Restraint, deeds: &[Deed]) -> ProcessExitCode {
    let mut arguments = env::args().skip(1);
    let child = arguments.next().as_deref() == Some(CHILD);
    let directory = env::temp_dir().join("lumen-restrained");
    let restraint = restraint(&directory);
    if child {
        let number = arguments.next().and_then(|number| number.parse().ok());
        act(&restraint, deeds, &directory, number.unwrap_or(usize::MAX));
    }
    if let Err(error) = fs::create_dir_all(&directory) {
        report(1, &[format!("no directory: {error}")]);
        return ProcessExitCode::FAILURE;
    }
    let denials = restraint.denied.iter().map(|one| (format!("denied: {}", say(one)), true));
    let done = deeds.iter().map(|deed| (deed.name.to_owned(), !deed.works));
    let claims: Vec<_> = denials.chain(done).collect();
    let failures: Vec<_> = claims
        .iter()
        .enumerate()
        .filter_map(|(number, (name, refused))| check(number, name, *refused).err())
        .collect();
    // The test's own directory, which only it uses.
    let _ = fs::remove_dir_all(&directory);
    report(claims.len(), &failures);
    if failures.is_empty() { ProcessExitCode::SUCCESS } else { ProcessExitCode::FAILURE }
}

fn report(claims: usize, failures: &[String]) {
    let mut out = io::stdout().lock();
    // A closed standard output leaves the exit code to tell.
    let _ = writeln!(out, "restraint: {} of {claims} claims hold", claims - failures.len());
    for failure in failures {
        let _ = writeln!(out, "FAILED {failure}");
    }
}

fn say(denied: &Denied) -> String {
    format!("{} under {} conditions", name(denied.syscall), denied.conditions.len())
}

fn check(number: usize, name: &str, refused: bool) -> Result<(), String> {
    let program = env::current_exe().map_err(|error| format!("no program to start: {error}"))?;
    let output = Command::new(program)
        .args([CHILD, &number.to_string()])
        .output()
        .map_err(|error| format!("cannot start a child: {error}"))?;
    let wanted = if refused { REFUSED } else { RETURNED };
    match output.status.code() == Some(wanted) {
        true => Ok(()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("{name}: the child ended with {} and said: {said}", output.status))
        }
    }
}

/// The child: restrains itself, does one thing, and ends with what came of it.
fn act(restraint: &Restraint, deeds: &[Deed], directory: &Path, number: usize) -> ! {
    if let Err(error) = confine::restrain(restraint) {
        crate::log::write_line(&format!("not restrained: {error}"));
        ffi::exit(-1)
    }
    ffi::exit(match restraint.denied.get(number) {
        Some(one) => outcome(ffi::call(one.syscall, legal(&one.conditions)), &[one.errno]),
        None => {
            match deeds.get(number - restraint.denied.len()).map(|deed| (deed.act)(directory)) {
                Some(Ok(())) => RETURNED,
                Some(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => REFUSED,
                other => {
                    crate::log::write_line(&format!("{other:?}"));
                    -1
                }
            }
        }
    })
}
