//! Where Lumen starts: in containers, where namespaces are forbidden, on kernels that lack
//! something. The sandbox of `tests/stubs` simulates each place, with the kernel's own means.
//!
//! Needs root.

use anyhow::{Context, Result, ensure};
use lumen_ipc::process::{ExitCode, Worker};
use lumen_tests::{
    process::Process,
    rig::{Ended, Rig, Setup, runs_as_root},
    stage::Folder,
    viewer::Viewer,
};
use nix::unistd::{Gid, Uid, chown};

/// What README and doctor say about workers without namespaces, and about those without Landlock.
const NO_NAMESPACES: &str = "workers share the host's network";
const NO_LANDLOCK: &str = "no second barrier around files";

/// Namespaces of workers that root starts, as status shows them.
const ROOTS: &str = "net+ipc+uts";

/// Starts Lumen in a sandbox with these options and makes it show an app to a viewer.
fn shows_an_app(options: &[&str]) -> Result<Rig> {
    let rig = Setup::new().in_sandbox(options).start()?;
    rig.app_log().wait_until_drawn()?;
    Viewer::join(&rig)?.wait_for_frame(0)?;
    rig.ready_workers()?;
    Ok(rig)
}

/// The output of another command of Lumen there.
fn said(rig: &Rig, command: &str) -> Result<String> {
    let output = rig.lumen(&[command])?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command}: {} {said}{error}", output.status);
    Ok(said)
}

/// Lumen's log, status and doctor report this loss.
fn says_lost(rig: &Rig, loss: &str, in_status: &str) -> Result<()> {
    ensure!(said(rig, "doctor")?.contains(loss), "doctor of {loss}: {}", said(rig, "doctor")?);
    ensure!(said(rig, "status")?.contains(in_status), "status of {in_status}");
    Ok(())
}

fn users(rig: &Rig) -> Result<Vec<u32>> {
    let workers = rig.ready_workers()?;
    workers.iter().map(|worker| worker.user_ids()?.first().copied().context("a user")).collect()
}

#[test]
fn root_in_plain_docker_shows_an_app_and_says_what_is_lost() -> Result<()> {
    if !runs_as_root() {
        println!("not root: nothing to test");
        return Ok(());
    }
    let rig = shows_an_app(&["--docker"])?;
    says_lost(&rig, NO_NAMESPACES, "no namespaces")?;
    ensure!(rig.said().contains(NO_NAMESPACES), "the log: {}", rig.said());
    ensure!(!users(&rig)?.contains(&0), "a worker is root");
    Ok(())
}

#[test]
fn user_without_a_name_in_plain_docker_shows_an_app_and_says_what_is_lost() -> Result<()> {
    if !runs_as_root() {
        println!("not root: nothing to test");
        return Ok(());
    }
    let rig = shows_an_app(&["--docker", "--user", "1001"])?;
    says_lost(&rig, NO_NAMESPACES, "no namespaces")?;
    ensure!(users(&rig)?.iter().all(|user| *user == 1001));
    Ok(())
}

#[test]
fn older_docker_shows_an_app_to_root_and_to_a_user() -> Result<()> {
    if !runs_as_root() {
        println!("not root: nothing to test");
        return Ok(());
    }
    for user in ["0", "1001"] {
        let rig = shows_an_app(&["--older-docker", "--user", user])?;
        says_lost(&rig, NO_NAMESPACES, "no namespaces")?;
        says_lost(&rig, NO_LANDLOCK, "no Landlock")?;
    }
    Ok(())
}

/// A folder owned by root of a user namespace, to be its `/run`.
fn run_folder() -> Result<Folder> {
    let folder = Folder::new("run", 0o755)?;
    chown(folder.path(), Some(Uid::from_raw(100_000)), Some(Gid::from_raw(100_000)))?;
    Ok(folder)
}

#[test]
fn root_in_podman_shows_an_app_and_loses_nothing() -> Result<()> {
    if !runs_as_root() {
        println!("not root: nothing to test");
        return Ok(());
    }
    let run = run_folder()?;
    let rig = shows_an_app(&["--mapped", &run.path().to_string_lossy()])?;
    // Its filter lets everybody make namespaces; workers make theirs as their own users.
    ensure!(said(&rig, "status")?.contains(ROOTS), "{}", said(&rig, "status")?);
    ensure!(!said(&rig, "doctor")?.contains(NO_NAMESPACES));
    Ok(())
}

#[test]
fn root_in_a_container_that_is_nearly_a_machine_loses_nothing() -> Result<()> {
    if !runs_as_root() {
        println!("not root: nothing to test");
        return Ok(());
    }
    let run = run_folder()?;
    let rig = shows_an_app(&["--capable", "--mapped", &run.path().to_string_lossy()])?;
    ensure!(said(&rig, "status")?.contains(ROOTS), "{}", said(&rig, "status")?);
    ensure!(!said(&rig, "doctor")?.contains(NO_NAMESPACES));
    ensure!(!users(&rig)?.contains(&100_000), "a worker is that container's root");
    Ok(())
}

#[test]
fn user_where_user_namespaces_are_forbidden_shows_an_app_and_says_what_is_lost() -> Result<()> {
    if !runs_as_root() {
        println!("not root: nothing to test");
        return Ok(());
    }
    let run = run_folder()?;
    let run = run.path().to_string_lossy();
    // Not the user of the other tests, whose folder below /tmp belongs to somebody else in this
    // namespace.
    let by_sysctl = ["--capable", "--no-user-namespaces", "--mapped", &run, "--user", "1002"];
    says_lost(&shows_an_app(&by_sysctl)?, NO_NAMESPACES, "no namespaces")?;
    // As AppArmor does on a hardened Ubuntu.
    let by_refusal = ["--refuse", "unshare=EPERM", "--user", "1001"];
    says_lost(&shows_an_app(&by_refusal)?, NO_NAMESPACES, "no namespaces")
}

#[test]
fn machine_without_landlock_shows_an_app_and_says_what_is_lost() -> Result<()> {
    if !runs_as_root() {
        println!("not root: nothing to test");
        return Ok(());
    }
    let rig = shows_an_app(&["--refuse", "landlock_create_ruleset=ENOSYS", "--user", "1001"])?;
    says_lost(&rig, NO_LANDLOCK, "no Landlock")
}

#[test]
fn call_that_is_not_needed_stops_nobody_when_it_is_refused() -> Result<()> {
    if !runs_as_root() {
        println!("not root: nothing to test");
        return Ok(());
    }
    let calls = [
        "close_range",
        "epoll_pwait2",
        "faccessat2",
        "landlock_add_rule",
        "landlock_create_ruleset",
        "landlock_restrict_self",
        "membarrier",
        "pidfd_open",
        "prctl:1",  // PR_SET_PDEATHSIG
        "prctl:15", // PR_SET_NAME
        "prctl:24", // PR_CAPBSET_DROP
        "prctl:36", // PR_SET_CHILD_SUBREAPER
        "prctl:47", // PR_CAP_AMBIENT
        "prlimit64",
        "socket:16", // AF_NETLINK
        "statx",
        "unshare",
    ];
    let mut failed = Vec::new();
    for (call, errno) in calls.iter().flat_map(|call| [(call, "EPERM"), (call, "ENOSYS")]) {
        let refusal = format!("{call}={errno}");
        let started = Setup::new().in_sandbox(&["--capable", "--refuse", &refusal]).start();
        if let Err(error) = started.and_then(|rig| rig.ready_workers().map(drop)) {
            failed.push(format!("{refusal}: {error:#}"));
        }
    }
    ensure!(failed.is_empty(), "{failed:#?}");
    Ok(())
}

#[test]
fn descriptor_of_the_caller_reaches_nobody_where_close_range_is_refused() -> Result<()> {
    if !runs_as_root() {
        println!("not root: nothing to test");
        return Ok(());
    }
    let setup = Setup::new().in_sandbox(&["--refuse", "close_range=EPERM"]);
    let script = "exec 9</etc/hostname; exec \"$@\"";
    let rig = setup.executed_by(["/bin/sh", "-c", script, "sh"]).start()?;
    rig.app_log().wait_until_drawn()?;
    let holds = |process: Process| -> Result<bool> {
        Ok(process.descriptors()?.values().any(|target| target.contains("hostname")))
    };
    ensure!(holds(rig.supervisor())?, "the test's own descriptor did not reach Lumen");
    let app = Process(rig.app_log().pid()?);
    for process in rig.ready_workers()?.into_iter().chain([app]) {
        ensure!(!holds(process)?, "{} holds it", process.command_line()?);
    }
    Ok(())
}

fn refused(options: &[&str]) -> Result<Ended> {
    let ended = Setup::new().in_sandbox(options).run_to_end()?;
    let code = ended.status.code();
    ensure!(code == Some(ExitCode::CouldNotStart.number().into()), "{code:?}: {}", ended.said);
    Ok(ended)
}

#[test]
fn call_that_protects_ends_the_start_with_a_sentence_when_it_is_refused() -> Result<()> {
    if !runs_as_root() {
        println!("not root: nothing to test");
        return Ok(());
    }
    let cases = [
        ("setgroups", "setgroups is refused"),
        ("setresuid", "setresuid is refused"),
        ("prctl:38", "PR_SET_NO_NEW_PRIVS"),
        ("seccomp", "seccomp"),
    ];
    for (call, sentence) in cases {
        let ended = refused(&["--refuse", &format!("{call}=EPERM")])?;
        ensure!(ended.said.contains(sentence), "{call}: {}", ended.said);
    }
    Ok(())
}

#[test]
fn root_that_may_not_become_others_is_told_what_to_do() -> Result<()> {
    if !runs_as_root() {
        println!("not root: nothing to test");
        return Ok(());
    }
    let ended = refused(&["--refuse", "setresuid=EPERM"])?;
    ensure!(ended.said.contains("CAP_SETUID"), "{}", ended.said);
    ensure!(!ended.said.contains(Worker::Media.name()), "a worker was tried: {}", ended.said);
    Ok(())
}
