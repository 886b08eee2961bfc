//! What the supervisor itself gives up, read from `/proc`: as `lumen serve` nearly all, and where apps
//! descend from it what they do not need of it.

use std::fs;

use anyhow::{Context, Result, ensure};
use lumen_tests::{
    hosted::{HostSetup, SessionSetup},
    process::Process,
    rig::{Setup, runs_as_root},
};

/// Capabilities by their numbers (`linux/capability.h`): to override modes of files, to signal, to
/// become other users, to empty bounding sets, to bind low ports, to enlarge buffers, the
/// administrator's, for namespaces, and to load the programs that judge datagrams.
const HOST: u64 =
    1 << 1 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 12 | 1 << 21 | 1 << 39;
/// Also to give files away, to change modes of others' files, and to look at processes.
const SESSION: u64 = HOST | 1 << 0 | 1 << 3 | 1 << 19;

/// A set of capabilities of a process.
fn set(process: Process, name: &str) -> Result<u64> {
    let field = process.status_field(name)?;
    u64::from_str_radix(&field, 16).with_context(|| format!("{name} is {field}"))
}

/// A field of the status of each thread.
fn of_threads(process: Process, name: &str) -> Result<Vec<String>> {
    let threads = fs::read_dir(format!("/proc/{}/task", process.0))?;
    let field = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(|value| value.trim().to_owned())
    };
    threads
        .map(|thread| {
            field(fs::read_to_string(thread?.path().join("status"))?).context("no such field")
        })
        .collect()
}

fn is_restrained(process: Process) -> Result<()> {
    for (name, value) in [("NoNewPrivs", "1"), ("Seccomp", "2")] {
        let found = of_threads(process, name)?;
        ensure!(found.iter().all(|of_one| of_one == value), "{name} of its threads: {found:?}");
    }
    // Only root can lower its bounding set; an ordinary user's grants nothing any more.
    let bounded = process.user_ids()?.contains(&0).then_some("CapBnd");
    for name in ["CapInh", "CapPrm", "CapEff", "CapAmb"].into_iter().chain(bounded) {
        let found = set(process, name)?;
        ensure!(found & !HOST == 0, "{name} is {found:x}");
    }
    Ok(())
}

#[test]
fn host_without_apps_gives_up_calls_files_and_capabilities() -> Result<()> {
    let setups = match runs_as_root() {
        true => vec![HostSetup::new(), HostSetup::new().as_root()],
        false => vec![HostSetup::new()],
    };
    for setup in setups {
        let host = setup.start()?;
        is_restrained(host.process()?)?;
        let status = host.lumen(&["status"])?;
        let status = String::from_utf8_lossy(&status.stdout).into_owned();
        ensure!(status.contains(" (seccomp denies "), "{status}");
        // Its workers are started, ended and started anew as before.
        for worker in host.status()?.workers {
            host.replace(worker.process)?;
        }
        SessionSetup::new().start(&host)?.app_log().wait_until_drawn()?;
    }
    Ok(())
}

#[test]
fn supervisor_of_apps_keeps_of_root_what_it_needs_and_its_apps_what_sudo_needs() -> Result<()> {
    if !runs_as_root() {
        println!("not root: nothing to test");
        return Ok(());
    }
    let rig = Setup::new().as_root().start()?;
    for name in ["CapPrm", "CapEff"] {
        let found = set(rig.supervisor(), name)?;
        ensure!(found & !SESSION == 0, "{name} is {found:x}");
    }
    let app = Process(rig.app_log().pid()?);
    let own = Process(std::process::id());
    ensure!(set(app, "CapBnd")? == set(own, "CapBnd")?, "sudo lacks something in the app");
    ensure!(set(app, "CapPrm")? == 0, "the app has a capability");
    ensure!(app.status_field("NoNewPrivs")? == "0", "the app cannot gain privileges");
    Ok(())
}
