//! Whose processes are whose where root starts Lumen: every worker has a user of its own, which no other
//! process has.
//!
//! Needs root.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    os::unix::{fs::MetadataExt, process::CommandExt},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use lumen_ipc::process::Worker;
use lumen_tests::{
    process::Process,
    rig::{Rig, Setup, TEST_USER, Turn, runs_as_root},
};
use nix::{
    fcntl::{Flock, FlockArg},
    libc::{PR_GET_DUMPABLE, SYS_prctl},
    unistd::User,
};

use crate::intruder::{Intruder, Outcome};

/// The first and the last uid that each role has: workers, and users of desktops that exist only
/// meanwhile.
const WORKERS: [u32; 2] = [61184, 65007];
const DESKTOPS: [u32; 2] = [65008, 65519];

fn user(rig: &Rig, worker: Worker) -> Result<u32> {
    rig.ready_worker(worker)?.user_ids()?.first().copied().context("no user id")
}

fn users(rig: &Rig) -> Result<Vec<u32>> {
    Worker::ALL.into_iter().map(|worker| user(rig, worker)).collect()
}

fn is_of(role: [u32; 2], uid: u32) -> bool {
    role[0] <= uid && uid <= role[1]
}

/// The living processes that have a uid in any way.
fn residents(uid: u32) -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let processes = numbers.map(Process).filter(|process| process.is_alive());
    processes.filter(|it| it.user_ids().is_ok_and(|users| users.contains(&uid))).collect()
}

#[test]
fn workers_of_root_have_each_a_user_of_its_own_and_the_app_another() -> Result<()> {
    if !runs_as_root() {
        println!("not root: nothing to test");
        return Ok(());
    }
    let rig = Setup::new().as_root().start()?;
    let workers: BTreeSet<u32> = users(&rig)?.into_iter().collect();
    ensure!(workers.len() == Worker::ALL.len(), "some share users: {workers:?}");
    let app = Process(rig.app_log().pid()?).user_ids()?;
    let owner = User::from_name(TEST_USER)?.context("the user of tests")?.uid.as_raw();
    ensure!(app == [owner; 4] && !workers.contains(&owner), "{app:?}, {workers:?}");
    for uid in workers {
        ensure!(residents(uid).len() == 1, "{uid}: {:?}", residents(uid));
    }
    Ok(())
}

#[test]
fn uids_of_workers_and_of_temporary_users_never_cross() -> Result<()> {
    if !runs_as_root() {
        println!("not root: nothing to test");
        return Ok(());
    }
    let rig = Setup::new().as_root_for_nobody().start()?;
    let app = Process(rig.app_log().pid()?).user_ids()?;
    ensure!(app.iter().all(|uid| is_of(DESKTOPS, *uid)), "the app is {app:?}");
    let workers = users(&rig)?;
    // The host's workers have users of their own where the administrator has made them.
    let nameless = workers.iter().filter(|uid| User::from_uid((**uid).into()) == Ok(None));
    for uid in nameless {
        ensure!(is_of(WORKERS, *uid), "{workers:?}");
    }
    Ok(())
}

#[test]
fn uid_that_a_service_of_systemd_has_locked_is_given_to_no_worker() -> Result<()> {
    if !runs_as_root() {
        println!("not root: nothing to test");
        return Ok(());
    }
    let (turn, folder) = (Turn::take()?, "/run/systemd/dynamic-uid");
    fs::create_dir_all(folder)?;
    let file = OpenOptions::new().create(true).append(true).open(format!("{folder}/61184"))?;
    let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock);
    let _lock: Flock<File> = lock.map_err(|(_, errno)| errno).context("somebody has the lock")?;
    // Its process has the uid, and is not Lumen's to end.
    let mut service = Command::new("sleep").arg("1000").uid(61184).gid(61184).spawn()?;
    let rig = Setup::new().as_root_for_nobody().in_turn(turn).start();
    let workers = rig.and_then(|rig| users(&rig));
    let alive = service.try_wait()?.is_none();
    service.kill()?;
    service.wait()?;
    let workers = workers?;
    ensure!(!workers.contains(&61184), "{workers:?}");
    ensure!(alive, "the service was ended");
    Ok(())
}

#[test]
fn memory_of_workers_and_of_roots_supervisor_is_hidden() -> Result<()> {
    if !runs_as_root() {
        println!("not root: nothing to test");
        return Ok(());
    }
    // In `/proc`, the files of a process that is hidden are root's.
    let rig = Rig::start()?;
    for worker in rig.ready_workers()? {
        let owner = fs::metadata(worker.folder().join("environ"))?.uid();
        ensure!(owner == 0, "{} is open to {owner}", worker.command_line()?);
    }
    drop(rig);
    let rig = Setup::new().as_root_for_nobody().start()?;
    let supervisor = Intruder::enter(rig.supervisor())?;
    let get = u64::from(PR_GET_DUMPABLE.unsigned_abs());
    let answer = supervisor.call(SYS_prctl, [get, 0, 0, 0, 0, 0])?;
    ensure!(answer == Outcome::Returned(0), "the supervisor is open: {answer:?}");
    Ok(())
}
