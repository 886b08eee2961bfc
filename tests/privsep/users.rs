//! Whose processes are whose where root starts Lumen: every worker has a user of its own, which no other
//! process has, whatever earlier desktops left behind.
//!
//! Needs root.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{self, PipeReader, Read},
    os::unix::{fs::MetadataExt, process::CommandExt},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use lumen_ipc::process::Worker;
use lumen_tests::{
    hosted::HostSetup,
    patience::wait_until,
    process::Process,
    rig::{Rig, Setup, TEST_USER, Turn, runs_as_root},
};
use nix::{
    fcntl::{FcntlArg, Flock, FlockArg, OFlag, fcntl},
    libc::{PR_GET_DUMPABLE, SYS_prctl},
    sys::signal::{Signal, killpg},
    unistd::{Pid, User},
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

/// A process that an earlier desktop left behind; ended and reaped when dropped.
struct Leftover {
    child: Child,
    /// What it and all that it starts write to.
    output: PipeReader,
}

impl Leftover {
    fn of(uid: u32, script: &str) -> Result<Self> {
        let (output, input) = io::pipe()?;
        fcntl(&output, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let mut command = Command::new("sh");
        command.args(["-c", script]).uid(uid).gid(uid).stdin(Stdio::null()).stdout(input);
        Ok(Self { child: command.process_group(0).spawn()?, output })
    }

    /// One in a container, with process numbers of its own.
    fn contained(uid: u32) -> Result<Self> {
        let (output, input) = io::pipe()?;
        fcntl(&output, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let uid_text = uid.to_string();
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child", "setpriv", "--clear-groups"]);
        command.args(["--reuid", &uid_text, "--regid", &uid_text, "sleep", "1000"]);
        command.stdin(Stdio::null()).stdout(input).process_group(0);
        let contained = Self { child: command.spawn()?, output };
        let is_in_it = |process: &Process| {
            process.status_field("NSpid").is_ok_and(|pids| pids.contains(char::is_whitespace))
        };
        wait_until("the container has a process", || residents(uid).iter().any(is_in_it))?;
        Ok(contained)
    }

    fn process(&self) -> Process {
        Process(self.child.id())
    }

    /// Whether it has ended with all that it started: nobody could write any more.
    fn is_over(&self) -> Result<bool> {
        match (&self.output).read(&mut [0]) {
            Ok(count) => Ok(count == 0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Leftover {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = killpg(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// What may be left: a process that waits, one that ignores what it can, one that is stopped, and one
/// that has a different process number every moment.
const KINDS: [&str; 4] =
    [WAITS, "trap '' TERM HUP INT; sleep 1000 & wait; sleep 1000", "kill -STOP $$", HOPS];
const WAITS: &str = "exec sleep 1000";
// No function that calls itself: a shell gives that up after a while.
const HOPS: &str = "export HOP='sh -c \"$HOP\" &'; eval \"$HOP\"";

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
    let service = Leftover::of(61184, WAITS)?;
    let rig = Setup::new().as_root_for_nobody().in_turn(turn).start()?;
    let workers = users(&rig)?;
    ensure!(!workers.contains(&61184), "{workers:?}");
    ensure!(service.process().is_alive(), "the service was ended");
    Ok(())
}

#[test]
fn processes_left_with_a_users_number_end_before_a_desktop_gets_it() -> Result<()> {
    if !runs_as_root() {
        println!("not root: nothing to test");
        return Ok(());
    }
    for kind in KINDS {
        let turn = Turn::take()?;
        // As if a killed desktop had had them.
        let left: Vec<Leftover> = (0..5)
            .map(|number| Leftover::of(WORKERS[0] + number, kind))
            .chain([Leftover::of(DESKTOPS[0], kind)])
            .collect::<Result<_>>()?;
        for left in &left {
            ensure!(!left.is_over()?, "{kind} ends by itself");
        }
        let rig = Setup::new().as_root_for_nobody().in_turn(turn).start()?;
        let app = Process(rig.app_log().pid()?).user_ids()?;
        ensure!(app.contains(&DESKTOPS[0]), "another uid is taken than before: {app:?}");
        for uid in users(&rig)? {
            ensure!(residents(uid).len() == 1, "{kind}: {uid} has {:?}", residents(uid));
        }
        for left in &left {
            ensure!(left.is_over()?, "{kind}: {} is alive", left.process().0);
        }
        // One that never stays for long may be ended without being seen.
        let told = rig.said().contains("which was left with the user");
        ensure!(told || kind == HOPS, "nobody is told: {kind}");
    }
    Ok(())
}

#[test]
fn processes_of_a_container_keep_their_users_and_their_lives() -> Result<()> {
    if !runs_as_root() {
        println!("not root: nothing to test");
        return Ok(());
    }
    let turn = Turn::take()?;
    let mut contained = vec![Leftover::contained(WORKERS[0])?, Leftover::contained(DESKTOPS[0])?];
    let mut rig = Setup::new().as_root_for_nobody().in_turn(turn).start()?;
    let app = Process(rig.app_log().pid()?).user_ids()?;
    let workers = users(&rig)?;
    ensure!(!app.contains(&DESKTOPS[0]) && !workers.contains(&WORKERS[0]), "{app:?}, {workers:?}");
    // One that comes later, by the uid that rtc has.
    let rtc = user(&rig, Worker::Rtc)?;
    contained.push(Leftover::contained(rtc)?);
    let left = Leftover::of(rtc, WAITS)?;
    let killed = rig.kill(Worker::Rtc)?;
    rig.successor(Worker::Rtc, killed)?;
    ensure!(!left.process().is_alive(), "what was left outside of the container is alive");
    rig.stop()?;
    for one in contained {
        ensure!(!one.is_over()?, "a process of a container was ended");
    }
    Ok(())
}

#[test]
fn process_with_a_workers_user_ends_with_the_worker_and_before_its_successor() -> Result<()> {
    if !runs_as_root() {
        println!("not root: nothing to test");
        return Ok(());
    }
    let rig = Setup::new().as_root().start()?;
    for worker in [Worker::Rtc, Worker::Media, Worker::Gateway] {
        let uid = user(&rig, worker)?;
        let left = Leftover::of(uid, WAITS)?;
        let killed = rig.kill(worker)?;
        let successor = rig.successor(worker, killed)?;
        ensure!(!left.process().is_alive(), "{worker}'s successor has company");
        ensure!(successor.user_ids()?.contains(&uid), "{worker} has another user");
    }
    Ok(())
}

#[test]
fn processes_left_with_the_users_of_a_hosts_workers_end_before_new_workers_get_them() -> Result<()>
{
    if !runs_as_root() {
        println!("not root: nothing to test");
        return Ok(());
    }
    // The host is restrained, and must reach all the same what it did not start.
    let mut host = HostSetup::new().as_root().start()?;
    for kind in KINDS {
        let workers: Vec<_> = host.status()?.workers.iter().map(|one| one.process).collect();
        let users = workers.iter().map(|worker| {
            host.ready_worker(*worker)?.user_ids()?.first().copied().context("no user id")
        });
        let users: Vec<u32> = users.collect::<Result<_>>()?;
        ensure!(!users.is_empty() && !users.contains(&0), "{users:?}");
        let leave = || users.iter().map(|uid| Leftover::of(*uid, kind)).collect::<Result<_>>();
        let are_over = |left: &Vec<Leftover>| {
            left.iter().try_fold(true, |all, one| Ok::<_, anyhow::Error>(all && one.is_over()?))
        };
        let left: Vec<Leftover> = leave()?;
        ensure!(!left.iter().map(Leftover::is_over).any(|over| over.unwrap_or(true)), "{kind}");
        for worker in &workers {
            host.replace(*worker)?;
        }
        ensure!(are_over(&left)?, "{kind}: alive beside a worker's successor");
        let left: Vec<Leftover> = leave()?;
        host.kill()?;
        host.serve()?;
        ensure!(are_over(&left)?, "{kind}: an earlier host's is alive");
    }
    Ok(())
}

#[test]
fn process_with_a_user_of_the_desktop_ends_with_the_desktop() -> Result<()> {
    if !runs_as_root() {
        println!("not root: nothing to test");
        return Ok(());
    }
    let mut rig = Setup::new().as_root_for_nobody().start()?;
    let app = Process(rig.app_log().pid()?).user_ids()?[0];
    // Not children of Lumen's.
    let left = [app, user(&rig, Worker::Gamepad)?, user(&rig, Worker::Turn)?];
    let left: Vec<Leftover> =
        left.into_iter().map(|uid| Leftover::of(uid, WAITS)).collect::<Result<_>>()?;
    rig.stop()?;
    wait_until("all have ended", || left.iter().all(|left| !left.process().is_alive()))
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
