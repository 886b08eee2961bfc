//! Work that goes on: noise that moves, music, and keys, over a line that loses packets, while workers die.
//! Nothing grows by it: no memory, no descriptors, no time from a key to its picture.
//!
//! It goes in rounds. In each, every worker but the compositor dies once, in random order with a fixed seed, and
//! then keys are pressed. So at the end of a round workers are as old as at the end of any other, and whatever is more
//! then than after the first rounds has stayed of one death or of the work between.
//!
//! # Length
//! Four rounds by default, as part of the tests. `LUMEN_TEST_ROUNDS` sets the number; `make endurance` goes on
//! for half an hour.

#![forbid(unsafe_code)]

mod held;

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use lumen_ipc::process::Worker;
use lumen_tests::{
    app::Show,
    browser::{Browser, Page},
    chance::Chance,
    hearing::{Listener, playing_for_ever},
    knob::knob,
    line::{
        Line, SERVER,
        shape::{Loss, Shape},
    },
    measured::{note, percentile},
    picture::colour_of_key,
    rig::{Rig, Setup},
};

use held::Held;

/// Any number: the same workers die in the same order in every run.
const SEED: u64 = 2_026;
/// The default number of rounds.
const ROUNDS: usize = 4;
/// Who dies in each round.
const MORTALS: [Worker; 5] =
    [Worker::Media, Worker::Sound, Worker::Rtc, Worker::Gateway, Worker::Gamepad];
/// Keys in each round, by turns these: `KeyboardEvent.code`, and the evdev code.
const PRESSES: usize = 20;
const KEYS: [(&str, u32); 2] = [("KeyA", 30), ("KeyS", 31)];
/// Where memory grows by more than this share of what it was, and by more than [`SLACK`], something is kept.
const GROWTH: f64 = 0.05;
/// What allocators keep more or less of, in bytes.
const SLACK: f64 = 4_000_000.0;
/// A time from a key to its picture is longer than before only if it is by half, and by more than a busy machine makes it.
const LONGER: f64 = 1.5;
const BUSY: f64 = 100.0;

/// What was seen at the end of a round.
struct Round {
    held: Held,
    /// The median time from a key to its picture, in milliseconds.
    key_to_picture: f64,
}

/// A desktop at work, and who watches and hears it.
struct Work {
    page: Listener,
    rig: Rig,
    _browser: Browser,
    _line: Line,
}

impl Work {
    fn begin() -> Result<Self> {
        let shape = Shape {
            delay: Duration::from_millis(10),
            loss: Loss::per_mille(10),
            ..Shape::default()
        };
        let line = Line::new(shape, shape)?;
        let [shell, flag, music] = playing_for_ever("pw-play")?;
        let rig = Setup::new()
            .show(Show::Noise, 10)
            .beside(format!("{shell} {flag} '{music}'"))
            .option("--size", "640x360")
            .option("--resize", "fixed")
            .option("--relay", "off")
            .on_host(&line.server, "0.0.0.0:8080")
            .start()?;
        let browser = Browser::start_on(Some(&line.browser), &[])?;
        let page = Listener::open(&browser, &rig.url_from(SERVER))?;
        Ok(Self { page, rig, _browser: browser, _line: line })
    }

    /// One death of each mortal, and then keys.
    fn round(&self, chance: &mut Chance) -> Result<Round> {
        let Listener(page) = &self.page;
        let (mut left, mut connections) = (MORTALS.to_vec(), 0);
        while !left.is_empty() {
            let worker = left.swap_remove(chance.below(left.len()));
            if worker == Worker::Rtc {
                connections = page.connections_made()?;
            }
            let killed = self.rig.kill(worker)?;
            self.rig.successor(worker, killed)?;
        }
        page.wait_until_connected_anew(connections)?;
        page.wait_for_frame_after(SystemTime::now())?;
        let press = |press| key_to_picture(page, press).with_context(|| self.way_of_keys(press));
        let times: Vec<f64> = (0..PRESSES).map(press).collect::<Result<_>>()?;
        self.page.hears().with_context(|| self.way_of_sound())?;
        // The page's notes would be what grows.
        page.evaluate::<()>("void (window.heard.length = 0, lumenTest.frames.length = 0)")?;
        Ok(Round {
            held: Held::settled(&self.rig)?,
            key_to_picture: percentile(&times, 50.0).context("no keys")?,
        })
    }

    /// A worker's figure; -1 if it says none.
    fn metric(&self, worker: Worker, name: &str) -> i64 {
        self.rig.metric(worker, name).unwrap_or(-1)
    }

    /// How far sound comes, to be told if it is not heard.
    fn way_of_sound(&self) -> String {
        let counts = || {
            [
                self.metric(Worker::Sound, "listeners_count"),
                self.metric(Worker::Sound, "frames_encoded_total"),
                self.metric(Worker::Rtc, "sound_frames_total"),
            ]
        };
        let Listener(page) = &self.page;
        format!(
            "listeners, frames encoded, frames sent: {:?}, and a moment later {:?}; the page has received {:?}; its \
             element {:?}",
            counts(),
            counts(),
            page.heard_sound(),
            page.evaluate::<String>(
                "(({ paused, srcObject }) => JSON.stringify([paused, srcObject?.active, srcObject?.getTracks().length,
                 srcObject?.getTracks()[0]?.muted]))(document.querySelector('#sound'))"
            ),
        )
    }

    /// How far keys came, to be told if one is never shown.
    fn way_of_keys(&self, press: usize) -> String {
        let Listener(page) = &self.page;
        format!(
            "key {press} of a round; of this rtc's life {} messages were sent, the compositor took {} in all, refused \
             {} and {} proofs; the app was told of {:?}; the page said {:?}, and to its console: {}",
            self.metric(Worker::Rtc, "input_messages_sent_total"),
            self.metric(Worker::Compositor, "input_events_total"),
            self.metric(Worker::Compositor, "input_refused_total"),
            self.metric(Worker::Compositor, "proofs_refused_total"),
            self.rig.app_log().events().iter().rev().take(4).collect::<Vec<_>>(),
            page.statuses().unwrap_or_default(),
            page.console().unwrap_or_default(),
        )
    }
}

/// The time from a key to its colour in the middle of the page's picture, in milliseconds, as this program sees it.
fn key_to_picture(page: &Page, press: usize) -> Result<f64> {
    let (name, code) = KEYS[press % KEYS.len()];
    let pressed = Instant::now();
    page.key_down_now(name)?;
    page.key_up(name)?;
    page.wait_for_colour((0.5, 0.5), colour_of_key(code))?;
    Ok(pressed.elapsed().as_secs_f64() * 1000.0)
}

/// The median of `figure` in these rounds.
fn median(rounds: &[Round], figure: impl Fn(&Round) -> f64) -> Result<f64> {
    let figures: Vec<f64> = rounds.iter().map(figure).collect();
    percentile(&figures, 50.0).context("no rounds")
}

#[test]
fn work_with_losses_and_deaths_makes_nothing_grow() -> Result<()> {
    let (count, begun) = (knob("LUMEN_TEST_ROUNDS", ROUNDS)?, Instant::now());
    let (work, mut chance) = (Work::begin()?, Chance::new(SEED));
    let app = work.rig.app_pid()?;
    let compositor = work.rig.ready_worker(Worker::Compositor)?;
    // What is made once is made in the first.
    work.round(&mut chance)?;
    let rounds: Vec<Round> = (1..count).map(|_| work.round(&mut chance)).collect::<Result<_>>()?;

    let what =
        format!("work with losses and {} deaths, {:.0?}", count * MORTALS.len(), begun.elapsed());
    let third = (rounds.len() / 3).max(1);
    let (first, last) = (&rounds[..third], &rounds[rounds.len() - third..]);
    let mut failures = Vec::new();
    for name in rounds[0].held.names() {
        let of = |rounds| median(rounds, |round| round.held.memory(&name));
        let (before, after) = (of(first)?, of(last)?);
        let shown = format!("{:.1} MB, then {:.1} MB", before / 1e6, after / 1e6);
        note(&format!("{what}: memory of {name}"), &shown);
        if after > before * (1.0 + GROWTH) && after > before + SLACK {
            failures.push(format!("memory of {name} grows: {shown}"));
        }
    }
    let (begin, end) = (&rounds[0].held, &rounds[rounds.len() - 1].held);
    failures.extend(begin.differences(end));
    let of = |rounds| median(rounds, |round| round.key_to_picture);
    let (before, after) = (of(first)?, of(last)?);
    let shown = format!("{before:.0} ms, then {after:.0} ms");
    note(&format!("{what}: key to picture"), &shown);
    if after > before * LONGER + BUSY {
        failures.push(format!("keys take longer: {shown}"));
    }
    ensure!(failures.is_empty(), "{}\n{}", failures.join("\n"), work.rig.said());
    ensure!(work.rig.app_pid()? == app, "the app has died");
    ensure!(work.rig.ready_worker(Worker::Compositor)? == compositor, "the compositor has died");
    Ok(())
}
