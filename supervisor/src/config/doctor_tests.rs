//! How `lumen doctor` is asked to try a graphics processor.

use std::ffi::OsString;

use super::{DoctorConfig, GpuChoice, Invocation, Note, UsageError, parse};

fn parsed(line: &str) -> Result<(Invocation, Vec<Note>), UsageError> {
    parse(line.split_whitespace().map(OsString::from), &|_: &str| None)
}

fn refusal(line: &str) -> String {
    parsed(line).expect_err("illegal").to_string()
}

fn doctor(line: &str) -> DoctorConfig {
    let (invocation, _) = parsed(line).expect("legal");
    let Invocation::Doctor(config) = invocation else { panic!("not doctor: {invocation:?}") };
    *config
}

#[test]
fn doctor_tries_the_graphics_processor_that_is_named_or_the_usual_one() {
    let node = || GpuChoice::At("/dev/dri/renderD129".into());
    let usual = GpuChoice::Auto;
    for (line, gpu, trial) in [
        ("doctor", usual.clone(), false),
        ("doctor --gpu", usual.clone(), true),
        ("doctor --gpu --json", usual.clone(), true),
        ("doctor --gpu --report found.txt", usual, true),
        ("doctor --gpu /dev/dri/renderD129", node(), true),
        ("doctor --gpu=/dev/dri/renderD129 --json", node(), true),
    ] {
        let config = doctor(line);
        assert_eq!((config.gpu, config.trial), (gpu, trial), "{line}");
    }
    assert_eq!(doctor("doctor --gpu --report x").report, Some("x".into()));
    assert!(refusal("doctor --report x").contains("only --gpu makes a report"));
    assert!(refusal("run --gpu").contains("--gpu"), "a session's has a value");
}
