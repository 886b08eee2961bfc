//! `lumen-bench`: runs a release build of Lumen as users do and prints its cost, each figure beside
//! its target. `make bench` builds everything and runs it after the crates' own benchmarks.
//!
//! `lumen-bench [PART...]` runs only the named parts: `handover`, `idle`, `first-frame`, `scroll`,
//! `viewers`, `latency`, `sessions`, `line`; `line:WORD` only the lines with this in their names. Nothing is
//! asserted: figures depend on the machine, so they are read next to the floors taken in the same run.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

mod copies;
mod first_frame;
mod handover;
mod idle;
mod latency;
mod line;
mod report;
mod scroll;
mod sessions;
mod usage;
mod viewers;

use anyhow::{Result, ensure};

/// A part's name and what runs it; what follows a colon after the name chooses among its rows.
type Part = (&'static str, fn(&str) -> Result<()>);

const PARTS: [Part; 8] = [
    ("handover", |_| handover::run()),
    ("idle", |_| idle::run()),
    ("first-frame", |_| first_frame::run()),
    ("scroll", |_| scroll::run()),
    ("viewers", |_| viewers::run()),
    ("latency", |_| latency::run()),
    ("sessions", |_| sessions::run()),
    ("line", line::run),
];

fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let wanted: Vec<(&str, &str)> =
        wanted.iter().map(|word| word.split_once(':').unwrap_or((word, ""))).collect();
    let parts = PARTS.map(|(name, _)| name);
    for (name, _) in &wanted {
        ensure!(parts.contains(name), "no part is called {name:?}; there are {}", parts.join(", "));
    }
    report::heading();
    for (name, run) in PARTS {
        if wanted.is_empty() {
            run("")?;
        }
        for (_, rows) in wanted.iter().filter(|(wanted, _)| *wanted == name) {
            run(rows)?;
        }
    }
    Ok(())
}
