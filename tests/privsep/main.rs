//! What each worker of a running Lumen may still do: confinement, identity, and every open
//! descriptor compared with its grants and the link table, read from `/proc`; and what an intruder
//! could do with those descriptors, tried in the worker itself.
//!
//! Needs Linux with seccomp, and for the most part root: workers hide what they hold from others.

#![forbid(unsafe_code)]

mod attempts;
mod datagrams;
mod descriptors;
mod exposure;
mod host;
mod intruder;
mod table;
mod users;

use std::cell::RefCell;

use anyhow::{Context, Result, ensure};
use attempts::{Attempt, Luggage};
use intruder::{Held, Intruder, Outcome};
use lumen_ipc::process::Worker;
use lumen_tests::{
    measured,
    patience::wait_until,
    process::Process,
    rig::{Rig, Setup, runs_as_root, sees_into_workers},
    viewer::Viewer,
};
use nix::libc;

/// Checks all workers of one running Lumen with a viewer, since a worker that has served a peer may
/// hold more than one that has not.
fn with_viewer(setup: Setup, check: impl Fn(&Rig, Worker, Process) -> Result<()>) -> Result<()> {
    let rig = setup.start()?;
    let viewer = Viewer::join(&rig)?;
    viewer.wait_for_frame(0)?;
    for worker in Worker::ALL {
        let process = rig.ready_worker(worker)?;
        check(&rig, worker, process).with_context(|| worker.name())?;
    }
    Ok(())
}

fn is_confined(_: &Rig, _: Worker, process: Process) -> Result<()> {
    let expected = [
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
        ("CapInh", "0000000000000000"),
        ("CapPrm", "0000000000000000"),
        ("CapEff", "0000000000000000"),
        ("CapAmb", "0000000000000000"),
        ("CapBnd", "0000000000000000"),
    ];
    for (name, value) in expected {
        let found = process.status_field(name)?;
        ensure!(found == value, "{name} is {found}, expected {value}");
    }
    Ok(())
}

fn holds_its_grants_only(_: &Rig, worker: Worker, process: Process) -> Result<()> {
    descriptors::check(worker, process)
}

fn has_an_empty_environment(_: &Rig, _: Worker, process: Process) -> Result<()> {
    // Root may read it whoever the worker runs as; its own user may not if it is not dumpable.
    let environment = process.environment().unwrap_or_default();
    ensure!(environment.is_empty(), "environment: {environment}");
    Ok(())
}

fn says_no_secret_in_its_arguments(rig: &Rig, _: Worker, process: Process) -> Result<()> {
    let command = process.command_line()?;
    ensure!(!command.contains(rig.token()), "the token is in {command}");
    Ok(())
}

#[test]
fn workers_of_an_ordinary_user_are_confined() -> Result<()> {
    with_viewer(Setup::new(), is_confined)
}

#[test]
fn workers_of_an_ordinary_user_hold_their_grants_only() -> Result<()> {
    if !sees_into_workers() {
        return Ok(());
    }
    with_viewer(Setup::new(), holds_its_grants_only)
}

#[test]
fn workers_have_neither_environment_nor_secrets_in_their_arguments() -> Result<()> {
    with_viewer(Setup::new(), |rig, worker, process| {
        has_an_empty_environment(rig, worker, process)?;
        says_no_secret_in_its_arguments(rig, worker, process)
    })
}

/// Tries everything on every socket that a worker holds. Returns the number of attempts.
fn tried_on_all_sockets(worker: Worker, process: Process) -> Result<usize> {
    let intruder = Intruder::enter(process)?;
    let luggage = Luggage::put(&intruder)?;
    let mut tried = 0;
    for (socket, held) in intruder.descriptors()? {
        if held == Held::Other {
            continue;
        }
        let mut attempts = attempts::on_socket(&luggage, socket, held);
        // The compositor asks who connects, for its log.
        attempts.retain(|attempt| {
            worker != Worker::Compositor || attempt.name != "getsockopt SO_PEERCRED"
        });
        tried += try_all(&intruder, attempts)
            .with_context(|| format!("on descriptor {socket}, a {held:?}"))?;
    }
    Ok(tried)
}

/// Fails at the first attempt that does not end the worker: it may have taken effect, so none is
/// tried after it.
fn try_all(intruder: &Intruder, attempts: Vec<Attempt>) -> Result<usize> {
    for attempt in &attempts {
        let outcome = intruder.call(attempt.syscall, attempt.arguments)?;
        ensure!(outcome == Outcome::Ends, "{} is open: {outcome:?}", attempt.name);
    }
    Ok(attempts.len())
}

#[test]
fn taken_over_worker_keeps_its_trap_and_reaches_no_more_of_the_kernel_than_it_needs() -> Result<()>
{
    if !sees_into_workers() {
        return Ok(());
    }
    with_viewer(Setup::new(), |rig, worker, process| {
        let intruder = Intruder::enter(process)?;
        let luggage = Luggage::put(&intruder)?;
        let mut attempts = attempts::on_process(&luggage, rig.supervisor().0);
        let open: &[&str] = match worker {
            // A library of it starts a thread late; clone3 then fails, and does not end it.
            Worker::Compositor => &["clone of a thread", "clone3"],
            // It gives back the pages of its ring, which it may write anyway.
            Worker::Media => &["madvise MADV_REMOVE"],
            _ => &[],
        };
        attempts.retain(|attempt| !open.contains(&&*attempt.name));
        let tried = try_all(&intruder, attempts)?;
        println!("{worker}: {tried} attempts on its process end it");
        Ok(())
    })
}

#[test]
fn taken_over_worker_cannot_turn_or_spoil_the_sockets_it_holds() -> Result<()> {
    if !sees_into_workers() {
        return Ok(());
    }
    for setup in [Setup::new(), Setup::new().as_root()] {
        with_viewer(setup, |_, worker, process| {
            let tried = tried_on_all_sockets(worker, process)?;
            println!("{worker}: {tried} attempts on its sockets end it");
            Ok(())
        })?;
    }
    Ok(())
}

/// Maps private memory until the kernel gives no more; returns how much that was.
fn fill_memory(intruder: &Intruder) -> Result<u64> {
    let (protection, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let [protection, flags] = [protection, flags].map(|bits| u64::from(bits.cast_unsigned()));
    let (mut taken, mut piece) = (0, LARGEST_PIECE);
    while piece >= PAGE {
        let mapping = [0, piece, protection, flags, u64::MAX, 0];
        match intruder.call(libc::SYS_mmap, mapping)? {
            Outcome::Returned(error) if (-4095..0).contains(&error) => piece /= 2,
            Outcome::Returned(_) => taken += piece,
            Outcome::Ends => anyhow::bail!("mmap ends it"),
        }
        ensure!(taken <= LARGEST_PIECE, "{taken} bytes, and no end");
    }
    Ok(taken)
}

const PAGE: u64 = 4096;
/// More private memory than any policy grants.
const LARGEST_PIECE: u64 = 4 << 30;

#[test]
fn taken_over_worker_gets_no_more_private_memory_than_its_limit() -> Result<()> {
    if !sees_into_workers() {
        return Ok(());
    }
    with_viewer(Setup::new(), |_, worker, process| {
        let used = process.status_field("VmData")?;
        let taken = fill_memory(&Intruder::enter(process)?)?;
        println!("{worker} uses {used} and gets {} MiB more", taken >> 20);
        Ok(())
    })
}

#[test]
fn worker_that_reaches_its_limit_of_memory_ends_alone_and_is_replaced() -> Result<()> {
    if !sees_into_workers() {
        return Ok(());
    }
    let rig = Setup::new().start()?;
    Viewer::join(&rig)?.wait_for_frame(0)?;
    let others = [Worker::Compositor, Worker::Gateway, Worker::Media, Worker::Turn];
    let pids = || -> Result<Vec<u32>> {
        others.iter().map(|worker| Ok(rig.ready_worker(*worker)?.0)).collect()
    };
    let (before, rtc) = (pids()?, rig.ready_worker(Worker::Rtc)?);
    fill_memory(&Intruder::enter(rtc)?)?;
    // Each viewer costs rtc some memory; the one that costs too much is not served by it.
    let mut viewers = Vec::new();
    wait_until("rtc ends for want of memory", || {
        viewers.extend(Viewer::join(&rig));
        !rtc.is_alive()
    })?;
    rig.successor(Worker::Rtc, rtc)?;
    ensure!(pids()? == before, "another worker was replaced");
    ensure!(Process(rig.app_log().pid()?).is_alive(), "the app ended");
    Viewer::join(&rig)?.wait_for_frame(0)?;
    Ok(())
}

#[test]
fn running_worker_is_held_to_its_table_call_by_call() -> Result<()> {
    if !sees_into_workers() {
        return Ok(());
    }
    with_viewer(Setup::new(), |_, worker, process| {
        let made = table::try_all(worker, process)?;
        measured::note(&format!("calls of its table made in {worker}, all as listed"), made);
        Ok(())
    })
}

#[test]
fn exposure_is_what_the_tables_and_a_running_desktop_count_and_the_security_page_says() -> Result<()>
{
    if !sees_into_workers() {
        return Ok(());
    }
    let document = include_str!("../../SECURITY.md");
    let wrong = RefCell::new(Vec::new());
    with_viewer(Setup::new(), |_, worker, process| {
        let table = table::of(worker, process)?;
        let numbers = exposure::of(&table, process)?;
        measured::note(&format!("open to {worker}"), exposure::words(numbers));
        wrong.borrow_mut().extend(exposure::compare(document, worker, numbers).err());
        wrong.borrow_mut().extend(exposure::compare_tried(document, &table).err());
        Ok(())
    })?;
    let wrong = wrong.into_inner();
    ensure!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

#[test]
fn logs_never_hold_the_token_again() -> Result<()> {
    let rig = Rig::start()?;
    let viewer = Viewer::join(&rig)?;
    viewer.wait_for_frame(0)?;
    let logs = rig.lumen(&["logs"])?;
    ensure!(!String::from_utf8_lossy(&logs.stdout).contains(rig.token()), "in lumen logs");
    let times = rig.said().matches(rig.token()).count();
    ensure!(times == 1, "the token was printed {times} times");
    Ok(())
}

#[test]
fn workers_of_root_are_confined_and_nobody_is_root() -> Result<()> {
    if !runs_as_root() {
        println!("not root: nothing to test");
        return Ok(());
    }
    with_viewer(Setup::new().as_root(), |rig, worker, process| {
        is_confined(rig, worker, process)?;
        let ids = process.user_ids()?;
        ensure!(!ids.contains(&0), "user ids {ids:?}");
        holds_its_grants_only(rig, worker, process)
    })
}

#[test]
fn user_that_exists_only_meanwhile_has_a_name_a_home_and_a_prompt() -> Result<()> {
    if !runs_as_root() {
        println!("not root: nothing to test");
        return Ok(());
    }
    let script = "echo \"user=$(whoami) group=$(id -gn) skeleton=$(ls -A ~ | grep -c bashrc)\"; \
                  bash -ic 'echo \"prompt=${PS1@P}\"'; exec sleep 1000";
    let rig = Setup::new().as_root_for_nobody().app(["sh", "-c", script]).start()?;
    wait_until("the app has told who it is", || rig.said().contains("prompt="))?;
    let said = rig.said();
    ensure!(said.contains("user=lumen group=lumen skeleton=1"), "{said}");
    ensure!(said.contains("lumen@") && !said.contains("no name"), "{said}");
    ensure!(said.contains("outlives the desktop"), "nobody is told that the home goes: {said}");
    Ok(())
}

#[test]
fn apps_are_not_confined() -> Result<()> {
    let rig = Rig::start()?;
    let app = Process(rig.app_log().pid()?);
    // An app under the workers' confinement could not even use sudo.
    assert_eq!(app.status_field("Seccomp")?, Process(std::process::id()).status_field("Seccomp")?);
    assert_eq!(app.status_field("NoNewPrivs")?, "0");
    Ok(())
}

#[test]
fn app_holds_nothing_of_lumen() -> Result<()> {
    let rig = Rig::start()?;
    rig.app_log().wait_until_drawn()?;
    let app = Process(rig.app_log().pid()?);
    let sockets: Vec<_> =
        app.descriptors()?.into_values().filter(|target| target.starts_with("socket:")).collect();
    // Its connection to the compositor, which it opened itself.
    assert_eq!(sockets.len(), 1, "{sockets:?}");
    Ok(())
}
