//! A viewer and a still screen: what Lumen uses while nothing happens.

use std::time::Duration;

use anyhow::{Context, Result};
use lumen_tests::{
    app::Show,
    browser::{Browser, Page},
    patience::wait_until,
    rig::{Rig, Setup},
};

use crate::{report::row, usage};

/// Long enough that one wake-up more or less does not matter.
const SPAN: Duration = Duration::from_secs(20);

/// Prints the figures of this part.
pub(crate) fn run() -> Result<()> {
    let setup = Setup::new().option("--size", "1920x1080").option("--resize", "fixed");
    let rig = setup.show(Show::Quadrants, 60).start()?;
    let browser = Browser::start()?;
    let page = browser.open_sized(rig.url(), 1920, 1080)?;
    page.wait_for_picture()?;
    settle(&page)?;
    let before = bytes(&page)?;
    let usage = usage::over(&rig, SPAN)?;
    let kilobits = (bytes(&page)? - before) * 8.0 / 1000.0 / SPAN.as_secs_f64();
    let cpu = format!("{:.2} %", usage.cores * 100.0);
    row("idle 1080p, one viewer: CPU of a core, all processes", &cpu, "< 0.5 %  (ancestor 40 %)");
    row("  by process, % of a core", &usage::shown(&usage.parts), "");
    row("idle: wake-ups per second, all processes", &format!("{:.1}", usage.wake_ups), "< 10");
    row("idle: kbit/s both ways", &format!("{kilobits:.1}"), "< 20  (ancestor 4000)");
    memory(&rig)
}

fn memory(rig: &Rig) -> Result<()> {
    let (proportional, resident) = usage::memory(rig)?;
    row(
        "memory, all processes, shared pages once (PSS)",
        &format!("{proportional:.0} MB"),
        "≤ 120 MB",
    );
    row("memory, sum of what each has resident (RSS)", &format!("{resident:.0} MB"), "");
    Ok(())
}

/// Waits until the picture has been improved as far as it will be: no frame between two looks a
/// second apart.
fn settle(page: &Page) -> Result<()> {
    let mut last = (0, std::time::Instant::now());
    wait_until("the still picture stops changing", || {
        let count = page.evaluate("lumenTest.frames.length").unwrap_or(0_usize);
        if count != last.0 {
            last = (count, std::time::Instant::now());
        }
        last.1.elapsed() > Duration::from_secs(1)
    })
}

/// Bytes that crossed the peer connection in both directions.
fn bytes(page: &Page) -> Result<f64> {
    let bytes: Option<f64> = page.evaluate("lumenTest.transportBytes()")?;
    bytes.context("the browser has no transport")
}
