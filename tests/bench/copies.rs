//! How much of a frame is copied between compositor and media, as the kernel sees it in both
//! processes while a 1080p page scrolls: whether they map the same memory, how many pages of it one
//! of them has copied, and how many bytes go through system calls that copy. Measured for frames
//! that the compositor draws, and for frames that it leaves in the app's buffer.
//!
//! The kernel does not see what a process copies inside its own memory.

use anyhow::{Context, Result, ensure};
use lumen_ipc::{
    process::{ProcessId, Worker},
    service::{Metric, MetricValue},
};
use lumen_tests::{
    app::Show,
    process::Process,
    rig::{Rig, Setup, runs_as_root},
    viewer::Viewer,
};

use crate::report::row;

/// Frames over which calls are counted.
const FRAMES: usize = 300;

/// Prints the figures of this part.
pub(crate) fn run() -> Result<()> {
    if !runs_as_root() {
        row("what compositor and media copy of a frame", "shown to root only", "");
        return Ok(());
    }
    let drawn = Scroll::start(Setup::show_drawn)?;
    shared(drawn.compositor, drawn.media)?;
    let figure = "read and write calls of both, bytes per 8 MB frame";
    row(figure, &format!("{:.1}", drawn.bytes_by_calls()?), "no pixels: < 100");
    drop(drawn);
    let undrawn = Scroll::start(Setup::show)?;
    let figure = "the same where the app's buffer is the frame";
    row(figure, &format!("{:.1}", undrawn.bytes_by_calls()?), "no pixels: < 100");
    Ok(())
}

/// A page that scrolls, and a viewer that watches it.
struct Scroll {
    rig: Rig,
    viewer: Viewer,
    compositor: Process,
    media: Process,
}

impl Scroll {
    /// `show` sets up the app.
    fn start(show: impl FnOnce(Setup, Show, u32) -> Setup) -> Result<Self> {
        let setup = Setup::new().quiet().option("--size", "1920x1080").option("--resize", "fixed");
        let rig = show(setup.option("--fps", "60"), Show::Scroll, 60).start()?;
        let viewer = Viewer::join(&rig)?;
        viewer.wait_for_frame(60)?;
        let compositor = rig.ready_worker(Worker::Compositor)?;
        let media = rig.ready_worker(Worker::Media)?;
        Ok(Self { rig, viewer, compositor, media })
    }

    /// Bytes through system calls that copy, for each frame.
    fn bytes_by_calls(&self) -> Result<f64> {
        let processes = [self.compositor, self.media];
        let before = calls_and_frames(&self.rig, processes)?;
        let seen = self.viewer.seen().frames.len();
        self.viewer.wait_for_frame(seen + FRAMES)?;
        let after = calls_and_frames(&self.rig, processes)?;
        let frames = after.1.saturating_sub(before.1);
        ensure!(frames > 0, "media took no frame");
        Ok(after.0.saturating_sub(before.0) as f64 / frames as f64)
    }
}

fn shared(compositor: Process, media: Process) -> Result<()> {
    let drawn = compositor.memory_files("lumen-frame")?;
    let read = media.memory_files("lumen-frame")?;
    let same = |file: &&_| drawn.contains(file);
    let common = read.iter().filter(|file| file.shared).filter(same).count();
    let measured = format!("{common} of {}", read.len());
    row("frame buffers media reads that are the compositor's memory", &measured, "all");
    let copied: u64 = drawn.iter().chain(&read).map(|file| file.copied).sum();
    row("bytes of them of which a process has its own copy", &copied.to_string(), "0");
    Ok(())
}

/// Bytes that the processes passed through system calls, and the frames that media received
/// meanwhile.
fn calls_and_frames(rig: &Rig, processes: [Process; 2]) -> Result<(u64, u64)> {
    let output = rig.lumen(&["metrics", "--json"])?;
    let metrics: Vec<(ProcessId, Vec<Metric>)> = serde_json::from_slice(&output.stdout)?;
    let media = metrics.iter().find(|(process, _)| process.kind() == Worker::Media);
    let (_, metrics) = media.context("media has no metrics")?;
    let taken = metrics.iter().find_map(|metric| match &metric.value {
        MetricValue::Counter(count) if metric.name.as_str() == "frames_taken_total" => Some(*count),
        _ => None,
    });
    let mut bytes = 0;
    for process in processes {
        bytes += process.bytes_through_calls()?;
    }
    Ok((bytes, taken.context("media counts no frames")?))
}
