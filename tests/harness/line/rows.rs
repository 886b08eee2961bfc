//! The lines that Lumen is measured on: each a name, what is shown, and what the line is like.
//!
//! Loss, policers and queues are on the way to the browser, where the pictures go; distance is shared by
//! both ways.

use std::time::Duration;

use crate::app::Show;

use super::shape::{Limit, Loss, Rate, Shape};

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// What the desktop shows.
    pub show: Show,
    /// The way to the browser.
    pub down: Shape,
    /// The way from it.
    pub up: Shape,
    /// What is measured.
    pub measure: Measure,
}

/// What is measured on a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Measure {
    /// Frames and gaps.
    Picture,
    /// The same, then the time from a key to the frame that shows it.
    Keys,
    /// How soon the picture is back after interruptions of each of these lengths, in milliseconds.
    Interruptions(&'static [u64]),
}

/// The longest wait in a queue that is too long (bufferbloat).
const DEEP: Duration = Duration::from_secs(1);

/// Every row.
#[must_use]
pub fn all() -> Vec<Row> {
    let mut rows = vec![
        row("scrolling, clean line", Show::Scroll, Shape::default()),
        row("noise, clean line", Show::Noise, Shape::default()),
        lossy("scrolling, loss 0.5 %", 5),
        lossy("scrolling, loss 2 %", 20),
        lossy("scrolling, loss 5 %", 50),
        lossy("scrolling, loss 10 %", 100),
        far("scrolling, RTT 20 ms ± 20", 20, 20, 0),
        far("scrolling, RTT 100 ms ± 20", 100, 20, 0),
        far("scrolling, RTT 300 ms ± 20", 300, 20, 0),
        far("scrolling, RTT 100 ms, loss 5 %", 100, 0, 50),
        far("scrolling, RTT 300 ms, loss 5 %", 300, 0, 50),
        policed("scrolling, policed to 4 Mbit/s", Show::Scroll, 4000),
        policed("scrolling, policed to 2.4 Mbit/s", Show::Scroll, 2400),
        policed("scrolling, policed to 1.6 Mbit/s", Show::Scroll, 1600),
        policed("scrolling, policed to 0.8 Mbit/s", Show::Scroll, 800),
        policed("noise, policed to 4 Mbit/s", Show::Noise, 4000),
        policed("noise, policed to 2.4 Mbit/s", Show::Noise, 2400),
        policed("noise, policed to 1.6 Mbit/s", Show::Noise, 1600),
        policed("noise, policed to 0.8 Mbit/s", Show::Noise, 800),
        // What keys take on this machine where no line limits the picture, for comparison.
        keys("noise, no queue, RTT 20 ms", None),
        keys("noise, 4 Mbit/s, queue 1 s, RTT 20 ms", Some(4000)),
        keys("noise, 1.6 Mbit/s, queue 1 s, RTT 20 ms", Some(1600)),
    ];
    let interrupted = row("scrolling, interrupted", Show::Scroll, Shape::default());
    let lengths = Measure::Interruptions(&[200, 500, 1000, 2000, 5000, 10_000]);
    rows.push(Row { measure: lengths, ..interrupted });
    rows
}

/// The rows whose names contain `part`.
#[must_use]
pub fn named(part: &str) -> Vec<Row> {
    all().into_iter().filter(|row| row.name.contains(part)).collect()
}

fn row(name: &'static str, show: Show, down: Shape) -> Row {
    Row { name, show, down, up: Shape::default(), measure: Measure::Picture }
}

fn lossy(name: &'static str, per_mille: u16) -> Row {
    let loss = Loss::per_mille(per_mille);
    row(name, Show::Scroll, Shape { loss, ..Shape::default() })
}

fn far(name: &'static str, round_trip: u64, jitter: u64, loss: u16) -> Row {
    let up = Shape { delay: Duration::from_millis(round_trip / 2), ..Shape::default() };
    let (jitter, loss) = (Duration::from_millis(jitter), Loss::per_mille(loss));
    Row { up, ..row(name, Show::Scroll, Shape { jitter, loss, ..up }) }
}

fn policed(name: &'static str, show: Show, kilobits: u32) -> Row {
    let limit = Some(Limit::policed(Rate::kilobits(kilobits)));
    row(name, show, Shape { limit, ..Shape::default() })
}

fn keys(name: &'static str, kilobits: Option<u32>) -> Row {
    let up = Shape { delay: Duration::from_millis(10), ..Shape::default() };
    let limit = kilobits.map(Rate::kilobits).map(|rate| Limit::Queued { rate, depth: DEEP });
    Row { up, measure: Measure::Keys, ..row(name, Show::Noise, Shape { limit, ..up }) }
}
