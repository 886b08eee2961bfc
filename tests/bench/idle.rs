//! A viewer and a still screen: what Lumen uses while nothing happens.

use std::time::Duration;

use anyhow::{Context, Result};
use lumen_tests::{
    app::Show,
    browser::{Browser, Page},
    rig::{Rig, Setup, runs_as_root},
};

use crate::{report::row, usage};

/// Long enough that one wake-up more or less does not matter.
const SPAN: Duration = Duration::from_secs(20);

/// Prints the figures of this part.
pub(crate) fn run() -> Result<()> {
    let setup = Setup::new().quiet().option("--size", "1920x1080").option("--resize", "fixed");
    let rig = setup.show(Show::Quadrants, 60).start()?;
    let browser = Browser::start()?;
    let page = browser.open_sized(rig.url(), 1920, 1080)?;
    page.wait_for_picture()?;
    page.wait_until_quiet()?;
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
    if !runs_as_root() {
        row("memory, all processes", "shown to root only", "≤ 120 MB");
        return Ok(());
    }
    let (proportional, resident) = usage::memory(rig)?;
    row(
        "memory, all processes, shared pages once (PSS)",
        &format!("{proportional:.0} MB"),
        "≤ 120 MB",
    );
    row("memory, sum of what each has resident (RSS)", &format!("{resident:.0} MB"), "");
    Ok(())
}

/// Bytes that crossed the peer connection in both directions.
fn bytes(page: &Page) -> Result<f64> {
    let bytes: Option<f64> = page.evaluate("lumenTest.transportBytes()")?;
    bytes.context("the browser has no transport")
}
