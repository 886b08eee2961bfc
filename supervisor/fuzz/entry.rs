//! Entry points for fuzzing: what the supervisor reads that others may have written. Shared by the fuzz
//! targets and the test of their seeds.

use std::{ffi::OsString, os::unix::ffi::OsStringExt, time::Instant};

use lumen_ipc::{log::LogSource, process::Worker, visible::is_visible};
use lumen_supervisor::{
    admin::{
        intake::Intake,
        ring::{Journal, Printer},
    },
    broker::state::State,
    config,
};
use sha2::{Digest as _, Sha256};

/// A target: its name and what it does with an input.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// All targets.
pub(crate) const TARGETS: &[Target] =
    &[("command_line", command_line), ("output", output), ("state", state)];

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
