//! The picture over bad lines, in Chromium: one table, a line each. `lumen-bench line:policed` measures
//! only the lines with "policed" in their names.
//!
//! Each line is watched for 20 seconds. Frames count in the second half; gaps, freezes and keyframes from
//! two seconds on. "late" is the longest time by which this machine delivered a packet too late: where it
//! is more than a few milliseconds, the figures beside it are the machine's.

use std::time::Duration;

use anyhow::{Result, ensure};
use lumen_tests::{
    line::{
        rows::{self, Measure, Row},
        watch::{Desktop, Seen, Watch},
    },
    measured::percentile,
};

/// How long each line is watched.
const SPAN: Duration = Duration::from_secs(20);
/// Keys pressed on a line with a long queue.
const PRESSES: usize = 100;

/// Prints the figures of this part.
pub(crate) fn run(part: &str) -> Result<()> {
    let rows = rows::named(part);
    ensure!(!rows.is_empty(), "no line has {part:?} in its name");
    println!(
        "{:<40} {:>5} {:>7} {:>7} {:>5} {:>6} {:>4} {:>5} {:>6} {:>6} {:>5} {:>4} {:>5}",
        "line (1280x720, 30 fps)",
        "fps",
        "freezes",
        "longest",
        "p95",
        "buffer",
        "keys",
        "NACKs",
        "height",
        "Mbit/s",
        "lost",
        "made",
        "late"
    );
    for row in rows {
        // One line that fails says so and does not hide the others.
        if let Err(error) = measure(&row) {
            println!("{:<40} FAILED: {error:#}", row.name);
        }
    }
    println!(
        "longest, p95: gaps between frames, ms; buffer: mean time in the jitter buffer, ms; keys: keyframes; \
         made: connections, 1 where none was lost"
    );
    Ok(())
}

fn measure(row: &Row) -> Result<()> {
    let watch = Watch::start(Desktop::measured(row.show), row.down, row.up)?;
    if let Measure::Interruptions(lengths) = row.measure {
        return interruptions(row, &watch, lengths);
    }
    show(row.name, &watch.over(SPAN)?);
    if row.measure == Measure::Keys {
        let times = watch.key_latencies(PRESSES)?;
        let (median, p95) = (percentile(&times, 50.0), percentile(&times, 95.0));
        let round_trip = (row.down.delay + row.up.delay).as_millis();
        println!(
            "  key press to changed pixel, p50 {:.0} ms, p95 {:.0} ms; target: p95 ≤ {} ms",
            median.unwrap_or(f64::NAN),
            p95.unwrap_or(f64::NAN),
            round_trip + 100
        );
    }
    Ok(())
}

fn interruptions(row: &Row, watch: &Watch, lengths: &[u64]) -> Result<()> {
    for length in lengths {
        let back = watch.interrupt(Duration::from_millis(*length))?;
        println!(
            "{:<40} picture back after {:.0} ms, connections made: {}; target: ≤ 500 ms, 1",
            format!("{} for {length} ms", row.name),
            back.after.as_secs_f64() * 1000.0,
            back.connections
        );
        // The next begins on a line that is at peace again.
        watch.over(Duration::from_secs(4))?;
    }
    Ok(())
}

fn show(name: &str, seen: &Seen) {
    let millis = |time: Duration| format!("{:.0}", time.as_secs_f64() * 1000.0);
    println!(
        "{name:<40} {:>5.1} {:>7} {:>7} {:>5} {:>6} {:>4} {:>5} {:>6} {:>6.2} {:>5} {:>4} {:>5}",
        seen.fps,
        seen.freezes,
        millis(seen.longest_gap),
        millis(seen.gap_p95),
        millis(seen.buffered),
        seen.keyframes,
        seen.nacks,
        seen.height,
        seen.megabits,
        seen.dropped,
        seen.connections,
        millis(seen.latest),
    );
}
