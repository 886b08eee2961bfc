//! Entry points for fuzzing: what PAM's modules say and set, and what the machine's files say of accounts. Shared by
//! the fuzz targets and the test of their seeds.

use std::{ffi::OsString, os::unix::ffi::OsStringExt};

use lumen_ipc::{
    message::login::{MOST_PROMPTS, Prompts, Style},
    visible::is_visible,
};
use lumen_login::{
    accounts::uid_min,
    environment::{Person, variables},
    transcript::Transcript,
};

/// A target: its name and what it does with an input.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// All targets.
pub(crate) const TARGETS: &[Target] = &[("accounts", accounts), ("conversation", conversation)];

/// What modules say and ask: a byte that says which, one of length, and the words.
pub(crate) fn conversation(mut bytes: &[u8]) {
    let mut transcript = Transcript::default();
    let shown = |prompts: &Prompts| {
        assert!(prompts.as_slice().len() <= MOST_PROMPTS);
        for prompt in prompts.as_slice() {
            let text = prompt.text.as_str();
            assert!(text.chars().all(|letter| letter == '\n' || is_visible(letter)), "{text:?}");
        }
    };
    while let Some((&[kind, length], rest)) = bytes.split_first_chunk::<2>() {
        let (words, rest) = rest.split_at(usize::from(length).min(rest.len()));
        bytes = rest;
        match kind % 4 {
            0 => transcript.say(Style::Info, words),
            1 => transcript.say(Style::Error, words),
            2 => shown(&transcript.ask(Style::Visible, words)),
            _ => shown(&transcript.ask(Style::Secret, words)),
        }
    }
    if let Some(prompts) = transcript.rest() {
        shown(&prompts);
    }
    assert_eq!(transcript.rest(), None, "something is said twice");
}

/// The file `login.defs`, and the same lines as variables that PAM has set.
pub(crate) fn accounts(bytes: &[u8]) {
    assert!(uid_min(&String::from_utf8_lossy(bytes)) > 0, "root is no person");
    let person =
        Person { name: "alice".into(), home: "/home/alice".into(), shell: "/bin/sh".into() };
    let of_pam = bytes.split(|byte| *byte == b'\n').filter_map(|line| {
        let at = line.iter().position(|byte| *byte == b'=')?;
        let (name, value) = line.split_at(at);
        Some([name, &value[1..]].map(|part| OsString::from_vec(part.to_vec())))
    });
    let all = variables(&person, of_pam.map(|[name, value]| (name, value)));
    let is_linkers = |name: &&OsString| name.as_encoded_bytes().starts_with(b"LD_");
    assert_eq!(all.keys().find(is_linkers), None);
    for usual in ["HOME", "LOGNAME", "PATH", "SHELL", "USER"] {
        assert!(all.contains_key(&OsString::from(usual)));
    }
}
