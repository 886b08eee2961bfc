//! Signals that the caller chose to ignore.

use anyhow::{Context, Result, ensure};
use lumen_tests::{
    process::Process,
    rig::{Rig, Setup},
    viewer::Viewer,
};
use nix::sys::signal::Signal;

/// Starts Lumen with `signals` (as a shell's `trap` names them) ignored.
fn ignoring(signals: &str) -> Result<Rig> {
    let script = format!("trap '' {signals}; exec \"$@\"");
    Setup::new().executed_by(["/bin/sh", "-c", &script, "sh"]).start()
}

/// Signals of `/proc/PID/status` by number, such as those that are ignored; without those above 31,
/// some of which the C library uses itself.
fn signals(process: Process, kind: &str) -> Result<Vec<i32>> {
    let mask = u64::from_str_radix(&process.status_field(kind)?, 16)?;
    Ok((1..=31).filter(|number| mask >> (number - 1) & 1 == 1).collect())
}

/// Lumen serves: a viewer who joins now gets a picture.
fn serves(rig: &Rig) -> Result<()> {
    Viewer::join(rig)?.wait_for_frame(0).map(drop)
}

#[test]
fn hangup_under_nohup_ends_nothing() -> Result<()> {
    let mut rig = Setup::new().executed_by(["nohup"]).start()?;
    rig.send(Signal::SIGHUP)?;
    serves(&rig)?;
    let status = rig.stop()?;
    ensure!(status.success(), "ended with {status}");
    Ok(())
}

#[test]
fn ignored_signal_ends_nothing_and_the_others_still_do() -> Result<()> {
    let all = [("HUP", Signal::SIGHUP), ("INT", Signal::SIGINT), ("TERM", Signal::SIGTERM)];
    for (name, ignored) in all {
        let mut rig = ignoring(name)?;
        rig.send(ignored)?;
        serves(&rig)?;
        let heeded = all.into_iter().find(|(_, signal)| *signal != ignored).context("another")?;
        rig.send(heeded.1)?;
        let status = rig.wait_for_end()?;
        ensure!(status.success(), "{name} ignored, {}: ended with {status}", heeded.0);
    }
    Ok(())
}

#[test]
fn hangup_that_nobody_ignores_ends_lumen() -> Result<()> {
    let mut rig = Rig::start()?;
    rig.send(Signal::SIGHUP)?;
    let status = rig.wait_for_end()?;
    ensure!(status.success(), "ended with {status}");
    Ok(())
}

#[test]
fn lumen_that_ignores_every_request_to_end_is_stopped_by_its_command() -> Result<()> {
    let mut rig = ignoring("HUP INT TERM")?;
    let output = rig.lumen(&["stop"])?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let status = rig.wait_for_end()?;
    ensure!(status.success(), "ended with {status}");
    Ok(())
}

#[test]
fn app_and_workers_begin_with_default_signals_whatever_the_caller_ignores() -> Result<()> {
    let rig = ignoring("HUP INT QUIT TERM CHLD USR1 PIPE")?;
    rig.app_log().wait_until_drawn()?;
    let app = Process(rig.app_log().pid()?);
    assert_eq!(signals(app, "SigBlk")?, [0; 0]);
    // The test app is written in Rust, whose runtime ignores SIGPIPE.
    assert_eq!(signals(app, "SigIgn")?, [Signal::SIGPIPE as i32]);
    for worker in rig.ready_workers()? {
        assert_eq!(signals(worker, "SigBlk")?, [0; 0], "{}", worker.command_line()?);
        assert_eq!(signals(worker, "SigIgn")?, [Signal::SIGPIPE as i32]);
    }
    Ok(())
}
