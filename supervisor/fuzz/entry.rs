//! Entry points for fuzzing: what the supervisor reads that others may have written. Shared by the fuzz
//! targets and the test of their seeds.

use std::{ffi::OsString, os::unix::ffi::OsStringExt, path::Path, time::Instant};

use lumen_ipc::{log::LogSource, process::Worker, visible::is_visible};
use lumen_supervisor::{
    admin::{
        intake::Intake,
        ring::{Journal, Printer},
    },
    broker::state::State,
    config::{
        self, Outside, UsageError,
        file::{FileText, MOST_BYTES, Scope, Setting, Settings},
    },
    sound_gate::Gate,
};
use sha2::{Digest as _, Sha256};

/// A target: its name and what it does with an input.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// All targets.
pub(crate) const TARGETS: &[Target] = &[
    ("command_line", command_line),
    ("config_file", config_file),
    ("output", output),
    ("sound_gate", sound_gate),
    ("state", state),
];

/// What a sound worker says to the sound server, in pieces of a length that the first byte gives.
pub(crate) fn sound_gate(bytes: &[u8]) {
    let Some((&length, bytes)) = bytes.split_first() else { return };
    let whole = Gate::default().pass(bytes);
    let (mut gate, mut passed) = (Gate::default(), Vec::new());
    let parts = bytes.chunks(usize::from(length) + 1).try_for_each(|piece| {
        passed.extend(gate.pass(piece)?);
        Ok(())
    });
    assert_eq!(whole, parts.map(|()| passed));
    if let Ok(passed) = whole {
        assert!(bytes.starts_with(&passed), "it says something of its own");
    }
}

/// The state that a host left on disk: as it is, and as content with a right sum.
pub(crate) fn state(bytes: &[u8]) {
    let read = |bytes: &[u8]| {
        if let Ok(state) = State::decode(bytes) {
            assert_eq!(state.encode().as_slice(), bytes, "two encodings of one state");
        }
    };
    read(bytes);
    let empty = State::default().encode();
    let form = empty.first_chunk::<8>().expect("a state has a form");
    let mut whole = [form, bytes].concat();
    let sum: [u8; 32] = Sha256::digest(&whole).into();
    whole.extend(sum);
    read(&whole);
}

/// A command line with an argument in each line; `$NAME=value` is a variable of the environment.
pub(crate) fn command_line(bytes: &[u8]) {
    let (mut arguments, mut variables) = (Vec::new(), Vec::new());
    for line in bytes.split(|byte| *byte == b'\n') {
        let variable = line.strip_prefix(b"$").and_then(|rest| std::str::from_utf8(rest).ok());
        match variable.and_then(|rest| rest.split_once('=')) {
            Some(variable) => variables.push(variable),
            None => arguments.push(OsString::from_vec(line.to_vec())),
        }
    }
    let look_up = |name: &str| {
        let found = variables.iter().find(|(other, _)| *other == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    match config::parse(arguments, &look_up) {
        Ok((invocation, notes)) => drop(format!("{invocation:?} {notes:?}")),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A machine with one configuration file and no environment.
struct OneFile(String);

impl Outside for OneFile {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn files(&self, _: Option<&Path>) -> Result<Vec<FileText>, UsageError> {
        let (path, scope) = ("/etc/lumen/lumen.toml".to_owned(), Scope::All);
        Ok(vec![FileText { path, text: self.0.clone(), scope }])
    }
}

/// A configuration file: for every command that reads one, and shown as a file that sets the same.
pub(crate) fn config_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let file = OneFile(text.to_owned());
    let parse =
        |line: &[&str], file: &OneFile| config::parse(line.iter().map(OsString::from), file);
    for command in ["run", "serve", "session", "doctor"] {
        if let Err(error) = parse(&[command], &file) {
            assert!(!error.to_string().is_empty());
        }
    }
    let report = |word: &str, file: &OneFile| match parse(&["config", word], file) {
        Ok((config::Invocation::Config(report), _)) => report,
        other => panic!("no report: {other:?}"),
    };
    assert!(bytes.len() <= MOST_BYTES || !report("check", &file).faults.is_empty());
    let shown = report("show", &file);
    if shown.faults.is_empty() && shown.text.len() <= MOST_BYTES {
        let settings = |file: &OneFile| Settings::of(&file.files(None).unwrap_or_default());
        let again = settings(&OneFile(shown.text)).expect("what is shown can be read");
        for set in settings(&file).expect("it was shown").iter() {
            let same = |other: &Setting| (other.key, &other.value) == (set.key, &set.value);
            assert!(again.iter().any(same), "{set:?}");
        }
    }
}

/// What an app or a worker prints, in blocks of a length that its first byte gives, until it is shown.
pub(crate) fn output(bytes: &[u8]) {
    let Some((&length, bytes)) = bytes.split_first() else { return };
    let (now, source) = (Instant::now(), LogSource::Worker(Worker::Media));
    let (mut intake, mut journal) = (Intake::new(now), Journal::default());
    for block in bytes.chunks(usize::from(length) + 1) {
        let taken = intake.take(now, block);
        journal.skip(source, taken.dropped);
        taken.lines.into_iter().for_each(|line| journal.push(source, line));
    }
    intake.finish().into_iter().for_each(|line| journal.push(LogSource::App, line));
    let (mut printer, mut after) = (Printer::default(), 0);
    loop {
        let page = journal.page(None, after);
        let Some(last) = page.last() else { return };
        assert!(last.number > after);
        after = last.number;
        let shown = printer.print(&page);
        assert!(shown.chars().all(|letter| letter == '\n' || is_visible(letter)));
    }
}
