//! What an administrator of one host with several sessions asks by the command line.

use anyhow::{Context, Result, ensure};
use lumen_ipc::process::{ProcessId, Worker};
use lumen_tests::{
    hosted::{HostRig, SessionRig, SessionSetup},
    patience::wait_until,
};

/// A host with a session called `work` and one without a name.
fn two_sessions() -> Result<(SessionRig, SessionRig, HostRig)> {
    let host = HostRig::start()?;
    let work = SessionSetup::new().named("work").start(&host)?;
    let other = SessionSetup::new().start(&host)?;
    host.wait_for_sessions(2)?;
    Ok((work, other, host))
}

/// What a command prints that succeeds.
fn printed(host: &HostRig, words: &[&str]) -> Result<String> {
    let output = host.lumen(words)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{words:?}: {} {said}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

/// What a command says that is refused as an unusable line.
fn refused(host: &HostRig, words: &[&str]) -> Result<String> {
    let output = host.lumen(words)?;
    ensure!(output.status.code() == Some(2), "{words:?}: {}", output.status);
    Ok(String::from_utf8(output.stderr)?)
}

#[test]
fn command_that_leaves_the_session_open_lists_them_and_does_nothing() -> Result<()> {
    let (_work, other, host) = two_sessions()?;
    let number = other.number(&host)?;
    let before = host.status()?;
    for words in [&["restart", "media"][..], &["logs", "app"], &["stop"]] {
        let said = refused(&host, words)?;
        let all = format!("which session? sessions are 1 (work), {number}: lumen {}", words[0]);
        ensure!(said.contains(&all), "{words:?}: {said}");
    }
    for words in [&["restart", "wrok", "media"][..], &["logs", "wrok"], &["stop", "wrok"]] {
        let said = refused(&host, words)?;
        ensure!(said.contains("did you mean work?"), "{words:?}: {said}");
    }
    let pids = |status: &lumen_ipc::service::HostStatus| -> Vec<_> {
        status.processes().map(|worker| (worker.process, worker.pid)).collect()
    };
    assert_eq!(pids(&host.status()?), pids(&before));
    Ok(())
}

#[test]
fn command_that_names_a_session_is_about_that_one() -> Result<()> {
    let (mut work, mut other, host) = two_sessions()?;
    let (named, unnamed) = (work.number(&host)?, other.number(&host)?);
    let media = |session| ProcessId::new(Some(session), Worker::Media);
    let before = [host.ready_worker(media(named)?)?, host.ready_worker(media(unnamed)?)?];
    ensure!(printed(&host, &["restart", "work", "media"])?.contains("of session 1 (work)"));
    wait_until("its media is another", || {
        media(named).is_ok_and(|media| host.ready_worker(media).is_ok_and(|it| it != before[0]))
    })?;
    assert_eq!(host.ready_worker(media(unnamed)?)?, before[1]);

    let logs = printed(&host, &["logs"])?;
    for line in ["lumen: ", "work compositor: ", &format!("{unnamed} compositor: ")] {
        ensure!(logs.lines().any(|it| it.starts_with(line)), "no line begins with {line}: {logs}");
    }
    let logs = printed(&host, &["logs", "work"])?;
    ensure!(logs.lines().any(|line| line.starts_with("compositor: ")), "{logs}");
    let metrics = printed(&host, &["metrics", "work"])?;
    ensure!(metrics.lines().all(|line| line.starts_with("work ")), "{metrics}");
    let status = printed(&host, &["status"])?;
    let supervisor = work.supervisor().0;
    let heading = format!("\nsession 1 (work), supervisor pid {supervisor}: app ");
    ensure!(status.contains(&heading), "{status}");

    printed(&host, &["stop", "work"])?;
    ensure!(work.wait_for_end()?.success(), "{}", work.said());
    host.wait_for_sessions(1)?;
    // The only one needs no name.
    printed(&host, &["restart", "rtc"])?;
    printed(&host, &["stop"])?;
    ensure!(other.wait_for_end()?.success(), "{}", other.said());
    let none = refused(&host, &["stop"]).context("no session is left")?;
    ensure!(none.contains("the host has no session"), "{none}");
    Ok(())
}
