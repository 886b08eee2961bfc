//! Fifty random deaths, and nothing is left over: no process, no descriptor, no key held down.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use lumen_ipc::process::Worker;
use lumen_tests::{
    chance::Chance,
    patience::wait_until,
    process::{Process, descendants},
    rig::{Rig, sees_into_workers},
    viewer::Viewer,
};

/// The number of rounds that the issue behind this test asks for.
const ROUNDS: usize = 50;
/// Any number: the same workers die in the same order in every run.
const SEED: u64 = 2_026;
/// `KEY_A`, held down while workers die.
const KEY: u16 = 30;

/// The workers that are killed: all but the compositor, whose death ends the app.
const MORTAL: [Worker; 5] =
    [Worker::Gateway, Worker::Media, Worker::Rtc, Worker::Sound, Worker::Turn];

/// After so many deaths of a worker the test restarts it by command, which makes the supervisor forget
/// them. It rightly stops restarting a worker that dies more often within a minute.
const DEATHS_FORGIVEN: usize = 3;

/// The number of descriptors of each process, and the number of processes.
#[derive(Debug, Eq, PartialEq)]
struct Census {
    descriptors: BTreeMap<&'static str, usize>,
    processes: usize,
}

impl Census {
    /// Counts while nobody watches, so that connections of viewers do not count.
    fn take(rig: &Rig) -> Result<Self> {
        let mut descriptors = BTreeMap::new();
        descriptors.insert("supervisor", rig.supervisor().descriptors()?.len());
        for worker in Worker::ALL {
            let process = rig.ready_worker(worker)?;
            descriptors.insert(worker.name(), process.descriptors()?.len());
        }
        let processes = descendants(rig.supervisor()).len();
        Ok(Self { descriptors, processes })
    }
}

/// Kills `worker` while a viewer watches and holds a key down, and waits for its successor and until the
/// key is released.
fn round(rig: &Rig, worker: Worker) -> Result<Process> {
    let viewer = Viewer::join(rig)?;
    viewer.wait_for_frame(0)?;
    viewer.wait_until_connected()?;
    viewer.key(KEY, true)?;
    let mark = rig.app_log().mark();
    wait_until("the key arrives", || rig.app_log().held() == [u32::from(KEY)])
        .with_context(|| format!("after {mark} events"))?;
    let killed = rig.kill(worker)?;
    let successor = rig.successor(worker, killed)?;
    drop(viewer);
    rig.app_log().wait_until_nothing_held()?;
    Ok(successor)
}

/// Restarts `worker` by command.
fn forgive(rig: &Rig, worker: Worker) -> Result<()> {
    let before = rig.ready_worker(worker)?;
    let output = rig.lumen(&["restart", worker.name()])?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    rig.successor(worker, before).map(drop)
}

#[test]
fn fifty_random_deaths_leave_nothing_behind() -> Result<()> {
    if !sees_into_workers() {
        return Ok(());
    }
    let rig = Rig::start()?;
    let app = rig.app_log().pid()?;
    // Each worker dies once before the census, so that what a first death sets up (a log line's buffer,
    // a lazily opened file) does not count as a leak.
    for worker in MORTAL {
        round(&rig, worker)?;
    }
    let before = settled(&rig, None)?;
    let mut chance = Chance::new(SEED);
    let mut deaths = BTreeMap::new();
    for number in 0..ROUNDS {
        let worker = MORTAL[chance.below(3)];
        round(&rig, worker).with_context(|| format!("round {number}, {worker} killed"))?;
        let count = deaths.entry(worker).or_insert(0_usize);
        *count += 1;
        if count.is_multiple_of(DEATHS_FORGIVEN) {
            forgive(&rig, worker)?;
        }
    }
    let after = settled(&rig, Some(&before))?;
    assert_eq!(before, after);
    ensure!(rig.app_log().pid()? == app && Process(app).is_alive(), "the app was lost");
    Ok(())
}

/// The census once every viewer's connection is closed on the other side, too: when it equals
/// `expected`, or without one when two in a row are equal.
fn settled(rig: &Rig, expected: Option<&Census>) -> Result<Census> {
    let mut last = Census::take(rig)?;
    let settled = wait_until("the census settles", || {
        let Ok(census) = Census::take(rig) else { return false };
        let same = expected.map_or(census == last, |expected| census == *expected);
        last = census;
        same
    });
    // With `expected`, the caller compares, and reports the difference.
    if settled.is_err() && expected.is_none() {
        settled?;
    }
    Ok(last)
}
