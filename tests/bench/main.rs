//! `lumen-bench`: runs a release build of Lumen as users do and prints its cost, each figure beside
//! its target. `make bench` builds everything and runs it after the crates' own benchmarks.
//!
//! `lumen-bench [PART...]` runs only the named parts: `handover`, `idle`, `first-frame`, `scroll`,
//! `latency`. Nothing is asserted: figures depend on the machine, so they are read next to the
//! floors taken in the same run.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

mod copies;
mod first_frame;
mod handover;
mod idle;
mod latency;
mod report;
mod scroll;
mod usage;

use anyhow::{Result, ensure};

/// A part's name and what runs it.
type Part = (&'static str, fn() -> Result<()>);

const PARTS: [Part; 5] = [
    ("handover", handover::run),
    ("idle", idle::run),
    ("first-frame", first_frame::run),
    ("scroll", scroll::run),
    ("latency", latency::run),
];

fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let known = |name: &String| PARTS.iter().any(|(part, _)| part == name);
    ensure!(wanted.iter().all(known), "unknown part among {wanted:?}");
    report::heading();
    for (name, run) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            run()?;
        }
    }
    Ok(())
}
