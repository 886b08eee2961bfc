//! A storm of `kill -9` over one host and three sessions: whichever process dies, at whatever moment, the
//! picture comes back by itself, no app is lost, nothing leaks and no key stays down.
//!
//! Workers other than compositors are killed at random with a fixed seed, whatever they are doing: serving,
//! starting, or handling another's death. About every fourth dies together with the one before, and about
//! every fourth is the successor of the one before, killed as soon as it has a process. Meanwhile pages
//! watch, and keys are pressed and released in them.
//!
//! # Pace
//! A worker that dies often is restarted ever more slowly, and one that dies ten times within a minute has
//! failed: it is tried again after 10, 20, 40 seconds (`supervisor/src/lifecycle/budget.rs`). That is
//! intended, and the second test here waits for it. In the storm no worker is killed more often than six
//! times within a minute, so each restart waits 1.6 s at most, and no picture may be missing for longer than
//! [`LONGEST_GAP`]. If a worker that has reached this limit is picked, the next in the list dies instead.
//!
//! # Length
//! 40 deaths by default, as part of the tests. `LUMEN_TEST_KILLS` sets the number; `make storm` uses 300.

#![forbid(unsafe_code)]

mod mortal;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use lumen_ipc::process::{ProcessId, Worker};
use lumen_tests::{
    census::Census,
    chance::Chance,
    knob::knob,
    measured::{note, note_time},
    patience::{wait_for, wait_until},
    watched::{Trio, Watched},
};

use mortal::Mortal;

/// Any number: the same workers die in the same order in every run.
const SEED: u64 = 2_026;
/// The default number of deaths.
const KILLS: usize = 40;
/// The longest random pause between two deaths that do not come together, in milliseconds. It makes about
/// one death per second.
const PAUSE: usize = 2_600;
/// The longest time without a new picture. A restart waits 1.6 s at most, and a page that failed to connect
/// waits 5 s at most (`web/src/core/reconnect.js`); the rest allows for a busy machine.
const LONGEST_GAP: Duration = Duration::from_secs(12);

/// Keys that are down in the pages.
#[derive(Default)]
struct Fingers {
    down: [bool; 3],
}

impl Fingers {
    /// Presses a key in a page, or releases it if it is down.
    fn toggle(&mut self, sessions: &[Watched; 3], number: usize) -> Result<()> {
        let (session, down) = (&sessions[number], &mut self.down[number]);
        *down = !*down;
        match *down {
            true => session.page.key_down_now(session.keys[0].name),
            false => session.page.key_up(session.keys[0].name),
        }
    }

    fn release_all(&mut self, sessions: &[Watched; 3]) -> Result<()> {
        let down = (0..sessions.len()).filter(|number| self.down[*number]).collect::<Vec<_>>();
        down.into_iter().try_for_each(|number| self.toggle(sessions, number))
    }
}

/// Kills workers `kills` times.
fn rage(trio: &Trio, mortals: &mut [Mortal], kills: usize) -> Result<()> {
    let (mut chance, mut fingers) = (Chance::new(SEED), Fingers::default());
    let (mut due, mut last, count) = (Instant::now(), 0, mortals.len());
    for number in 0..kills {
        if chance.below(4) > 0 {
            due = due.max(Instant::now()) + Duration::from_millis(chance.below(PAUSE) as u64);
        }
        if chance.below(2) == 0 {
            fingers.toggle(&trio.sessions, chance.below(3))?;
        }
        wait_until("the next death is due", || Instant::now() >= due)?;
        if chance.below(4) == 0 && mortals[last].may_die() {
            let successor = &mut mortals[last];
            wait_until(&format!("{} starts again", successor.worker), || successor.kill())?;
            continue;
        }
        let picked = chance.below(count);
        let mut next = (0..count).cycle().map(|next| (picked + next) % count);
        last = wait_for(&format!("somebody may die, number {number}"), || {
            next.by_ref().take(count).find(|next| mortals[*next].kill())
        })?;
    }
    fingers.release_all(&trio.sessions)
}

fn wait_until_all_ready(trio: &Trio) -> Result<()> {
    wait_until("all workers are ready", || {
        let status = trio.host.status();
        status.is_ok_and(|status| status.processes().all(|one| one.state.as_str() == "ready"))
    })
}

/// How often each worker has been restarted.
fn restarts(trio: &Trio) -> Result<BTreeMap<ProcessId, u32>> {
    let status = trio.host.status()?;
    Ok(status.processes().map(|worker| (worker.process, worker.restarts)).collect())
}

/// The longest time without a new picture in a page since `from`.
fn longest_gap(session: &Watched, from: SystemTime) -> Result<Duration> {
    let millis = |time: SystemTime| -> Result<f64> {
        Ok(time.duration_since(UNIX_EPOCH)?.as_secs_f64() * 1000.0)
    };
    let (from, now) = (millis(from)?, millis(SystemTime::now())?);
    let shown = session.page.frames()?.into_iter().map(|frame| frame.at).filter(|at| *at > from);
    let times: Vec<f64> = [from].into_iter().chain(shown).chain([now]).collect();
    let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
    Ok(Duration::from_secs_f64(gaps.fold(0.0, f64::max) / 1000.0))
}

#[test]
fn storm_of_deaths_costs_no_app_no_picture_no_key_and_leaves_nothing_behind() -> Result<()> {
    let mut trio = Trio::start()?;
    let mut mortals = Mortal::all(&trio)?;
    // Each worker dies once before the census, so that what a first death sets up (a log line's buffer,
    // a lazily opened file) does not count as a leak.
    for mortal in &mut mortals {
        ensure!(mortal.kill(), "{} has no process", mortal.worker);
    }
    wait_until_all_ready(&trio)?;
    trio.close_pages()?;
    let before = Census::settled(&trio.host, None)?;
    let (compositors, restarted) = (trio.compositors()?, restarts(&trio)?);
    mortals.iter_mut().for_each(|mortal| mortal.killed = 0);

    trio.open_pages()?;
    let (kills, began) = (knob("LUMEN_TEST_KILLS", KILLS)?, SystemTime::now());
    rage(&trio, &mut mortals, kills)?;
    let over = SystemTime::now();
    for session in &trio.sessions {
        session.is_live()?;
        session.goes_on()?;
        session.got_own_keys_only()?;
    }
    note_time(&format!("storm of {kills} deaths, all pictures and keys are back"), over.elapsed()?);
    for session in &trio.sessions {
        let what = format!("storm of {kills} deaths, longest time without a new picture");
        let gap = longest_gap(session, began)?;
        note_time(&format!("{what}, session {}", session.number), gap);
        ensure!(gap < LONGEST_GAP, "session {} had no new picture for {gap:?}", session.number);
    }
    wait_until_all_ready(&trio)?;
    let (died, found) = (trio.compositors()? != compositors, restarts(&trio)?);
    ensure!(!died, "a compositor has died");
    // No worker has died because of another's death.
    for Mortal { worker, killed, .. } in &mortals {
        let [before, after] = [&restarted, &found].map(|all| all.get(worker).copied());
        ensure!(after == before.map(|before| before + killed), "{worker}: {before:?} {after:?}");
    }

    trio.close_pages()?;
    let after = Census::settled(&trio.host, Some(&before))?;
    for what in ["descriptors", "descendants", "mapped memory files"] {
        let counts = format!("{} before, {} after", before.total(what), after.total(what));
        note(&format!("storm of {kills} deaths, {what}"), counts);
    }
    assert_eq!(before.difference(&after), Vec::<String>::new());
    Ok(())
}

#[test]
fn media_that_has_failed_comes_back_when_status_says_and_costs_no_other_picture() -> Result<()> {
    let trio = Trio::start()?;
    let [session, others @ ..] = &trio.sessions;
    let media = session.worker(Worker::Media);
    let mut mortal = Mortal::of(media, session.session.supervisor());
    let state = || trio.host.worker(media).ok().flatten();
    wait_until("media has failed", || {
        mortal.kill_regardless();
        state().is_some_and(|media| media.state.as_str() == "failed")
    })?;
    let next_try =
        state().and_then(|media| media.next_try_millis).context("no word of a next try")?;
    for other in others {
        other.is_live()?;
        other.page.ensure_connected_once()?;
    }
    let failed = Instant::now();
    session.is_live()?;
    let (gone, said) = (failed.elapsed(), Duration::from_millis(next_try));
    note(
        "media that has failed, picture is back",
        format!("{gone:.1?}, next try said in {said:.1?}"),
    );
    ensure!(gone < said + LONGEST_GAP, "it took {gone:?}, and {said:?} were said");
    session.goes_on()
}
