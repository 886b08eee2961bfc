//! From a key press in Chromium to the changed pixel there, and where the time goes.

use anyhow::{Result, ensure};
use lumen_ipc::{
    process::ProcessId,
    service::{Histogram, Metric, MetricValue},
};
use lumen_tests::{
    browser::Browser,
    measured::percentile,
    rig::{Rig, Setup},
};
use serde::Deserialize;

use crate::report::{pair, row};

/// Key presses per setting: enough that ten values are above the 95th percentile.
const PRESSES: usize = 200;

/// One setting of the table.
struct Setting {
    name: &'static str,
    size: (u32, u32),
    fps: u32,
    target: &'static str,
}

const SETTINGS: [Setting; 3] = [
    Setting { name: "1080p30", size: (1920, 1080), fps: 30, target: "(ancestor 58 / 85 ms)" },
    Setting {
        name: "1080p60",
        size: (1920, 1080),
        fps: 60,
        target: "25 / 34 ms  (rival 37/50, ancestor 53/70)",
    },
    Setting {
        name: "720p60",
        size: (1280, 720),
        fps: 60,
        target: "17 / 25 ms  (rival 26/37, ancestor 41/60)",
    },
];

/// One key press, in milliseconds.
#[derive(Deserialize)]
struct Press {
    total: f64,
    received: Option<f64>,
    decoded: f64,
}

/// Prints the figures of this part.
pub(crate) fn run() -> Result<()> {
    SETTINGS.iter().try_for_each(measure)
}

fn measure(setting: &Setting) -> Result<()> {
    let (width, height) = setting.size;
    let rig = Setup::new()
        .quiet()
        .option("--size", &format!("{width}x{height}"))
        .option("--resize", "fixed")
        .option("--fps", &setting.fps.to_string())
        .start()?;
    let browser = Browser::start()?;
    let page = browser.open_sized(rig.url(), width, height)?;
    page.wait_for_picture()?;
    let before = stages(&rig)?;
    let presses: Vec<Press> = page.evaluate(&format!("lumenTest.keyLatencies({PRESSES})"))?;
    let after = stages(&rig)?;
    let figure = format!("key press to changed pixel, {}, p50/p95", setting.name);
    row(&figure, &shown(presses.iter().map(|press| Some(press.total))), setting.target);
    let received = presses.iter().map(|press| press.received);
    row("  key press to last packet received, p50/p95", &shown(received), "");
    let decoded = presses.iter().map(|press| Some(press.decoded));
    row("  decoding in the browser, p50/p95", &shown(decoded), "");
    for (name, later) in &after {
        let earlier = before.iter().find(|(other, _)| other == name);
        if let Some(mean) = mean_between(earlier.map(|(_, earlier)| earlier), later) {
            row(&format!("  {name}, mean"), &format!("{mean:.0} µs"), "");
        }
    }
    let jitter: Option<f64> = page.evaluate("lumenTest.jitterBufferMillis()")?;
    let jitter = jitter.map_or_else(|| "-".to_owned(), |jitter| format!("{jitter:.1} ms"));
    row("  jitter buffer in the browser, mean", &jitter, "0.5 ms");
    Ok(())
}

fn shown(times: impl Iterator<Item = Option<f64>>) -> String {
    let times: Vec<f64> = times.flatten().collect();
    pair(percentile(&times, 50.0), percentile(&times, 95.0), "ms")
}

/// Every histogram of a time that a worker keeps.
fn stages(rig: &Rig) -> Result<Vec<(String, Histogram)>> {
    let output = rig.lumen(&["metrics", "--json"])?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metrics: Vec<(ProcessId, Vec<Metric>)> = serde_json::from_slice(&output.stdout)?;
    let mut stages = Vec::new();
    for (process, metrics) in metrics {
        for metric in metrics {
            if let MetricValue::Histogram(histogram) = metric.value
                && metric.name.as_str().ends_with("_microseconds")
            {
                stages.push((format!("{}: {}", process.kind(), metric.name), histogram));
            }
        }
    }
    Ok(stages)
}

/// The mean of the values between two samples, if there were any.
fn mean_between(earlier: Option<&Histogram>, later: &Histogram) -> Option<f64> {
    let count = |histogram: &Histogram| histogram.counts.iter().sum::<u64>();
    let values = count(later).saturating_sub(earlier.map_or(0, count));
    let sum = later.sum.saturating_sub(earlier.map_or(0, |earlier| earlier.sum));
    (values > 0).then(|| sum as f64 / values as f64)
}
