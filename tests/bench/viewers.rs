//! One desktop watched by more and more viewers: its pictures are encoded once, so that a further viewer costs what
//! sending to it costs, and slows nobody. The viewers are native ones, whose work is not Lumen's.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lumen_tests::{app::Show, rig::Setup, viewer::Viewer};

use crate::{report::row, usage};

/// How many watch, one setting after the other.
const COUNTS: [usize; 3] = [1, 4, 16];

/// Frame rate of the desktop.
const FPS: u32 = 30;

/// How long each setting is measured.
const SPAN: Duration = Duration::from_secs(10);

/// What Lumen spent, and what its viewers got.
struct Measured {
    /// Processor time of all processes per second, in cores.
    cores: f64,
    /// Frames per second of the viewer that got the fewest.
    slowest: f64,
    /// Megabits per second to one viewer, the mean over all.
    megabits: f64,
}

/// Prints the figures of this part.
pub(crate) fn run() -> Result<()> {
    let setup = Setup::new().quiet().option("--size", "1280x720").option("--resize", "fixed");
    let rig = setup.option("--fps", &FPS.to_string()).show(Show::Noise, FPS).start()?;
    let mut viewers: Vec<Viewer> = Vec::new();
    let mut alone: Option<Measured> = None;
    for count in COUNTS {
        while viewers.len() < count {
            viewers.push(Viewer::join(&rig)?);
        }
        for viewer in &viewers {
            // By then encoder and estimates have settled.
            let settled = viewer.seen().frames.len() + FPS as usize * 5;
            viewer.wait_for_frame(settled)?;
        }
        let got = measure(&viewers, || Ok(usage::over(&rig, SPAN)?.cores))?;
        let each = format!("{:.1} Mbit/s each", got.megabits);
        row(
            &format!("{count} viewers of changing noise, 720p{FPS}: CPU of a core, all processes"),
            &format!("{:.1} %, {each}", got.cores * 100.0),
            "",
        );
        row("  frames received per second, the slowest viewer", &format!("{:.1}", got.slowest), "");
        if let Some(alone) = &alone {
            let further = (got.cores - alone.cores) * 100.0 / (count - 1) as f64;
            row("  each further viewer, % of a core", &format!("{further:.1}"), "< 3 at 4 Mbit/s");
        }
        alone = alone.or(Some(got));
    }
    Ok(())
}

fn measure(viewers: &[Viewer], spend: impl FnOnce() -> Result<f64>) -> Result<Measured> {
    let counts = || -> Vec<usize> { viewers.iter().map(|one| one.seen().frames.len()).collect() };
    let (before, start) = (counts(), Instant::now());
    let cores = spend()?;
    let (after, seconds) = (counts(), start.elapsed().as_secs_f64());
    let frames = before.iter().zip(&after).map(|(before, after)| after - before);
    let slowest = frames.min().unwrap_or(0) as f64 / seconds;
    let mut bytes = 0;
    for (viewer, (from, to)) in viewers.iter().zip(before.iter().zip(&after)) {
        let seen = viewer.seen();
        ensure!(seen.closed.is_none(), "a viewer is gone: {:?}", seen.closed);
        bytes += seen.frames[*from..*to].iter().map(|frame| frame.bytes).sum::<usize>();
    }
    let megabits = bytes as f64 * 8.0 / 1e6 / seconds / viewers.len() as f64;
    Ok(Measured { cores, slowest, megabits })
}
