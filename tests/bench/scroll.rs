//! A page of text that scrolls over the whole of a 1080p screen: processor time at 30 and 60
//! frames a second. The viewer is the native one, so that a software decoder does not compete.

use std::time::{Duration, Instant};

use anyhow::Result;
use lumen_tests::{app::Show, rig::Setup, viewer::Viewer};

use crate::{report::row, usage};

/// Frame rate of the app: it draws whenever it is asked to, as real apps do.
const AS_ASKED: u32 = 1000;

/// How long each setting is measured.
const SPAN: Duration = Duration::from_secs(10);

/// Prints the figures of this part.
pub(crate) fn run() -> Result<()> {
    scroll(30, "≤ 24 %  (rival 36 %, ancestor 41 %)")?;
    scroll(60, "≤ 46 %  (rival 55–62 %, ancestor 77 %)")
}

fn scroll(fps: u32, target: &str) -> Result<()> {
    let setup = Setup::new().quiet().option("--size", "1920x1080").option("--resize", "fixed");
    let rig = setup.option("--fps", &fps.to_string()).show(Show::Scroll, AS_ASKED).start()?;
    let viewer = Viewer::join(&rig)?;
    // By then the encoder and the network estimate have settled.
    viewer.wait_for_frame(usize::try_from(fps)? * 3)?;
    let before = (viewer.seen().frames.len(), Instant::now());
    let usage = usage::over(&rig, SPAN)?;
    let after = (viewer.seen().frames.len(), Instant::now());
    let rate = (after.0 - before.0) as f64 / (after.1 - before.1).as_secs_f64();
    let figure = format!("scrolling 1080p{fps}: CPU of a core, all processes");
    row(&figure, &format!("{:.1} %", usage.cores * 100.0), target);
    row("  by process, % of a core", &usage::shown(&usage.parts), "");
    row("  frames received per second", &format!("{rate:.1}"), &fps.to_string());
    let bytes: usize = viewer.seen().frames.iter().skip(before.0).map(|frame| frame.bytes).sum();
    let megabits = bytes as f64 * 8.0 / 1e6 / (after.1 - before.1).as_secs_f64();
    row("  Mbit/s", &format!("{megabits:.1}"), "");
    Ok(())
}
