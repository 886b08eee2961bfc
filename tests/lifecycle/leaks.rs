//! Fifty random deaths, and nothing is left over: no process, no descriptor, no key held down.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use lumen_ipc::process::Worker;
use lumen_tests::{
    chance::Chance,
    patience::wait_until,
    process::{Process, descendants},
    rig::Rig,
    viewer::Viewer,
};

/// Rounds of the issue that asked for this test.
const ROUNDS: usize = 50;
/// Any number: the same workers die in the same order in every run.
const SEED: u64 = 2_026;
/// `KEY_A`, held down while workers die.
const KEY: u16 = 30;

/// Who dies: all but the compositor, whose death costs the app.
const MORTAL: [Worker; 4] = [Worker::Gateway, Worker::Media, Worker::Rtc, Worker::Turn];

/// After so many deaths of a worker its administrator restarts it, which makes the supervisor
/// forget them: a worker that dies more often within a minute would rightly not be started again.
const DEATHS_FORGIVEN: usize = 3;

/// How many descriptors each process holds and how many processes there are.
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

/// Kills `worker` while a viewer watches and holds a key down, and waits until the next viewer
/// sees the desktop.
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
    let rig = Rig::start()?;
    let app = rig.app_log().pid()?;
    // Each mortal dies once before the census, so that what a first death sets up (a log line's
    // buffer, a lazily opened file) is not taken for a leak.
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

/// The census once every viewer's connection has been closed on the other side, too: when it
/// equals `expected`, or two in a row are equal.
fn settled(rig: &Rig, expected: Option<&Census>) -> Result<Census> {
    let mut last = Census::take(rig)?;
    let settled = wait_until("the census settles", || {
        let Ok(census) = Census::take(rig) else { return false };
        let same = expected.map_or(census == last, |expected| census == *expected);
        last = census;
        same
    });
    // One that never settles is told by the caller's comparison, which names the difference.
    if settled.is_err() && expected.is_none() {
        settled?;
    }
    Ok(last)
}
