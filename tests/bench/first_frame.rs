//! How long it takes from opening the page to a picture: for the first viewer, for one who joins,
//! and for one who comes back.

use std::time::SystemTime;

use anyhow::{Context, Result};
use lumen_tests::{
    browser::{Browser, Page},
    measured::percentile,
    rig::Setup,
};

use crate::report::{pair, row};

/// How often each is tried.
const ROUNDS: usize = 5;

/// Prints the figures of this part.
pub(crate) fn run() -> Result<()> {
    let (mut first, mut joining, mut returning) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let rig = Setup::new().quiet().start()?;
        rig.app_log().wait_until_drawn()?;
        let browser = Browser::start()?;
        let page = browser.open(rig.url())?;
        first.push(first_frame(&page)?);
        // The later viewers find a desktop that has its size and a page that has all its files.
        page.wait_for_picture()?;
        page.wait_until_quiet()?;
        let other = browser.open(rig.url())?;
        joining.push(first_frame(&other)?);
        page.close()?;
        other.close()?;
        returning.push(first_frame(&browser.open(rig.url())?)?);
    }
    let target = "≤ 500 ms  (rival 700, ancestor 4700)";
    for (who, times) in [("first", first), ("joining", joining), ("returning", returning)] {
        let figure = format!("navigation to first frame, {who} viewer, p50/max");
        let measured = pair(percentile(&times, 50.0), percentile(&times, 100.0), "ms");
        row(&figure, &measured, target);
    }
    Ok(())
}

/// Milliseconds from the start of the navigation to the first decoded frame.
fn first_frame(page: &Page) -> Result<f64> {
    // Asked only once: the answer waits in the page, and nothing else uses the processor meanwhile.
    page.wait_for_frame_after(SystemTime::UNIX_EPOCH)?;
    let opened: f64 = page.evaluate("performance.timeOrigin")?;
    let frames = page.frames()?;
    Ok(frames.first().context("no frame")?.at - opened)
}
